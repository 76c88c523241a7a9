"""What llama.cpp's own benchmarks print: llama-bench as JSON, JSON lines, CSV or table, llama-batched-bench as lines or table.

Only runs that do nothing but decode are taken. Fields as in tools/llama-bench/llama-bench.cpp and
tools/batched-bench/batched-bench.cpp of llama.cpp; what older versions lack had the value that is taken here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from simulator.errors import InputError, describe, printable
from simulator.importers.labels import Choice, Facts, choose
from simulator.importers.records import (
    MAX_ROWS,
    SPLIT,
    Measurements,
    Processor,
    Published,
    Record,
    Skipped,
    Unusable,
    cache_format,
    collect,
)
from simulator.spec.model import Loaded
from simulator.spec.textfiles import parse_csv, parse_json, parse_json_lines
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT, MAX_THREADS
from simulator.units import GI, GIGA, KILO, MEGA, MI, TERA

BATCHED_CACHE = "f16"  # llama-batched-bench does not print it; its default
MAX_LAYERS_ASKED = 10**9  # people write -ngl 999 for all

# Columns of the tables, by the names that the other formats use.
_COLUMNS = {
    "model": "model_type", "size": "model_size", "params": "model_n_params", "backend": "backends", "ngl": "n_gpu_layers",
    "threads": "n_threads", "sm": "split_mode", "dev": "devices", "ts": "tensor_split", "nkvo": "no_kv_offload",
    "ot": "tensor_buft_overrides",
}  # fmt: skip
_BATCHED_COLUMNS = {"PP": "pp", "TG": "tg", "B": "pl", "N_KV": "n_kv", "S_TG t/s": "speed_tg"}
# A table's own words for them, for messages.
_SHOWN = {ours: shown for shown, ours in (_COLUMNS | _BATCHED_COLUMNS).items()} | {"avg_ts": "t/s", "stddev_ts": "t/s"}
_UNITS = {"": 1.0, "K": KILO, "M": MEGA, "B": GIGA, "T": TERA, "MiB": MI, "GiB": GI}
_QUANTITY = re.compile(r"(\d+)(?:\.(\d+))?\s*(|K|M|B|T|MiB|GiB)")
_TEST = re.compile(r"(?:pp ?(\d+))?\+?(?:tg ?(\d+))?(?: ?@ ?d(\d+))?")  # pp512, tg128, pp512+tg128, tg128 @ d4096
_RATE = re.compile(r"([\d.]+)(?:[^\d.]+([\d.]+))?")  # 12.34 ± 0.56
_JSON_LINE = re.compile(r'^[ \t]*\{"', re.MULTILINE)
_SEPARATOR = re.compile(r":?-+:?")
_CPU_BACKENDS = ("cpu", "blas", "zendnn")
# Before backends were listed by name there was a field for each.
_OLD_BACKENDS = ("cuda", "opencl", "vulkan", "kompute", "metal", "sycl", "rpc", "gpu_blas", "blas")


class _Given(NamedTuple):
    """What the user says of all runs."""

    model: Loaded | None
    weights: str | None


def is_llama_bench(text: str) -> bool:
    """Whether a file's text looks like the output of one of the two programs."""
    start = text.lstrip()
    first_line = start.partition("\n")[0]
    if start[:1] in ("[", "{") or ("avg_ts" in first_line and "n_gen" in first_line):
        return True
    return bool(_JSON_LINE.search(text)) or next(_table_rows(text), None) is not None


def load_llama_bench(text: str, path: Path, model: Loaded | None = None, weights: str | None = None) -> Measurements:
    """The decode runs in *text*, which either program wrote to *path*; *model* and *weights* instead of what it says of them."""
    text, unfinished = _without_unfinished_line(text, path)
    records = _records(text, path)
    if not records and not unfinished:
        raise InputError(f"{path}: holds no runs")
    given = _Given(model, weights)
    found = collect(records, lambda record: _run(record, given), _made_with(records))
    return replace(found, skipped=(*found.skipped, *unfinished))


# ---- rows of every kind of file ----


def _without_unfinished_line(text: str, path: Path) -> tuple[str, list[Skipped]]:
    """Text without a last line of JSON that has no end: the run was stopped, or still goes on."""
    lines = text.rstrip().splitlines()
    if not lines or not _JSON_LINE.match(lines[-1]) or lines[-1].endswith("}"):
        return text, []
    skipped = Skipped(f"{path.name}:{len(lines)}", "the last line is unfinished, as if the run had been cut short")
    return "\n".join(lines[:-1]), [skipped]


def _records(text: str, path: Path) -> list[Record]:
    start = text.lstrip()
    if start.startswith("[") or start.partition("\n")[0].strip() == "{":
        return _json_records(text, path)
    # A document may quote lines of JSON between its tables, but not the other way round.
    rows = [] if start.startswith("{") else list(_table_rows(text))
    if len(rows) > MAX_ROWS:
        raise InputError(f"{path}: more than {MAX_ROWS:,} rows are too many")
    if rows:
        return [Record(f"{path}:{n}", f"{path.name}:{n}", _named(path, n, cells), _SHOWN) for n, cells in rows]
    if _JSON_LINE.search(text):
        return [_record(path, line, data) for line, data in parse_json_lines(text, path, MAX_ROWS)]
    return [_record(path, line, row) for line, row in parse_csv(text, path, MAX_ROWS)[1]]


def _json_records(text: str, path: Path) -> list[Record]:
    whole = text.strip()
    if whole.startswith("[") and not whole.endswith("]"):
        cut = "the list of runs has no end, as if the run had been cut short; llama-bench -o jsonl leaves whole lines"
        raise InputError(f"{path}: {cut}")
    data = parse_json(text, path)
    if not isinstance(data, list):
        raise InputError(f"{path}: is {describe(data)}, the list of runs that llama-bench -o json prints is needed")
    if len(data) > MAX_ROWS:
        raise InputError(f"{path}: more than {MAX_ROWS:,} runs are too many")
    return [_record(path, number, row, "run ") for number, row in enumerate(data, 1)]


def _record(path: Path, number: int, row: Any, word: str = "") -> Record:
    where = f"{path}: {word}{number}" if word else f"{path}:{number}"
    if not isinstance(row, dict):
        raise InputError(f"{where}: is {describe(row)}, an object with the fields of a run is needed")
    return Record(where, f"{path.name}:{number}", row)


def _table_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of every table of either program in a text, as (line, cell by column), with the settings printed above it."""
    lines = [(number, _cells(line) or line) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if isinstance(line, list) or "is_pp_shared = " in line]
    head: list[str] = []
    settings: dict[str, str] = {}
    for (number, line), (_, following) in pairwise([*lines, (0, "")]):
        if isinstance(line, str):
            settings = dict(re.findall(r"(\w+) = (-?\d+)", line))
        elif _is_separator(following):
            is_known = {"test", "t/s"} <= set(line) or set(_BATCHED_COLUMNS) <= set(line)
            head = line if is_known else []
        elif head and len(line) == len(head) and not _is_separator(line):
            yield number, {**(settings if "TG" in head else {}), **dict(zip(head, line, strict=True))}


def _cells(line: str) -> list[str]:
    """The cells of a table's line; none for any other line."""
    line = line.strip()
    return [cell.strip(" *`") for cell in line.strip("|").split("|")] if line.startswith("|") else []


def _is_separator(line: list[str] | str) -> bool:
    return isinstance(line, list) and all(_SEPARATOR.fullmatch(cell) for cell in line)


def _named(path: Path, line: int, cells: Mapping[str, str]) -> dict[str, str]:
    """A table's row under the names of the other formats."""
    if "TG" in cells:
        return {_BATCHED_COLUMNS.get(name, name): cell for name, cell in cells.items()}
    test, rate = _TEST.fullmatch(cells["test"]), _RATE.fullmatch(cells["t/s"])
    if not test or not cells["test"]:
        raise InputError(
            f"{path}:{line}: test is {describe(cells['test'])}, one such as tg128 or tg128 @ d4096 is needed"
        )
    if not rate:
        raise InputError(f"{path}:{line}: t/s is {describe(cells['t/s'])}, a rate such as 12.34 ± 0.56 is needed")
    named = {_COLUMNS.get(name, name): cell for name, cell in cells.items()}
    named |= {name: text or "0" for name, text in zip(("n_prompt", "n_gen", "n_depth"), test.groups(), strict=True)}
    return named | {"avg_ts": rate[1], "stddev_ts": rate[2] or ""}


def _made_with(records: list[Record]) -> str:
    """Program, build and machine, as far as the file tells."""
    found = dict.fromkeys(_maker(record) for record in records)
    shown = "; ".join(list(found)[:2])
    return f"{shown}; and {len(found) - 2} more" if len(found) > 2 else shown


def _maker(record: Record) -> str:
    if "speed_tg" in record.fields:
        return "llama-batched-bench"
    build = record.text("build_commit")
    machine = record.text("cpu_info") if _runs_on_cpu(record) else record.text("gpu_info")
    parts = [f"llama-bench {build}".strip(), machine or record.text("backends")]
    return printable(" on ".join(part for part in parts if part), 120)


# ---- a row to a measurement ----


def _run(record: Record, given: _Given) -> Published:
    if "speed_tg" in record.fields:
        return _batched_run(record, given)
    if "avg_ts" in record.fields or "n_gen" in record.fields:
        return _single_run(record, given)
    raise InputError(
        f"{record.where}: has neither llama-bench's fields (n_prompt, n_gen, avg_ts) nor llama-batched-bench's (tg, speed_tg)"
    )


def _single_run(record: Record, given: _Given) -> Published:
    """A run of llama-bench: one sequence."""
    n_prompt = record.count("n_prompt", 0, MAX_CONTEXT)
    n_gen = record.count("n_gen", 0, MAX_CONTEXT)
    depth = record.count("n_depth", 0, MAX_CONTEXT, default=0)
    if not n_gen:
        raise Unusable("reads a prompt and decodes nothing (pp)")
    if n_prompt:
        raise Unusable("one rate for reading a prompt and decoding (pg)")
    rate = record.rate("avg_ts")
    choice = _chosen(record, given)
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=_cache(record),
        batch=1,
        context=depth + n_gen // 2,
        tokens_per_s=rate,
        spread=record.spread("stddev_ts", rate),
        threads=_threads(record),
        ran_on=_ran_on(record, len(choice.loaded.model.stack)),
        assumed=choice.assumed,
    )


def _batched_run(record: Record, given: _Given) -> Published:
    """A run of llama-batched-bench: several sequences at once."""
    prompt, n_gen = record.count("pp", 0, MAX_CONTEXT), record.count("tg", 0, MAX_CONTEXT)
    batch = record.count("pl", 1, MAX_BATCH)
    if not n_gen:
        raise Unusable("reads a prompt and decodes nothing (TG 0)")
    if batch > 1 and _is_true(record, "is_tg_separate"):
        raise Unusable("sequences that were decoded one after the other (-tgs)")
    rate = record.rate("speed_tg")
    choice = _chosen(record, given)
    assumed = [*choice.assumed, f"format of the cache not stated: {BATCHED_CACHE}"]
    if batch > 1 and prompt and record.count("n_kv", 0, MAX_BATCH * MAX_CONTEXT, default=0) == prompt + batch * n_gen:
        # The prompt stands in the cache once and is read once for all sequences: each is given its part of it.
        prompt = round(prompt / batch)
        assumed.append("the prompt that all sequences share (-pps) is read once a step")
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=BATCHED_CACHE,
        batch=batch,
        context=prompt + n_gen // 2,
        tokens_per_s=rate,
        threads=_threads(record),
        ran_on=_ran_on(record, len(choice.loaded.model.stack)),
        assumed=tuple(assumed),
    )


def _threads(record: Record) -> int | None:
    return record.count("n_threads", 0, MAX_THREADS, default=0) or None


def _cache(record: Record) -> str:
    keys, values = record.text("type_k"), record.text("type_v")
    if not (keys or values):
        was_f32 = "f16_kv" in record.fields and not _is_true(record, "f16_kv")
        return "f32" if was_f32 else "f16"  # a table shows what differs from the default
    return cache_format(f"{keys or 'f16'}/{values or 'f16'}")


def _chosen(record: Record, given: _Given) -> Choice:
    n_params, doubt = _quantity(record, "model_n_params")
    facts = Facts(
        file=record.text("model_filename"),
        label=record.text("model_type"),
        n_params=n_params,
        doubt=doubt,
        nbytes=_quantity(record, "model_size")[0],
    )
    found = choose(facts, given.model, given.weights)
    if isinstance(found, str):
        raise Unusable(found)
    return found


def _quantity(record: Record, name: str) -> tuple[float | None, float]:
    """`8030261248` or `8.03 B` as a number and half its last digit; None where it is missing."""
    text = record.text(name)
    if not text:
        return None, 0.0
    match = _QUANTITY.fullmatch(text)
    if not match or len(match[1]) > 18:
        needed = "a count such as 8030261248 or 8.03 B is needed"
        raise InputError(f"{record.where}: {record.called(name)} is {describe(record.fields[name])}, {needed}")
    unit = _UNITS[match[3]]
    value = float(f"{match[1]}.{match[2] or '0'}") * unit
    return value or None, 0.5 * 10.0 ** -len(match[2] or "") * unit


# ---- where it ran ----


def _is_true(record: Record, name: str) -> bool:
    return record.text(name).lower() in ("1", "true")


def _backends(record: Record) -> list[str]:
    """The backends that were built in, lower case; empty where the source does not tell."""
    named = record.text("backends").lower()
    if named:
        return [part.strip() for part in named.split(",")]
    if not any(name in record.fields for name in _OLD_BACKENDS):
        return []
    return [name for name in _OLD_BACKENDS if _is_true(record, name)] or ["cpu"]


def _gpu_layers(record: Record) -> int:
    """How many layers were asked to lie on a GPU; -1 means all."""
    return record.count("n_gpu_layers", -MAX_LAYERS_ASKED, MAX_LAYERS_ASKED, default=-1)


def _runs_on_cpu(record: Record) -> bool:
    backends = _backends(record)
    on_gpu = [name for name in backends if name not in _CPU_BACKENDS]
    return _gpu_layers(record) == 0 or record.text("devices") == "none" or bool(backends and not on_gpu)


def _ran_on(record: Record, n_layers: int) -> Processor:
    """What did the arithmetic; Unusable where it was shared out."""
    if "rpc" in _backends(record):
        raise Unusable("on several machines (RPC), whose communication is not forecast")
    if _runs_on_cpu(record):
        return "cpu"
    layers = _gpu_layers(record)
    overrides = record.text("tensor_buft_overrides") not in ("", "none")
    moved = overrides or _is_true(record, "no_kv_offload") or record.text("n_cpu_moe") not in ("", "0")
    if 0 < layers <= n_layers or moved:  # the head counts as one more layer
        raise Unusable(SPLIT)
    if _n_gpus(record) > 1:
        raise Unusable("on several GPUs, whose communication is not forecast (llama-bench -sm none takes one)")
    return "gpu" if _backends(record) else ""


def _n_gpus(record: Record) -> int:
    if record.text("split_mode") == "none":
        return 1
    chosen = record.text("devices")
    if chosen not in ("", "auto"):
        return len(re.split(r"[/,]", chosen))
    shares = [part for part in record.text("tensor_split").split("/") if part.strip("0. ")]
    return len(shares) or len([name for name in re.split(r", |/(?=[A-Z])", record.text("gpu_info")) if name.strip()])
