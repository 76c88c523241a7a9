"""What a page in a browser shows, beside what the command that it shows says itself."""

import contextlib
import io
import json
import shlex

import pytest

from simulator.cli import main
from simulator.units import format_gib, format_number


def forecast_of(command):
    """What the command that the page shows says itself."""
    program, *arguments = shlex.split(command)
    assert program == "roofcast"
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        main([*arguments, "--json", "-"])
    assert not end.value.code
    (found,) = json.loads(out.getvalue())["predictions"]
    return found


def readout(tab):
    """The shown values by their names."""
    rows = tab.locator("#readout dl > div").all()
    return {row.locator("dt").inner_text(): row.locator("dd").inner_text().split("\n") for row in rows}


def agrees(tab):
    """Whether all that is shown is what the shown command says; returns that."""
    shown, told = readout(tab), forecast_of(tab.locator("#command").inner_text())
    need, limit = format_gib(told["memory_bytes"]), format_gib(told["memory_limit_bytes"])
    assert shown["Memory"] == [f"{need} needed", f"{limit} can be had"]
    if told["distinct_experts"]:
        count = told["distinct_experts"]
        experts = shown["Experts that a step touches"][0].split()[0]
        assert experts == (str(int(count)) if count == int(count) else format_number(count))
    if not told["fits"]:
        assert shown["Tokens per second"][0] == "does not fit"
        return told
    ends = " to ".join(format_number(told[f"tokens_per_s_{end}"]) for end in ("low", "high"))
    assert shown["Tokens per second"][0] == format_number(told["tokens_per_s"])
    assert shown["80 % interval"][0] == ends
    assert shown["Ceiling"][0] == format_number(told["tokens_per_s_ceiling"])
    assert shown["Limited by"][0] == told["bound"]
    if told["batch"] > 1:
        assert shown["Tokens per second"][1].startswith(format_number(told["tokens_per_s"] / told["batch"]))
    return told
