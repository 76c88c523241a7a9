"""What a benchmark program fed its sequences, which a forecast of mixtures of experts has to know."""

import pytest

from simulator import InputError
from simulator.importers.fed import AS_ONE
from simulator.importers.measurements import load_measurements
from simulator.judge.score import score
from tests.own_csv import ROW

MIXTURE = {"model": "qwen3-30b-a3b", "weights": "q8_0", "device": "epyc-7773x", "threads": "64", "batch": "16"}


@pytest.fixture
def read(tmp_path):
    """The measurements of rows with these changes."""

    def load(*changes):
        rows = [ROW | {"date": "", "routing": ""} | MIXTURE | each for each in changes]
        path = tmp_path / "own.csv"
        path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n")
        return load_measurements(path).published

    return load


@pytest.mark.parametrize(
    ("change", "routing"),
    [
        ({"date": "2025-08-17"}, "same"), ({"date": "2025-07"}, "same"), ({"date": "2024"}, "same"),
        ({"date": "2025-08-18"}, ""), ({"date": "2025-08"}, ""), ({"date": "2025"}, ""), ({"date": ""}, ""), ({"date": "2024-2025"}, ""),
        ({"date": "2026-08-15", "runtime": "ik_llama.cpp"}, "same"), ({"date": "2024-05", "runtime": "vllm"}, ""),
        ({"date": "2024-05", "batch": "1"}, ""), ({"date": "2024-05", "model": "llama-3-8b"}, ""),
        ({"date": "2024-05", "routing": "uniform"}, "uniform"), ({"routing": "zipf:1.2"}, "zipf:1.2"),
    ],
)  # fmt: skip
def test_old_batches_of_llama_cpp_were_the_same_tokens(read, change, routing):
    """Before 2025-08-18 for llama.cpp, to this day for ik's; only where all of a date lies before, and what a row tells holds."""
    change = {"device": "h100-sxm", "backend": "cuda"} | change if change.get("runtime") == "vllm" else change
    (row,) = read(change)
    assert row.routing == routing
    assert (AS_ONE in row.assumed) == (routing == "same")


def test_a_routing_that_there_is_not_is_told_by_row(read):
    """With the file, the line, and those that there are."""
    with pytest.raises(InputError, match=r"own\.csv:2: routing 'zzz' is unknown, known: uniform, same, worst"):
        read({"routing": "zzz"})


def test_a_batch_of_the_same_tokens_is_forecast_faster(read):
    """It reads 8 experts of each layer, and 16 sequences of their own about 82 of 128."""
    same, own = score(read({"date": "2024"}, {"date": "2026"})).rows
    assert same.tokens_per_s > own.tokens_per_s
    assert same.ceiling > 2 * own.ceiling
