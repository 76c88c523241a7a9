"""A device of which everything is measured, as its file would say it."""


def figure(value, **more):
    """A measured figure."""
    return {"value": value, "provenance": "measured", "source": "profile", **more}


def kernel(gop_per_s, share):
    """One kernel at one number of tokens."""
    return {"cached_gop_per_s": figure(gop_per_s), "memory_share": figure(share)}


MEASURED = {
    "name": "box",
    "title": "A box for $5 or $6",
    "class": "desktop-cpu",
    "kind": "cpu",
    "threads": 2,
    "memory": [
        {"name": "L1 data", "capacity_kib": 64, "gb_per_s_by_threads": {1: 50, 2: 100}},
        {"name": "L2", "capacity_mib": 2},
        {"name": "L3", "capacity_mib": 2},
        {"name": "DDR4", "capacity_gib": 16, "gb_per_s": figure(10)},
    ],
    "peaks_tflops": {"f32": figure(0.1), "f16": figure(0.2), "bf16": figure(0.2), "int8": figure(0.4)},
    "curve": [
        {"working_set_kib": size, "threads": threads, "gb_per_s": figure(rate, spread=spread)}
        for size, threads, rate, spread in [
            (32, 2, 100, 0.0), (1024, 2, 60, 0.1), (65536, 2, 10, 0.2), (65536, 1, 8, None), (32, 1, 50, None),
        ]
    ],
    "traffic": {"triad 2 threads": figure(9), "random 4096 B": figure(6, spread=0.5), "random 64 B": figure(1)},
    "engine": {
        "read_gb_per_s": {2: [figure(100), figure(50), figure(20)]},
        "kernels": {2: {"f16": {1: kernel(50, 1.0), 4: kernel(90, 0.7), 16: kernel(200, 0.5)}}},
    },
    "runs": [{"when": "2026-11-23 05:01", "rounds": 9}],
}  # fmt: skip
