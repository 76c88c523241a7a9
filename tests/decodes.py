"""Decodes on a machine made up for tests, as if they had been timed."""

from profiled import machine

from simulator.judge.compare import compare
from simulator.judge.matrix import Case, dense, moe, small
from simulator.judge.measure import Look, Measurement
from simulator.units import MI

LARGE = dense(192 * MI)


def usual(threads=2, **slower):
    """What a look at the made-up machine finds: what its file says, but for reference models that take longer, `large_1=1.2`."""
    then = machine().engine.reference_us[threads]
    found = {name: figure.value * 1e-6 * slower.get(name.replace(" ", "_"), 1.0) for name, figure in then.items()}
    return Look(memory_bytes_per_s=20e9, reference_s=found, change=0.0)


def measured(case, seconds, looks, parts=None):
    """A measurement of given timings."""
    return Measurement(case, tuple(seconds), tuple(looks), parts or {}, 1e6, 0.0, None)


def forecast(case):
    """Seconds of a step on the made-up machine, as it is in its file."""
    return float(row_of(case).forecast.seconds_per_step)


def row_of(case, *looks):
    """A case that took a second in each round."""
    looks = looks or (usual(case.threads),)
    return compare(machine(), [measured(case, [1.0] * len(looks), looks)]).rows[0]


CASES = [
    Case(LARGE, "q8_0", threads=2),
    Case(LARGE, "q8_0", batch=32, threads=2),
    Case(LARGE, "q4_0", batch=8, context=2048, threads=1),
    Case(moe(192 * MI), "q8_0", batch=4, threads=2, routing="zipf:1.2"),
    Case(small(5 * MI), "bf16", batch=4, threads=2),
    Case(LARGE, "q8_0", threads=2, sparsity="q-sparse:0.5"),
]
