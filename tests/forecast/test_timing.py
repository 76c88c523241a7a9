"""Seconds from bytes and flops: levels, threads, launches, ceilings, intervals, memory; devices made up for the purpose."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.bandwidth import bandwidth_of
from simulator.forecast.capacity import largest_batch, largest_context
from simulator.forecast.interval import expected_spread
from simulator.forecast.predict import predict
from simulator.forecast.scenario import scenario
from simulator.forecast.step import threads_of
from simulator.spec.backend import Backend, ceiling_peak
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.memory import MemoryLevel
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.workload import Workload
from simulator.units import GI

F16 = parse_weights("f16")


def device(**changes):
    """A CPU of 4 cores with 1 GB/s, no peak, no launch cost."""
    data = {
        "name": "d",
        "class": "sbc",
        "kind": "cpu",
        "cores": 4,
        "memory": [{"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1, "datasheet_gb_per_s": 2}],
    }
    return Hardware.model_validate({**data, **changes})


def software(**backend):
    """A runtime with one backend."""
    return Runtime.model_validate({"name": "s", "weights": ["f16"], "backends": {"default": backend}})


def test_a_memory_bound_step_takes_bytes_over_bandwidth(tiny_dense, perfect):
    """1 GB/s sustained for everything streamed or moved; the ceiling has 2 GB/s and no activations."""
    forecast = predict(tiny_dense, device(), Workload(F16), perfect)
    cost = forecast.cost
    assert forecast.seconds_per_step == pytest.approx((cost.streamed_bytes + cost.activation_bytes) / 1e9)
    assert forecast.seconds_ceiling == pytest.approx(cost.streamed_bytes / 2e9)
    assert forecast.bound == "memory"
    assert forecast.tokens_per_s == pytest.approx(1 / forecast.seconds_per_step)


def test_a_compute_bound_step_takes_flops_over_peak(tiny_dense, perfect):
    """At a peak of 1 MFLOP/s arithmetic is all that matters, in forecast and ceiling."""
    forecast = predict(tiny_dense, device(peaks_tflops={"f32": 1e-6}), Workload(F16, batch=4), perfect)
    assert forecast.seconds_per_step == pytest.approx(forecast.cost.flops / 1e6, rel=1e-3)
    assert forecast.seconds_ceiling == pytest.approx(forecast.cost.flops / 1e6)
    assert forecast.bound == "compute"


def test_every_operation_costs_a_launch(tiny_dense):
    """16 operations in each of 2 dense layers, head and final norm: (2 * 16 + 2) us, and 5 us once a step."""
    runtime = software(launch_share=1, launch_us=1, step_us=5)
    free = predict(tiny_dense, device(), Workload(F16), software())
    paid = predict(tiny_dense, device(), Workload(F16), runtime)
    assert paid.seconds_per_step - free.seconds_per_step == pytest.approx((2 * 16 + 2 + 5) * 1e-6)
    half = predict(tiny_dense, device(launch_us=3), Workload(F16), software(launch_share=0.5, launch_us=1))
    assert half.seconds_per_step - free.seconds_per_step == pytest.approx(34 * 1.5e-6)  # the device's own figure counts


def test_shares_slow_an_operation_by_format(tiny_dense):
    """Half the bandwidth for f16 and a fifth of the rest: all matrices are f16 here, the norms f32."""
    forecast = predict(tiny_dense, device(), Workload(F16), software(bandwidth_share={"f16": 0.5, "default": 1}))
    for timed in forecast.ops:
        share = 0.5 if timed.op.format.name == "f16" else 1.0
        expected = timed.op.cost.streamed_bytes / share + timed.op.cost.activation_bytes
        assert timed.memory_s == pytest.approx(expected / 1e9)


def test_gathered_experts_are_slower(tiny_moe):
    """The share of experts multiplies that of their format."""
    forecast = predict(tiny_moe, device(), Workload(F16), software(expert_share=0.5))
    experts = [timed for timed in forecast.ops if timed.op.part == "experts"]
    assert experts
    for timed in experts:
        assert timed.memory_s == pytest.approx(
            (timed.op.cost.weight_bytes / 0.5 + timed.op.cost.activation_bytes) / 1e9
        )


def test_bandwidth_by_threads_need_not_grow():
    """A Pi 5 reads 9.26, 13.23 and 11.59 GB/s with 1, 2, 4 threads; 3 lies between, more than 4 stays."""
    pi = load_hardware("pi5-16gb")
    rates = [bandwidth_of(pi, threads).main.value / 1e9 for threads in (1, 2, 3, 4, 8)]
    assert rates == pytest.approx([9.26, 13.23, 12.41, 11.59, 11.59])


def test_a_level_below_its_first_thread_count_is_shared_out():
    """Known for 8 threads only: one thread gets an eighth, never more than was measured."""
    level = MemoryLevel.model_validate({"name": "x", "capacity_gib": 1, "gb_per_s_by_threads": {8: 80}})
    assert level.sustained("sbc", 1).value == pytest.approx(10e9)
    assert level.sustained("sbc", None).value == pytest.approx(80e9)


def test_bandwidth_is_a_curve_over_the_working_set():
    """All hits up to the cache's size, none from twice that on, and a blend of times between."""
    cached = device(
        memory=[
            {"name": "L3", "capacity_mib": 1, "gb_per_s": 10},
            {"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1},
        ]
    )
    curve = bandwidth_of(cached, None)
    seconds = curve.seconds_per_byte(np.array([0.5, 1, 1.5, 2, 100]) * 2**20)
    assert seconds * 1e9 == pytest.approx([0.1, 0.1, 0.55, 1, 1])


def test_a_cache_slower_than_memory_is_a_mistake():
    """Two figures in the wrong order are refused, not used."""
    levels = [{"name": "L3", "capacity_mib": 1, "gb_per_s": 1}, {"name": "DRAM", "capacity_gib": 1, "gb_per_s": 2}]
    with pytest.raises(InputError, match="L3 is slower than DRAM behind it"):
        device(memory=levels)


def test_a_level_of_unknown_speed_is_left_out():
    """A cache without a bandwidth does not count, and the forecast says so."""
    cached = device(memory=[{"name": "L3", "capacity_mib": 900}, {"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1}])
    assert len(bandwidth_of(cached, None).levels) == 1


@pytest.mark.parametrize(
    ("name", "device_class", "share", "told"),
    [
        ("x", "consumer-gpu", 0.87, "0.87 of the datasheet, as cards"),
        ("GDDR6X, 256 bit", "consumer-gpu", 0.905, "0.905 of the datasheet, as cards with GDDR6X"),
        ("HBM3e, 6144 bit", "datacenter-gpu", 0.87, "0.87 of the datasheet, as processors with HBM"),
        ("DDR5-5600, two channels", "desktop-cpu", 0.8, "0.8 of the datasheet, as desktops"),
    ],
)
def test_without_a_measured_rate_memory_and_class_decide(name, device_class, share, told):
    """A datasheet figure alone is taken at the share that such memories or devices sustain, with the doubt of those pairs."""
    level = MemoryLevel.model_validate(
        {"name": name, "capacity_gib": 1, "datasheet_gb_per_s": {"value": 100, "provenance": "datasheet"}}
    )
    figure = level.sustained(device_class, None)
    assert figure.value == pytest.approx(share * 100e9)
    assert (figure.provenance, figure.how) == ("estimated", told)
    assert level.ceiling_bytes_per_s() == 100e9


def test_the_doubt_of_a_share_is_that_of_what_it_is_from():
    """Boards scatter by more than cards with one kind of memory; what nobody has measured has a doubt of its own, too."""
    level = MemoryLevel.model_validate({"name": "x", "capacity_gib": 1, "datasheet_gb_per_s": 100})
    board, phone = (level.sustained(name, None) for name in ("sbc", "phone"))
    assert expected_spread(board) == 0.24 > expected_spread(level.sustained("consumer-gpu", None))
    assert expected_spread(phone) == 0.3
    assert phone.count is None


def test_fewer_threads_compute_less():
    """A CPU's peak is that of its decoding threads; half of them reach half."""
    cpu = device(threads=4, peaks_tflops={"int8": 1})
    assert cpu.peak("int8", 2).value == pytest.approx(0.5e12)
    assert cpu.peak("int8", 64).value == pytest.approx(1e12)
    assert threads_of(cpu, Workload(F16)) == 4
    assert threads_of(cpu, Workload(F16, threads=3)) == 3


def test_arithmetic_falls_back_to_what_the_device_has():
    """llama.cpp computes q4_0 in int8; a device without an int8 peak does it in f16 or f32, one without any is unlimited."""
    backend = Backend.model_validate({"arithmetic": {"default": ["int8", "f16", "f32"], "f16": ["f16", "f32"]}})
    both = device(peaks_tflops={"int8": 4, "f32": 1})
    assert backend.peak_of(FORMATS["q4_0"], both, None).value == 4e12
    assert backend.peak_of(FORMATS["f16"], both, None).value == 1e12
    assert backend.peak_of(FORMATS["q4_0"], device(), None) is None
    assert ceiling_peak(FORMATS["q4_0"], both, None, None) == 4e12
    assert ceiling_peak(FORMATS["f32"], both, None, None) == 1e12


def test_the_interval_widens_with_doubt(tiny_dense, perfect):
    """Estimated bandwidth leaves a wider interval than measured, which holds the forecast; the ceiling cuts it."""
    widths = {}
    for provenance in ("measured", "estimated"):
        memory = {"name": "DRAM", "capacity_gib": 1, "datasheet_gb_per_s": 9}
        figure = {"value": 1, "provenance": provenance, "source": "x", "how": "y"}
        forecast = predict(tiny_dense, device(memory=[{**memory, "gb_per_s": figure}]), Workload(F16), perfect)
        assert forecast.tokens_per_s_low < forecast.tokens_per_s < forecast.tokens_per_s_high
        widths[provenance] = forecast.tokens_per_s_high / forecast.tokens_per_s_low
    assert widths["measured"] < widths["estimated"]
    tight = device(memory=[{"name": "DRAM", "capacity_gib": 1, "datasheet_gb_per_s": 1, "gb_per_s": 0.99}])
    forecast = predict(tiny_dense, tight, Workload(F16), perfect)
    assert forecast.tokens_per_s_high == forecast.tokens_per_s_ceiling


def test_what_does_not_fit_says_so(tiny_dense, perfect):
    """A model of 3 MB on 1 MiB: no forecast is made of it."""
    small = device(memory=[{"name": "DRAM", "capacity_mib": 1, "gb_per_s": 1}])
    forecast = predict(tiny_dense, small, Workload(F16), perfect)
    assert not forecast.fits
    assert forecast.bound == "does_not_fit"


def test_reserved_memory_and_scratch_count(tiny_dense):
    """Weights, cache and logits of 512 tokens must fit in what the system leaves."""
    runtime = Runtime.model_validate(
        {"name": "s", "weights": ["f16"], "backends": {"default": {}}, "scratch_tokens": 512}
    )
    load = Workload(F16, context=99)
    needed = predict(tiny_dense, device(), load, runtime).memory_bytes
    assert needed == weight_bytes(tiny_dense, F16) + 100 * 2 * 256 * 2 + 4 * 512 * 1000
    reserved = device(memory=[{"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1, "reserved_gib": 0.25}])
    assert predict(tiny_dense, reserved, load, runtime).memory_limit_bytes == 0.75 * GI


def test_the_largest_batch_and_context_just_fit(tiny_dense, perfect):
    """One more sequence, or one more token, would not fit."""
    base = scenario(Loaded(tiny_dense), device(), weights="f16", runtime=perfect)
    batch, context = largest_batch(base, 1000), largest_context(base, 3)
    limit = base.memory_limit_bytes
    assert limit == GI / 2  # a GiB is so little that half of it counts as held back
    assert base.memory_bytes(batch, 1000) <= limit < base.memory_bytes(batch + 1, 1000)
    assert base.memory_bytes(3, context) <= limit < base.memory_bytes(3, context + 1)


def test_several_devices_add_up():
    """Two cards as one: twice the memory, bandwidth and peaks; caches too."""
    one = load_hardware("h100-sxm")
    two = one.times(2)
    assert two.main_memory.capacity_bytes == 2 * one.main_memory.capacity_bytes
    assert two.main_memory.ceiling_bytes_per_s() == 2 * one.main_memory.ceiling_bytes_per_s()
    assert two.peak("f16").value == 2 * one.peak("f16").value


def test_a_bare_number_is_an_estimate():
    """A device file may hold plain numbers: they count as their writer's estimates."""
    assert Figure.model_validate(3.5) == Figure(value=3.5, provenance="estimated", how="as written in the file")


def test_one_backend_can_stand_for_another():
    """AMD's GPUs take the figures of NVIDIA's where a file says so; a name that leads nowhere is refused."""
    backends = {"nvidia": {"step_us": 7}, "gpu": {}}
    data = {"name": "s", "weights": ["f16"], "backends": backends, "same_as": {"amd": "nvidia"}}
    runtime = Runtime.model_validate(data)
    assert runtime.backend(load_hardware("mi300x")) is runtime.backend(load_hardware("h100-sxm"))
    assert runtime.backend(load_hardware("mi300x")).step_us.value == 7
    with pytest.raises(InputError, match="same_as: amd: there is no backend nvidia, known: cpu"):
        Runtime.model_validate({"name": "s", "weights": ["f16"], "backends": {"cpu": {}}, "same_as": {"amd": "nvidia"}})


def test_the_planned_engine_and_the_bare_hardware_are_runtimes():
    """`roofline` loses nothing: no launches, full shares."""
    backend = load_runtime("roofline").backend(load_hardware("h100-sxm"))
    assert backend.launch_share is None
    assert backend.bandwidth_share_of(FORMATS["q4_k"], True).value == 1
