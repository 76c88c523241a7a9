"""Which software loads what: the runtime for a file, the formats it takes there, and what is told or refused of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from simulator.errors import InputError, printable
from simulator.importers.dialects import meant
from simulator.spec.hardware import Hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, Model
from simulator.spec.quant import CACHE_FORMATS, Weights, format_remark
from simulator.spec.runtime import Runtime, load_runtime, runtimes_with
from simulator.spec.workload import Workload

_OF_GGUF, _OF_CHECKPOINTS = ("llama.cpp", "ik_llama.cpp"), ("vllm", "mlx")  # what people load such files with


def native_format(runtime: Runtime, model: Model) -> str | None:
    """What the runtime loads a model's published checkpoint as; None where it does not load that, or nobody says in what it is."""
    return runtime.native_weights.get(model.native_weights or "")


def that_loads(
    loaded: Loaded, device: Hardware, usual: Runtime, why: tuple[str, ...]
) -> tuple[Runtime, tuple[str, ...]]:
    """The *usual* runtime, or the first that people load such a file with where the usual one is not known to; and why not."""
    kernels = loaded.weights.kernels if loaded.weights else ()
    strange = usual.strange(kernels)
    names = _OF_GGUF if loaded.path else _OF_CHECKPOINTS if device.kind == "gpu" else ()
    others = map(load_runtime, names if strange else ())
    found = next((each for each in others if _loads(each, device, kernels)), None)
    if found is None:
        return usual, why
    return found, (*why, f"{usual.title or usual.name} is not known to load {', '.join(strange)}")


def _loads(runtime: Runtime, device: Hardware, kernels: Iterable[str]) -> bool:
    is_refused = runtime.refusal(device) or any(runtime.unmet(device, name) for name in kernels)
    return not is_refused and not runtime.strange(kernels)


def check_format(
    runtime: Runtime, hardware: Hardware, name: str, option: Literal["weights", "cache"], given: str | None = None
) -> None:
    """InputError where the runtime does not know a format or has no kernels for it there (*given*: as somebody wrote it)."""
    refusal = runtime.refusal(hardware, name, option)
    if refusal:
        suited = runtime.suited(name, hardware, option)
        remedy = f"another {option} format" if runtime.refusal(hardware, suited, option) else f"{suited} as {option}"
        others = runtimes_with(hardware, name, option)
        other = f"runtime {others[0]}" if others else "another runtime"
        written = f"{printable(given)}: " if given and given.strip().lower() != name else ""
        raise InputError(f"{written}{refusal}; take {remedy}, or {other}")


def meant_weights(text: str, runtime: Runtime, model: Model) -> tuple[Weights, str]:
    """The formats that a text means to the runtime's users, and what to know of that; InputError for no name of any."""
    weights = parse_weights(text)
    name = meant(text, weights.name, runtime, model)
    if name == weights.name:
        return weights, format_remark(text)
    is_own = weights.name == model.native_weights
    whose = "the published checkpoint's own" if is_own else f"as {runtime.title or runtime.name} has it"
    return parse_weights(name), f"{printable(text.strip())}: {name}, {whose}"


def cache_of(loaded: Loaded, runtime: Runtime, hardware: Hardware) -> str:
    """The format that the checkpoint is made for, if the runtime can keep a cache in it, else the runtime's own."""
    stated = loaded.cache
    if stated in CACHE_FORMATS and not runtime.refusal(hardware, stated, "cache"):
        return stated
    return runtime.suited(runtime.cache, hardware, "cache")


def cache_told(loaded: Loaded, cache: str | None, load: Workload) -> tuple[str, ...]:
    """A remark where the checkpoint states the format of its cache and nobody else does."""
    if cache is not None or loaded.cache is None:
        return ()
    if load.cache.name == loaded.cache:
        return (f"cache {load.cache.name}: as the checkpoint states it",)
    return (
        f"the checkpoint states a cache in {printable(loaded.cache[:40])}, which is not kept here: {load.cache.name}",
    )


def told_strange(runtime: Runtime, hardware: Hardware, weights: Weights) -> tuple[str, ...]:
    """A remark where the runtime is not known to load what a checkpoint holds; InputError where the device has no kernels for it."""
    for name in weights.kernels:
        unmet = runtime.unmet(hardware, name)
        if unmet:
            raise InputError(f"{unmet}; take another runtime, or name other weights")
    unknown = runtime.strange(weights.kernels)
    if not unknown:
        return ()
    return (f"{runtime.title or runtime.name} is not known to load {', '.join(unknown)}: counted as if it did",)


def formats_suited(runtime: Runtime, hardware: Hardware, names: Iterable[str]) -> list[str]:
    """Formats of *names*, each once, that the runtime can run on a device."""
    found = dict.fromkeys(runtime.suited(name, hardware) for name in names)
    return [name for name in found if not runtime.refusal(hardware, name)]
