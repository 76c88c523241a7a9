"""From names and texts to predictions: the one call behind the command, and the start of the Python API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.decode import cache_bytes_held
from simulator.errors import InputError
from simulator.hardware import Hardware, load_hardware
from simulator.mixes import parse_weights
from simulator.model import Loaded, Model, load_model, weight_bytes
from simulator.names import MAX_DEVICES
from simulator.predict import Prediction, memory_limit, memory_needed, predict
from simulator.quant import Weights, format_remark, parse_cache_format
from simulator.routing import Routing, Uniform, parse_routing
from simulator.runtime import Runtime, default_runtime, load_runtime
from simulator.sparsity import Sparsity, parse_sparsity
from simulator.workload import Workload

if TYPE_CHECKING:
    from simulator.density import Density

DEFAULT_CONTEXT = 1024
PERCENTILES = (10, 50, 90)


@dataclass(frozen=True)
class Scenario:
    """A model on a device under a runtime, and what every point of a sweep shares."""

    loaded: Loaded
    hardware: Hardware
    runtime: Runtime
    load: Workload
    choice: str = ""  # why these weights, where nobody named them
    remarks: tuple[str, ...] = ()  # on what was named

    def at(self, batch: Any, context: Any) -> Prediction:
        """The forecast at a batch and context, both numbers or arrays; InputError if the formats do not fit the shapes."""
        _check_point(self, batch, context)
        load = replace(self.load, batch=batch, context=context)
        try:
            return predict(self.loaded.model, self.hardware, load, self.runtime)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{self.loaded.model.name} with weights {self.load.weights.name}: {error}") from None

    def memory_bytes(self, batch: Any, context: Any):
        """What has to fit, without timing anything."""
        load = replace(self.load, batch=batch, context=context)
        return memory_needed(self.loaded.model, load, self.runtime, self.hardware)

    @property
    def memory_limit_bytes(self) -> float:
        """What it has to fit in."""
        return memory_limit(self.hardware, self.runtime)


def scenario(
    model: str | Path | Loaded,
    hardware: str | Path | Hardware,
    *,
    weights: str | Weights | None = None,
    cache: str | None = None,
    runtime: str | Path | Runtime | None = None,
    threads: int | None = None,
    routing: str | Routing | None = None,
    sparsity: str | Sparsity | None = None,
    devices: int | None = None,
    batch: int = 1,
    context: int = DEFAULT_CONTEXT,
) -> Scenario:
    """Everything resolved and checked; what is left out is chosen as people would (*batch*, *context*: what has to fit)."""
    loaded = model if isinstance(model, Loaded) else load_model(model)
    device = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    software = runtime if isinstance(runtime, Runtime) else load_runtime(runtime or default_runtime(device))
    software.backend(device)
    device = device.times(_count(devices, device), software.split)
    _check_threads(threads, device)
    load = Workload(
        weights=loaded.weights or parse_weights("f16"),
        cache=parse_cache_format(cache or software.cache),
        routing=parse_routing(routing) if isinstance(routing, str) else routing or Uniform(),
        sparsity=parse_sparsity(sparsity) if isinstance(sparsity, str) else sparsity,
        threads=threads,
    )
    if weights is not None:
        chosen = parse_weights(weights) if isinstance(weights, str) else weights
        remarks = tuple(filter(None, [format_remark(weights) if isinstance(weights, str) else ""]))
        return Scenario(loaded, device, software, replace(load, weights=chosen), remarks=remarks)
    if loaded.weights is not None:
        return Scenario(loaded, device, software, load, "the file's own formats")
    return _choose_weights(Scenario(loaded, device, software, load), batch, context)


def _count(devices: int | None, hardware: Hardware) -> int:
    """How many devices: as `--devices` says, or the name."""
    if devices is None:
        return hardware.asked or 1
    if not 1 <= devices <= MAX_DEVICES:
        raise InputError(f"--devices must be between 1 and {MAX_DEVICES:,}, got {devices:,}")
    if hardware.asked not in (None, devices):
        raise InputError(
            f"{hardware.asked} x {hardware.name} and --devices {devices:,} contradict each other: leave one of them out"
        )
    return devices


def _check_threads(threads: int | None, hardware: Hardware) -> None:
    if threads is None:
        return
    if hardware.kind == "gpu":
        raise InputError(f"--threads: {hardware.name} is a GPU, leave it out")
    if not 1 <= threads <= 100_000:
        raise InputError(f"--threads must be between 1 and 100,000, got {threads:,}")


def _choose_weights(base: Scenario, batch: int, context: int) -> Scenario:
    """The first of the runtime's formats with which the model fits; the model's own format before all if it is loadable."""
    model, runtime = base.loaded.model, base.runtime
    _check_point(base, batch, context)
    names = list(runtime.weights)
    if model.native_weights in runtime.native_weights:
        names.insert(0, runtime.native_weights[model.native_weights])
    tried: list[Scenario] = []
    for name in dict.fromkeys(names):
        candidate = replace(base, load=replace(base.load, weights=parse_weights(name)))
        try:
            fits = candidate.memory_bytes(batch, context) <= candidate.memory_limit_bytes
        except ValueError:
            continue  # rows that do not divide into this format's blocks: no such file exists
        tried.append(candidate)
        if fits:
            return replace(candidate, choice=_reason(tried, model, runtime))
    if not tried:
        raise InputError(f"{model.name}: none of {', '.join(names)} suits its shapes, give --weights")
    smallest = min(tried, key=lambda each: weight_bytes(model, each.load.weights))
    listed = ", ".join(each.load.weights.name for each in tried)
    return replace(smallest, choice=f"{smallest.load.weights.name}: the smallest of {listed}; none of them fits")


def usual_formats(base: Scenario) -> list[Weights]:
    """The formats that people would choose among for a scenario's model and runtime, its own with them, the smallest first."""
    model, runtime = base.loaded.model, base.runtime
    names = [*(runtime.compared or runtime.weights), runtime.native_weights.get(model.native_weights or "")]
    known = {base.load.weights.name: base.load.weights} | {
        weights.name: weights for weights in (parse_weights(name) for name in names if name)
    }
    sizes = {}
    for name, weights in known.items():
        try:
            sizes[name] = weight_bytes(model, weights)
        except ValueError:
            continue  # rows that do not divide into this format's blocks: no such file exists
    return [known[name] for name in sorted(sizes, key=sizes.__getitem__)]


def _reason(tried: list[Scenario], model: Model, runtime: Runtime) -> str:
    name = tried[-1].load.weights.name
    if len(tried) > 1:
        return f"{name}: the first of {', '.join(each.load.weights.name for each in tried)} that fits"
    if runtime.native_weights.get(model.native_weights or "") == name:
        return f"{name}: the published checkpoint's own"
    return f"{name}: the first choice with {runtime.title or runtime.name}"


def _check_point(base: Scenario, batch: Any, context: Any) -> None:
    try:
        replace(base.load, batch=batch, context=context)
    except ValueError as error:
        raise InputError(str(error)) from None


def largest_batch(base: Scenario, context: int) -> int:
    """The most sequences of *context* tokens that fit in memory at once; 0 if not even one does."""
    return _largest(lambda batch: base.memory_bytes(batch, context), base, 10**6)


def largest_context(base: Scenario, batch: int) -> int | None:
    """The deepest context at which *batch* sequences fit; None where the cache does not grow, 0 if none fits."""
    load = base.load
    shallow = cache_bytes_held(base.loaded.model, replace(load, batch=batch, context=10**7))
    deep = cache_bytes_held(base.loaded.model, replace(load, batch=batch, context=10**8))
    if deep <= shallow:
        return None
    return _largest(lambda context: base.memory_bytes(batch, context), base, 10**8)


def _largest(needed, base: Scenario, highest: int) -> int:
    limit = base.memory_limit_bytes
    if needed(1) > limit:
        return 0
    low, high = 1, highest
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if needed(middle) <= limit else (low, middle - 1)
    return low


@dataclass(frozen=True)
class DensityForecast:
    """Throughput as a distribution over steps, because tokens read different shares of the layers."""

    tokens_per_s: float  # over a long run: the inverse of the mean time
    percentiles: dict[int, float]  # tokens per second that so many per cent of the steps do not reach
    mean_share: float  # share of the layers' weights that a step reads on average


def with_density(full: Prediction, density: Density) -> DensityForecast:
    """Tokens per second of *full* (one point) where each token reads the share of layer weights that *density* gives it."""
    batch, context = int(full.load.batch), int(full.load.context)
    shares = density.step_shares(context, batch)
    computed = density.shares(context).mean()  # each token computes with its own weights only
    seconds = full.seconds_per_step
    for timed in full.ops:
        if timed.op.part in ("attention", "ffn", "experts", "shared"):
            sparse = np.maximum(timed.memory_s * shares, timed.compute_s * computed)
            seconds = seconds + timed.op.count * (sparse - np.maximum(timed.memory_s, timed.compute_s))
    return DensityForecast(
        tokens_per_s=float(batch / seconds.mean()),
        percentiles={percent: float(np.percentile(batch / seconds, percent)) for percent in PERCENTILES},
        mean_share=float(shares.mean()),
    )


def sweep(base: Scenario, batches: Sequence[int], contexts: Sequence[int]) -> list[Prediction]:
    """Forecasts at every pair of a batch and a context, contexts outermost; a grid of many points is better an array."""
    return [base.at(batch, context) for context in contexts for batch in batches]
