"""What did the arithmetic of a run of llama.cpp's programs: CPU, GPU, several of them, and what was in another memory."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from simulator.importers.benchmarks.machine import INTEGRATED, check_cpu, check_gpu, gpus_named
from simulator.importers.benchmarks.runs import Given
from simulator.importers.in_ram import Split, by_flags
from simulator.importers.records import NO_HOST, SPLIT, Processor, Record, Unusable
from simulator.spec.model import Model

RPC = "on several machines (RPC), whose communication is not forecast"
RPC_BUILT_IN = "RPC is among the backends and no such device is named: taken for built in, not used"
CUT_LAYERS = "over several GPUs that share each layer (-sm row, tensor or graph), which is not forecast for llama.cpp"
UNEVEN = "over several GPUs in unequal shares (-ts)"
MAX_LAYERS_ASKED = 10**9  # people write -ngl 999 for all

_CPU_BACKENDS = ("cpu", "blas", "zendnn", "rpc")
# Before backends were listed by name there was a field for each; rpc told whether servers were used.
_OLD_BACKENDS = ("cuda", "opencl", "vulkan", "kompute", "metal", "sycl", "gpu_blas", "blas")
_APIS = {
    "cuda": "cuda",
    "rocm": "rocm",
    "hip": "rocm",
    "vulkan": "vulkan",
    "metal": "metal",
    "mtl": "metal",
    "sycl": "sycl",
}
_NOTHING = ("", "0", "none", "false")
# A device of another machine: `RPC0`, `RPC[10.0.0.2:50052]`, and its description, which may be the address alone.
_REMOTE = re.compile(r"RPC\d*(\[.*\])?|[\w.-]+:\d{2,5}", re.IGNORECASE)
_EXPERTS = ("n_cpu_moe", "ncmoe")
_PATTERNS = ("tensor_buft_overrides", "override_tensor")
# What puts weights or the cache elsewhere than -ngl, --n-cpu-moe and -ot do, and how programs call it.
_OTHERWISE = {
    "n_cpu_ffn": "-ncffn",
    "ncffn": "-ncffn",
    "no_kv_offload": "the cache (-nkvo)",
}


@dataclass(frozen=True)
class Ran:
    """What did the arithmetic of a run, what of the model lay in RAM beside it, and what was assumed of both."""

    processor: Processor
    remarks: tuple[str, ...]
    split: Split | None = None


def is_true(record: Record, name: str) -> bool:
    """Whether a field says yes, in any of the formats."""
    return record.text(name).lower() in ("1", "true")


def runs_on_cpu(record: Record) -> bool:
    """Whether no layer was on a GPU."""
    backends = _backends(record)
    on_gpu = [name for name in backends if name not in _CPU_BACKENDS]
    return _gpu_layers(record) == 0 or record.text("devices") == "none" or bool(backends and not on_gpu)


def api(record: Record) -> str:
    """What drove the GPU, where one backend for GPUs was built in."""
    found = {_APIS[name] for name in _backends(record) if name in _APIS}
    return found.pop() if len(found) == 1 else ""


def ran_on(record: Record, model: Model, given: Given) -> Ran:
    """What did the arithmetic, and what was assumed of it; Unusable where it was shared out in a way that is not forecast."""
    remarks = _refuse_remote(record)
    if runs_on_cpu(record):
        remarks += ("weights not repacked (--no-repack)",) if record.text("repack") in ("0", "False") else ()
        return Ran("cpu", (*remarks, *check_cpu(record, given)))
    split = _split(record, model, given)
    _refuse_several(record, given)
    remarks += check_cpu(record, given) if split else ()
    return Ran("gpu" if _backends(record) else "", (*remarks, *check_gpu(record, given)), split)


def _split(record: Record, model: Model, given: Given) -> Split | None:
    """What lay in RAM; Unusable where that is said in another way than is read, or nobody names the host."""
    other = next((how for name, how in _OTHERWISE.items() if record.text(name).lower() not in _NOTHING), None)
    layers = _gpu_layers(record)
    n_experts = max(record.count(name, 0, MAX_LAYERS_ASKED, default=0) for name in _EXPERTS)
    patterns = [
        each for name in _PATTERNS for each in re.split("[;,]", record.text(name)) if each.lower() not in _NOTHING
    ]
    patterns = [re.sub(r"=CPU_\w+$", "=CPU", each) for each in patterns]  # in another order there, for its kernels
    found = replace(by_flags(model, layers if layers >= 0 else None, n_experts), patterns=tuple(patterns))
    if not (found.is_any or other):
        return None
    if given.hardware is None or given.hardware.host is None:
        raise Unusable(NO_HOST)
    if other:
        raise Unusable(f"{SPLIT} by {other}, which is not read yet")
    return found


# ---- backends ----


def _backends(record: Record) -> list[str]:
    """The backends that were built in, lower case; empty where the source does not tell."""
    named = re.sub(r"\+rpc$", "", record.text("backends").lower())
    if named:
        return [re.sub(r"\d+$", "", part.strip()) for part in named.split(",")]
    if not any(name in record.fields for name in _OLD_BACKENDS):
        return []
    return [name for name in _OLD_BACKENDS if is_true(record, name)] or ["cpu"]


def _gpu_layers(record: Record) -> int:
    """How many layers were asked to lie on a GPU; -1 means all."""
    return record.count("n_gpu_layers", -MAX_LAYERS_ASKED, MAX_LAYERS_ASKED, default=-1)


def _refuse_remote(record: Record) -> tuple[str, ...]:
    """Unusable where devices of other machines took part. Builds for release have RPC in them, and list it.

    Until June 2024 and in ik_llama.cpp `CUDA+RPC` says that it was used, and `rpc` is true; later lists have `CUDA,RPC` for both, in
    the latest only where a server was given (tools/llama-bench/llama-bench.cpp at b11549): the devices tell.
    """
    named = [*_chosen(record), *gpus_named(record)]
    if record.text("backends").lower().endswith("+rpc") or is_true(record, "rpc") or record.text("rpc_logged"):
        raise Unusable(RPC)
    if any(_REMOTE.fullmatch(name) for name in named):
        raise Unusable(RPC)
    return (RPC_BUILT_IN,) if "rpc" in _backends(record) and not named else ()


# ---- several GPUs ----


def _chosen(record: Record) -> list[str]:
    """The devices that were asked for by name."""
    chosen = record.text("devices")
    return [] if chosen in ("", "auto", "none") else [part.strip() for part in re.split(r"[/,](?![^\[]*\])", chosen)]


def _refuse_several(record: Record, given: Given) -> None:
    n_gpus = _n_gpus(record)
    if n_gpus == given.n_devices or n_gpus is None:
        return
    if given.n_devices == 1:
        raise Unusable(f"on {n_gpus} GPUs, and one was given (write {n_gpus}x before its name)")
    raise Unusable(f"on {n_gpus} GPU{'s' * (n_gpus > 1)}, and {given.n_devices} were given")


def _n_gpus(record: Record) -> int | None:
    """On how many GPUs the layers lay; None where nothing tells."""
    mode = record.text("split_mode")
    if mode == "none":
        return 1
    shares = [float(part) for part in re.findall(r"\d+(?:\.\d+)?", record.text("tensor_split")) if float(part) > 0]
    chosen, seen = _chosen(record), _counted(record)
    count = len(chosen) or len(shares) or seen
    if count and count > 1:
        if mode not in ("", "layer"):
            raise Unusable(CUT_LAYERS)
        if len(set(shares)) > 1:
            raise Unusable(UNEVEN)
    return count


def _counted(record: Record) -> int | None:
    """GPUs as the run or its log lists them, once for each, though several backends may list the same."""
    names = gpus_named(record)
    if not names:
        return record.count("gpus_logged", 1, 10**4, default=0) or None
    cards = [name for name in names if not INTEGRATED.search(name)]
    backends = len({_APIS[name] for name in _backends(record) if name in _APIS}) or 1
    counts = Counter(cards or names[:1])
    return sum(-(-n // backends) for n in counts.values())
