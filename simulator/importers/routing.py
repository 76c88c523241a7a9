"""Recorded choices of experts: how often each was used, or which ones every token took."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError, describe
from simulator.spec.routing import Popular, Routing, Trace
from simulator.spec.textfiles import csv_number, letters_told, read_csv, read_json
from simulator.units import counted

MAX_TRACE_ROWS = 200_000
MAX_TRACE_COUNTS = 1_000_000  # layers times experts
MAX_EXPERTS = 8_192  # of a layer, as in a model's file


def read_routing(path: Path) -> Routing:
    """A popularity histogram or a trace.

    CSV: columns `expert,count` for a histogram; `token,layer,expert` for a trace, one row per choice.
    JSON: `{"counts": [..]}`, or `{"tokens": [[[experts of layer 0], [of layer 1], ..], ..]}`.
    """
    rows = read_choices(path)
    if isinstance(rows, tuple):
        return Popular(str(path), popularity=rows)
    return _trace(path, rows)


def read_choices(path: Path) -> tuple[float, ...] | list[tuple[int, int, int]]:
    """What a file records: counts by expert, or (token, layer, expert) for every choice."""
    return _json_rows(path) if path.suffix == ".json" else _csv_rows(path)


def _json_rows(path: Path):
    data = read_json(path)
    if isinstance(data, dict) and isinstance(data.get("counts"), list):
        return _counts(path, data["counts"])
    if isinstance(data, dict) and isinstance(data.get("tokens"), list):
        rows = []
        for token, layers in enumerate(data["tokens"]):
            for layer, experts in enumerate(layers if isinstance(layers, list) else [None]):
                if not isinstance(experts, list):
                    raise InputError(f"{path}: tokens[{token}] must be a list of layers, each a list of expert numbers")
                rows += [(token, layer, expert) for expert in experts]
        return rows
    raise InputError(f'{path}: expected {{"counts": [...]}} or {{"tokens": [[[expert, ...], ...], ...]}}')


def _csv_rows(path: Path):
    columns, rows = read_csv(path, MAX_TRACE_ROWS)
    if {"token", "layer", "expert"} <= set(columns):
        names = ("token", "layer", "expert")
        return [tuple(csv_number(path, line, row, name, int) for name in names) for line, row in rows]
    if {"expert", "count"} <= set(columns):
        pairs = sorted(
            (csv_number(path, line, row, "expert", int), csv_number(path, line, row, "count")) for line, row in rows
        )
        if [expert for expert, _ in pairs] != list(range(len(pairs))):
            raise InputError(f"{path}: the column expert must number every expert once, from 0")
        return _counts(path, [count for _, count in pairs])
    small = letters_told(columns, ("expert",))
    raise InputError(f"{path}: needs the columns expert,count (a histogram) or token,layer,expert (a trace){small}")


def _counts(path: Path, counts: list) -> tuple[float, ...]:
    valid = all(type(each) in (int, float) and 0 <= each < 1e18 for each in counts)
    if not counts or len(counts) > MAX_EXPERTS or not valid or not any(counts):
        raise InputError(f"{path}: counts must be numbers of at least 0, one per expert, not all 0")
    return tuple(float(each) for each in counts)


def _trace(path: Path, rows: list) -> Trace:
    if not rows:
        raise InputError(f"{path}: the trace is empty")
    if len(rows) > MAX_TRACE_ROWS:
        raise InputError(f"{path}: {len(rows):,} choices are too many (at most {MAX_TRACE_ROWS:,})")
    for token, layer, expert in rows:
        if not all(type(each) is int and 0 <= each < MAX_EXPERTS for each in (layer, expert)) or token < 0:
            wrong = f"layer {describe(layer)}" if type(layer) is not int else describe(expert)
            raise InputError(
                f"{path}: token {token}: {wrong} where an expert's number (0 to {MAX_EXPERTS - 1:,}) is needed"
            )
    choices = set(rows)  # a token uses an expert once
    layers = sorted({layer for _, layer, _ in choices})
    n_experts = 1 + max(expert for _, _, expert in choices)
    if n_experts * len(layers) > MAX_TRACE_COUNTS:
        raise InputError(f"{path}: {counted(len(layers), 'layer')} of {counted(n_experts, 'expert')}: too many")
    uses = {layer: [0] * n_experts for layer in layers}
    for _, layer, expert in choices:
        uses[layer][expert] += 1
    return Trace(str(path), len({token for token, _, _ in choices}), tuple(tuple(uses[layer]) for layer in layers))
