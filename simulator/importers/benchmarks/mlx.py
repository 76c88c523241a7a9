"""MLX-LM: what mlx_lm.generate prints beneath an answer, and mlx_lm.benchmark.

Lines as in mlx_lm/generate.py and mlx_lm/benchmark.py of mlx-lm 0.32.2.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from typing import Any

from simulator.importers.benchmarks.facts import named
from simulator.importers.benchmarks.runs import Given, Run, listed
from simulator.importers.benchmarks.single import single
from simulator.importers.benchmarks.source import Source
from simulator.importers.records import Published, Record
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT

BATCH_UNTOLD = "several answers at once, of which the output does not tell how many"

_LINE = re.compile(
    r"(?P<batch>\[batch_generate\] )?(?P<what>Prompt|Generation): (?P<n>\d+) tokens, (?P<rate>\d+(?:\.\d+)?) tokens-per-sec"
)
_TIMING = re.compile(r"Timing with prompt_tokens=(\d+), generation_tokens=(\d+), batch_size=(\d+)")
_TRIAL = re.compile(r"Trial \d+: .*generation_tps=(\d+(?:\.\d+)?)")
_AVERAGES = re.compile(r"Averages: .*generation_tps=(\d+(?:\.\d+)?)")


def find_runs(source: Source) -> Iterator[Run]:
    """Every answer and every average of trials in a text."""
    prompt, timing, trials, begun = "", None, [], 0
    for line, text in source.lines_with("tokens-per-sec", "Timing with", "generation_tps="):
        model = source.log.before("model", line)
        if match := _LINE.search(text):
            if match["what"] == "Prompt":
                prompt = match["n"]
                continue
            fields: dict[str, Any] = {"model": model, "rate": match["rate"], "tg": match["n"], "pp": prompt, "batch": 1}
            convert = listed(BATCH_UNTOLD) if match["batch"] else _measured
            yield Run(line, source.record(line, fields), convert, "mlx_lm.generate")
            prompt = ""
        elif match := _TIMING.search(text):
            timing, trials, begun = match.groups(), [], line
        elif match := _TRIAL.search(text):
            trials.append(float(match[1]))
        elif timing and (match := _AVERAGES.search(text)):
            fields = dict(zip(("pp", "tg", "batch"), timing, strict=True)) | {"model": model, "rate": match[1]}
            yield Run(line, source.record(line, fields | {"trials": trials}), _measured, "mlx_lm.benchmark")
            timing = None
    if timing:
        why = "trials without their averages, as if the run had been cut short"
        yield Run(begun, source.record(begun, {}), listed(why), "mlx_lm.benchmark")


def _measured(record: Record, given: Given) -> Published:
    rate = record.rate("rate")
    prompt = record.count("pp", 0, MAX_CONTEXT) if record.text("pp") else None
    trials = record.fields.get("trials", ())
    spread = statistics.stdev(trials) / rate if len(trials) > 1 else None
    choice = named(record.text("model"), given, "mlx")
    n_gen, batch = record.count("tg", 0, MAX_CONTEXT), record.count("batch", 1, MAX_BATCH)
    return single(record, given, choice, "mlx", rate, prompt, n_gen, batch, spread or None)
