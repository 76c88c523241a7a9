"""KoboldCpp's benchmark and log, ExLlamaV3's eval/perf.py, and answers of LM Studio's server.

As in koboldcpp.py, eval/perf.py of ExLlamaV3, and 1_developer/2_rest/endpoints.mdx of LM Studio's documentation.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import PROMPT_ONLY, Given, Run, listed
from simulator.importers.benchmarks.single import ONE_AT_A_TIME, single
from simulator.importers.benchmarks.source import UNFINISHED, Source
from simulator.importers.benchmarks.where import ran_on
from simulator.importers.records import Published, Record
from simulator.spec.workload import MAX_CONTEXT

KOBOLD_CSV = (
    "Timestamp,Backend,Layers,Model,MaxCtx,GenAmount,ProcessingTime,ProcessingSpeed,GenerationTime,GenerationSpeed"
)
TOKENS_ASKED = "a rate over the tokens that were asked for, not over those decoded (KoboldCpp before 1.67)"
EXLLAMA_STEPS = 100  # that perf.py decodes behind each context

_KOBOLD_FIELD = re.compile(r"^(Backend|Layers|Model|MaxCtx|GenAmount|GenerationSpeed): (\S.*?)(?:T/s)?\s*$")
_KOBOLD_LINE = re.compile(
    r" ?(?P<all>\d+)/\d+, (?:Amt: ?(?P<n>\d+)/\d+, )?.*?Generate: ?[\d.]+s \((?:[^)]*= ?)?(?P<rate>\d+(?:\.\d+)?) ?T/s\)"
)
_BITRATE = re.compile(r"Bitrate: (\d+(?:\.\d+)?) bpw / (\d+(?:\.\d+)?) bpw \(head\)")
_EXLLAMA = re.compile(r"(?P<what>Context|Length)\s+(?P<n>\d+):\s+(?P<rate>\d+(?:\.\d+)?) tokens/s")


# ---- KoboldCpp ----


def find_kobold(source: Source) -> Iterator[Run]:
    """Every benchmark and every answer of KoboldCpp in a text."""
    for line, text in source.lines_with("Benchmark Completed", "CtxLimit:"):
        if "Benchmark Completed" in text:
            yield from _kobold_report(source, line)
        elif match := _KOBOLD_LINE.match(text.partition("CtxLimit:")[2]):
            told = {"all": match["all"], "n": match["n"], "rate": match["rate"]}
            convert = _kobold_answer if match["n"] else listed(TOKENS_ASKED)
            yield Run(line, source.record(line, told), convert, "KoboldCpp")
    begins = next(source.lines_with(KOBOLD_CSV), None)
    for line, text in source.plain if begins else ():
        if line > begins[0]:
            yield from _kobold_row(source, line, text, begins[1].strip().split(","))


def _kobold_report(source: Source, begun: int) -> Iterator[Run]:
    fields: dict[str, Any] = {}
    for line, text in source.block(begun):
        match = _KOBOLD_FIELD.match(text)
        if match:
            fields[match[1]] = match[2]
            if match[1] == "GenerationSpeed":
                yield Run(line, source.record(line, fields), _kobold, "KoboldCpp")
                return


def _kobold_row(source: Source, line: int, text: str, head: list[str]) -> Iterator[Run]:
    """A row of its CSV: what it answered and its flags stand last, and may have commas of their own."""
    try:
        cells = next(csv.reader([text]), [])
    except csv.Error:
        return
    if len(cells) >= KOBOLD_CSV.count(",") + 1:
        yield Run(line, source.record(line, dict(zip(head, cells, strict=False))), _kobold, "KoboldCpp")
    elif len(cells) > 2:
        yield Run(line, source.record(line, {}), listed(f"a row of CSV, {UNFINISHED}"), "KoboldCpp")


def _kobold(record: Record, given: Given) -> Published:
    """A prompt that fills the context but for what is generated."""
    rate = record.rate("GenerationSpeed")
    cells, n_gen = (record.count(name, 1, MAX_CONTEXT) for name in ("MaxCtx", "GenAmount"))
    choice = named(record.text("Model"), given, "koboldcpp")
    layers = record.text("Layers")
    told = Record(record.where, record.id, {"n_gpu_layers": layers if layers.lstrip("-").isdigit() else "-1"})
    ran = ran_on(told, choice.loaded.model, given)
    found = single(record, given, choice, "koboldcpp", rate, cells - n_gen, n_gen, remarks=ran.remarks)
    return replace(found, ran_on=ran.processor, split=ran.split)


def _kobold_answer(record: Record, given: Given) -> Published:
    rate = record.rate("rate")
    cells, n_gen = (record.count(name, 0, MAX_CONTEXT) for name in ("all", "n"))
    choice = named("", given, "koboldcpp")
    return single(record, given, choice, "koboldcpp", rate, max(0, cells - n_gen), n_gen, remarks=(ONE_AT_A_TIME,))


# ---- ExLlamaV3 ----


def find_exllama(source: Source) -> Iterator[Run]:
    """Every context of eval/perf.py in a text."""
    formats = ""
    for line, text in source.lines_with("Bitrate: ", "tokens/s"):
        if match := _BITRATE.search(text):
            formats = f"head:{match[2]}bpw+{match[1]}bpw"
        elif formats and (match := _EXLLAMA.search(text)):
            fields = {"n": match["n"], "rate": match["rate"], "formats": formats}
            convert = listed(PROMPT_ONLY) if match["what"] == "Length" else _exllama
            yield Run(line, source.record(line, fields), convert, "ExLlamaV3's perf.py")


def _exllama(record: Record, given: Given) -> Published:
    choice = named("", given, "exllamav3", record.text("formats"))
    depth = record.count("n", 0, MAX_CONTEXT)
    return single(record, given, choice, "exllamav3", record.rate("rate"), depth, EXLLAMA_STEPS)


# ---- LM Studio ----


def find_lm_studio(source: Source) -> Iterator[Run]:
    """Every answer of LM Studio's REST API v0 in a text."""
    for value in source.values:
        stats = value.data.get("stats")
        if isinstance(stats, dict) and "tokens_per_second" in stats:
            usage, info = (value.data.get(name) for name in ("usage", "model_info"))
            fields = {"model": value.data.get("model"), "rate": stats["tokens_per_second"]}
            fields |= usage if isinstance(usage, dict) else {}
            fields |= {name: info.get(name) for name in ("quant", "format")} if isinstance(info, dict) else {}
            yield Run(value.line, source.record_of(value, fields), _lm_studio, "LM Studio")


def _lm_studio(record: Record, given: Given) -> Published:
    rate = record.rate("rate")
    prompt, n_gen = (
        record.count(name, 0, MAX_CONTEXT) if record.text(name) else None
        for name in ("prompt_tokens", "completion_tokens")
    )
    runtime = "mlx" if record.text("format").lower() == "mlx" else "lm-studio"
    choice = named(record.text("model"), given, runtime, record.text("quant"))
    return single(record, given, choice, runtime, rate, prompt, n_gen, remarks=(ONE_AT_A_TIME,))
