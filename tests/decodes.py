"""Decodes on a machine made up for tests, as if they had been timed."""

from profiled import machine

from simulator.judge.compare import compare
from simulator.judge.matrix import Case, dense, moe, small
from simulator.judge.measure import OUTSIDE, Look, Measurement
from simulator.units import MI

LARGE = dense(192 * MI)
CASES = [
    Case(LARGE, "q8_0", threads=2),
    Case(LARGE, "q8_0", batch=32, threads=2),
    Case(LARGE, "q4_0", batch=8, context=2048, threads=1),
    Case(moe(192 * MI), "q8_0", batch=4, threads=2, routing="zipf:1.2"),
    Case(small(5 * MI), "bf16", batch=4, threads=2),
    Case(LARGE, "q8_0", threads=2, sparsity="q-sparse:0.5"),
]


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


def comparison(ratios):
    """Cases whose measured seconds are the forecast's times some ratios."""
    case = CASES[0]
    base = forecast(case)
    return compare(machine(), [measured(case, [ratio * base] * 3, [usual()] * 3) for ratio in ratios])


def taken_apart(more, moment=1.0, drift=1.0):
    """A step that takes as long as forecast for a machine that is *drift* times slower, some parts *more* seconds.

    Its parts were timed when everything took *moment* times as long.
    """
    case = CASES[0]
    parts = {}
    for timed in row_of(case).forecast.ops:
        parts[timed.op.part] = parts.get(timed.op.part, 0.0) + timed.op.count * float(timed.seconds)
    parts[OUTSIDE] = float(row_of(case).forecast.step_overhead_s)
    parts = {part: seconds * drift + more.get(part, 0.0) for part, seconds in parts.items()}
    looks = [usual(large_1=drift, large_16=drift)] * 3
    then = {part: seconds * moment for part, seconds in parts.items()}
    return compare(machine(), [measured(case, [sum(parts.values())] * 3, looks, then)]).rows[0]


def drifting(drift, errors):
    """Decodes on a machine that takes *drift* times as long, forecast for that machine with such errors; six groups of two."""
    kinds = [(fmt, context) for fmt in ("q8_0", "q4_0", "bf16") for context in (128, 256)]
    cases = [Case(LARGE, fmt, batch=batch, context=context, threads=2) for fmt, context in kinds for batch in (1, 2)]
    looks = [usual(large_1=drift, large_16=drift)] * 3
    seconds = [drift * forecast(case) * (1 + error) for case, error in zip(cases, errors, strict=True)]
    return compare(machine(), [measured(case, [each] * 3, looks) for case, each in zip(cases, seconds, strict=True)])
