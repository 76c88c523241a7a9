"""Commands that plans tell: each, run as it stands, gives what stands beside it, of every choice and of every kind of change."""

import json
import shlex

import pytest
from places import ROOT

from simulator.cli import main

CHANGED = {
    "a named split, several users": "plan qwen3-30b-a3b --on rtx-3060+ryzen-7950x --ram 32 --users 2 --context 4k --cpu-moe --change",
    "blocks of the model's own": "plan qwen3.8-27b --weights q4_k_m --on rtx-3090 --context 4k --change",
    "a smaller model drafts, two changes at once": "plan qwen3-32b --weights q4_k_m --on rtx-3060+ryzen-7950x --at-least 15 --change",
    "cards without a host": "plan qwen3-30b-a3b --weights q4_k_m --on rtx-3060 --at-least 15 --change",
    "a CPU with too little memory, and threads": "plan qwen3-32b --weights bf16 --on ryzen-7950x --ram 32 --threads 8 --change",
    "several cards, a first token, a cache": "plan llama-3-70b --on 2xh100-sxm --at-least 80 --ttft 1s --context 8k --cache fp8 --change",
    "a file of the user's own": "plan llama-3-8b --weights q8_0 --on 2xcard.yaml+host.yaml --at-least 200 --runtime soft.yaml --change",
    "a machine of parts in a file": "plan qwen3-30b-a3b --weights q4_k_m --on box.yaml --at-least 100 --change",
    "routing": "plan qwen3-30b-a3b --weights q4_k_m --on rtx-3090 --routing zipf:1.2 --users 4 --change",
}
CARD = """\
name: my-card
class: consumer-gpu
kind: gpu
vendor: nvidia
links:
  - {name: PCIe 4.0 x16, gb_per_s: 31.5}
memory:
  - {name: GDDR6, capacity_gib: 6, datasheet_gb_per_s: 360}
peaks_tflops: {f16: 40}
"""
BOX = """\
name: my-box
parts: [rtx-3060, ryzen-7950x]
ram_gib: 24
"""
HOST = """\
name: my-host
class: desktop-cpu
kind: cpu
cores: 8
links:
  - {name: PCIe 4.0 x16, gb_per_s: 31.5}
memory:
  - {name: DDR4, capacity_gib: 64, datasheet_gb_per_s: 51}
peaks_tflops: {f32: 1}
"""
SOFTWARE = "name: soft\nlike: llama.cpp\nweights: [q8_0, q4_k_m, q2_k]\nuses_host: computes\n"


@pytest.fixture
def told(capsys, tmp_path, monkeypatch):
    """A function that runs a command as it is typed, in a folder with files of the user's own, and returns its JSON."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("card", CARD), ("host", HOST), ("box", BOX), ("soft", SOFTWARE)):
        (tmp_path / f"{name}.yaml").write_text(text)

    def run(line):
        with pytest.raises(SystemExit) as ended:
            main([*shlex.split(line.removeprefix("roofcast ")), "--json", "-"])
        out = capsys.readouterr()
        assert ended.value.code == 0, out.err
        return json.loads(out.out)

    return run


@pytest.fixture
def shown(capsys):
    """A function that runs a command as it is typed and returns what it prints."""

    def run(line):
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line.removeprefix("roofcast ")))
        out = capsys.readouterr()
        assert ended.value.code == 0, out.err
        return out.out

    return run


def expect_same(row, point, users):
    """A row of a plan beside the point that its command forecasts: rates of each user with both ends, and memory."""
    mean = "mean_" if "mean_tokens_per_s" in point.get("speculation", {}) else ""
    rates = point["speculation"] if mean else point
    for end in ("", "_low", "_high"):
        assert rates[f"{mean}tokens_per_s{end}"] == pytest.approx(users * row[f"tokens_per_s_each{end}"], rel=1e-9), end
    assert point["weights"] == row["weights"]


@pytest.mark.parametrize("line", CHANGED.values(), ids=CHANGED)
def test_a_change_is_forecast_by_its_command_as_its_row_has_it(told, line):
    """With drafts in the mean over kinds of text, as the row; of faster memory there is no command."""
    found = told(line)
    users = found["goal"]["users"]
    assert found["changes"]
    (point,) = told(found["before"]["simulate"])["predictions"]
    if found["before"]["fits"]:
        expect_same(found["before"], point, users)
    for row in found["changes"]:
        assert (row["simulate"] is None) == ("memory" in row["kinds"]), row["change"]
        if row["simulate"]:
            (point,) = told(row["simulate"])["predictions"]
            expect_same(row, point, users)


def test_every_kind_of_change_is_among_them(told):
    """So that none is left out above, neither alone nor with another."""
    rows = [row for line in CHANGED.values() for row in told(line)["changes"]]
    kinds = {kind for row in rows for kind in row["kinds"]}
    assert kinds == {"weights", "cache", "context", "split", "parallel", "cards", "ram", "memory", "drafts"}
    drafts = " ".join(row["simulate"] for row in rows if "drafts" in row["kinds"])
    assert all(words in drafts for words in ("--speculate mtp:", "--speculate ngram:", "--draft qwen3-0.6b:"))
    assert any(len(row["kinds"]) == 2 for row in rows)


PLANNED = {
    "one machine of every kind": "plan qwen3-30b-a3b --on m4 rtx-3090 rtx-3060+ryzen-7950x 2xh100-sxm pi5-16gb --context 2k",
    "users, a cache, threads": "plan llama-3-8b --on ryzen-7950x --users 4 --context 4k --cache q8_0 --threads 8 --ram 32",
    "a named split": "plan qwen3-30b-a3b --weights q4_k_m --on rtx-3060+ryzen-7950x --n-cpu-moe 30",
    "routing": "plan deepseek-v3 --on 8xh100-sxm --users 16 --context 8k --routing zipf:1.2",
    "files": "plan qwen3-30b-a3b --on box.yaml 2xcard.yaml+host.yaml --runtime soft.yaml",
    "another spelling": "plan llama-3-8b --on 'RTX 3090' --weights q4_k_m",
    "weights that cross from a host in each step": "plan llama-3-70b --weights bf16 --on h100-sxm+epyc-9654 --runtime vllm",
}


@pytest.mark.parametrize("line", PLANNED.values(), ids=PLANNED)
def test_a_choice_is_forecast_by_its_command_as_its_row_has_it(told, line):
    """Whatever was asked for beside the machine."""
    found = told(line)
    assert found["choices"]
    for row in found["choices"]:
        (point,) = told(row["simulate"])["predictions"]
        expect_same(row, point, row["batch"])


def test_a_plan_and_a_served_goal_name_each_other(told, shown):
    """8 users of DeepSeek-V3 where requests arrive, 16 in a steady batch: each has the other's command, and docs/plan.md both."""
    page = " ".join((ROOT / "docs" / "plan.md").read_text(encoding="utf-8").split())
    line = "plan deepseek-v3 --at-least 30 --context 8k --on 8xh100-sxm"
    (row,) = told(line)["choices"]
    served = told(f"{row['serve']} --requests 64")["largest"]
    assert f"roofcast {line} #" in page
    assert f"```sh {row['serve'].removesuffix(' --runtime vllm')} ```" in page
    assert (
        f"finds {row['users']} users in a steady batch of DeepSeek-V3 on eight H100 under vLLM, at 30 tokens/s" in page
    )
    assert (
        f"prompts of 7,936 tokens and answers of 256, {served['users']} users are the most of whose requests 99 %"
        in page
    )
    assert served["share"] == 0.99
    assert 2 * served["users"] == row["users"]
    (again,) = told(served["plan"])["choices"]
    assert (again["users"], again["context"]) == (row["users"], row["context"])
    out = shown("plan deepseek-v3 --at-least 30 --context 8k --on 8xh100-sxm")
    assert f"\n          {row['serve']}\n" in out
    assert f"{row['users']} in a steady batch of equal contexts" in out
    assert f"\n          {served['plan']}\n" in shown(f"{row['serve']} --requests 64")


@pytest.mark.parametrize("price", ["--on box.yaml=900", "--on box.yaml --prices my-box=900"])
def test_a_machine_with_other_cards_costs_not_what_its_file_does(told, price):
    """The price of a box is that of its parts as they are: of two cards in place of one it is not known."""
    found = told(f"plan qwen3-30b-a3b --weights q4_k_m --at-least 100 --change {price}")
    costs = {row["kinds"][0]: row["price"] for row in found["changes"]}
    assert (found["before"]["price"], costs["cache"], costs["cards"]) == (900, 900, None)


def test_boxes_of_equal_parts_have_prices_of_their_own(told, tmp_path):
    """By the names in their files: one has more RAM, and its price is not the other's."""
    (tmp_path / "large.yaml").write_text(BOX.replace("my-box", "my-large").replace("24", "64"))
    found = told("plan llama-3-8b --weights q4_k_m --on box.yaml=900 large.yaml=1000")
    assert [row["price"] for row in found["choices"]] == [900, 1000]
    assert [row["machine"] for row in found["choices"]] == ["box.yaml", "large.yaml"]
    assert all(f" {row['machine']} " in row["simulate"] for row in found["choices"])


def test_boxes_are_told_by_their_names(shown, tmp_path, monkeypatch):
    """In the table; in commands by their files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box.yaml").write_text(BOX)
    (tmp_path / "large.yaml").write_text(BOX.replace("my-box", "my-large").replace("24", "64"))
    out = shown("plan llama-3-8b --weights q4_k_m --on box.yaml=900 large.yaml=1000")
    table, commands = out.split("Do it")
    assert table.index("my-box ") < table.index("my-large ")
    assert "simulate llama-3-8b box.yaml " in commands


def test_where_one_user_is_all_there_is_no_server(told):
    """An M4 gives 30 tokens/s to one user alone."""
    (row,) = told("plan qwen3-30b-a3b --weights q4_k_m --at-least 30 --on m4")["choices"]
    assert row["users"] == 1
    assert row["serve"] is None


def test_what_a_server_has_that_a_plan_has_not_is_not_told_as_a_plan(told):
    """Sparse inputs: `plan` has no option for them."""
    line = "serve llama-3-8b h100-sxm --weights bf16 --concurrency 2 --requests 20 --goal tpot=50ms"
    assert told(line)["largest"]["plan"].startswith(
        "roofcast plan llama-3-8b --on h100-sxm --weights bf16 --at-least 20 "
    )
    assert told(f"{line} --sparsity q-sparse:0.5")["largest"]["plan"] is None


def test_what_is_the_same_of_several_machines_is_said(shown):
    """Watts and a price of an hour that are given count for all of them; of one machine there is nothing to say."""
    line = "plan llama-3-8b --weights q4_k_m --at-least 10 --price-per-hour 2 --on rtx-3060"
    assert "Assumed --price-per-hour: the same of every machine" in " ".join(shown(f"{line} rtx-3090").split())
    assert "of every machine" not in shown(line)


def test_a_split_that_nobody_asked_for_is_said(shown):
    """With what the runtime is told, and what it would do by itself."""
    out = " ".join(shown("plan llama-3-70b --weights q4_k_m --at-least 20 --on 2xrtx-3090").split())
    assert "tensor2: each matrix on all devices (-sm tensor), where llama.cpp by itself has pipeline2" in out
    assert "--parallel tensor2" in out
    assert "-sm tensor" in out.split("llama-bench")[1]
    out = " ".join(shown("simulate llama-3-70b 2xrtx-3090 --weights q4_k_m --parallel tensor").split())
    assert "each sum 52 us beside the links, estimated (https://github.com/ggml-org/llama.cpp/pull/19378" in out


def test_what_a_budget_lacks_of_the_best_change_is_said(shown):
    """Its price, or by how much it is over."""
    line = "plan qwen3-30b-a3b --weights q4_k_m --at-least 95 --change --budget 900 --on rtx-3060+ryzen-7950x=700"
    told = " ".join(shown(line).split())
    assert "the best: 2xrtx-3060 in place of rtx-3060, which is fast enough, but its price is not known" in told
    told = " ".join(shown(f"{line} --prices rtx-3060=280").split())
    assert "the best: 2xrtx-3060 in place of rtx-3060, which is fast enough, but 80 over the budget" in told
