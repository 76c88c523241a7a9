"""Whole forecasts for profiled devices whose figures noise has moved: ordered, and never past the ceiling."""

import amount
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from profiled import FORMATS, figure, kernel, machine

from simulator.forecast.predict import predict
from simulator.judge.matrix import dense, moe, small
from simulator.spec.hardware import Hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.runtime import load_runtime
from simulator.spec.workload import Workload
from simulator.units import MI

SLACK = 1 + 1e-9
ENGINE = load_runtime("roofcast")
MODELS = (dense(40 * MI), moe(40 * MI), small(3 * MI))
BATCHES, CONTEXTS = np.array([1, 2, 5, 16, 40])[:, None], np.array([0, 300, 5000])[None, :]
factors = st.floats(1.0, 10.0)
jitter = st.lists(st.floats(0.5, 2.0), min_size=30, max_size=30)


def noisy(rate, factor, most=1.3):
    """A figure that some noise has moved."""
    return figure(rate * factor) | {"best": rate * factor * most}


@st.composite
def devices(draw):
    """A profiled machine whose every figure may be off by a factor of two, but whose peaks no kernel exceeds."""
    noise, memory = iter(draw(jitter) * 40), draw(st.floats(1, 50))
    nearest, shared = memory * draw(factors) * draw(factors), memory * draw(factors)
    rates_of = [max(nearest, shared), shared, memory]
    capacities = (
        {"capacity_kib": draw(st.floats(64, 4096))},
        {"capacity_mib": draw(st.floats(4, 64))},
        {"capacity_gib": 16},
    )
    best = 2.7 * rates_of[0]
    levels = []
    for name, capacity, rate in zip(("L2", "L3", "memory"), capacities, rates_of, strict=True):
        by_threads = {1: noisy(rate, 0.5 * next(noise)), 2: noisy(rate, next(noise))}
        best = min(best, 2.7 * rate)
        levels.append({"name": name, **capacity, "gb_per_s": by_threads[2] | {"best": max(best, rate * 2.6)},
                       "gb_per_s_by_threads": by_threads})  # fmt: skip
    ceilings = [max(f["best"] for f in (level["gb_per_s"], *level["gb_per_s_by_threads"].values())) for level in levels]
    assume(ceilings == sorted(ceilings, reverse=True))
    curve = [
        {"working_set_kib": kib, "threads": n, "gb_per_s": noisy(rates_of[place] * n / 2, next(noise))}
        for n in (1, 2)
        for place, kib in ((0, 16), (0, 256), (1, 4096), (1, 16384), (2, 65536), (2, 262144))
    ]
    peak = draw(st.floats(10, 1000))

    def speeds(n):
        return {
            tokens: kernel(peak * n / 2 * min(1.0, next(noise)), min(2.0, next(noise)), min(2.0, next(noise)))
            for tokens in (1, 4, 16)
        }

    def beside(n):
        """What else was read when attention was timed."""
        _, shared_rate, memory_rate = rates_of
        return {
            "cache_gb_per_s": noisy(shared_rate * n / 2, next(noise)),
            "memory_gb_per_s": noisy(memory_rate * n / 2, next(noise)),
        }

    engine = machine().engine.model_dump(exclude_none=True) | {
        "read_gb_per_s": {n: [noisy(rate * n / 2, next(noise)) for rate in rates_of] for n in (1, 2)},
        "kernels": {n: {fmt: speeds(n) for fmt in FORMATS} for n in (1, 2)},
        "attention": {n: {"f16": {tokens: speed | beside(n) for tokens, speed in speeds(n).items()}} for n in (1, 2)},
    }
    peaks = {"f32": figure(peak / 1000), "int8": figure(peak / 1000)}
    return machine(memory=levels, curve=curve, engine=engine, peaks_tflops=peaks, peaks_tflops_by_threads={})


def forecast(model, device, fmt, threads):
    """Over batches and contexts."""
    return predict(model, device, Workload(parse_weights(fmt), BATCHES, CONTEXTS, threads=threads), ENGINE)


@settings(max_examples=amount.of(50), deadline=None)
@given(st.sampled_from(MODELS), devices(), st.sampled_from(["q8_0", "q4_0", "bf16"]), st.sampled_from([1, 2, 3]))
def test_a_profiled_device_never_beats_its_ceiling(model, device, fmt, threads):
    """Dense models, experts, and models that a cache holds, over a grid: low <= forecast <= high <= ceiling."""
    found = forecast(model, device, fmt, threads)
    assert np.isfinite(found.tokens_per_s).all()
    assert (found.tokens_per_s_low > 0).all()
    assert (found.tokens_per_s <= found.tokens_per_s_ceiling * SLACK).all()
    assert (found.tokens_per_s_high <= found.tokens_per_s_ceiling * SLACK).all()


def faster(device, factor):
    """The same device with every rate of reading times a factor."""
    data = device.model_dump(by_alias=True, exclude_none=True)
    reads = [
        figure for level in data["memory"] for figure in (level["gb_per_s"], *level["gb_per_s_by_threads"].values())
    ]
    reads += [point["gb_per_s"] for point in data["curve"]]
    reads += [figure for figures in data["engine"]["read_gb_per_s"].values() for figure in figures]
    attention = [speed for formats in data["engine"]["attention"].values() for speed in formats["f16"].values()]
    reads += [speed[name] for speed in attention for name in ("cache_gb_per_s", "memory_gb_per_s")]
    for figure_ in reads:
        figure_["value"] *= factor
        figure_["best"] *= factor
    return Hardware.model_validate(data)


@settings(max_examples=amount.of(30), deadline=None)
@given(st.sampled_from(MODELS), devices(), st.sampled_from([1, 2, 3]), st.floats(1, 20))
def test_more_bandwidth_is_never_slower_on_a_profiled_device(model, device, threads, factor):
    """All that was read times a factor: neither forecast nor ceiling falls."""
    before, after = (forecast(model, each, "q8_0", threads) for each in (device, faster(device, factor)))
    assert (after.tokens_per_s * SLACK >= before.tokens_per_s).all()
    assert (after.tokens_per_s_ceiling * SLACK >= before.tokens_per_s_ceiling).all()


def test_a_profile_of_a_restless_machine_has_a_ceiling_that_holds():
    """Peaks that were timed while something else ran, a fiftieth of what the kernels did: the ceiling is no lower than those."""
    peaks = {"f32": figure(0.004), "int8": figure(0.016)}
    found = forecast(MODELS[0], machine(peaks_tflops=peaks, peaks_tflops_by_threads={}), "q8_0", 2)
    assert (found.tokens_per_s <= found.tokens_per_s_high * SLACK).all()
    assert (found.tokens_per_s_high <= found.tokens_per_s_ceiling * SLACK).all()
