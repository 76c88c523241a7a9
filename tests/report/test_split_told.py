"""Scores of split weights for somebody at a terminal and as plain numbers."""

import json
from dataclasses import replace

import pytest

from simulator.importers.records import Skipped
from simulator.judge.split import SplitRow, SplitScore
from simulator.report.split_score import print_split, split_record, split_rows, told_split

ROW = SplitRow(
    id="a", file="who/m q8_0 1.0", model="m", machine="g+c", runtime="llama.cpp", weights="q8_0", ubatch=512, layers_in_ram=0,
    experts_in_ram=4, decode_measured=10.0, decode=11.0, low=9.0, high=12.0, prompt_measured=100.0, prompt=80.0, bound="memory",
    is_mixture=True,
)  # fmt: skip
FOUND = SplitScore(
    (
        ROW,
        replace(ROW, id="b", layers_in_ram=2, experts_in_ram=6, decode_measured=8.0, decode=12.0, prompt=90.0),
        replace(ROW, id="c", experts_in_ram=0, decode=10.0, prompt=100.0),
    ),
    (Skipped("d", "does not fit"),),
)


def test_a_table_of_groups_and_the_worst_rows(capsys):
    """Split rows are 10 and 50 % off, the one whole on the GPU 0; the second is furthest off."""
    print_split(FOUND, 1)
    shown = capsys.readouterr().out
    lines = {line.split("  ")[0].strip(): line.split() for line in shown.splitlines()}
    assert "30.0%" in lines["weights split between GPU and RAM"]
    assert "0.0%" in lines["the same machine, whole on the GPU"]
    assert {"experts in RAM", "layers and experts in RAM", "m", "q8_0", "512"} <= set(lines)
    assert "The 1 decode of split weights furthest off:" in shown
    assert "+50%" in lines["b"]
    assert "-20%" in lines["a"]


def test_nothing_is_printed_of_no_rows(capsys):
    """Nor is anything told of choices."""
    print_split(SplitScore(()), 3)
    assert capsys.readouterr().out == ""
    assert told_split(SplitScore(())) == []


def test_a_choice_that_loses_speed_is_named():
    """2 + 6 layers are forecast as the fastest, and decode 8 tokens/s where another split has 10."""
    decode, prompt = told_split(FOUND)
    assert decode.startswith("of 1 file run with several splits")
    assert decode.endswith(
        "in 0; furthest: who/m q8_0 1.0, 2 + 6 layers instead of 0 + 4 layers, 8.00 tokens/s for 10.0"
    )
    assert "within 5% of the fastest measured in 1" in prompt


def test_all_of_it_as_plain_numbers():
    """Groups, choices and rows, which JSON can hold."""
    found = json.loads(json.dumps({"split": split_record(FOUND), "rows": split_rows(FOUND)}))
    assert found["split"]["n"] == 4
    assert found["split"]["whole"]["n_rows"] == 1
    assert set(found["split"]["by"]["kind"]) == {"experts in RAM", "layers and experts in RAM"}
    expected = {"n": 1, "within": 0.05, "n_within": 0, "most_lost": pytest.approx(0.2)}
    assert found["split"]["choices"]["decode"] == expected
    assert [round(row["decode_error"], 2) for row in found["rows"]] == [0.1, 0.5, 0.0]
