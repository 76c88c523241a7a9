"""What was timed on a GPU, written as the fields of a hardware file. Needs neither numba nor a GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulator import __version__
from simulator.probe.clock import Sample, spread_fields
from simulator.probe.cuda.device import Gpu, describe_gpu_state
from simulator.probe.cuda.libraries import PRODUCTS
from simulator.probe.figures import SOURCE
from simulator.spec.memory import DeviceClass
from simulator.units import GI, GIGA, KI, MEGA, MI, MICRO, TERA, format_gib

# Probes are known by these names to what times them and to what writes them down.
SIZES = tuple(256 * KI * 2**power for power in range(15))  # bytes of working sets, to 4 GiB
KINDS = {"read": (1, 1), "copy": (2, 2), "triad": (4, 3)}  # parts that a working set is cut into, and how many are used
MULTIPLY_ADD = "multiply-add f32"
LAUNCH, LAUNCH_AND_WAIT = "launch", "launch and wait"
TRANSFERS = ("to the device", "from the device")

# The L2 is read off the sizes that fill at most half of it (on GPUs with two partitions each keeps copies of the
# other's lines, so only half holds different ones) and enough of it to spread over all its slices.
L2_SHARES = (1 / 32, 1 / 2)
LEAST_POINTS = 2
APART = 1.25  # a cache is seen if it is faster than the memory behind it by this factor
FLAT = 1.5  # and if the rates of its points differ by less than this one

CLASSES: tuple[tuple[str, DeviceClass], ...] = (  # the first that fits a name
    (r"\b(Orin|Xavier|Thor|Tegra|Jetson|GB10)\b", "igpu"),
    (r"\b(GeForce|TITAN)\b", "consumer-gpu"),
    (r"\b(RTX|Quadro|T[0-9]{3,4})\b", "workstation-gpu"),
    (r"\b(Tesla|G[HB][0-9]{3}|[ABHLVPKT][0-9]{1,3}[A-Z]?)\b", "datacenter-gpu"),
)
NOISE_WORDS = {"nvidia", "geforce", "tesla", "generation", "gpu", "edition", "graphics"}  # in names


def stream_name(kind: str, nbytes: int) -> str:
    """The name of a probe of memory."""
    return f"{kind} {nbytes}"


def product_name(number_format: str) -> str:
    """The name of a probe of tensor cores."""
    return f"product {number_format}"


def gpu_hardware(gpu: Gpu, samples: Mapping[str, Sample], when: str) -> dict[str, Any]:
    """The mapping that a hardware file holds; what was not timed is left out. *gpu* as it is after measuring."""
    data = {
        "name": guess_name(gpu.name),
        "title": gpu.name,
        "class": guess_class(gpu),
        **gpu_identity(gpu),
        "sources": {SOURCE: f"roofcast profile {__version__} on this machine, {when}"},
        "memory": _memory(gpu, samples),
        "peaks_tflops": _peaks(samples),
        "launch_us": _launch(samples),
        "links": _links(gpu, samples),
        "curve": _curve(gpu, samples),
        "traffic": _traffic(samples),
        "runs": [_run(gpu, samples, when)],
    }
    return {key: value for key, value in data.items() if value not in (None, "", [], {})}


def gpu_identity(gpu: Gpu) -> dict[str, Any]:
    """The fields by which a file is known to be of this GPU, and which need no measuring."""
    major, minor = gpu.compute_capability
    return {
        "kind": "gpu",
        "vendor": "nvidia",
        "architecture": f"sm_{major}{minor}",
        "cores": gpu.n_multiprocessors,
        "description": _description(gpu),
    }


def guess_name(title: str) -> str:
    """A short name for a file: `NVIDIA GeForce RTX 4090` is rtx-4090."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "-".join(word for word in words if word not in NOISE_WORDS) or "gpu"


def guess_class(gpu: Gpu) -> DeviceClass:
    """What kind of device this probably is."""
    if gpu.is_integrated:
        return "igpu"
    return next((kind for pattern, kind in CLASSES if re.search(pattern, gpu.name)), "consumer-gpu")


def _description(gpu: Gpu) -> str:
    """The first two parts are what never changes of a GPU: they tell it from another one."""
    major, minor = gpu.compute_capability
    parts = [
        f"{gpu.n_multiprocessors} SM, compute capability {major}.{minor}",
        f"{format_gib(gpu.memory_bytes)} memory",
        f"up to {gpu.clock_hz / MEGA:.0f} MHz" if gpu.clock_hz else "",
        f"{gpu.power_limit_w:.0f} W" if gpu.power_limit_w else "",
        f"driver {gpu.driver}" if gpu.driver else "",
        f"CUDA {gpu.toolkit}" if gpu.toolkit else "",
    ]
    return "; ".join(part for part in parts if part)


# ---- figures ----


def _size(nbytes: float) -> str:
    """Powers of two as they are: `16 MiB`."""
    unit, name = next((each for each in ((GI, "GiB"), (MI, "MiB")) if nbytes >= each[0]), (KI, "KiB"))
    return f"{nbytes / unit:g} {name}"


def _rate(sample: Sample, unit: float, how: str) -> dict[str, Any]:
    """A figure of so much a second, in a unit."""
    amount = sample.bytes or sample.flops
    figure = _figure(amount / sample.median_s / unit, sample, how)
    return figure | {"best": _short(amount / min(sample.seconds) / unit)}


def _figure(value: float, sample: Sample, how: str) -> dict[str, Any]:
    found = {"value": _short(value), "provenance": "measured", "source": SOURCE, "how": how}
    return found | spread_fields(sample.spread, sample.count)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _told(value: float) -> dict[str, Any]:
    return {"value": _short(value), "provenance": "datasheet", "source": SOURCE, "how": "as the driver says"}


# ---- memory ----


def _points(samples: Mapping[str, Sample]) -> dict[int, Sample]:
    """Samples of reading by working set, smallest first."""
    return {size: samples[stream_name("read", size)] for size in SIZES if stream_name("read", size) in samples}


def _memory(gpu: Gpu, samples: Mapping[str, Sample]) -> list[dict[str, Any]]:
    points = _points(samples)
    largest = max(points)
    main = {
        "name": "memory shared with the host" if gpu.is_integrated else "device memory",
        "capacity_gib": _told(gpu.memory_bytes / GI),
        "gb_per_s": _rate(points[largest], GIGA, f"reading {_size(largest)}"),
    }
    if not gpu.l2_bytes:
        return [main]
    cache: dict[str, Any] = {"name": "L2", "capacity_mib": _told(gpu.l2_bytes / MI)}
    rate = _l2_rate(gpu.l2_bytes, points, main["gb_per_s"])
    return [cache | ({"gb_per_s": rate} if rate else {}), main]


def _l2_rate(capacity: int, points: Mapping[int, Sample], main: Mapping[str, Any]) -> dict[str, Any] | None:
    """The middle of the plateau below the L2's capacity; None where there is none above the memory's rate."""
    low, high = (capacity * share for share in L2_SHARES)
    inside = [size for size in points if low <= size <= high]
    if len(inside) < LEAST_POINTS:
        return None
    by_rate = sorted(inside, key=lambda size: points[size].bytes_per_s)
    slowest, middle, fastest = by_rate[0], by_rate[(len(by_rate) - 1) // 2], by_rate[-1]
    if points[fastest].bytes_per_s > FLAT * points[slowest].bytes_per_s:
        return None
    sizes = f"{len(inside)} sizes from {_size(inside[0])} to {_size(inside[-1])}"
    how = f"reading {_size(middle)}, the middle of {sizes}"
    rate = _rate(points[middle], GIGA, how)
    return rate if rate["value"] >= APART * main["value"] and rate["best"] >= main["best"] else None


def _curve(gpu: Gpu, samples: Mapping[str, Sample]) -> list[dict[str, Any]]:
    """Every multiprocessor is at work: they count as the threads."""
    return [
        {"working_set_kib": size / KI, "threads": gpu.n_multiprocessors, "gb_per_s": _rate(sample, GIGA, "reading")}
        for size, sample in _points(samples).items()
    ]


def _traffic(samples: Mapping[str, Sample]) -> dict[str, Any]:
    found = {}
    for kind in KINDS:
        for size in SIZES:
            sample = samples.get(stream_name(kind, size))
            if sample and kind != "read":
                found[f"{kind} {_size(sample.bytes)}"] = _rate(sample, GIGA, "as STREAM counts")
    return found


# ---- arithmetic, launches and links ----


def _peaks(samples: Mapping[str, Sample]) -> dict[str, Any]:
    found = {}
    if MULTIPLY_ADD in samples:
        found["f32"] = _rate(samples[MULTIPLY_ADD], TERA, "multiply-adds in registers, no tensor cores")
    for number_format, product in PRODUCTS.items():
        sample = samples.get(product_name(number_format))
        if sample:
            side = round((sample.flops / 2) ** (1 / 3))
            found[number_format] = _rate(sample, TERA, f"cuBLAS, matrices of {side} x {side}, {product.how}")
    return found


def _launch(samples: Mapping[str, Sample]) -> dict[str, Any] | None:
    if LAUNCH not in samples:
        return None
    how = "kernels that do nothing, one after the other"
    if LAUNCH_AND_WAIT in samples:
        how += f"; {_short(samples[LAUNCH_AND_WAIT].median_s / MICRO):g} us each where each is waited for"
    return _figure(samples[LAUNCH].median_s / MICRO, samples[LAUNCH], how)


def _links(gpu: Gpu, samples: Mapping[str, Sample]) -> list[dict[str, Any]]:
    bus = "NVLink-C2C" if re.search(r"\bG[HB][0-9]{3}\b", gpu.name) else "PCIe"
    return [
        {
            "name": f"{bus} {name}",
            "gb_per_s": _rate(samples[name], GIGA, f"copies of {_size(samples[name].bytes)}, pinned"),
        }
        for name in TRANSFERS
        if name in samples
    ]


# ---- the run ----


def _run(gpu: Gpu, samples: Mapping[str, Sample], when: str) -> dict[str, Any]:
    rounds = max(sample.count for sample in samples.values())
    return {"when": when, "by": f"roofcast {__version__}", "rounds": rounds, "notes": list(notes_of(gpu, samples))}


def notes_of(gpu: Gpu, samples: Mapping[str, Sample]) -> tuple[str, ...]:
    """Sentences on what was left out, and on the state of the GPU."""
    notes = [*describe_gpu_state(gpu), *_clock(gpu)]
    if not any(product_name(name) in samples for name in PRODUCTS):
        remedy = "they need a cuBLAS that suits the driver: pip install nvidia-cublas-cu12"
        notes.append(f"tensor cores were not measured: {remedy}")
    points = _points(samples)
    main = _rate(points[max(points)], GIGA, "")
    if gpu.l2_bytes and not _l2_rate(gpu.l2_bytes, points, main):
        notes.append(f"the curve shows no plateau of the L2 of {gpu.l2_bytes / MI:g} MiB, so its speed is left out")
    return tuple(notes)


def _clock(gpu: Gpu) -> list[str]:
    parts = [
        f"{gpu.current_clock_hz / MEGA:.0f} MHz" if gpu.current_clock_hz is not None else "",
        f"{gpu.temperature_c:.0f} °C" if gpu.temperature_c is not None else "",
    ]
    told = " and ".join(part for part in parts if part)
    return [f"{gpu.name}: {told} when nvidia-smi was asked last"] if told else []
