"""Rows whose weights lay in the memories of a GPU and of its host: what columns and notes say of it, and what is missing."""

import pytest
from own_csv import csv_of

from simulator.importers.measurements import load_measurements
from simulator.importers.records import NO_HOST
from simulator.judge.score import score

MACHINE = "rtx-2080+i9-10900x"
ROW = {"mode": "hybrid-offload", "backend": "hybrid", "device": MACHINE, "model": "gpt-oss-20b", "weights": "mxfp4_moe"}
NOT_STATED = "weights split between GPU and CPU memory, and which layers lie where is not stated (-ngl, --n-cpu-moe)"


@pytest.fixture
def read(tmp_path):
    """A function that reads rows with these changes."""

    def run(*changes):
        path = tmp_path / "rows.csv"
        path.write_text(csv_of(*(ROW | each for each in changes)))
        return load_measurements(path)

    return run


@pytest.mark.parametrize(
    ("changes", "whole", "experts"),
    [
        ({"notes": "llama-bench -ngl 20 -fa 1"}, 5, 0),
        ({"notes": "--n-cpu-moe 12"}, 0, 12),
        ({"notes": "-ngl 99 --n-cpu-moe 99"}, 0, 24),
        ({"notes": "run with --cpu-moe"}, 0, 24),
        ({"notes": "all experts on CPU"}, 0, 24),
        ({"gpu_layers": "22", "n_cpu_moe": "10"}, 3, 7),
        ({"gpu_layers": "25", "n_cpu_moe": "3", "notes": "-ngl 1"}, 0, 3),
    ],
)
def test_flags_in_columns_or_notes(read, changes, whole, experts):
    """24 layers and the head; a column's number holds before a note's."""
    (found,) = read(changes).published
    assert (len(found.split.whole), len(found.split.experts)) == (whole, experts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"notes": "as many layers as fit"}, NOT_STATED),
        ({"notes": "-ngl 99"}, NOT_STATED),
        ({"notes": "-ngl 10", "device": "rtx-2080"}, NO_HOST),
        ({"notes": "-ngl 10", "device": "rtx-2080+i9-0"}, "no hardware file is called i9-0"),
        (
            {"notes": "-ngl 10", "runtime": "vllm", "weights": "f16"},
            "weights split between GPU and CPU memory by vLLM, which is not forecast",
        ),
    ],
)
def test_what_is_missing_is_named(read, changes, reason):
    """The flags, the host, a part without a file; software that splits otherwise."""
    found = read(changes)
    assert not found.published
    assert [each.reason for each in found.skipped] == [reason]


def test_more_in_ram_is_forecast_slower(read):
    """Rows that differ in their split alone, each under the machine's name."""
    found = read(*({"notes": f"--n-cpu-moe {n}"} for n in (4, 12, 24)))
    rows = score(found.published).rows
    rates = [row.tokens_per_s for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)
    assert {row.label for row in rows} == {MACHINE}
