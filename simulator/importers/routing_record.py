"""The file in which the choices of a model's own router are kept: JSON lines, a head and then a line for each token.

The head names the model, its layers with experts, how many each has and uses, and how many tokens follow:

    {"routing_record": 1, "model": "OLMoE 1B 7B", "layers": [0, 1], "experts": [64, 64], "active": [8, 8], "tokens": 2}
    {"token": 510, "prompt": true, "experts": [[3, 17, ...], [0, 4, ...]]}
    {"token": 273, "prompt": false, "experts": [[3, 20, ...], [9, 4, ...]]}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError, describe, plain_line, printable
from simulator.spec.recorded import Recorded
from simulator.spec.textfiles import read_text
from simulator.units import MI

SUFFIX = ".jsonl"
VERSION = 1
MAX_RECORD_BYTES = 128 * MI  # some hundred thousand tokens of a model with 48 layers
MAX_LAYERS, MAX_EXPERTS = 1_024, 8_192
MAX_TOKEN = 2**31
_REMEDY = "record it anew with generate --record-routing"


def record_text(recorded: Recorded) -> str:
    """The lines of such a file."""
    head = {
        "routing_record": VERSION,
        "model": recorded.model,
        "layers": list(recorded.layers),
        "experts": list(recorded.n_experts),
        "active": list(recorded.n_active),
        "tokens": len(recorded.tokens),
    }
    lines = [head]
    layers = [each.tolist() for each in recorded.chosen]
    for number, token in enumerate(recorded.tokens):
        experts = [each[number] for each in layers]
        lines.append({"token": token, "prompt": number < recorded.n_prompt, "experts": experts})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def read_record(path: Path) -> Recorded:
    """What such a file holds; InputError, in a sentence, for any other, for one that was cut off, and for one that was changed."""
    lines = read_text(path, MAX_RECORD_BYTES).splitlines()
    head = _line(path, 1, lines[0] if lines else "")
    if not isinstance(head, dict) or head.get("routing_record") != VERSION:
        raise InputError(f'{path}:1: is no record of routing, whose head says "routing_record": {VERSION}; {_REMEDY}')
    layers, n_experts, n_active = (_numbers(path, head, name) for name in ("layers", "experts", "active"))
    if not len(layers) == len(n_experts) == len(n_active):
        raise InputError(f"{path}:1: layers, experts and active are lists of different lengths; {_REMEDY}")
    if any(not 1 <= active <= n <= MAX_EXPERTS for n, active in zip(n_experts, n_active, strict=True)):
        raise InputError(f"{path}:1: active must be between 1 and the experts of each layer; {_REMEDY}")
    rows = [line for line in lines[1:] if line.strip()]
    wanted = head.get("tokens")
    if type(wanted) is not int or wanted != len(rows) or not rows:
        raise InputError(
            f"{path}: the head tells of {describe(wanted)} tokens, {len(rows):,} are there: cut off? {_REMEDY}"
        )
    tokens, prompts, chosen = [], [], []
    for number, line in enumerate(rows, 2):
        token, is_prompt, experts = _row(path, number, _line(path, number, line))
        tokens.append(token)
        prompts.append(is_prompt)
        chosen.append(_flat(path, number, experts, n_experts, n_active))
    if sorted(prompts, reverse=True) != prompts:
        raise InputError(f"{path}: tokens of the prompt stand behind generated ones; {_REMEDY}")
    table, ends = np.array(chosen, np.int64), np.cumsum(n_active)[:-1]
    return Recorded(
        str(path), plain_line(str(head.get("model", ""))), layers, n_experts, n_active, tuple(tokens), sum(prompts),
        tuple(np.split(table, ends, axis=1)),
    )  # fmt: skip


def _line(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}:{number}: is not JSON; {_REMEDY}") from None


def _numbers(path: Path, head: dict, name: str) -> tuple[int, ...]:
    found = head.get(name)
    is_list = isinstance(found, list) and 1 <= len(found) <= MAX_LAYERS
    if not is_list or not all(type(each) is int and 0 <= each <= MAX_EXPERTS for each in found):
        raise InputError(
            f"{path}:1: {name} must be a list of whole numbers, one for each layer with experts; {_REMEDY}"
        )
    return tuple(found)


def _row(path: Path, number: int, row: Any) -> tuple[int, bool, Any]:
    if not isinstance(row, dict) or type(row.get("token")) is not int or not 0 <= row["token"] < MAX_TOKEN:
        raise InputError(f"{path}:{number}: token must be the number of a token; {_REMEDY}")
    if type(row.get("prompt")) is not bool:
        raise InputError(f"{path}:{number}: prompt must be true or false; {_REMEDY}")
    return row["token"], row["prompt"], row.get("experts")


def _flat(path: Path, number: int, experts: Any, n_experts: tuple[int, ...], n_active: tuple[int, ...]) -> list[int]:
    """The choices of all layers one after the other; InputError where they are not such as the head tells."""
    if not isinstance(experts, list) or len(experts) != len(n_experts):
        n = len(experts) if isinstance(experts, list) else "no"
        raise InputError(f"{path}:{number}: {n} lists of experts, the head tells of {len(n_experts)} layers; {_REMEDY}")
    found: list[int] = []
    for place, (mine, n, active) in enumerate(zip(experts, n_experts, n_active, strict=True)):
        is_list = isinstance(mine, list) and all(type(each) is int for each in mine)
        if not is_list or len(set(mine)) != len(mine) or len(mine) != active:
            raise InputError(
                f"{path}:{number}: experts[{place}] is {printable(mine, 40)}, {active} different numbers are needed; {_REMEDY}"
            )
        stranger = next((each for each in mine if not 0 <= each < n), None)
        if stranger is not None:
            raise InputError(
                f"{path}:{number}: experts[{place}] names expert {stranger}, there are 0 to {n - 1}; {_REMEDY}"
            )
        found += mine
    return found
