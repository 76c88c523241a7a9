"""Forecasts of steps that are no plain decoding: what each adds, worked by hand on a machine of round figures."""

import pytest
from profiled import figure, machine

from simulator.judge.case_forecast import forecast_case, has_drive
from simulator.judge.matrix import Case, dense, moe
from simulator.spec.runtime import load_runtime
from simulator.units import MI

DENSE, MIXED = dense(192 * MI), moe(192 * MI)
DRIVE = [{"name": "disk", "gb_per_s": figure(1.0)}]


def forecast(case, **changes):
    """On two cores that read 20 GB/s."""
    return forecast_case(machine(**changes), case, load_runtime("roofcast"))


def test_a_chunk_of_a_prompt_gives_all_its_tokens():
    """64 tokens of one sequence: kernels of 16 tokens at once pass over the weights four times; nobody wants logits."""
    plain, chunk = (forecast(Case(DENSE, "q8_0", threads=2, tokens=tokens)) for tokens in (1, 64))
    assert float(chunk.tokens_per_s * chunk.seconds_per_step) == pytest.approx(64)
    assert chunk.load.is_prompt
    assert float(chunk.load.logit_rows) == 1
    assert 2 < float(chunk.seconds_per_step / plain.seconds_per_step) < 64


@pytest.mark.parametrize(
    ("changes", "is_there"), [({"tokens": 64}, False), ({"tokens": 5, "verifies": True}, True), ({}, True)]
)
def test_a_chunk_of_a_prompt_ends_with_the_last_layer(changes, is_there):
    """The head and the norm before it, which drafted tokens and plain decoding have; no other operation is left out."""
    timed = forecast(Case(DENSE, "q8_0", threads=2, **changes)).ops
    last = {each.op.name for each in timed if each.op.layer == "model"}
    assert ({"output", "final norm"} <= last or {"token_embd", "final norm"} <= last) == is_there
    assert any(each.op.part == "head" for each in timed) == is_there
    assert {"attention", "cache", "ffn", "vectors"} <= {each.op.part for each in timed}


def test_drafted_tokens_are_a_step_of_so_many():
    """Five of a sequence are verified like one of each of five, but for the cache, which is one sequence's; all have logits."""
    drafted = forecast(Case(DENSE, "q4_0", threads=2, tokens=5, verifies=True))
    batch = forecast(Case(DENSE, "q4_0", threads=2, batch=5))
    assert float(drafted.load.logit_rows) == 5
    assert float(drafted.seconds_per_step) == pytest.approx(float(batch.seconds_per_step), rel=0.05)


def test_experts_on_a_disk_wait_for_their_bytes():
    """Each token's 6 of 48 experts of every layer, three matrices each, at 1 GB/s."""
    case = Case(MIXED, "q8_0", threads=2, on_disk=True)
    found, plain = forecast(case, storage=DRIVE), forecast(Case(MIXED, "q8_0", threads=2))
    waited = len(MIXED.stack) * 3 * 6 * 640 * 1152 * 34 / 32 / 1e9
    assert float(found.seconds_per_step - plain.seconds_per_step) == pytest.approx(waited)
    assert float(found.parts["storage"]) == pytest.approx(waited)
    assert found.tokens_per_s_low < found.tokens_per_s < found.tokens_per_s_high


def test_without_a_measured_drive_there_is_none_to_read_from():
    """A profile that left the disk out."""
    assert not has_drive(machine())
    assert has_drive(machine(storage=DRIVE))


def test_slow_layers_take_the_time_of_their_bytes_at_four_gigabytes_a_second():
    """Half of the layers: their weights at 4 GB/s, in place of 20; kernels of nine tenths of a read's speed lose some more."""
    n = len(DENSE.stack) // 2
    plain, half = (forecast(Case(DENSE, "q8_0", threads=2, slow_layers=count)) for count in (0, n))
    slow = n * (2 * 1792 * 1792 + 2 * 448 * 1792 + 3 * 4864 * 1792) * 34 / 32
    assert float(half.seconds_per_step - plain.seconds_per_step) == pytest.approx(slow / 4e9 - slow / 20e9, rel=0.1)
