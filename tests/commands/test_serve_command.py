"""`roofcast serve`: tables, JSON, pictures, and what is refused."""

import json

import pytest

from simulator.cli import main
from simulator.commands.serve import parse_rate
from simulator.forecast.scenario import scenario
from simulator.report.charts.serve import load_chart, why_no_loads
from simulator.traffic.demand import by_users, of_trace
from simulator.traffic.largest import largest_concurrency
from simulator.traffic.outcome import ServiceGoal
from simulator.traffic.serve import serve
from simulator.traffic.site import silent

LLAMA = ("serve", "llama-3-8b", "rtx-4090", "--weights", "q4_k_m", "--prompt", "200", "--generate", "20")


def run(*words):
    """The status with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def test_a_rate_is_served(capsys):
    """Times, what the server does, and what was assumed."""
    assert run(*LLAMA, "--rate", "60/min", "--requests", "60", "--goal", "ttft=2s,tpot=50ms") == 0
    told = " ".join(capsys.readouterr().out.split())
    for each in (
        "to the first token", "for each further one", "whole request", "1.00 requests/s at random (with this seed ",
        "): 60 requests in", "Server", "Cache room for",
        "Held back", "100.0% of the 60 requests keep ttft=2s,tpot=50ms, too few to tell whether 99 % do: that takes 100",
        "99 % of 2,000 requests keep it up to", "Assumed",
    ):  # fmt: skip
        assert each in told, each
    assert "unstable" not in told


def test_json_has_what_is_shown(capsys):
    """Percentiles in order, between their ends; shares; the most that keeps the goal."""
    assert (
        run(*LLAMA, "--concurrency", "4", "--requests", "104", "--goal", "tpot=50ms", "--share", "90", "--json", "-")
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    served, largest = found["served"], found["largest"]
    assert (served["users"], served["rate"], served["requests"]) == (4, None, 104)
    for measure in ("ttft", "tpot", "e2e"):
        times = [served[measure][f"p{each}"] for each in (50, 90, 95, 99)]
        assert times == sorted(times)
        assert served[measure]["p99_low"] < times[-1] < served[measure]["p99_high"]
    assert served["tokens_per_s"] == pytest.approx(20 * served["requests_per_s"])
    assert served["kept"] == 1
    assert largest["share"] == 0.9
    assert largest["users"] >= 4
    assert largest["goal"] == {"tpot": 0.05}


def test_the_same_seed_prints_the_same(capsys):
    """And another one other times."""
    shown = []
    for seed in ("1", "1", "2"):
        assert run(*LLAMA, "--rate", "2/s", "--requests", "50", "--seed", seed, "--json", "-") == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_too_many_requests_are_told_as_unstable(capsys):
    """With how fast the queue grows; and it ends."""
    assert run(*LLAMA, "--rate", "100k/s", "--requests", "300") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "unstable:" in told
    assert "the queue grows by" in told


def test_the_bounds_of_a_rate_can_be_typed_as_they_are_told():
    """With an exponent, by every unit."""
    assert [parse_rate(each) for each in ("1e-06/s", "1e6", "3.6e3/h", "90/min")] == [1e-6, 1e6, 1.0, 1.5]


def test_a_goal_out_of_reach_names_the_best(capsys):
    """With status 0: it is an answer."""
    assert run(*LLAMA, "--goal", "ttft=1ms", "--requests", "50") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Goal out of reach" in told
    assert "the best that can be kept is ttft=" in told


def test_pictures_are_drawn(tmp_path, capsys):
    """Over time, and against the rate or the users."""
    assert run(*LLAMA, "--rate", "2/s", "--requests", "50", "--plot", str(tmp_path / "a.svg")) == 0
    assert run(*LLAMA, "--concurrency", "2", "--requests", "20", "--plot", str(tmp_path / "b.svg")) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "a-rates.svg", "b.svg", "b-users.svg"}
    assert "what requests wait for, against the load" in capsys.readouterr().out


LOADS = "the picture of what requests wait for, against the load, is left out:"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--rate", "2/s", "--requests", "20001"),
            f"{LOADS} a run of 20,001 requests is gone through once, and not at other loads; --requests 20000 or fewer can be",
        ),
        (
            ("--goal", "ttft=1ms", "--requests", "50"),
            "no picture is drawn: no rate keeps the goal, so none was served; with a --rate it is shown",
        ),
    ],
)
def test_a_picture_that_is_left_out_is_told(words, told, tmp_path, capsys):
    """Which, why and what would have it, on the standard output, and beside JSON on the standard error."""
    path = str(tmp_path / "a.svg")
    assert run(*LLAMA, *words, "--plot", path) == 0
    assert told in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "a-rates.svg").exists()
    assert run(*LLAMA, *words, "--plot", path, "--json", "-") == 0
    found = capsys.readouterr()
    assert told in " ".join(found.err.split())
    json.loads(found.out)


def test_why_a_run_has_no_picture_against_the_load(tmp_path, monkeypatch):
    """A trace that comes at once has no rate; one whose steps change too often may have one with a larger chunk."""
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n0,200,20\n0,200,20\n")
    trace = of_trace(tmp_path / "trace.csv")
    assert why_no_loads(serve(base, trace, with_interval=False)).startswith(
        "requests that all come at once have no rate;"
    )
    users = serve(base, by_users(2, 200, 20), with_interval=False)
    assert why_no_loads(users) == ""
    monkeypatch.setattr("simulator.report.charts.serve.MANY_STRETCHES", 3)
    assert why_no_loads(users).endswith(
        "up to 3 can be gone through at other loads; a larger --chunk or fewer --requests may do"
    )
    assert load_chart(users, silent) is None


def test_percentiles_of_few_requests_are_told_as_such(capsys):
    """Of 20 requests of 16 users the first of each are left out: four are left; with what is told to ask for a hundred are."""
    assert run(*LLAMA, "--concurrency", "16", "--requests", "20") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the percentiles are of only 4 requests, too few for 90 and 95 and 99 %: --requests 116 tells them" in told
    assert "80 % interval of 50 %" in told
    assert run(*LLAMA, "--concurrency", "16", "--requests", "116") == 0
    told = capsys.readouterr().out
    assert "of only" not in told
    assert "80 % interval of 99 %" in told


def test_percentiles_that_few_requests_do_not_tell_are_unknown(capsys):
    """Of ten the slowest takes longer than 90 %; what 95 % take is not told, nor by the table."""
    assert run(*LLAMA, "--rate", "2/s", "--requests", "10", "--json", "-") == 0
    times = json.loads(capsys.readouterr().out)["served"]["ttft"]
    assert [times[f"p{each}"] is None for each in (50, 90, 95, 99)] == [False, False, True, True]
    assert [times[f"p{each}_high"] is None for each in (50, 90, 95, 99)] == [False, False, True, True]
    assert run(*LLAMA, "--rate", "2/s", "--requests", "10") == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("to the first token"))
    assert row.split()[8:10] == ["-", "-"]


@pytest.mark.parametrize(("n_longer", "highest"), [(2, "50"), (0, None)])
def test_times_for_each_further_token_are_told_of_those_that_have_one(n_longer, highest, tmp_path, capsys):
    """Of twelve requests two, or none: no percentile that these do not tell has an interval, in the table or in JSON."""
    rows = [f"{second},200,{20 if second < n_longer else 1}\n" for second in range(12)]
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n" + "".join(rows))
    words = (*LLAMA[:5], "--trace", str(tmp_path / "trace.csv"))
    assert run(*words) == 0
    out = capsys.readouterr().out
    (row,) = (line for line in out.splitlines() if line.startswith("for each further one  "))
    assert row.split()[-4:] == ["-", "-", "-", "-"]
    assert "80 % interval of 90 %" in out
    told = f"for each further one: of requests with answers of more than one token, {n_longer} of the 12"
    assert told in " ".join(out.split())
    assert run(*words, "--json", "-") == 0
    served = json.loads(capsys.readouterr().out)["served"]
    known = {name for name, seconds in served["tpot"].items() if seconds is not None}
    assert known == ({f"p{highest}", f"p{highest}_low", f"p{highest}_high"} if highest else set())
    assert served["e2e"]["p90_low"] < served["e2e"]["p90"] < served["e2e"]["p90_high"]


@pytest.mark.parametrize(("n_longer", "titles"), [(12, [50, 90]), (3, [50]), (0, None)])
def test_a_picture_has_the_percentiles_that_each_measure_tells(n_longer, titles, tmp_path):
    """Of twelve requests 90 % to the first token; for each further one those of requests that have one, or no picture of it."""
    rows = [f"{second},200,{20 if second < n_longer else 1}\n" for second in range(12)]
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n" + "".join(rows))
    base = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m")
    chart = load_chart(serve(base, of_trace(tmp_path / "trace.csv"), with_interval=False), silent)
    found = {panel.title: [series.label for series in panel.series] for panel in chart.panels}
    named = {"Until the first token": [50, 90]} | ({"Each further token": titles} if titles else {})
    assert found == {title: [f"{each} % of the requests" for each in percents] for title, percents in named.items()}


@pytest.mark.parametrize(("share", "is_told"), [("99", False), ("66", True)])
def test_of_a_trace_that_is_too_short_no_largest_rate_is_told(share, is_told, tmp_path, capsys):
    """Three requests tell what two in three keep, no 99 %; what is missing is said, and the status is 0."""
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n0,100,5\n1,300,9\n2,300,9\n")
    assert run(*LLAMA[:5], "--trace", str(tmp_path / "trace.csv"), "--goal", "ttft=2s", "--share", share) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert ("the largest rate is not looked for: a trace of 100 requests tells it, or a lower --share" in told) == (
        not is_told
    )
    assert ("too few to tell whether 99 % do: that takes 100" in told) == (not is_told)
    assert ("of the requests keep it up to" in told) == is_told
    assert "too few for 90 and 95 and 99 %: a trace of 100 tells them" in told


def test_a_placement_that_nobody_named_is_told(capsys):
    """Of one request; more layers' experts in RAM leave room for more, and who names them is told nothing."""
    rooms = {}
    for named in ((), ("--n-cpu-moe", "24")):
        assert (
            run(
                "serve",
                "qwen3-30b-a3b",
                "rtx-3060+ryzen-7950x",
                "--weights",
                "q4_k_m",
                "--rate",
                "1/s",
                "--requests",
                "3",
                *named,
            )
            == 0
        )
        told = " ".join(capsys.readouterr().out.split())
        assert ("weights lie as" in told and "--n-cpu-moe of more layers leaves room" in told) == (not named)
        rooms[named] = int(told.split("room for ")[1].split(" tokens")[0].replace(",", ""))
    assert rooms["--n-cpu-moe", "24"] > 2 * rooms[()]


def test_a_picture_against_users_has_what_the_table_has():
    """Of as many as were asked for the same requests, also where they are no power of two."""
    served = serve(scenario("llama-3-8b", "rtx-4090", context=220), by_users(3, 200, 20), with_interval=False)
    chart = load_chart(served, silent)
    first = chart.panels[0].series[1]
    assert first.y[first.x.index(3)] == served.outcome.percentile("ttft", 99)
    assert list(first.x) == sorted(first.x)


def test_a_trace_is_served(tmp_path, capsys):
    """Its own lengths and times."""
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n0,100,5\n1,300,9\n")
    assert run(*LLAMA[:5], "--trace", str(tmp_path / "trace.csv")) == 0
    assert "prompts of 100 to 300 tokens, answers of 5 to 9" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "say how requests come"),
        (("--rate", "2/s", "--concurrency", "3"), "--rate and --concurrency both say how requests come"),
        (("--rate", "2/fortnight"), "such as 2/s or 100k/day"),
        (("--rate", "2/m"), "with /s, /min, /h or /day"),
        (("--rate", "1e-7/s"), "from 1e-06 to 1,000,000 per second"),
        (("--rate", "0"), "such as 2/s or 100k/day"),
        (("--rate", "999999999999/s"), "such as 2/s or 100k/day"),
        (("--concurrency", "0"), "--concurrency must be between 1 and"),
        (("--concurrency", "many"), "a whole number is needed"),
        (("--rate", "2/s", "--share", "90"), "--share: of which goal?"),
        (("--rate", "2/s", "--goal", "ttft=2s", "--share", "900"), "--share 900"),
        (("--rate", "2/s", "--goal", "ttft=2h"), "--goal: ttft '2h': a time is needed"),
        (("--rate", "2/s", "--prefix", "300"), "--prefix must be at most the prompt's 200 tokens, got 300"),
        (("--rate", "2/s", "--requests", "100000000"), "--requests must be between"),
        (("--trace", "none.csv"), "--prompt: each request of a trace has its own: leave it out"),
        (("--rate", "2/s", "--chunk", "1", "--requests", "9000"), "--chunk must be at least "),
        (("--goal", "ttft=2s", "--chunk", "1", "--requests", "9000"), "--chunk must be at least "),
        (("--concurrency", "100", "--requests", "100"), "--requests must be more than the 100 users"),
        (
            ("--rate", "2/s", "--weights", "fp8,bf16"),
            "--weights 'fp8,bf16' are several formats, and one is needed here",
        ),
        (("--rate", "2/s", "--plot", "-", "--json", "-"), "both want the standard output"),
        (("--rate", "2/s", "--fit", "auto"), "--fit"),
        (("--rate", "2/s", "--max-requests", "0"), "--max-requests must be between"),
        (("--rate", "2/s", "--chunk", "0"), "--chunk must be between"),
        (("--rate", "2/s", "--seed", "-1"), "--seed must be between"),
        (("--rate", "2/s", "--devices", "0"), "--devices must be between"),
        (("--rate", "1e-6/s"), "--requests must be fewer: 2,000 at 1e-06 per second"),
        (("--concurrency", "3", "--seed", "1"), "--seed: users ask when they have their answer"),
        (("--concurrency", "3", "--goal", "ttft=2s", "--share", "99.999"), "--share 99.999: per cent"),
    ],
)
def test_wrong_values_are_refused(given, told, capsys):
    """In a sentence, with status 2."""
    assert run(*LLAMA, *given) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--prompt", "--generate"])
@pytest.mark.parametrize("way", [("--rate", "2/s"), ("--concurrency", "2"), ("--goal", "ttft=2s")], ids=" ".join)
def test_lengths_out_of_bounds_are_told_by_their_option(option, way, capsys):
    """None, more than there are, and more than there are with the other."""
    for length, told in (("0", "must be between 1 and 100,000,000, got 0"), ("100000000", "must be at most 99,99")):
        assert run("serve", "llama-3-8b", "rtx-4090", option, length, *way) == 2
        assert f"roofcast: {option} {told}" in capsys.readouterr().err


def test_what_a_trace_has_of_its_own_is_refused(capsys):
    """Each by its name; how many, which are all, and a seed, with which nothing would be drawn."""
    own = "each request of a trace has its own: leave it out"
    told = dict.fromkeys(("--prompt", "--generate", "--prefix"), own)
    told["--requests"] = "a trace has a request in each row, and all of them are simulated: leave it out"
    told["--seed"] = "a trace says when each request comes, nothing of it is random: leave it out"
    for option, why in told.items():
        assert run("serve", "llama-3-8b", "rtx-4090", "--trace", "none.csv", option, "3") == 2
        assert f"{option}: {why}" in capsys.readouterr().err


def test_empty_tables_are_told_as_such(tmp_path, capsys):
    """Not by the columns that they lack."""
    (tmp_path / "a.csv").write_text("\n")
    for words in (("serve", "llama-3-8b", "rtx-4090", "--trace"), ("plan", "llama-3-8b", "--any", "--prices")):
        assert run(*words, str(tmp_path / "a.csv")) == 2
        assert "a.csv: the file is empty" in capsys.readouterr().err


def test_tiny_chunks_end_soon(capsys):
    """In steps of a token: a capacity needs no more requests than run at once in them."""
    assert run(*LLAMA, "--rate", "2/s", "--chunk", "1", "--requests", "10", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)["served"]
    assert found["capacity_requests_per_s"] < 2


def test_what_is_longer_than_the_models_context_is_told(capsys):
    """Of what is served in table and JSON, and of a goal that nothing keeps."""
    words = ("serve", "llama-3-8b", "h100-sxm", "--prompt", "200k", "--requests", "2", "--generate", "2")
    told = "context 204,802 exceeds the 131,072 that the model was made for"
    assert run(*words, "--rate", "1/s") == 0
    assert told in " ".join(capsys.readouterr().out.split())
    assert run(*words, "--rate", "1/s", "--json", "-") == 0
    assert told in json.loads(capsys.readouterr().out)["served"]["remarks"]


def test_what_does_not_fit_is_told_with_what_helps(capsys):
    """Fewer bits where they do, a host, and where to look for another machine."""
    for weights, few in (("q4_k_m", False), ("bf16", False)):
        assert run("serve", "llama-3-70b", "rtx-3060", "--weights", weights, "--rate", "1/s") == 2
        told = capsys.readouterr().err
        assert (
            "take a host's memory beside it (rtx-3060+ryzen-7950x) or another machine (roofcast plan llama-3-70b --any)"
            in told
        )
        assert ("fewer bits" in told) == few
    assert run("serve", "llama-3-8b", "rtx-3060", "--weights", "bf16", "--rate", "1/s") == 2
    assert "take fewer bits (--weights q" in capsys.readouterr().err


def test_hardly_any_wait_without_a_number(capsys):
    """Of three requests in half an hour."""
    assert run(*LLAMA, "--rate", "3e-3/s", "--requests", "3") == 0
    assert "hardly any requests run at once in the mean" in " ".join(capsys.readouterr().out.split())


def test_the_share_that_keeps_a_goal_is_written_with_the_goal(tmp_path, capsys):
    """Also where no largest rate is looked for."""
    (tmp_path / "trace.csv").write_text("time,prompt,generate\n0,100,5\n1,300,9\n")
    assert run(*LLAMA[:5], "--trace", str(tmp_path / "trace.csv"), "--goal", "ttft=2s", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert "largest" not in found
    assert (found["served"]["goal"], found["served"]["share"], found["served"]["kept"]) == ({"ttft": 2.0}, 0.99, 1.0)


def test_the_limit_of_a_goal_is_in_the_picture():
    """As a place along it, and in words."""
    base, goal = scenario("llama-3-8b", "rtx-4090", weights="q4_k_m", context=220), ServiceGoal(ttft_s=0.3)
    largest = largest_concurrency(base, 200, 20, goal, most_users=3)
    chart = load_chart(serve(base, by_users(2, 200, 20), with_interval=False), silent, largest)
    assert largest.value in chart.panels[0].series[0].x
    assert chart.panels[0].note == f"99 % keep ttft=300ms up to {largest.value} users"
    assert chart.x.endswith("(logarithmic)")
    assert all(each.y.endswith("(logarithmic)") for each in chart.panels)


def test_a_cache_that_is_given_up_is_told_with_what_fits(capsys):
    """As many at once as are told to fit give up none."""
    words = (
        "serve",
        "llama-3-8b",
        "rtx-4090",
        "--runtime",
        "vllm",
        "--weights",
        "fp8",
        "--generate",
        "4k",
        "--requests",
        "200",
    )
    assert run(*words, "--concurrency", "100") == 0
    told = " ".join(capsys.readouterr().out.split())
    most = told.split("was read again; --max-requests ")[1].split()[0]
    assert run(*words, "--concurrency", "100", "--max-requests", most) == 0
    assert "was read again" not in capsys.readouterr().out
