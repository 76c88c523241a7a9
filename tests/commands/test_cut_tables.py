"""A CSV that was cut off inside of a quoted cell is refused with the line, whichever command reads it: half a number is none."""

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.spec.textfiles import parse_csv

TABLES = {
    "prices": ('hardware,price\nm4,999\nrtx-3060,"280', "plan llama-3-8b --on rtx-3060 --prices FILE"),
    "trace": ('time,prompt,generate\n0,100,10\n1,100,"10', "serve llama-3-8b rtx-3090 --trace FILE"),
    "routing": ('layer,expert,count\n0,0,1\n0,1,"12', "simulate qwen3-30b-a3b m4 --routing FILE"),
    "density": ('active_share\n0.5\n"0.2', "simulate llama-3-8b m4 --batch 1 --density FILE"),
    "measured": ('model,device,tokens_per_s\nllama-3-8b,m4,10\nllama-3-8b,m4,"11', "validate m4 --against FILE"),
    "scored": ('model,device,tokens_per_s\nllama-3-8b,m4,10\nllama-3-8b,m4,"11', "score FILE"),
}


@pytest.mark.parametrize(("text", "command"), TABLES.values(), ids=TABLES)
def test_a_quote_that_nothing_closes_is_refused(folder, refusal, text, command):
    """With the line on which it stands, and with nothing done."""
    Path("t.csv").write_text(text)
    told = refusal(*command.replace("FILE", "t.csv").split())
    assert told == "t.csv:3: a quote is opened and never closed; close it, or fetch the file again"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('a,b\n1,"2\n3,4\n5,6\n', r"t.csv:2: a quote is opened"),
        ('a,"b\n1,2\n', r"t.csv:1: a quote is opened"),
        ('a,b\n1,2\n1,"2" x\n', r"t.csv:3: a cell goes on behind its closing quote; write a quote inside of it twice"),
    ],
)
def test_quotes_are_told_by_their_line(text, told):
    """Where they were opened, however much follows."""
    with pytest.raises(InputError, match=told):
        parse_csv(text, Path("t.csv"), 100)


def test_quoted_cells_are_read():
    """With commas and with quotes written twice; quotes inside of a bare cell are a part of it."""
    _, rows = parse_csv('a,b\n"1,5","say ""x"""\n3,5" disk\n"4",""\n', Path("t.csv"), 100)
    assert [row for _, row in rows] == [{"a": "1,5", "b": 'say "x"'}, {"a": "3", "b": '5" disk'}, {"a": "4", "b": ""}]
