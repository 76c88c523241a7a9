"""Benchmarks that were made on another device than the one named, and those that were not, by every name that a driver writes."""

import pytest
from bench_output import RUN, TABLE, as_csv, as_json

from simulator.importers.measurements import load_measurements
from simulator.spec.machine import load_hardware

ON_CPU = RUN | {"gpu_info": "", "backends": "CPU"}
SAME, OTHER, UNKNOWN = "same", "other", "unknown"


def answer(path, device):
    """Whether the one row in a file is compared, compared with a remark, or listed."""
    found = load_measurements(path, device)
    told = [each.reason for each in found.skipped if each.reason.startswith("ran on ")]
    if told:
        assert not found.published
        return OTHER
    (row,) = found.published
    return UNKNOWN if any("on which it ran" in each for each in row.assumed) else SAME


GPUS = [
    ("NVIDIA GeForce RTX 3090", "rtx-3090", SAME),
    ("NVIDIA GeForce RTX 3090", "rtx-4090", OTHER),
    ("NVIDIA GeForce RTX 3080 Ti", "rtx-3080", OTHER),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090-laptop", SAME),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090", OTHER),
    ("NVIDIA GeForce RTX 2080 with Max-Q Design", "rtx-2080", UNKNOWN),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000", SAME),
    ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtx-pro-6000-maxq", SAME),
    ("NVIDIA GeForce GTX 1660 SUPER", "rtx-4090", UNKNOWN),
    ("NVIDIA Graphics Device", "rtx-4090", UNKNOWN),
    ("NVIDIA GB10", "dgx-spark", SAME),
    ("NVIDIA H100 80GB HBM3", "h100-sxm", SAME),
    ("NVIDIA A100-SXM4-80GB", "a100-80gb-sxm", SAME),
    ("NVIDIA A100-SXM4-80GB", "h100-sxm", OTHER),
    ("Tesla V100-SXM2-32GB", "v100", SAME),
    ("Orin", "jetson-agx-orin", SAME),
    ("Apple M4 Max", "m4-max-40", SAME),
    ("Apple M4 Max", "m4-max-32", SAME),
    ("Apple M4 Max", "m4", OTHER),
    ("Apple M4", "m4-max-40", OTHER),
    ("AMD Radeon RX 7900 XTX (RADV NAVI31)", "rx-7900-xtx", SAME),
    ("AMD Radeon RX 7900 XTX (RADV NAVI31)", "rx-7900-xt", OTHER),
    ("AMD Radeon 8060S", "strix-halo-128gb", SAME),
    ("Radeon 8060S Graphics (RADV GFX1151)", "strix-halo-128gb", SAME),
    ("Radeon 8060S Graphics (RADV GFX1151)", "rx-7900-xtx", OTHER),
    ("gfx1151", "strix-halo-128gb", SAME),
    ("gfx1151", "rx-7900-xtx", OTHER),
    ("Intel(R) Arc(tm) A770 Graphics (DG2)", "arc-a770", SAME),
    ("Intel(R) Arc(TM) B580 Graphics", "arc-a770", OTHER),
    ("NVIDIA GeForce RTX 4090, AMD Radeon Graphics (RADV RAPHAEL_MENDOCINO)", "rtx-4090", SAME),
    ("NVIDIA GeForce RTX 3090, Intel(R) UHD Graphics 770", "rtx-4090", OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("name", "device", "expected"), GPUS)
def test_a_gpu_is_told_by_what_its_driver_calls_it(tmp_path, name, device, expected):
    """Another shipped device is listed, an unknown one remarked on; variants, targets and graphics beside it raise no alarm."""
    for write in (as_json, as_csv):
        (tmp_path / "rows").write_text(write([RUN | {"gpu_info": name}]))
        assert answer(tmp_path / "rows", load_hardware(device)) == expected


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("AMD Ryzen 9 7950X 16-Core Processor", "ryzen-7950x", SAME),
        ("AMD Ryzen 9 7950X 16-Core Processor", "pi5-16gb", OTHER),
        ("AMD Ryzen 9 7950X", "pi5-16gb", OTHER),
        ("AMD Ryzen 9 7950X3D 16-Core Processor", "ryzen-7950x", UNKNOWN),
        ("13th Gen Intel(R) Core(TM) i9-13900K", "i9-13900k", SAME),
        ("13th Gen Intel(R) Core(TM) i9-13900K", "i9-14900", OTHER),
        ("Intel(R) Xeon(R) Gold 6138 CPU @ 2.00GHz", "xeon-gold-6138-2s", SAME),
        ("AMD EPYC 9654 96-Core Processor", "epyc-9654", SAME),
        ("Apple M4 Max", "m4-max-cpu", SAME),
        ("Cortex-A76", "pi5-16gb", UNKNOWN),
        ("", "pi5-16gb", SAME),
    ],
)
def test_a_cpu_is_told_by_what_the_system_calls_it(tmp_path, name, device, expected):
    """Of runs that had no GPU; what stands beside the name, such as cores and clocks, says no more."""
    (tmp_path / "rows").write_text(as_json([ON_CPU | {"cpu_info": name}]))
    assert answer(tmp_path / "rows", load_hardware(device)) == expected


def test_the_cpu_beside_a_gpu_is_not_compared_with_it(tmp_path):
    """A Ryzen beside an RTX 4080 is no other device than that."""
    (tmp_path / "rows").write_text(as_json([RUN]))
    assert answer(tmp_path / "rows", load_hardware("rtx-4080")) == SAME


LOGS = [
    "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n",
    "ggml_vulkan: Found 1 Vulkan devices:\nggml_vulkan: 0 = NVIDIA GeForce RTX 3090 (NVIDIA) | uma: 0 | fp16: 1 | warp size: 32\n",
    "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3090) - 23887 MiB free\n",
]


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(("device", "expected"), [("rtx-3090", SAME), ("rtx-4090", OTHER)])
def test_a_log_above_a_table_tells_the_device(tmp_path, log, device, expected):
    """As CUDA, Vulkan and the loader of the model write it."""
    table = TABLE.partition("ggml_cuda_init: found 1 CUDA devices:\n")[2].partition("\n\n")[0] + "\n"
    (tmp_path / "rows").write_text(log + table)
    assert answer(tmp_path / "rows", load_hardware(device)) == expected


def test_the_reason_names_both_devices(tmp_path):
    """So that it is seen which one has to be given."""
    (tmp_path / "rows").write_text(as_json([RUN | {"gpu_info": "NVIDIA GeForce RTX 3090"}]))
    (skipped,) = load_measurements(tmp_path / "rows", load_hardware("rtx-4090")).skipped
    assert skipped.reason == "ran on NVIDIA GeForce RTX 3090, not rtx-4090"


def test_two_cards_of_which_one_is_another(tmp_path):
    """Layers on an RTX 3090 and on an RTX 4090 are not those of two RTX 3090."""
    (tmp_path / "rows").write_text(as_json([RUN | {"gpu_info": "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 4090"}]))
    assert answer(tmp_path / "rows", load_hardware("2xrtx-3090")) == OTHER


@pytest.mark.parametrize(
    ("title", "expected"), [("NVIDIA GeForce RTX 4090 on my desk, quiet", UNKNOWN), ("NVIDIA GeForce RTX 4090", OTHER),
                            ("NVIDIA GeForce RTX 3090, power limit 250 W", SAME), ("", UNKNOWN)]
)  # fmt: skip
def test_a_device_file_of_ones_own_is_told_by_its_title(tmp_path, title, expected):
    """Where that names no shipped device, only a remark is made."""
    device = load_hardware("rtx-3090").model_copy(update={"name": "desk", "title": title, "aliases": ()})
    (tmp_path / "rows").write_text(as_json([RUN | {"gpu_info": "NVIDIA GeForce RTX 3090"}]))
    assert answer(tmp_path / "rows", device) == expected
