"""A machine made up for tests: round figures where a real one would be profiled."""

from simulator.spec.hardware import Hardware

FORMATS = ("q8_0", "q4_0", "bf16", "f32")


def figure(value: float, spread: float = 0.02) -> dict:
    """A measured figure."""
    return {
        "value": value,
        "provenance": "measured",
        "source": "profile",
        "spread": spread,
        "count": 9,
        "best": 1.1 * value,
    }


def kernel(cached: float, shared: float | None, memory: float) -> dict:
    """Speeds of a kernel: Gop/s in cache, and shares of a pure read's speed."""
    found = {"cached_gop_per_s": figure(cached), "memory_share": figure(memory)}
    return found if shared is None else found | {"cache_share": figure(shared)}


def machine(**changes) -> Hardware:
    """Two cores that read 20 GB/s from memory, 100 from a cache of 32 MiB, 200 from their own."""
    kernels = {fmt: {1: kernel(200, 0.8, 0.9), 8: kernel(400, 0.4, 0.8), 16: kernel(400, 0.2, 0.5)} for fmt in FORMATS}
    one = {fmt: {1: kernel(100, 0.8, 0.9), 8: kernel(200, 0.4, 0.8), 16: kernel(200, 0.2, 0.5)} for fmt in FORMATS}
    items = {"norm": figure(1), "head": figure(300), "activation": figure(5), "route": figure(20), "select": figure(15),
             "token": figure(1000), "cold token": figure(4000), "run": figure(1500)}  # fmt: skip
    sizes = {16: 200.0, 1024: 200.0, 4096: 100.0, 16384: 100.0, 131072: 20.0}
    data = {
        "name": "made-up",
        "title": "A made-up machine",
        "class": "desktop-cpu",
        "kind": "cpu",
        "cores": 2,
        "threads": 2,
        "memory": [
            {"name": "L2", "capacity_mib": 2, "gb_per_s": figure(200), "gb_per_s_by_threads": {1: figure(100), 2: figure(200)}},
            {"name": "L3", "capacity_mib": 32, "gb_per_s": figure(100), "gb_per_s_by_threads": {1: figure(50), 2: figure(100)}},
            {"name": "memory", "capacity_gib": 16, "gb_per_s": figure(20), "gb_per_s_by_threads": {1: figure(15), 2: figure(20)}},
        ],
        "peaks_tflops": {"f32": figure(0.2), "int8": figure(0.8)},
        "peaks_tflops_by_threads": {"int8": {1: figure(0.4), 2: figure(0.8)}},
        "curve": [
            {"working_set_kib": kib, "threads": threads, "gb_per_s": figure(rate * threads / 2)}
            for threads in (1, 2)
            for kib, rate in sizes.items()
        ],
        "engine": {
            "path": "portable",
            "read_gb_per_s": {1: [figure(100), figure(50), figure(15)], 2: [figure(200), figure(100), figure(20)]},
            "kernels": {1: one, 2: kernels},
            "columns": {2: {"q8_0": {1: kernel(100, None, 0.5), 16: kernel(120, None, 0.2)}}},
            "attention": {
                1: {"f16": {1: kernel(30, 0.5, 0.4), 8: kernel(40, 0.4, 0.3)}},
                2: {"f16": {1: kernel(60, 0.5, 0.4), 8: kernel(80, 0.4, 0.3)}},
            },
            "start_us": {1: figure(2), 2: figure(4)},
            "phase_us": {1: figure(0.3), 2: figure(0.5)},
            "reference_us": {n: {"large 1": figure(6000), "large 16": figure(9000), "small 1": figure(200), "small 16": figure(900)}
                             for n in (1, 2)},
            "cache_mib": 32,
            "buffer_mib": 128,
            "step_us": figure(100),
            "cold_step_us": figure(400),
            "item_ns": {1: items, 2: items},
        },
    }  # fmt: skip
    return Hardware.model_validate(data | changes)
