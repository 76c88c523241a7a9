"""What must hold for any model, device and workload: drawn at random, shrunk when it fails."""

import zlib

import amount
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.forecast.predict import predict
from simulator.importers.open import load_model
from simulator.spec.hardware import Hardware
from simulator.spec.layers.ffn import Experts
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS
from simulator.spec.routing import Popular, Uniform, Worst
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.workload import Workload

SLACK = 1 + 1e-9  # rounding
rates = st.floats(0.01, 1_000)
shares = st.floats(0.01, 1.0)
ROOMY = st.just(1e6)  # GiB


@st.composite
def devices(draw, capacities=ROOMY):
    """A device with a cache or without, sustained rates known or not, any peaks; with room for everything unless told."""
    datasheet = min(2000.0, draw(rates))
    main = {"name": "main", "capacity_gib": draw(capacities), "datasheet_gb_per_s": datasheet}
    if draw(st.booleans()):
        main["gb_per_s"] = datasheet * draw(shares)
    if draw(st.booleans()):
        main["gb_per_s_by_threads"] = {n: datasheet * draw(shares) for n in (1, 2, 4)}
    levels = [main]
    if draw(st.booleans()):
        levels.insert(
            0,
            {
                "name": "cache",
                "capacity_kib": draw(st.floats(0.1, 1000)),
                "gb_per_s": min(1e9, datasheet * draw(st.floats(1, 100))),
            },
        )
    peaks = draw(st.dictionaries(st.sampled_from(["f32", "f16", "int8", "tf32", "fp8"]), st.floats(1e-6, 1000)))
    return Hardware.model_validate(
        {
            "name": "drawn",
            "class": draw(st.sampled_from(["sbc", "phone", "igpu"])),
            "kind": draw(st.sampled_from(["cpu", "gpu"])),
            "cores": draw(st.integers(1, 64)),
            "memory": levels,
            "peaks_tflops": peaks,
            **({"launch_us": draw(st.floats(0.01, 100))} if draw(st.booleans()) else {}),
        }
    )


@st.composite
def told_runtimes(draw):
    """Shares and costs of any size."""
    backend = {
        "bandwidth_share": {"default": draw(shares), "low_bits": draw(shares)},
        "expert_share": draw(shares),
        "peak_share": {"default": draw(shares)},
        "arithmetic": {"default": draw(st.permutations(["int8", "f16", "f32"]))},
        "launch_us": draw(st.floats(0.01, 100)),
        "launch_share": draw(shares),
        "step_us": draw(st.floats(0.01, 1000)),
    }
    return Runtime.model_validate({"name": "drawn", "weights": ["f16"], "backends": {"default": backend}})


class Moved(dict):
    """Values of factors, each drawn from within a spread of its prior, the same whenever it is asked for."""

    def __init__(self, seed, width):
        super().__init__()
        self.seed, self.width = seed, width

    def get(self, name, default=None):
        """The logarithm of a factor's value; *default*: of its median."""
        return default + self.width * (2 * zlib.crc32(f"{self.seed} {name}".encode()) / 2**32 - 1)


@st.composite
def fitted_runtimes(draw):
    """Kernels known from measurements, on any API, with the shipped factors or others."""
    runtime = Runtime.model_validate(
        {
            "name": draw(st.sampled_from(["llama.cpp", "vllm", "mlx", "drawn"])),
            "weights": ["f16"],
            "apis": {"cpu": ["cpu"], "gpu": [draw(st.sampled_from(["cuda", "rocm", "vulkan", "metal"]))]},
            "has_vector_kernels": draw(st.booleans()),
            "arithmetic": {"default": draw(st.permutations(["int8", "f16", "f32"]))},
            "early_until": "2024-11",
        }
    ).under(date=draw(st.sampled_from(["2024-01", "2026-01"])), flash_attention=draw(st.booleans()))
    return draw(st.just(runtime) | st.integers(0, 99).map(lambda seed: runtime.with_factors(Moved(seed, 0.3))))


def runtimes():
    """Of both kinds."""
    return told_runtimes() | fitted_runtimes()


@st.composite
def models(draw):
    """A small model: dense or with experts, any kind of attention."""
    kv = draw(st.sampled_from([1, 2, 4]))
    attention = draw(
        st.sampled_from(
            [
                {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": kv, "head_dim": 64},
                {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": kv, "head_dim": 64, "window": 100},
                {"kind": "latent", "n_heads": 4, "kv_rank": 64, "qk_nope_dim": 64, "qk_rope_dim": 64, "v_dim": 64},
                {"kind": "gated_delta_net", "n_k_heads": 2, "n_v_heads": 4, "k_dim": 64, "v_dim": 64, "conv": 4},
                {"kind": "mamba2", "n_heads": 4, "head_dim": 64, "n_groups": 1, "d_state": 64, "conv": 4},
            ]
        )
    )
    n_experts = draw(st.integers(1, 300))
    experts = {
        "kind": "experts",
        "n_experts": n_experts,
        "n_active": draw(st.integers(1, n_experts)),
        "d_expert": 256,
        "d_shared": draw(st.sampled_from([0, 256])),
    }
    ffn = draw(st.sampled_from([{"kind": "gated", "d_ff": 1024}, experts]))
    layer = {"count": draw(st.integers(1, 60)), "attention": attention, "ffn": ffn}
    return Model.model_validate(
        {"name": "m", "d_model": 256, "vocab": draw(st.integers(1, 200_000)), "layers": [layer]}
    )


weights = st.sampled_from(["f32", "f16", "q8_0", "q4_k_m", "q2_k", "iq2_xxs", "fp8", "2.70bpw"]).map(parse_weights)
batches = st.integers(1, 4096)
contexts = st.integers(0, 200_000)


@settings(max_examples=amount.of(50), deadline=None)
@given(models(), devices(), runtimes(), weights, batches, contexts)
def test_the_forecast_never_exceeds_the_ceiling(model, device, runtime, fmt, batch, context):
    """low <= forecast <= high <= ceiling, all positive and finite."""
    forecast = predict(model, device, Workload(fmt, batch, context), runtime)
    values = [
        forecast.tokens_per_s_low,
        forecast.tokens_per_s,
        forecast.tokens_per_s_high,
        forecast.tokens_per_s_ceiling,
    ]
    assert np.isfinite(values).all()
    assert 0 < values[0] <= values[1] <= values[2] * SLACK
    assert values[1] <= values[3] * SLACK
    assert values[2] <= values[3] * SLACK


@settings(max_examples=amount.of(50), deadline=None)
@given(models(), devices(), runtimes(), weights, batches, contexts, st.floats(1, 15))
def test_more_bandwidth_is_never_slower(model, device, runtime, fmt, batch, context, factor):
    """Every level's rates times a factor: forecast and ceiling do not fall."""
    data = device.model_dump(by_alias=True, exclude_none=True)
    for level in data["memory"]:
        for key in ("gb_per_s", "datasheet_gb_per_s"):
            if key in level:
                level[key]["value"] *= factor
        for figure in level.get("gb_per_s_by_threads", {}).values():
            figure["value"] *= factor
    load = Workload(fmt, batch, context)
    before, after = (predict(model, each, load, runtime) for each in (device, Hardware.model_validate(data)))
    assert after.tokens_per_s * SLACK >= before.tokens_per_s
    assert after.tokens_per_s_ceiling * SLACK >= before.tokens_per_s_ceiling


@settings(max_examples=amount.of(50), deadline=None)
@given(models(), devices(), runtimes(), weights, batches, batches, contexts)
def test_a_larger_batch_never_lowers_the_total(model, device, runtime, fmt, one, other, context):
    """Tokens per second of the whole batch do not fall with its size; nor do those of one sequence rise."""
    small, large = sorted((one, other))
    few, many = (predict(model, device, Workload(fmt, batch, context), runtime) for batch in (small, large))
    assert many.tokens_per_s * SLACK >= few.tokens_per_s
    assert many.tokens_per_s_ceiling * SLACK >= few.tokens_per_s_ceiling
    assert many.tokens_per_s / large <= few.tokens_per_s / small * SLACK


@settings(max_examples=amount.of(50), deadline=None)
@given(models(), devices(), runtimes(), weights, batches, contexts, contexts)
def test_a_deeper_context_is_never_faster(model, device, runtime, fmt, batch, one, other):
    """What is in the cache has to be read."""
    shallow, deep = (predict(model, device, Workload(fmt, batch, context), runtime) for context in sorted((one, other)))
    assert deep.tokens_per_s <= shallow.tokens_per_s * SLACK


@settings(max_examples=amount.of(50), deadline=None)
@given(models(), devices(st.floats(0.001, 100)), runtimes(), weights, batches, contexts)
def test_what_does_not_fit_has_no_rate_and_what_fits_has_all(model, device, runtime, fmt, batch, context):
    """Rates are numbers exactly where memory holds weights and cache; with memory enough there is always a time."""
    forecast = predict(model, device, Workload(fmt, batch, context), runtime)
    names = ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling", "seconds_per_step")
    assert {bool(np.isfinite(getattr(forecast, name))) for name in names} == {bool(forecast.fits)}
    assert (forecast.bound == "does_not_fit") == (not forecast.fits)
    assert 0 < forecast.seconds_given_memory < np.inf
    assert "\n" not in repr(forecast)


@settings(max_examples=amount.of(100), deadline=None)
@given(st.integers(1, 512), st.data(), batches, st.floats(0.01, 5))
def test_distinct_experts_lie_between_k_and_what_there_is(n_experts, data, batch, exponent):
    """k <= skewed <= uniform <= worst = min(E, k B)."""
    n_active = data.draw(st.integers(1, n_experts))
    ffn = Experts(n_experts=n_experts, n_active=n_active, d_expert=1)
    skewed, uniform, worst = (
        float(routing.distinct(ffn, batch)) for routing in (Popular("zipf", exponent=exponent), Uniform(), Worst())
    )
    assert n_active <= skewed * SLACK
    assert skewed <= uniform * SLACK
    assert uniform <= worst * SLACK
    assert worst <= min(n_experts, n_active * batch)


@settings(max_examples=amount.of(60), deadline=None)
@given(
    st.sampled_from(names(shelf("models"))),
    st.sampled_from(names(shelf("hardware"))),
    st.sampled_from(["llama.cpp", "vllm", "roofcast", "roofline"]),
    st.sampled_from(["f16", "q4_k_m", "q8_0", "2.70bpw", "fp8"]),
    st.sampled_from(["f16", "fp8"]),
)
def test_every_shipped_model_runs_on_every_shipped_device(model, device, runtime, fmt, cache):
    """All pairs give a rate that grows with the batch and stays below the ceiling, over a grid of contexts, where it fits."""
    load = Workload(
        parse_weights(fmt), np.array([1, 2, 8, 64, 512])[:, None], np.array([0, 1000, 100_000]), cache=FORMATS[cache]
    )
    machine, software = load_hardware(device), load_runtime(runtime)
    try:
        software.backend(machine)
    except InputError:
        software = load_runtime("roofline")  # runs on every device
    forecast = predict(load_model(model).model, machine, load, software)
    assert forecast.tokens_per_s.shape == (5, 3)
    assert not (np.diff(forecast.tokens_per_s, axis=0) < -1e-9 * forecast.tokens_per_s[:-1]).any()
    assert not (np.diff(forecast.tokens_per_s, axis=1) > 1e-9 * forecast.tokens_per_s[:, :-1]).any()
    assert not (forecast.tokens_per_s_high > forecast.tokens_per_s_ceiling * SLACK).any()
    assert ((forecast.tokens_per_s_low > 0) == forecast.fits).all()


@settings(max_examples=amount.of(30), deadline=None)
@given(models(), devices(), runtimes(), weights, st.lists(batches, min_size=2, max_size=4), contexts)
def test_a_grid_equals_its_points(model, device, runtime, fmt, sizes, context):
    """Rate, interval, ceiling and what binds are the same for a point alone and among others."""
    grid = predict(model, device, Workload(fmt, np.array(sizes), context), runtime)
    for place, size in enumerate(sizes):
        point = predict(model, device, Workload(fmt, size, context), runtime)
        for field in ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling"):
            value = np.broadcast_to(getattr(grid, field), (len(sizes),))[place]
            assert abs(value / getattr(point, field) - 1) < 1e-9, field
        assert np.broadcast_to(grid.bound, (len(sizes),))[place] == point.bound
