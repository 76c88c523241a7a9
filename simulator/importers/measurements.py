"""Decode measurements that somebody else made, as values: a CSV in our own layout, or what benchmark programs print."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError, printable
from simulator.importers.benchmarks.read import load_benchmark
from simulator.importers.benchmarks.runs import Given, without_place
from simulator.importers.benchmarks.single import UNSTATED_CONTEXT
from simulator.importers.fed import routing_of
from simulator.importers.measured_device import chosen_device, counted_name, device_of, named
from simulator.importers.open import load_named
from simulator.importers.records import (
    MAX_ROWS,
    Measurements,
    Processor,
    Published,
    Record,
    Unusable,
    cache_format,
    collect,
)
from simulator.importers.stated_split import HYBRID, split_of
from simulator.importers.weights import Sizes, formats_of, stated_sizes
from simulator.spec.hardware import Hardware
from simulator.spec.library import look_up, shelf
from simulator.spec.model import Loaded
from simulator.spec.names import is_same
from simulator.spec.runtime import Runtime, default_runtime, load_runtime
from simulator.spec.textfiles import STANDARD_INPUT, missing_told, parse_csv, read_standard_input, read_text
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT, MAX_THREADS

NEEDED_COLUMNS = ("model", "weights", "batch", "context", "tokens_per_s")
READ = (
    "what a benchmark program prints (llama-bench, llama-server, Ollama, MLX-LM, vllm bench, SGLang, trtllm-bench), or a CSV with the "
    f"columns device,{','.join(NEEDED_COLUMNS)}"
)
_UNKNOWN = f"no measurements are recognised in it; give {READ}"
MAX_HEAD = 10_000  # characters of a line of columns
# What a YAML file of ours is of, by a field that only such a file has.
_YAML_KINDS = {"memory": "a device", "layers": "a model", "backends": "a runtime", "apis": "a runtime"}


def load_measurements(
    path: Path,
    hardware: Hardware | None = None,
    model: Loaded | None = None,
    weights: str | None = None,
    with_unusable: bool = False,
    lists_mistakes: bool = False,
) -> Measurements:
    """The measurements in a file of any known kind; *hardware*, *model* and *weights* say what the file leaves open.

    The path `-` is the standard input. In a CSV of our own layout, which names all three, *hardware* and *model* choose among the
    rows; those that it marks as not usable are left out unless *with_unusable*. A row of it with a
    mistake is an InputError, or with *lists_mistakes* listed with that.
    """
    is_piped = str(path) == "-"
    text, path = (read_standard_input(), STANDARD_INPUT) if is_piped else (read_text(path), path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    found = None if _is_own(text) else load_benchmark(text, path, Given(model, weights, hardware))
    if found is None:
        found = _load_csv(text, path, Given(model, weights, hardware), with_unusable, lists_mistakes)
    if hardware is None and any(each.hardware is None for each in found.published):
        made_with = f" ({found.made_with})" if found.made_with else ""
        raise InputError(
            f"{path}: names no device that roofcast knows{made_with}: write roofcast validate HARDWARE --against FILE"
        )
    return found


def _is_own(text: str) -> bool:
    """Whether a text begins with the columns of our own layout."""
    return "tokens_per_s" in text.lstrip().partition("\n")[0].strip().split(",")


def _load_csv(text: str, path: Path, given: Given, with_unusable: bool, lists_mistakes: bool) -> Measurements:
    _refuse_yaml(text, path)
    if text.lstrip().startswith(("[", "{")):
        raise InputError(f"{path}: {'holds no runs' if text.split() == ['[]'] else _UNKNOWN}")
    columns, rows = _csv(text, path)
    if "tokens_per_s" not in columns:
        raise InputError(f"{path}: {_UNKNOWN}")
    if given.weights:
        raise InputError(f"{path}: has a column weights, leave --weights out")
    missing = [name for name in NEEDED_COLUMNS if name not in columns]
    missing += ["device"] if given.hardware is None and "device" not in columns else []
    if missing:
        raise InputError(f"{path}: {missing_told(columns, missing)}")
    if not rows:
        raise InputError(f"{path}: has columns but no rows")
    records = [
        Record(f"{path}:{line}", printable((row.get("id") or "").strip() or f"{path.name}:{line}"), row)
        for line, row in rows
    ]
    sizes = stated_sizes(records)
    cut = records[-1].id if _is_cut_short(text, len(columns)) else None

    def convert(record: Record) -> Published:
        if record.id == cut:
            raise Unusable("the last line is unfinished, as if the file had been cut short")
        try:
            return measurement(record, given.hardware, given.model, sizes, with_unusable)
        except InputError as error:
            if not lists_mistakes:
                raise
            raise Unusable(without_place(error, record)) from None

    return collect(records, convert)


def _csv(text: str, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Columns and rows; what is wrong with them is told only where the first line looks like columns of ours."""
    try:
        return parse_csv(text, path, MAX_ROWS)
    except InputError:
        if any(name in text.lstrip().partition("\n")[0][:MAX_HEAD] for name in (*NEEDED_COLUMNS, "device")):
            raise
        raise InputError(f"{path}: {_UNKNOWN}") from None


def _is_cut_short(text: str, n_columns: int) -> bool:
    """Whether the last line has fewer cells than there are columns, and no end."""
    return not text.endswith("\n") and len(next(csv.reader([text.splitlines()[-1]]))) < n_columns


def _refuse_yaml(text: str, path: Path) -> None:
    """InputError for a file of fields, such as a device's: its name says so, or its first line is a field."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "---"))]
    if path.suffix.lower() in (".yaml", ".yml") or (lines and re.match(r"[A-Za-z_]\w*:(\s|$)", lines[0])):
        fields = {line.partition(":")[0] for line in lines if ":" in line}
        kind = next((kind for name, kind in _YAML_KINDS.items() if name in fields), "a device?")
        raise InputError(f"{path}: is a YAML file ({kind}), measurements are needed: {READ}")


def measurement(
    record: Record, hardware: Hardware | None, model: Loaded | None, sizes: Sizes, with_unusable: bool
) -> Published:
    """A row of our own layout; Unusable says why it cannot be forecast, InputError what is wrong in it."""
    name = counted_name(record)
    chosen = chosen_device(name, hardware)
    if not with_unusable:
        _refuse_unusable(record)
    _refuse_other_kinds(record)
    ran_on = _ran_on(record.text("backend"))
    device, guessed = (chosen, ()) if chosen else device_of(name, ran_on)
    loaded, assumed = _model(record.text("model"), model), list(guessed)
    runtime = _runtime(record.text("runtime"), device, assumed)
    choice = formats_of(record, loaded, runtime, device, sizes)
    assumed[:0] = choice.assumed
    _refuse_unknown_links(device, runtime)
    _refuse_another_split(record, runtime)
    split = split_of(record, choice.loaded, device, runtime)
    rate, batch = record.rate("tokens_per_s"), _stated(record, "batch", MAX_BATCH)
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=_cache(record.text("cache"), runtime, device, assumed),
        batch=batch,
        context=_context(record, assumed),
        tokens_per_s=rate,
        spread=record.spread("stddev", rate),
        threads=record.count("threads", 1, MAX_THREADS, default=0) or None,
        runtime=runtime.name,
        hardware=device,
        routing=routing_of(record, runtime.name, choice.loaded.model, batch, assumed),
        ran_on=ran_on,
        api=_api(record.text("backend").lower()) if ran_on == "gpu" else "",
        date=_date(record.text("date")),
        flash_attention=_flash_attention(record),
        split=split,
        assumed=tuple(assumed),
        origin=record.origin,
    )


def _api(backend: str) -> str:
    """What drove a GPU; empty where a row says no more than that one ran."""
    return {"gpu": "", "hybrid": "", "hip": "rocm"}.get(backend, backend)


def _date(text: str) -> str:
    """A year and a month, or a day; empty for anything else."""
    return text if re.fullmatch(r"20\d\d-\d\d(-\d\d)?", text) else ""


# How collections note it, beside the column flash_attention of their own.
_WITHOUT_FLASH = re.compile(
    r"\bno (fa|flash attention)\b|\bfa( ?= ?| )(0|off)(?![/\w])|flash_attn=false|\bstd attention", re.IGNORECASE
)
_WITH_FLASH = re.compile(r"(?<![\w-])-?fa( ?= ?1| on)?(?=[ ,;:]|$)|flash_attn=true|\bflash attention", re.IGNORECASE)


def _flash_attention(record: Record) -> bool | None:
    """Whether attention kept its scores out of memory; None where nobody says."""
    stated = record.text("flash_attention").lower()
    if stated:
        return stated in ("1", "yes", "true", "on")
    notes = record.text("notes")
    return False if _WITHOUT_FLASH.search(notes) else True if _WITH_FLASH.search(notes) else None


def _refuse_unusable(record: Record) -> None:
    if record.text("usable") not in ("", "yes"):
        raise Unusable(f"marked as not usable: {printable(record.text('why_not') or 'no reason given')}")
    if record.text("metric") not in ("", "decode"):
        raise Unusable(f"measures {printable(record.text('metric'))}, only decode is forecast")


def _refuse_other_kinds(record: Record) -> None:
    mode, known = record.text("mode"), ("", "single", "tensor-parallel", "distributed", "layer-split", HYBRID)
    if mode not in known:
        raise Unusable(f"mode {printable(mode)}, only {', '.join(known[1:])} are forecast")


def _refuse_unknown_links(device: Hardware, runtime: Runtime) -> None:
    """Unusable where nothing is known of how so many devices tell each other their parts of each result."""
    if device.count > 1 and runtime.split == "tensors" and not device.links_among(device.count):
        raise Unusable(f"on {device.count} x {device.name}, whose file names no link that joins so many")


def _refuse_another_split(record: Record, runtime: Runtime) -> None:
    """Unusable where layers were spread over devices by software that is forecast to cut each of them, or cut them then."""
    if record.text("mode") != "layer-split":
        return
    if runtime.split != "layers":
        raise Unusable(f"layer by layer over several devices, which is not how {runtime.name} is forecast")
    since, date = runtime.exchange.layers_since, record.text("date")
    if date and date < since:
        raise Unusable(f"rows of each matrix on several devices, as {runtime.name} did before {since}")


def _ran_on(backend: str) -> Processor:
    if backend == "npu":
        raise Unusable("on an NPU, which is not forecast")
    return "cpu" if backend == "cpu" else "gpu" if backend else ""


def _model(name: str, chosen: Loaded | None) -> Loaded:
    if chosen is None:
        return named(_model_called, "model", name)
    if not any(is_same(each or "", chosen.model.name) for each in (name, look_up(name, shelf("models")).name)):
        raise Unusable(f"of another model than {chosen.model.name}")
    return chosen


# Files are looked for once for each name; None where there is no such file.


@lru_cache(maxsize=4096)
def _model_called(name: str) -> Loaded | None:
    try:
        return load_named(name)
    except InputError:
        return None


@lru_cache(maxsize=4096)
def _runtime_called(name: str) -> Runtime | None:
    try:
        return load_runtime(name)
    except InputError:
        return None


def _runtime(name: str, device: Hardware, assumed: list[str]) -> Runtime:
    if not name:
        assumed.append(f"runtime not stated: {default_runtime(device)}")
    runtime = named(_runtime_called, "runtime", name or default_runtime(device))
    if any(is_same(name, each) for each in runtime.runs_in):
        assumed.append(f"{name} runs the kernels of {runtime.name}")
    return runtime


def _cache(name: str, runtime: Runtime, device: Hardware, assumed: list[str]) -> str:
    if not name:
        usual = runtime.suited(runtime.cache, device)
        assumed.append(f"format of the cache not stated: {usual}")
        return usual
    return cache_format(name)


def _stated(record: Record, name: str, highest: int) -> int:
    if not record.text(name):
        raise Unusable(f"the {name} is not stated")
    return record.count(name, 1, highest)


def _context(record: Record, assumed: list[str]) -> int:
    if not record.text("context"):
        assumed.append(f"context not stated: {UNSTATED_CONTEXT}")
        return UNSTATED_CONTEXT
    return round(record.number("context", 0, MAX_CONTEXT))  # a mean over requests may be fractional
