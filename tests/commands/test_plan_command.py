"""`plan`: the table, what misses the goal, changes, JSON with the same numbers, and what is refused."""

import json

import pytest

from simulator import Goal, plan, run_sweep
from simulator.cli import main
from simulator.units import format_number

FIVE = ("pi5-16gb", "rtx-3060", "rtx-3090", "m4", "rtx-5090")
PRICES = "pi5-16gb=120,rtx-3060=280,rtx-3090=700,m4=600,rtx-5090=2000"
CHEAPEST = ("plan", "qwen3-30b-a3b", "--at-least", "20", "--weights", "int4", "--on", *PRICES.split(","))


def test_the_cheapest_of_five_devices(shown):
    """An M4 for 600, then dearer ones; the RTX 3060 for 280 has too little memory; and what to run."""
    out = shown(*CHEAPEST)
    table, rest = out.split("Cheaper")
    assert table.index("m4 q4_k_m") < table.index("rtx-3090 q4_k_m") < table.index("rtx-5090 q4_k_m")
    assert rest.strip().startswith("rtx-3060 with q4_k_m for 280: needs 6.")
    assert "pi5-16gb with q4_k_m: needs 2." in rest
    assert "Assumed int4: q4_k_m, as llama.cpp has it" in rest
    assert "roofcast simulate qwen3-30b-a3b m4 --weights q4_k_m --batch 1 --context 1k --runtime llama.cpp" in rest
    assert "llama-bench -m qwen3-30b-a3b-q4_k_m.gguf" in rest


def test_json_has_the_same_numbers_as_python(shown):
    """Of every choice, by the same names."""
    found = json.loads(shown(*CHEAPEST, "--json", "-"))
    prices = dict(pair.split("=") for pair in PRICES.split(","))
    same = plan(
        "qwen3-30b-a3b", FIVE, Goal(20), weights=("int4",), prices={name: float(each) for name, each in prices.items()}
    )
    assert found["goal"]["at_least"] == 20
    assert [each["hardware"] for each in found["choices"]] == [each.base.hardware.label for each in same.choices]
    for told, choice in zip(found["choices"], same.choices, strict=True):
        assert (told["tokens_per_s_each"], told["chance"], told["price"]) == (
            choice.tokens_per_s_each,
            choice.chance,
            choice.price,
        )
        assert told["memory_left_bytes"] == choice.memory_left_bytes
        assert told["users"] == choice.users.most
    assert found["next_cheaper"]["hardware"] == "rtx-3060"
    assert found["choices"][1]["spending"]["generated"]["joules_per_token"] > 0


def test_prices_of_a_table_are_those_behind_names(shown, tmp_path):
    """A CSV, a row and what stands behind the names say the same."""
    path = tmp_path / "prices.csv"
    path.write_text("hardware,price\n" + PRICES.replace(",", "\n").replace("=", ",") + "\n")
    words = (*CHEAPEST[: CHEAPEST.index("--on")], "--on", *FIVE, "--prices")
    assert shown(*CHEAPEST) == shown(*words, PRICES) == shown(*words, str(path))


def test_the_command_that_is_told_forecasts_the_same(shown):
    """`simulate`, as it stands there."""
    (choice,) = json.loads(
        shown(
            "plan", "qwen3-30b-a3b", "--weights", "q4_k_m", "--on", "rtx-3060+ryzen-7950x", "--ram", "32", "--json", "-"
        )
    )["choices"]
    assert "--ram 32" in choice["simulate"]
    (point,) = json.loads(shown(*choice["simulate"].split()[1:], "--json", "-"))["predictions"]
    assert point["tokens_per_s"] == choice["tokens_per_s_each"]


def test_users_of_a_server(shown):
    """How many get 30 tokens/s each: the same as `simulate --each` counts."""
    words = ("--context", "8k", "--json", "-")
    (choice,) = json.loads(shown("plan", "deepseek-v3", "--at-least", "30", "--on", "8xh100-sxm", *words))["choices"]
    (users,) = json.loads(
        shown("simulate", "deepseek-v3", "8xh100-sxm", "--weights", "int4-g128", "--each", "30", *words)
    )["users"]
    for name in ("users", "users_low", "users_high"):
        assert choice[name] == users[name]
    assert choice["users_low"] < choice["users"] < choice["users_high"]


def test_memory_that_is_missing_is_told_of_the_part_that_lacks_it(shown):
    """10 MiB beside a card have no room for the embeddings; of a machine without parts it is its own."""
    out = shown("plan", "llama-3-8b", "--weights", "q4_k_m", "--on", "rtx-3060+ryzen-7950x", "--ram", "0.01")
    assert "needs 0.3 GiB more memory than ryzen-7950x has" in out
    assert "GiB more memory than it has" in shown("plan", "llama-3-8b", "--weights", "f16", "--on", "rtx-3060")


def test_ram_is_of_those_machines_that_can_have_it(shown):
    """An M4's is soldered on, and stays as it is."""
    words = ("plan", "llama-3-8b", "--weights", "q4_k_m", "--on", "m4", "ryzen-7950x", "--ram", "1e2", "--json", "-")
    assert {each["machine"] for each in json.loads(shown(*words))["choices"]} == {"m4", "ryzen-7950x --ram 100"}


def test_memory_is_told_left_and_in_all(shown):
    """Of the fullest part, what the runtime can have: in the table and in JSON."""
    words = ("plan", "llama-3-8b", "--weights", "q4_k_m", "--on", "rtx-3060+ryzen-7950x")
    (choice,) = json.loads(shown(*words, "--json", "-"))["choices"]
    left, limit = choice["memory_left_bytes"] / 2**30, choice["memory_limit_bytes"] / 2**30
    assert 0 < left < limit < 12
    assert f" {left:.1f} of {limit:.1f} GiB " in shown(*words)
    assert " MiB of " in shown("plan", "qwen3-32b", "--weights", "q2_k", "--on", "rtx-3060+ryzen-7950x")


def test_a_context_beyond_the_models_own_is_told_as_in_simulate(shown):
    """In the same words, with --change, too."""
    words = ("llama-3-8b", "--weights", "q4_k_m", "--context", "200k")
    told = "context 204,800 exceeds the 131,072 that the model was made for"
    assert told in shown("simulate", *words, "--batch", "1", "h100-sxm", "--runtime", "llama.cpp")
    assert told in shown("plan", *words, "--on", "h100-sxm")
    assert told in shown("plan", *words, "--on", "h100-sxm", "--change")
    assert "exceeds" not in shown("plan", *words[:3], "--on", "h100-sxm", "--context", "128k")


def test_joules_are_told_of_as_many_users_as_get_the_rate(shown):
    """Of one user 20 J, of 16 at once a third of that: what a server takes that is full; in JSON, too."""
    words = (
        "plan",
        "deepseek-v3",
        "--at-least",
        "30",
        "--context",
        "8k",
        "--on",
        "8xh100-sxm",
        "--price-per-hour",
        "20",
    )
    (choice,) = json.loads(shown(*words, "--json", "-"))["choices"]
    of_one, of_all = (choice[name]["generated"] for name in ("spending", "spending_of_users"))
    assert of_all["joules_per_token"] < of_one["joules_per_token"] / 2
    out = shown(*words)
    for users, spent in ((1, of_one), (choice["users"], of_all)):
        assert f"batch {users}, context 8,192: a token takes {format_number(spent['joules_per_token'])} (" in out
    asked = json.loads(shown(*words, "--users", str(choice["users"]), "--json", "-"))["choices"][0]
    assert asked["spending"]["generated"] == pytest.approx(of_all)
    assert asked["spending_of_users"] is None


def test_a_goal_that_nothing_reaches(shown):
    """The best, and by how much it misses."""
    out = shown("plan", "llama-3-70b", "--at-least", "500", "--on", "rtx-5090", "2xrtx-3090")
    assert "None none of 2 machines reaches that" in out
    too_large = shown("plan", "llama-3-70b", "--weights", "f16", "--on", "m4", "rtx-3060")
    assert "None none of 2 machines holds the model" in too_large
    users = shown("plan", "llama-3-8b", "--weights", "q4_k_m", "--on", "pi5-8gb", "--users", "1000")
    assert "None the machine does not hold the model and the caches of 1,000 users" in users
    assert (
        "holds 14 of 1,000 users at context 1,024, with all of them it needs 154.0 GiB more memory than it has" in users
    )
    assert "Best rtx-5090 with iq3_xxs: 37.0 of 500 tokens/s each, 93% too few" in out
    assert "Assumed iq3_xxs: fewer than 4 bits lose more of what the model knows, which is not forecast" in out


def test_changes_of_a_machine(shown):
    """As it is, what changes buy, and in JSON the same."""
    words = ("plan", "qwen3-30b-a3b", "--at-least", "15", "--on", "rtx-3060+ryzen-7950x", "--ram", "32", "--change")
    out = shown(*words)
    assert "as it is, with q4_k_m -ngl 99 --n-cpu-moe" in out
    assert "2xrtx-3060 in place of rtx-3060" in out
    assert out.index("reaches it already") < out.index("changes are told by what they buy beyond") < out.index("gain")
    found = json.loads(shown(*words, "--json", "-"))
    assert found["before"]["reaches"]
    assert all(each["gain"] > 1 for each in found["changes"])
    few = shown(
        "plan",
        "qwen3-32b",
        "--weights",
        "q4_k_m",
        "--at-least",
        "100",
        "--on",
        "ryzen-7950x",
        "--change",
        "--rows",
        "1",
    )
    assert "further changes: --rows or --json shows them" in few
    assert "no change reaches that, nor two together; the best:" in few


def test_prompts_are_told_apart_as_in_simulate(shown):
    """Whether a first token is asked for or not: the same joules and costs of both kinds of tokens."""
    words = ("llama-3-8b", "--weights", "q8_0", "--price-per-hour", "2", "--context", "4k")
    (choice,) = json.loads(shown("plan", *words, "--on", "rtx-3090", "--json", "-"))["choices"]
    (point,) = json.loads(shown("simulate", *words, "--batch", "1", "rtx-3090", "--json", "-"))["predictions"]
    assert choice["spending"] == point["spending"]
    assert 0 < choice["spending"]["prompt"]["cost_per_million"] < choice["spending"]["generated"]["cost_per_million"]
    out = shown("plan", *words, "--on", "rtx-3090").split("Energy")[1]
    assert "rtx-3090 with q8_0: batch 1, context 4,096: a token takes" in out
    assert "a token of a prompt of 4,096 tokens takes" in out
    assert "W: measured" in out or "W: estimated" in out


def test_what_a_million_tokens_cost_after_a_change(shown):
    """At 3.6 an hour 1,000 over the rate; of a machine with another card neither its hour nor its watts are known."""
    words = ("plan", "llama-3-8b", "--weights", "bf16", "--at-least", "30", "--on", "h100-sxm", "--change")
    words += ("--price-per-hour", "3.6", "--watts", "400")
    found = json.loads(shown(*words, "--json", "-"))
    assert {"cards", "weights", "drafts"} <= {each["kinds"][0] for each in found["changes"]}
    for each in (found["before"], *found["changes"]):
        spent, rate = each["spending"]["generated"], each["tokens_per_s_each"]
        if "cards" in each.get("kinds", ()):
            assert spent["cost_per_million"] is None
            assert not spent["watts_source"].startswith("given")
        else:
            assert spent["cost_per_million"] == pytest.approx(1000 / rate)
            assert spent["joules_per_token"] == pytest.approx(400 / rate)
    out = shown(*words)
    assert "memory left J/token per million" in out
    assert "--price-per-hour and --watts are of the machine as it is" in out


def test_a_split_that_is_named_is_compared_with_the_fastest(shown):
    """All experts in RAM are slower than as many as need be."""
    words = (
        "plan",
        "qwen3-30b-a3b",
        "--weights",
        "q4_k_m",
        "--on",
        "rtx-3060+ryzen-7950x",
        "--ram",
        "32",
        "--change",
        "--cpu-moe",
        "--json",
        "-",
    )
    found = json.loads(shown(*words))
    assert found["before"]["split"] == "-ngl 99 --cpu-moe"
    split = next(each for each in found["changes"] if each["kinds"] == ["split"])
    assert split["gain"] > 1.1
    assert "--n-cpu-moe" in split["split"]


def test_machines_that_are_left_out_are_told_by_the_reason(shown):
    """Those without a price in one line."""
    out = shown(
        "plan", "llama-3-8b", "--any", "--budget", "700", "--prices", "m4=600,rtx-5090=2000", "--weights", "q4_k_m"
    )
    assert "more: its price is not known" in out
    assert "over the budget" in out


def test_machines_without_a_price_are_told_where_there_is_a_budget(shown):
    """All of them that were named, however many, where the nearest three are told alone otherwise; and in JSON."""
    cards = ("rtx-3060", "rtx-3070", "rtx-3080", "rtx-4070", "rtx-4080", "rtx-4090")
    words = (
        "plan",
        "llama-3-8b",
        "--at-least",
        "20",
        "--weights",
        "q4_k_m",
        "--budget",
        "500",
        "--on",
        "rtx-3060=300",
        *cards[1:],
    )
    out = shown(*words)
    told = "No price rtx-3070, rtx-3080, rtx-4070, rtx-4080 and 1 more: whether that is within the budget is not known"
    assert told in out
    assert json.loads(shown(*words, "--json", "-"))["unpriced"] == list(cards[1:])
    assert "No price" not in shown(*words[:6], *words[8:])


def test_rows_of_a_sweep_are_shown_as_forecasts_are(shown, tmp_path):
    """The same page and JSON as of new forecasts of the same machines and formats, without a word for the model."""
    pytest.importorskip("pyarrow")
    lists = {"models": "qwen3-30b-a3b", "devices": list(FIVE), "formats": "int4"}
    run_sweep(lists, tmp_path / "out", processes=1)
    words = ("plan", "--from", str(tmp_path / "out"), "--at-least", "20", "--prices", PRICES)
    named = [{"int4": "q4_k_m"}.get(word, word) for word in CHEAPEST]  # as rows have it
    assert shown(*words) == shown(*named)
    assert json.loads(shown(*words, "--json", "-")) == json.loads(shown(*named, "--json", "-"))
    few = shown(*words[:-2], "--on", "rtx-3090=650", "rtx-5090=2000", "--rows", "1")
    assert "rtx-3090 q4_k_m" in few
    assert " 650 " in few
    assert "1 further choices: --rows or --json shows them" in few


def test_a_model_or_a_sweep_is_needed(capsys):
    """Without either, both are named."""
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--at-least", "20"])
    assert ended.value.code == 2
    assert (
        "plan: name a model, as in roofcast plan qwen3-30b-a3b --any, or a sweep's folder with --from"
        in capsys.readouterr().err
    )


def test_what_no_change_makes_fit_is_said(shown):
    """And no command for it."""
    out = shown("plan", "deepseek-v3", "--on", "pi5-16gb", "--change")
    assert "no change that is known here makes it fit" in out
    assert "Do it" not in out


def test_first_tokens_and_prices_of_electricity(shown):
    """Columns of what is asked for."""
    out = shown(
        "plan", "llama-3-8b", "--weights", "q8_0", "--at-least", "20", "--users", "8", "--context", "4k", "--ttft", "900ms", "--on",
        "rtx-4090", "--price-per-kwh", "0.3",
    )  # fmt: skip
    assert "for each of 8 users at context 4,096, the first token of a prompt as long within 900 ms" in out
    assert "first token memory left most users J/token per million" in out


def test_list_prices_are_told_where_nobody_gives_one(shown):
    """With their days, of all cards of a machine; of those alone that have no price of the user's; in JSON by part."""
    words = ("plan", "llama-3-8b", "--weights", "q4_k_m", "--on", "2xrtx-3090", "pi5-8gb", "m4")
    out = shown(*words).split("Listed")[1]
    assert (
        "2xrtx-3090 at 2 x 1,499 USD (2021-02-08), pi5-8gb at 80 USD (2023-09): what makers asked then for the device alone; --prices"
        in out
    )
    assert "m4 at" not in out
    some = shown(*words, "--prices", "m4=600,rtx-3090=700").split("Listed")[1]
    assert some.startswith(" pi5-8gb at 80 USD (2023-09): what makers asked then")
    assert "Listed" not in shown(*words, "--prices", "m4=600,rtx-3090=700,pi5-8gb=90")
    first = json.loads(shown(*words, "--json", "-"))["choices"][0]
    assert first["price"] is None
    (part,) = first["list_price"]
    assert (part["hardware"], part["count"], part["value"], part["date"]) == ("rtx-3090", 2, 1499, "2021-02-08")
    assert part["source"].startswith("https://")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "name machines with --on"),
        (("--from", "nowhere"), "nowhere: no folder of a sweep"),
        (("--from", __file__), "is a file, the folder that roofcast sweep -o has written is needed"),
        (("--from", "nowhere", "--any"), "--any: the rows of a sweep do not answer that: leave it out"),
        (("--from", "nowhere", "--change"), "--change: the rows of a sweep do not answer that"),
        (("--from", "nowhere", "--ttft", "2s"), "--ttft: the rows of a sweep do not answer that"),
        (("--from", "nowhere", "--ram", "32"), "--ram: the rows of a sweep do not answer that"),
        (("--from", "nowhere", "--n-cpu-moe", "0"), "--n-cpu-moe: the rows of a sweep do not answer that"),
        (("--from", "nowhere", "-ot", "exps=CPU"), "--override-tensor: the rows of a sweep do not answer that"),
        (("--from", "nowhere", "--fit", "auto"), "--fit: the rows of a sweep do not answer that"),
        (("--any", "--on", "m4"), "give one of them"),
        (("--change",), "--change keeps one machine"),
        (("--change", "--on", "m4", "m2"), "--change keeps one machine"),
        (("--change", "--on", "m4", "--weights", "q4_k_m,q8_0"), "give one format with --weights"),
        (("--any", "--budget", "800"), "--budget 800: no price of these machines is known: give --prices"),
        (("--on", "m4", "--at-least", "0"), "--at-least must be"),
        (("--on", "m4", "--users", "0"), "--users must be between 1"),
        (("--on", "m4", "--ttft", "soon"), "'soon': a time is needed, such as 50ms, 2s or 1min"),
        (("--on", "m4", "--chance", "100"), "'100': a percentage from 1 to 99 is needed"),
        (("--on", "m4", "--prices", "nowhere.csv"), "nowhere.csv"),
        (("--on", "m4", "--fit", "auto"), "a plan takes the fastest split by itself"),
        (("--on", "m4=cheap"), "a price from 0 to 1,000,000,000,000 is needed behind a name, as in rtx-3090=700"),
        (("--on", "m4=1e13"), "'m4=1e13': a price from 0 to 1,000,000,000,000 is needed behind a name"),
        (("--on", "m4", "--prices", "m4=cheap"), "is needed behind a name, as in rtx-3090=700"),
        (("--on", "m4", "--prices", "m4=600,m4=700"), "--prices: hardware m4 has two prices, 600 and 700: keep one"),
        (("--on", "m4=600", "m4=700"), "--on: hardware m4 has two prices, 600 and 700: keep one"),
        (
            ("--on", "rtx-3090+laptop-ddr5=900", "--prices", "laptop-ddr5+rtx-3090=901"),
            "--on: hardware rtx-3090+laptop-ddr5 has two prices, 901 (--prices) and 900: keep one",
        ),
        (
            ("--on", "m4=600", "--prices", "m4=700"),
            "--on: hardware m4 has two prices, 700 (--prices) and 600: keep one",
        ),
        (("--on", "m4", "--chance", "90"), "--chance: of what? Name a goal with it: --at-least"),
        (("--on", "rtx-3060", "--ram", "32"), "name the host with it, as in rtx-3060+ryzen-7950x"),
        (("--on", "rtx-3060", "--ram", "32", "--change"), "name the host with it, as in rtx-3060+ryzen-7950x"),
        (
            ("--on", "rtx-3060+ryzen-7950x", "--ram", "0.001"),
            "'0.001': from 0.01 to 100,000 GiB can be given, as in --ram 64",
        ),
        (
            ("--on", "rtx-3060+ryzen-7950x", "--ram", "1e9"),
            "'1e9': from 0.01 to 100,000 GiB can be given, as in --ram 64",
        ),
        (("--on", "m4", "--ram", "64"), "ram 64: the memory of m4 is soldered on, 32 GiB: leave it out"),
        (("--on", "m4", "--ram", "16", "--change"), "ram 16: the memory of m4 is soldered on, 32 GiB: leave it out"),
        (("--any", "--ram", "64"), "--ram: --any takes devices as their files have them"),
        (("--on", "m4", "--watts", "0"), "--watts must be"),
        (("--on", "m4", "--weights", "no-format"), "no-format"),
        (("--on", "no-such-board"), "unknown hardware"),
        (("--on", "m4", "--rows", "0"), "--rows 0: between 1 and"),
        (("--on", "m4", "--runtime", "no-such"), "runtime"),
    ],
)
def test_mistakes_are_told(given, told, capsys):
    """In a sentence, with status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["plan", "llama-3-8b", *given])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
