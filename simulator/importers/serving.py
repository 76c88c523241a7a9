"""Measurements of servers under constant load, as values: a CSV with a row for each model, device, layout and traffic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.importers.open import load_named
from simulator.importers.records import Origin, Record, Skipped, Unusable
from simulator.importers.tables import has_columns, load_table
from simulator.spec.hardware import Hardware
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layout import Layout
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded, Model
from simulator.spec.runtime import Runtime, load_runtime
from simulator.spec.serving import LEAST_SHARE, MAX_CHUNK, MAX_STEPS, MAX_USERS, Told, Traffic
from simulator.spec.workload import MAX_CONTEXT
from simulator.units import MILLI

NEEDED_COLUMNS = (
    "device", "runtime", "model", "input_tokens", "output_tokens", "concurrency", "tensor_parallel", "ttft_ms", "tpot_ms",
)  # fmt: skip
SERVING = "serving"  # the mode of such rows, where a decode's has single or tensor-parallel
MOST_MS = 1e7
MAX_DRAFTS = 100
LEAST_WIDTH = (
    128  # of the part of an expert that a device has: the tile of block-scaled fp8 (DeepSeek-V3, arXiv 2412.19437)
)
_WEIGHTS = {"fp8": "fp8", "fp8_block": "fp8", "nvfp4": "nvfp4", "bf16": "bf16", "f16": "f16"}
_VARIANT = re.compile(r"-(instruct|fp8|nvfp4)$")  # what a checkpoint's name says beside its shape


@dataclass(frozen=True)
class ServedPublished:
    """One measurement of a server, and what has to be known to forecast it."""

    id: str
    loaded: Loaded
    hardware: Hardware  # one of them
    runtime: Runtime
    weights: str
    cache: str
    layout: Layout
    traffic: Traffic
    seconds_per_token: float
    seconds_to_first: float
    n_drafts: int = 0  # tokens that are speculated in each step
    assumed: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """What it is of, as collections of decodes say it."""
        return Origin(
            mode=SERVING,
            device_class=self.hardware.device_class,
            device=self.hardware.name,
            model=self.loaded.model.name,
            runtime=self.runtime.name,
            batch=str(self.traffic.concurrency),
        )


@dataclass(frozen=True)
class ServingMeasurements:
    """What a file holds: the rows that can be forecast, and the others."""

    published: tuple[ServedPublished, ...]
    skipped: tuple[Skipped, ...]


def is_serving(path: Path) -> bool:
    """Whether a file has the columns of such a table; what can be read only once is not looked into."""
    return has_columns(path, "concurrency", "tpot_ms")


def load_serving(path: Path) -> ServingMeasurements:
    """The rows of a file; InputError where it is no such table."""
    published, skipped = [], []
    for record in load_table(path, NEEDED_COLUMNS):
        try:
            published.append(_served(record))
        except Unusable as reason:
            origin = replace(record.origin, mode=SERVING, batch=record.text("concurrency"))
            skipped.append(Skipped(record.id, str(reason), origin))
    return ServingMeasurements(tuple(published), tuple(skipped))


def _served(record: Record) -> ServedPublished:
    assumed: list[str] = []
    loaded = _named(_model_called, "model", record.text("model"))
    layout, users = _layout(record, assumed)
    _refuse_several_servers(loaded.model, layout)
    hardware = _named(_device_called, "hardware", record.text("device"))
    runtime = _named(_runtime_called, "runtime", record.text("runtime"))
    weights = _weights(record, loaded.model, assumed)
    n_drafts = record.count("draft_tokens", 0, MAX_DRAFTS, default=0)
    if n_drafts:
        assumed.append(f"{n_drafts} tokens are speculated in each step: forecast without")
    return ServedPublished(
        id=record.id,
        loaded=loaded,
        hardware=hardware,
        runtime=runtime,
        weights=weights,
        cache=_cache(record, weights, runtime, hardware, assumed),
        layout=layout,
        traffic=_traffic(record, users),
        n_drafts=n_drafts,
        seconds_per_token=MILLI * record.number("tpot_ms", 1e-6, MOST_MS),
        seconds_to_first=MILLI * record.number("ttft_ms", 1e-6, MOST_MS),
        assumed=tuple(assumed),
    )


def _traffic(record: Record, users: int) -> Traffic:
    return Traffic(
        users,
        record.count("input_tokens", 1, MAX_CONTEXT),
        record.count("output_tokens", 2, MAX_CONTEXT),
        record.number("least_share", LEAST_SHARE, 1) if record.text("least_share") else 1.0,
        _told(record),
    )


def _told(record: Record) -> Told:
    """What the columns say that the server was told."""
    return Told(
        chunk_tokens=_count(record, "chunk_tokens", 1, MAX_CHUNK),
        max_requests=_count(record, "max_requests", 1, MAX_USERS),
        poll_steps=_count(record, "poll_steps", 1, MAX_STEPS),
        wait_steps=_count(record, "wait_steps", 0, MAX_STEPS),
        wait_share=record.number("wait_share", 0, 1) if record.text("wait_share") else None,
        graph_tokens=_count(record, "graph_tokens", 0, MAX_CHUNK),
    )


def _count(record: Record, column: str, lowest: int, highest: int) -> int | None:
    return record.count(column, lowest, highest) if record.text(column) else None


def _layout(record: Record, assumed: list[str]) -> tuple[Layout, int]:
    """The devices' layout and the requests at once.

    Where a benchmark's N devices share attention and have N groups of experts, the collection multiplies the two: it writes N x N
    devices. Such rows stand there twice, so it is known: 64 = 8 x 8 and 8 x 1 on a board of eight with equal results, and with
    a data-parallel column the requests of one of the N, of which the twin has N times as many.
    """
    if record.count("pipeline_parallel", 1, 10**5, default=1) > 1:
        raise Unusable("layers on several devices, one after the other, are not forecast for servers")
    tensor = record.count("tensor_parallel", 1, 10**5)
    data, cut, groups = (
        record.count(name, 1, 10**5, default=1)
        for name in ("attention_data_parallel", "moe_tensor_parallel", "moe_expert_parallel")
    )
    users = record.count("concurrency", 1, MAX_USERS)
    is_told = bool(record.text("attention_data_parallel"))
    if is_told and cut == groups > 1 and {tensor, data} == {1, cut * cut}:
        assumed.append(f"written as {cut} x {cut} devices: {cut} of them")
        found = Layout(cut, 1, cut) if data == 1 else Layout(1, cut, cut)
        return found, users * (1 if data == 1 else cut)
    if is_told and cut == 1 and tensor == data > 1 and groups == tensor * data:
        assumed.append(f"written as {tensor} x {data} devices: {tensor} of them")
        return Layout(tensor, 1, tensor), users * data
    return Layout(tensor, data, groups), users


def _refuse_several_servers(model: Model, layout: Layout) -> None:
    """Unusable where so many devices cannot be one server: heads do not divide among them, or the parts of an expert get too thin."""
    heads = {layer.attention.n_heads for layer in model.stack if isinstance(layer.attention, GroupedQuery | Latent)}
    cut = layout.n_devices // layout.expert
    if any(n % layout.tensor for n in heads) or any(ffn.d_expert < LEAST_WIDTH * cut for ffn in model.experts):
        raise Unusable("devices of several servers, some of them for prompts alone, are counted together")


def _weights(record: Record, model: Model, assumed: list[str]) -> str:
    dense, experts = record.text("gemm_format"), record.text("moe_format")
    if not dense and not experts and not record.text("weights"):
        assumed.append("format of the weights not stated: bf16")
        return "bf16"
    name = (experts if model.experts else dense) or dense or record.text("weights")
    if name not in _WEIGHTS:
        raise Unusable(f"weights {printable(name)} are not forecast for servers")
    if name == "nvfp4" and any(isinstance(layer.attention, Latent) for layer in model.stack):
        assumed.append("attention in bf16, as NVIDIA's checkpoints have it")
        return "nvfp4+bf16"
    return _WEIGHTS[name]


def _cache(record: Record, weights: str, runtime: Runtime, hardware: Hardware, assumed: list[str]) -> str:
    """The format of the cache; where it is not stated, what the runtime does by itself.

    NVIDIA's checkpoints say fp8 themselves (kv_cache_quant_algo in hf_quant_config.json); its own runtime is run with those, and
    nobody else makes nvfp4.
    """
    if told := record.text("cache"):
        if told not in runtime.caches:
            raise Unusable(f"{runtime.title} has no cache in {printable(told)}")
        return told
    is_nvidias = weights.startswith("nvfp4") or (runtime.name == "tensorrt-llm" and weights == "fp8")
    chosen = "fp8" if is_nvidias else runtime.cache
    name = runtime.suited(chosen, hardware, "cache")
    assumed.append(f"format of the cache not stated: {name}")
    return name


def _named(find, kind: str, name: str):
    found = find(name)
    if found is None:
        raise Unusable(f"no {kind} file is called {printable(name)}" if name else f"the {kind} is not stated")
    return found


def _or_none(load, names: Sequence[str]):
    for name in names:
        try:
            return load(name)
        except InputError:
            continue
    return None


# Files are looked for once for each name; None where there is no such file.


@lru_cache(maxsize=1024)
def _model_called(name: str) -> Loaded | None:
    return _or_none(load_named, [name, _VARIANT.sub("", name)] if name else [])


@lru_cache(maxsize=1024)
def _device_called(name: str) -> Hardware | None:
    return _or_none(load_hardware, [name] if name else [])


@lru_cache(maxsize=1024)
def _runtime_called(name: str) -> Runtime | None:
    return _or_none(load_runtime, [name] if name else [])
