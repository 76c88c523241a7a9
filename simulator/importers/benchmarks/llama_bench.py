"""llama-bench of llama.cpp and of ik_llama.cpp: JSON, JSON lines, CSV, SQL and the table it prints.

Only runs that do nothing but decode are taken. Fields as in tools/llama-bench/llama-bench.cpp of llama.cpp (b11549) and in
examples/llama-bench/llama-bench.cpp of ik_llama.cpp; what older versions lack had the value that is taken here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.importers.benchmarks.facts import chosen, machine_logged
from simulator.importers.benchmarks.runs import PROMPT_ONLY, Given, Run, listed
from simulator.importers.benchmarks.source import LONGEST_ROW, UNFINISHED, Source, Table
from simulator.importers.benchmarks.where import api, is_true, ran_on, runs_on_cpu
from simulator.importers.records import Published, Record, Unusable, cache_format
from simulator.spec.workload import MAX_CONTEXT, MAX_THREADS

# Columns of the tables, by the names that the other formats use.
_COLUMNS = {
    "model": "model_type", "size": "model_size", "params": "model_n_params", "backend": "backends", "ngl": "n_gpu_layers",
    "threads": "n_threads", "sm": "split_mode", "dev": "devices", "ts": "tensor_split", "nkvo": "no_kv_offload",
    "ot": "tensor_buft_overrides", "fa": "flash_attn", "embd": "embeddings", "ncmoe": "n_cpu_moe", "ncffn": "n_cpu_ffn",
    "rpk": "repack", "t/s": "avg_ts",
}  # fmt: skip
_SHOWN = {ours: shown for shown, ours in _COLUMNS.items()} | {"stddev_ts": "t/s"}  # a table's own words, for messages
_IK_COLUMNS = {
    "mla", "amb", "gr", "ser", "rtr", "mqkv", "muge", "defer", "sas", "max_gpu", "thp", "fmoe", "ger", "rcache", "no-fug", "no-ooae",
}  # fmt: skip
_IK_FIELDS = ("mla_attn", "fused_moe", "attn_max_batch", "mqkv")
_ALL_EXPERTS = ("", "-1,0", "-1,0.000000", "0,0")  # of ik_llama.cpp's -ser, which leaves some out
# pp512, tg128, pp512+tg128, tg128 @ d4096; ik_llama.cpp: tg64@pp8192, which decodes behind a prompt
_TEST = re.compile(r"(?:pp ?(\d+))?\+?(?:tg ?(\d+))?(?: ?@ ?(?:d|pp) ?(\d+))?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:[^\d.,]+(\d+(?:\.\d+)?))?")  # 12.34 ± 0.56
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d{1,2})(?![\d.,])")  # 12,34
_SQL = re.compile(r"INSERT INTO \w+ \(([\w, ]+)\) *VALUES *\((.*)\);?\s*$")
_CSV_NEEDS = {"n_gen", "avg_ts"}


def find_runs(source: Source) -> Iterator[Run]:
    """Every run of the program in a text, whichever format it is in."""
    for value in source.values:
        if "avg_ts" in value.data or {"n_gen", "n_prompt"} <= value.data.keys():
            yield _run(source, value.line, source.record_of(value))
    for table in source.tables:
        if {"test", "t/s"} <= set(table.head):
            yield from _table_runs(source, table)
    yield from _csv_runs(source)
    for line, _ in source.lines_with("INSERT INTO"):
        match = _SQL.match(source.lines[line - 1].strip()[:LONGEST_ROW])
        if match and "avg_ts" in match[1]:
            yield _sql_run(source, line, match)


def _run(source: Source, line: int, record: Record) -> Run:
    if record.text("rpc_logged") or record.text("gpu_info"):
        return Run(line, record, _measured, _made_with(record, source, line))
    told = machine_logged(source, line)
    fields = {**record.fields, **{name: text for name, text in told.items() if text}}
    full = Record(record.where, record.id, fields, record.columns)
    return Run(line, full, _measured, _made_with(full, source, line))


# ---- the formats ----


def _table_runs(source: Source, table: Table) -> Iterator[Run]:
    place = table.head.index("test")
    is_ik = bool(_IK_COLUMNS & set(table.head)) or any(
        "@pp" in cells[place] for _, cells in table.rows if len(cells) > place
    )
    for line, cells in table.rows:
        if len(cells) != len(table.head):
            short = UNFINISHED if len(cells) < len(table.head) else "with too many cells"
            yield Run(line, source.record(line, {}), listed(f"a row of a table, {short}"))
            continue
        named = {
            _COLUMNS.get(name, name): _with_points(name, cell) for name, cell in zip(table.head, cells, strict=True)
        }
        yield _run(source, line, source.record(line, named | {"is_ik": is_ik}, _SHOWN))


def _with_points(column: str, cell: str) -> str:
    """A cell whose numbers have decimal points. A comma before three digits may group thousands: it stays, and is told."""
    return _COMMA.sub(r"\1.\2", cell) if column in ("size", "params", "t/s") else cell


def _csv_runs(source: Source) -> Iterator[Run]:
    """Rows of CSV; lines between them that are none are a log's."""
    head: list[str] = []
    begins = next(source.lines_with("avg_ts"), None)
    for line, text in source.plain if begins else ():
        if line < begins[0] or "," not in text:
            continue
        cells = _csv_cells(source.lines[line - 1][:LONGEST_ROW])
        if set(cells) >= _CSV_NEEDS:
            head = cells
        elif head and len(cells) == len(head):
            yield _run(source, line, source.record(line, dict(zip(head, cells, strict=True))))
        elif head and text.lstrip().startswith('"'):
            yield Run(line, source.record(line, {}), listed(f"a row of CSV, {UNFINISHED}"))


def _csv_cells(text: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text.strip()], strict=True), [])]
    except csv.Error:
        return []


def _sql_run(source: Source, line: int, match: re.Match[str]) -> Run:
    names = [name.strip() for name in match[1].split(",")]
    values = match[2].strip().strip("'").split("', '")  # llama.cpp writes every value so, and escapes nothing
    if len(values) != len(names):
        return Run(line, source.record(line, {}), listed("an INSERT with another number of values than of columns"))
    return _run(source, line, source.record(line, dict(zip(names, values, strict=True))))


def _made_with(record: Record, source: Source, line: int) -> str:
    build = record.text("build_commit") or source.log.after("build", line) or source.log.before("build", line)
    machine = record.text("cpu_info") if runs_on_cpu(record) else record.text("gpu_info")
    program = "ik_llama.cpp's llama-bench" if _is_ik(record) else "llama-bench"
    parts = [f"{program} {build}".strip(), machine or record.text("backends")]
    return printable(" on ".join(part for part in parts if part), 120)


# ---- a row to a measurement ----


def _is_ik(record: Record) -> bool:
    return record.fields.get("is_ik") is True or any(name in record.fields for name in _IK_FIELDS)


def _measured(record: Record, given: Given) -> Published:
    """A run of one sequence."""
    n_prompt, n_gen, depth = _test(record)
    if not n_gen:
        raise Unusable(PROMPT_ONLY)
    if n_prompt:
        raise Unusable("one rate for reading a prompt and decoding (pg)")
    if is_true(record, "embeddings"):
        raise Unusable("with embeddings instead of scores (-embd), without the head")
    if record.text("ser") not in _ALL_EXPERTS:
        raise Unusable("with fewer experts than the model's own number (-ser)")
    rate, spread = _rate(record)
    choice = chosen(record, given)
    ran = ran_on(record, choice.loaded.model, given)
    return Published(
        id=record.id,
        loaded=choice.loaded,
        weights=choice.weights,
        cache=_cache(record),
        batch=1,
        context=depth + n_gen // 2,
        tokens_per_s=rate,
        spread=spread,
        threads=record.count("n_threads", 0, MAX_THREADS, default=0) or None,
        runtime="ik_llama.cpp" if _is_ik(record) else "llama.cpp",
        ran_on=ran.processor,
        api=api(record) if ran.processor == "gpu" else "",
        flash_attention=_flash_attention(record),
        assumed=(*choice.assumed, *ran.remarks),
        split=ran.split,
    )


def _test(record: Record) -> tuple[int, int, int]:
    """Tokens of the prompt, tokens that were decoded, and how many were cached before either."""
    test = record.text("test")
    if "n_gen" not in record.fields:
        match = _TEST.fullmatch(test)
        if not match or not (match[1] or match[2]):
            raise InputError(f"{record.where}: test is {describe(test)}, one such as tg128 or tg128 @ d4096 is needed")
        return _counts(record, dict(zip(("n_prompt", "n_gen", "n_depth"), match.groups(default="0"), strict=True)))
    n_prompt, n_gen, depth = _counts(record, record.fields)
    return (0, n_gen, n_prompt) if "@pp" in test else (n_prompt, n_gen, depth)


def _counts(record: Record, fields: Mapping[str, Any]) -> tuple[int, int, int]:
    counted = Record(record.where, record.id, fields, record.columns)
    n_prompt, n_gen = (counted.count(name, 0, MAX_CONTEXT) for name in ("n_prompt", "n_gen"))
    return n_prompt, n_gen, counted.count("n_depth", 0, MAX_CONTEXT, default=0)


def _rate(record: Record) -> tuple[float, float | None]:
    """Tokens per second, and their spread where several repetitions tell it."""
    if "is_ik" not in record.fields:
        rate = record.rate("avg_ts")
        return rate, record.spread("stddev_ts", rate)
    match = _RATE.fullmatch(record.text("avg_ts"))
    if not match:
        raise InputError(
            f"{record.where}: t/s is {describe(record.fields['avg_ts'])}, a rate such as 12.34 ± 0.56 is needed"
        )
    cell = Record(record.where, record.id, {"avg_ts": match[1], "stddev_ts": match[2] or ""}, record.columns)
    rate = cell.rate("avg_ts")
    return rate, cell.spread("stddev_ts", rate)


def _cache(record: Record) -> str:
    keys, values = record.text("type_k"), record.text("type_v")
    if not (keys or values):
        was_f32 = "f16_kv" in record.fields and not is_true(record, "f16_kv")
        return "f32" if was_f32 else "f16"  # a table shows what differs from the default
    return cache_format(f"{keys or 'f16'}/{values or 'f16'}")


def _flash_attention(record: Record) -> bool | None:
    """Whether it was asked for or switched off; None for neither (-1, auto), and where it does not say."""
    stated = record.text("flash_attn").lower()
    return {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}.get(stated)
