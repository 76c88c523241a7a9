"""Records of a router's choices: what is written is read again, and what is refused of others."""

import json

import pytest
from recorded_routing import HEAD, ROWS, written

from simulator.errors import InputError
from simulator.importers.open import load_routing
from simulator.importers.routing_record import read_record, record_text


def test_what_is_written_is_read_again(tmp_path):
    """Every field, and the same text again."""
    path = written(tmp_path / "r.jsonl")
    found = read_record(path)
    assert (found.model, found.layers, found.n_experts, found.n_active) == ("made up", (1, 2), (4, 4), (2, 2))
    assert (found.tokens, found.n_prompt) == ((7, 9, 7), 2)
    assert [each.tolist() for each in found.chosen] == [[[0, 1], [1, 0], [2, 1]], [[2, 3], [0, 3], [0, 1]]]
    assert [json.loads(line) for line in record_text(found).splitlines()] == [HEAD, *ROWS]


def test_a_forecast_takes_it_by_its_name(tmp_path):
    """As any other routing."""
    assert load_routing(str(written(tmp_path / "r.jsonl"))).uses[0].tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("head", "rows", "told"),
    [
        ({}, ROWS[:2], r"the head tells of 3 tokens, 2 are there: cut off\?"),
        ({}, (*ROWS, ROWS[0]), "the head tells of 3 tokens, 4 are there"),
        ({"routing_record": 2}, ROWS, ":1: is no record of routing"),
        ({"experts": [4]}, ROWS, "lists of different lengths"),
        ({"experts": [4, -1]}, ROWS, "experts must be a list of whole numbers"),
        ({"active": [2, 5]}, ROWS, "active must be between 1 and the experts"),
        ({"experts": [4, 3]}, ROWS, r":2: experts\[1\] names expert 3, there are 0 to 2"),
        ({"active": [2, 1]}, ROWS, r":2: experts\[1\] is \[2, 3\], 1 different numbers"),
        ({"layers": [1], "experts": [4], "active": [2]}, ROWS, ":2: 2 lists of experts, the head tells of 1"),
        ({}, (*ROWS[:2], {**ROWS[2], "experts": [[1, 1], [0, 1]]}), r":4: experts\[0\] is \[1, 1\], 2 different"),
        ({}, (*ROWS[:2], {**ROWS[2], "experts": [[1, "2"], [0, 1]]}), r":4: experts\[0\]"),
        ({}, (*ROWS[:2], {**ROWS[2], "token": -1}), ":4: token must be"),
        ({}, (*ROWS[:2], {**ROWS[2], "prompt": 1}), ":4: prompt must be"),
        ({}, (ROWS[2], *ROWS[:2]), "tokens of the prompt stand behind generated ones"),
        ({"tokens": 0}, (), "the head tells of 0 tokens, 0 are there"),
    ],
)  # fmt: skip
def test_what_was_changed_is_refused(tmp_path, head, rows, told):
    """One sentence with the file, the line and what to do."""
    path = written(tmp_path / "r.jsonl", HEAD | head, rows)
    with pytest.raises(InputError, match=f"r\\.jsonl.*{told}.*record it anew"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "[1]\n", "nothing\n", "{}\n", "[" * 100_000])
def test_what_is_none_is_refused(tmp_path, text):
    """An empty file, other JSON, no JSON, a nest."""
    path = tmp_path / "r.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"r\.jsonl"):
        read_record(path)


def test_a_line_that_was_cut_is_told(tmp_path):
    """By its number."""
    path = written(tmp_path / "r.jsonl")
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    with pytest.raises(InputError, match=r"r\.jsonl:4: is not JSON"):
        read_record(path)
