"""`simulate --each`: a section, JSON, and what it does not go with."""

import json

import pytest

from simulator.cli import main

LLAMA = ("simulate", "llama-3-8b", "rtx-3090", "--weights", "q4_k_m")


def run(words):
    """The status with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def test_users_are_told_at_each_context(capsys):
    """Two contexts, two lines; more users at the shorter one."""
    assert run([*LLAMA, "--context", "1k,8k", "--each", "30"]) == 0
    shown = " ".join(capsys.readouterr().out.split("Users")[-1].split())
    few, many = shown.split(" at 30.0 tokens/s each at context 8,192")[0].split()[-1], shown.split()[0]
    assert int(many) > int(few) > 0
    assert shown.count("by the interval), memory holds") == 2


def test_users_are_in_json(capsys):
    """As told in words, with both ends and what memory holds."""
    assert run([*LLAMA, "--context", "8k", "--each", "30", "--json", "-"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["users"]
    assert (found["weights"], found["context"], found["tokens_per_s_each"]) == ("q4_k_m", 8192, 30)
    assert found["users_low"] <= found["users"] <= found["users_high"] <= found["memory_holds"]


def test_where_none_is_fast_enough_that_is_said(capsys):
    """With what one alone gets; and where none fits, that memory holds none."""
    assert run([*LLAMA, "--each", "5000"]) == 0
    assert "Users 0 at 5,000 tokens/s each" in " ".join(capsys.readouterr().out.split())
    assert run(["simulate", "llama-3-70b", "rtx-3090", "--weights", "f16", "--each", "1"]) == 0
    assert "0 at 1.00 tokens/s each at context 1,024: memory holds none" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--each", "0"), "--each 0: between 1e-06 and 1e+09 tokens per second can be asked for"),
        (("--each", "1e30"), "--each 1e+30: between"),
        (("--each", "many"), "'many': a number is needed"),
        (("--each", "3", "--prompt", "99"), "leave --each out"),
        (("--each", "3", "--density", "fixed:0.5"), "--each counts users of plain decodes: leave --density out"),
        (("--each", "3", "--draft", "llama-3.2-1b:4@0.6"), "leave --speculate or --draft out"),
    ],
)
def test_wrong_values_and_company_are_refused(given, told, capsys):
    """In a sentence, with status 2."""
    assert run([*LLAMA, *given]) == 2
    assert told in capsys.readouterr().err
