"""Two measurings of one machine put together: figures are pooled, and what somebody wrote by hand stays."""

from __future__ import annotations

import math
from typing import Any

from simulator.errors import InputError
from simulator.probe.describe import SOURCE

KEPT_RUNS = 100
_MINE = ("name", "title", "class", "notes", "aliases")  # what the file says of these holds before a new measuring


def merge(old: dict[str, Any], new: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields of a hardware file after another measuring; InputError if *old* (from *where*) is of another machine."""
    _refuse_stranger(old, new, where)
    merged = {**old, **new}
    merged |= {key: old[key] for key in _MINE if key in old}
    merged["sources"] = {**old.get("sources", {}), **new["sources"]}
    merged["memory"] = _levels(old.get("memory", []), new["memory"])
    for key in ("peaks_tflops", "peaks_tflops_by_threads", "traffic", "engine"):
        merged[key] = _pooled_tree(old.get(key, {}), new.get(key, {}))
    if "launch_us" in new:
        merged["launch_us"] = _pooled_tree(old.get("launch_us"), new["launch_us"])
    merged["curve"] = _points(old.get("curve", []), new.get("curve", []))
    for key in ("links", "storage"):
        merged[key] = _named(old.get(key, []), new.get(key, []))
    merged["runs"] = [*old.get("runs", []), *new["runs"]][-KEPT_RUNS:]
    return {key: value for key, value in merged.items() if value not in (None, [], {})}


def _refuse_stranger(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    for key in ("kind", "vendor", "cores", "threads"):
        if key in old and old[key] != new.get(key):
            raise InputError(
                f"{where}: describes another machine ({key} {old[key]}, here it is {new.get(key)}); give -o another file name"
            )
    if (
        old.get("runs")
        and old.get("description")
        and old["description"].split(";")[:2] != new["description"].split(";")[:2]
    ):
        raise InputError(
            f"{where}: describes another machine ({old['description'][:80]}; here: {new['description'][:80]}); give -o another file name"
        )


def is_measured(figure: Any) -> bool:
    """Whether a figure of a file comes from profiling."""
    return isinstance(figure, dict) and figure.get("source") == SOURCE and "spread" in figure and "count" in figure


def pooled(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """One figure from two: the mean of the logarithms by how often each was timed; the spread within and between both."""
    n, m = old["count"], new["count"]
    one, two = math.log(old["value"]), math.log(new["value"])
    mean = (n * one + m * two) / (n + m)
    within = (n * old["spread"] ** 2 + m * new["spread"] ** 2) / (n + m)
    between = (n * (one - mean) ** 2 + m * (two - mean) ** 2) / (n + m)
    together = new | {
        "value": float(f"{math.exp(mean):.4g}"),
        "spread": round(math.sqrt(within + between), 4),
        "count": n + m,
    }
    if "best" in old and "best" in new:
        together["best"] = max(old["best"], new["best"])
    return together


def _pooled_tree(old: Any, new: Any) -> Any:
    """Mappings of figures, however deep; what only one of them has is kept."""
    if is_measured(new):
        return pooled(old, new) if is_measured(old) else new
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _pooled_tree(old.get(key), new[key]) if key in new else old[key] for key in {**old, **new}}
    return new


def _levels(old: list[dict], new: list[dict]) -> list[dict]:
    """Levels by name: what was measured is pooled, what is only in the old file (a datasheet's bandwidth) stays."""
    before = {level.get("name"): level for level in old[:-1]}
    pairs = [(before.get(level["name"], {}), level) for level in new[:-1]]
    if new:
        pairs.append((old[-1] if old else {}, new[-1]))  # the main memory may have been given a better name
    merged = []
    for was, level in pairs:
        together = {**was, **_pooled_tree(was, level)}
        if "name" in was:
            together["name"] = was["name"]
        merged.append(together)
    return merged


def _points(old: list[dict], new: list[dict]) -> list[dict]:
    """Points of the curve: a quick measuring has fewer of a GPU, and those that it left out stay."""
    points = {(point["threads"], point["working_set_kib"]): point for point in old}
    for point in new:
        place = point["threads"], point["working_set_kib"]
        points[place] = {**point, "gb_per_s": _pooled_tree(points.get(place, {}).get("gb_per_s"), point["gb_per_s"])}
    return [points[place] for place in sorted(points)]


def _named(old: list[dict], new: list[dict]) -> list[dict]:
    before = {each.get("name"): each for each in old}
    return [
        *(_pooled_tree(before.get(each["name"], {}), each) for each in new),
        *(each for name, each in before.items() if name not in {found["name"] for found in new}),
    ]
