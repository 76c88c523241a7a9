"""Experts chosen in the router's stead, for experiments: uniformly, by popularity, or as somebody recorded them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simulator.errors import InputError
from simulator.importers.routing import read_choices, read_routing
from simulator.importers.routing_record import SUFFIX, read_record
from simulator.spec.model import Model
from simulator.spec.recorded import Recorded, refuse_other_model
from simulator.spec.routing import Popular, Uniform, parse_routing
from simulator.units import counted

Routing = Callable[[int, int, int, int], np.ndarray]  # (layer, tokens, experts, active) -> int [tokens, active]


def choose_experts(text: str, model: Model, seed: int = 0) -> Routing | None:
    """The routing written *text*: `own` (the model's router: None), `uniform`, `zipf:1.2`, or a file of counts or choices.

    InputError if it is unknown, has no meaning token by token, or does not fit the model.
    """
    if text.strip() == "own":
        return None
    if not model.experts:
        raise InputError(f"routing {text[:60]!r}: {model.name} has no experts to choose from")
    rng = np.random.default_rng(seed)
    path = Path(text.strip())
    if path.suffix == SUFFIX:
        return _replayed(read_record(path), model)
    if path.suffix in (".json", ".csv"):
        found = read_routing(path)
        if isinstance(found, Popular):
            return _popular(found, model, rng)
        return _recorded(path, read_choices(path), model)
    routing = parse_routing(text)
    if isinstance(routing, Uniform):
        return lambda _layer, n, n_experts, n_active: _uniform(rng, n, n_experts, n_active)
    if isinstance(routing, Popular):
        return _popular(routing, model, rng)
    raise InputError(
        f"routing {text[:60]!r} is not one the engine can run: own, uniform, zipf:1.2, FILE.jsonl, FILE.json, FILE.csv"
    )


def _uniform(rng: np.random.Generator, n: int, n_experts: int, n_active: int) -> np.ndarray:
    """Random sets of experts, all equally likely."""
    return np.argpartition(rng.random((n, n_experts)), n_active - 1, axis=1)[:, :n_active]


def _popular(routing: Popular, model: Model, rng: np.random.Generator) -> Routing:
    chances = {ffn: routing.chances(ffn) for ffn in set(model.experts)}
    ffns = {(ffn.n_experts, ffn.n_active): chances[ffn] for ffn in chances}

    def choose(_layer: int, n: int, n_experts: int, n_active: int) -> np.ndarray:
        return np.stack([_systematic(rng, ffns[n_experts, n_active], n_active) for _ in range(n)])

    return choose


def _systematic(rng: np.random.Generator, chances: np.ndarray, n_active: int) -> np.ndarray:
    """A set in which each expert is with exactly its chance: equal steps through the chances in random order.

    Madow, On the theory of systematic sampling II, Annals of Mathematical Statistics 20 (1949).
    """
    order = rng.permutation(len(chances))
    edges = np.cumsum(chances[order])
    edges *= n_active / edges[-1]
    marks = rng.random() + np.arange(n_active)
    return order[np.searchsorted(edges, marks, side="right").clip(max=len(chances) - 1)]


def _recorded(path: Path, rows: list[tuple[int, int, int]], model: Model) -> Routing:
    """The recorded tokens in their order, from the first again after the last; each layer has its own place."""
    by_layer: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for token, layer, expert in rows:
        by_layer[layer][token].append(expert)
    layers = sorted(by_layer)
    places: dict[int, int] = defaultdict(int)
    with_experts = [index for index, layer in enumerate(model.stack) if hasattr(layer.ffn, "n_experts")]
    tables = {}
    for number, index in enumerate(with_experts):
        ffn, recorded = model.stack[index].ffn, by_layer[layers[number % len(layers)]]
        tables[index] = _table(path, recorded, ffn.n_experts, ffn.n_active)

    def choose(layer: int, n: int, _n_experts: int, _n_active: int) -> np.ndarray:
        table, start = tables[layer], places[layer]
        places[layer] = start + n
        return table[np.arange(start, start + n) % len(table)]

    return choose


def _replayed(recorded: Recorded, model: Model) -> Routing:
    """What a router picked, token by token as it was recorded, from the first again after the last."""
    refuse_other_model(recorded, model)
    with_experts = [index for index, layer in enumerate(model.stack) if hasattr(layer.ffn, "n_experts")]
    tables = dict(zip(with_experts, recorded.chosen, strict=True))
    places: dict[int, int] = defaultdict(int)

    def choose(layer: int, n: int, _n_experts: int, _n_active: int) -> np.ndarray:
        table, start = tables[layer], places[layer]
        places[layer] = start + n
        return table[np.arange(start, start + n) % len(table)]

    return choose


def _table(path: Path, recorded: dict[int, list[int]], n_experts: int, n_active: int) -> np.ndarray:
    for token, experts in recorded.items():
        if len(set(experts)) != n_active or len(experts) != n_active:
            raise InputError(
                f"{path}: token {token} has {counted(len(set(experts)), 'different expert')} in a layer, the model uses {n_active}"
            )
        if min(experts) < 0 or max(experts) >= n_experts:
            raise InputError(f"{path}: token {token} names expert {max(experts)}, the model has 0 to {n_experts - 1}")
    return np.array([recorded[token] for token in sorted(recorded)], np.int64)
