"""Recorded choices of experts: histograms and traces as CSV and JSON, and what of them is refused."""

import json

import pytest

from simulator.errors import InputError
from simulator.importers.routing import read_routing


def test_routing_files(tmp_path):
    """A histogram and a trace, each as CSV and JSON, mean the same."""
    (tmp_path / "h.csv").write_text("expert,count\n0,3\n1,1\n2,0\n")
    (tmp_path / "h.json").write_text('{"counts": [3, 1, 0]}')
    assert read_routing(tmp_path / "h.csv").popularity == read_routing(tmp_path / "h.json").popularity == (3, 1, 0)
    (tmp_path / "t.csv").write_text("token,layer,expert\n0,0,1\n0,1,0\n1,0,2\n1,1,0\n")
    (tmp_path / "t.json").write_text(json.dumps({"tokens": [[[1], [0]], [[2], [0]]]}))
    one, other = read_routing(tmp_path / "t.csv"), read_routing(tmp_path / "t.json")
    assert (one.tokens, one.uses) == (other.tokens, other.uses) == (2, ((0, 1, 1), (2, 0, 0)))


@pytest.mark.parametrize(
    "content",
    ["", "expert,count\n", "expert,count\n0,-1\n", "expert,count\n1,2\n", "expert,count\n0,x\n", "a,b\n1,2\n",
     "token,layer,expert\n0,0,-1\n"],
)  # fmt: skip
def test_bad_routing_files_are_refused(tmp_path, content):
    """Empty, negative, gaps, text, wrong columns: one sentence that names the file."""
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"bad\.csv"):
        read_routing(path)
