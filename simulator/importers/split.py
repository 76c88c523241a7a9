"""Measurements of weights split between a GPU and RAM, as values: a CSV with a row for each model, split and micro-batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.importers.dialects import meant
from simulator.importers.in_ram import Split, by_fit
from simulator.importers.open import load_named
from simulator.importers.records import Origin, Record, Skipped, Unusable
from simulator.importers.sizes import CLOSE, Choice, parse, suits, with_formats
from simulator.importers.tables import has_columns, load_table
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded, Model, weight_bytes
from simulator.spec.quant import FORMATS, bits_per_weight
from simulator.spec.recipes import RECIPES
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import GI

NEEDED_COLUMNS = (
    "gpu", "ram_gib", "runtime", "model", "weights", "weights_gib", "gpu_layers", "layers_with_experts_in_ram", "ubatch",
    "prefill_tokens", "prefill_tokens_per_s", "generated", "tokens_per_s",
)  # fmt: skip
SPLIT_MODE = "hybrid-offload"  # the mode of such rows, as collections of decodes call it
MAX_LAYERS = 1_000  # of llama.cpp's patterns for single layers
HOST = "laptop-ddr5"  # what stands beside the GPU of a laptop whose CPU is not named


@dataclass(frozen=True)
class SplitPublished:
    """One measurement of a decode and of a prompt, and what has to be known to forecast both."""

    id: str
    loaded: Loaded
    weights: str | None
    hardware: Hardware  # the GPU
    host: Hardware
    runtime: Runtime
    split: Split
    ubatch: int
    prompt_tokens: int
    prompt_tokens_per_s: float
    context: int  # tokens in the cache in the middle of the decode
    tokens_per_s: float
    file: str  # whose the weights are, as published: publisher, format and size
    date: str = ""
    assumed: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """What it is of, as collections of decodes say it."""
        return Origin(
            mode=SPLIT_MODE if self.split.is_any else "single",
            device_class=self.hardware.device_class,
            device=self.machine,
            model=self.loaded.model.name,
            runtime=self.runtime.name,
            batch="1",
        )

    @property
    def machine(self) -> str:
        """The GPU, and the CPU where anything lies in its memory."""
        return f"{self.hardware.name}+{self.host.name}" if self.split.is_any else self.hardware.name


@dataclass(frozen=True)
class SplitMeasurements:
    """What a file holds: the rows that can be forecast, and the others."""

    published: tuple[SplitPublished, ...]
    skipped: tuple[Skipped, ...]


def is_split(path: Path) -> bool:
    """Whether a file has the columns of such a table; what can be read only once is not looked into."""
    return has_columns(path, "gpu_layers", "layers_with_experts_in_ram")


def load_split(path: Path) -> SplitMeasurements:
    """The rows of a file; InputError where it is no such table."""
    published, skipped = [], []
    for record in load_table(path, NEEDED_COLUMNS):
        try:
            published.append(_published(record))
        except Unusable as reason:
            skipped.append(Skipped(record.id, str(reason), replace(record.origin, mode=SPLIT_MODE, batch="1")))
    return SplitMeasurements(tuple(published), tuple(skipped))


def _published(record: Record) -> SplitPublished:
    loaded = _named(_model_called, "model", record.text("model"))
    hardware = _named(_device_called, "hardware", record.text("gpu"))
    runtime = _named(_runtime_called, "runtime", record.text("runtime"))
    split, assumed = _split(record, loaded.model), list[str]()
    host = _host(record, hardware, assumed if split.is_any else [])
    choice = _formats(record, loaded, runtime)
    generated = record.count("generated", 1, MAX_CONTEXT)
    return SplitPublished(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        hardware=hardware,
        host=host,
        runtime=runtime,
        split=split,
        ubatch=record.count("ubatch", 1, MAX_CONTEXT),
        prompt_tokens=record.count("prefill_tokens", 1, MAX_CONTEXT),
        prompt_tokens_per_s=record.rate("prefill_tokens_per_s"),
        context=generated // 2,
        tokens_per_s=record.rate("tokens_per_s"),
        file=" ".join(printable(record.text(name)) for name in ("model_as_published", "weights", "weights_gib")),
        date=record.text("date"),
        assumed=(*assumed, *choice.assumed),
    )


def _host(record: Record, gpu: Hardware, assumed: list[str]) -> Hardware:
    """The CPU beside the GPU with the RAM that the row states."""
    name = record.text("cpu")
    if not name:
        if not gpu.name.endswith("-laptop"):
            raise Unusable("the CPU beside the GPU is not stated")
        name = HOST
        assumed.append(f"the CPU of the laptop is not stated: {HOST}")
    host = _named(_device_called, "hardware", name)
    if host.kind != "cpu":
        raise Unusable(f"{host.name} is no CPU")
    record.number("ram_gib", 0.1, 1e5)
    return host


def _split(record: Record, model: Model) -> Split:
    layers = record.text("gpu_layers").lower()
    on_gpu = None if layers == "all" else record.count("gpu_layers", 0, MAX_LAYERS)
    n_patterns = record.count("layers_with_experts_in_ram", 0, MAX_LAYERS, default=0)
    n_layers = len(model.stack)
    if n_patterns > n_layers or (on_gpu or 0) > n_layers + 1:
        raise Unusable(f"names more layers than the {n_layers} of the model")
    return by_fit(model, on_gpu, n_patterns)


# ---- formats ----

# What publishers' names mean beside what llama-quantize makes of them. AesSedai: all that each token uses in q8_0, the experts'
# down-projections in a larger type than their others (slb350.github.io/strix-benchmarks/quantization); which types, by the sizes of
# the files of Qwen3.6-35B-A3B and Qwen3.5-122B-A10B, which these come to within 0.5 %. bartowski: embeddings and head in q8_0 (the
# notes of each of its tables of files).
_BY_PUBLISHER = {
    ("aessedai", "q4_k_m"): "down_experts:q5_k+q4_k+q8_0",
    ("aessedai", "q5_k_m"): "down_experts:q6_k+q5_k+q8_0",
    ("aessedai", "q6_k"): "q6_k+q8_0",
    ("aessedai", "iq4_xs"): "down_experts:iq4_xs+iq3_s+q8_0",
    ("bartowski", "q3_k_xl"): "head:q8_0+embedding:q8_0+q3_k_l",
    ("bartowski", "q4_k_l"): "head:q8_0+embedding:q8_0+q4_k_m",
    ("bartowski", "q5_k_l"): "head:q8_0+embedding:q8_0+q5_k_m",
    ("bartowski", "q6_k_l"): "head:q8_0+embedding:q8_0+q6_k",
}
# A file whose tensors are of many types is named by the one that most are of and the mean of all: iq3_s-3.48bpw.
_MEAN = re.compile(r"(?P<mix>(?P<type>i?q\d\w*?)(_s|_m|_l)?)-(?P<bits>[0-9.]+)bpw")
_DYNAMIC = re.compile(r"ud-(?P<type>i?q\d_\w+?)_xl")


def _formats(record: Record, loaded: Loaded, runtime: Runtime) -> Choice:
    """The formats by the publisher's name, where the size does not tell otherwise."""
    label = record.text("weights").lower()
    n_bytes = record.number("weights_gib", 1e-3, 1e6) * GI
    bits = 8 * n_bytes / loaded.model.params_of_file
    whole = _of_a_mean(label, bits) or _dynamic_of_a_size(label, loaded.model, n_bytes)
    if whole:
        return Choice(loaded, whole)
    publisher = record.text("model_as_published").partition("/")[0].lower()
    label = _as_published(publisher, label, loaded, bits)
    weights = parse(label)
    named = meant(label, weights.name, runtime, loaded.model, record.text("runtime")) if weights else None
    return with_formats(loaded, named, bits, record.text("date"))


def _as_published(publisher: str, label: str, loaded: Loaded, bits: float) -> str:
    """What a label means of its publisher. Unsloth's files of mixtures are dynamic mixes under plain names as well, by their sizes."""
    is_mixture = bool(loaded.model.experts)
    if publisher == "unsloth" and is_mixture and suits(loaded, f"ud-{label}", bits, CLOSE):
        return f"ud-{label}"
    return _BY_PUBLISHER.get((publisher, label), label) if is_mixture or publisher == "bartowski" else label


def _of_a_mean(label: str, bits: float) -> str | None:
    """The whole model in a type with so many bits for each weight, of `iq3_s-3.48bpw`; None of any other label."""
    found = _MEAN.fullmatch(label)
    names = (f"{each}@{bits_per_weight(bits).name}" for each in (found["mix"], found["type"])) if found else ()
    return next((name for name in names if parse(name)), None)


def _dynamic_of_a_size(label: str, model: Model, n_bytes: float) -> str | None:
    """A dynamic mix of Unsloth that no recipe is known of: experts of the size that is left, all else in q8_0 as in its others."""
    found, rest = _DYNAMIC.fullmatch(label), parse("q8_0")
    if not found or not model.experts or label in RECIPES:
        return None
    n_weights = sum(
        tensor.params * len(indices)
        for _, indices, tensors in model.shapes
        for tensor in tensors
        if tensor.role.endswith("_exps")
    )
    left = n_bytes - weight_bytes(model, rest) + n_weights * FORMATS["q8_0"].block_bytes / FORMATS["q8_0"].block
    name = f"{found['type']}@{bits_per_weight(max(8 * left / n_weights, 0.1)).name}+q8_0"
    return name if parse(name) else None


def _named(find, kind: str, name: str):
    found = find(name) if name else None
    if found is None:
        raise Unusable(f"no {kind} file is called {printable(name)}" if name else f"the {kind} is not stated")
    return found


def _or_none(load, name: str):
    try:
        return load(name)
    except InputError:
        return None


# Files are looked for once for each name; None where there is no such file.


@lru_cache(maxsize=1024)
def _model_called(name: str) -> Loaded | None:
    return _or_none(load_named, name)


@lru_cache(maxsize=1024)
def _device_called(name: str) -> Hardware | None:
    return _or_none(load_hardware, name)


@lru_cache(maxsize=1024)
def _runtime_called(name: str) -> Runtime | None:
    return _or_none(load_runtime, name)
