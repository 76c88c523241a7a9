"""Two measurings of one machine put together: figures are pooled, and what somebody wrote by hand stays."""

from __future__ import annotations

import math
from typing import Any

from simulator.errors import InputError
from simulator.probe.describe_memory import without_slow_caches
from simulator.probe.figures import SOURCE
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import counted

KEPT_RUNS = 50  # with all their notes they are a fifth of what a file may have
_MINE = ("name", "title", "class", "notes", "aliases")  # what the file says of these holds before a new measuring
_CAPACITIES = ("capacity_kib", "capacity_mib", "capacity_gib")


def merge(old: dict[str, Any], new: dict[str, Any], where: str) -> dict[str, Any]:
    """The fields of a hardware file after another measuring; InputError if *old* (from *where*) is of another machine."""
    refuse_stranger(old, new, where)
    merged = {**old, **new}
    merged |= {key: old[key] for key in _MINE if key in old}
    merged["sources"] = {**old.get("sources", {}), **new.get("sources", {})}
    merged["memory"] = without_slow_caches(_levels(old.get("memory", []), new["memory"]))
    old = {**old, "engine": _comparable(old.get("engine", {}), new.get("engine", {}))} if "engine" in old else old
    for key in ("peaks_tflops", "peaks_tflops_by_threads", "traffic", "engine"):
        merged[key] = _pooled_tree(old.get(key, {}), new.get(key, {}))
    if "launch_us" in new:
        merged["launch_us"] = _pooled_tree(old.get("launch_us"), new["launch_us"])
    merged["curve"] = _points(old.get("curve", []), new.get("curve", []))
    for key in ("links", "storage"):
        merged[key] = _named(old.get(key, []), new.get(key, []))
    # Every timing of the reference models is kept of the last run only: of all of them a file would get too large.
    before = [{key: value for key, value in run.items() if key != "watch_us"} for run in old.get("runs", [])]
    merged["runs"] = [*before, *new.get("runs", [])][-KEPT_RUNS:]
    return {key: value for key, value in merged.items() if value not in (None, [], {})}


_SIZES = ("cache_mib", "buffer_mib", "shared_matrix_mib")


def _comparable(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What was measured of the engine before, without what was measured on models and matrices of other sizes than now."""
    if all(old.get(key) == new.get(key, old.get(key)) for key in _SIZES):
        return old
    return {key: value for key, value in old.items() if key not in ("reference_us", "shared_start_us")}


def refuse_stranger(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """InputError if *old*, from the file *where*, is of another machine than *new*, or was measured with other threads."""
    other = difference(old, new)
    if other:
        raise InputError(f"{where}: describes another machine ({other}); give -o another file name")
    then, now = old.get("threads"), new.get("threads")
    if then and now and then != now:
        raise InputError(
            f"{where}: was measured with {counted(then, 'thread')}, not {now}: give --threads {then}, or another -o"
        )


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """By what a file's fields show another machine than *new*, which may be an `identity` alone; empty where they do not."""
    for key in ("kind", "vendor", "cores"):
        here = new.get(key) or "unknown"
        if old.get(key) and str(old[key]).lower() != str(here).lower():
            return f"{key} {old[key]}, here it is {here}"
    was, here = old.get("description", ""), new.get("description", "")
    is_measured_here = old.get("runs") and was  # before, a description is somebody's own words
    if is_measured_here and was.split(";")[:2] != here.split(";")[:2]:
        return f"{was[:80]}; here: {here[:80] or 'unknown'}"
    return ""


def fields_of(hardware: Hardware) -> dict[str, Any]:
    """What a file says, with numbers where it has them as text, so that they can be pooled; bare figures stay bare."""
    return _bare_again(hardware.model_dump(by_alias=True, exclude_unset=True, exclude_none=True))


def _bare_again(data: Any) -> Any:
    if isinstance(data, dict):
        if data.keys() == {"value", "how"} and Figure.model_validate(data) == Figure.model_validate(data["value"]):
            return data["value"]
        return {key: _bare_again(value) for key, value in data.items()}
    return [_bare_again(each) for each in data] if isinstance(data, list | tuple) else data


def is_measured(figure: Any) -> bool:
    """Whether a figure of a file comes from profiling, and was timed."""
    if not is_ours(figure):
        return False
    needed = ("value", "count") if figure.get("count") == 1 else ("value", "count", "spread")
    return all(isinstance(figure.get(key), int | float) for key in needed)


def is_ours(figure: Any) -> bool:
    """Whether a figure was written by profiling: anything else somebody wrote by hand."""
    return isinstance(figure, dict) and figure.get("source") == SOURCE


def pooled(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """One figure from two: the mean of the logarithms by how often each was timed; the spread within and between both."""
    n, m = old["count"], new["count"]
    one, two = math.log(old["value"]), math.log(new["value"])
    mean = (n * one + m * two) / (n + m)
    # A single timing has no spread: it is its own mean, so all that it adds is between both.
    within = (n * (old.get("spread") or 0.0) ** 2 + m * (new.get("spread") or 0.0) ** 2) / (n + m)
    between = (n * (one - mean) ** 2 + m * (two - mean) ** 2) / (n + m)
    # The median of both is not known.
    together = {key: value for key, value in new.items() if key != "median"} | {
        "value": float(f"{math.exp(mean):.4g}"),
        "spread": round(math.sqrt(within + between), 4),
        "count": n + m,
    }
    if "best" in old and "best" in new:
        together["best"] = max(old["best"], new["best"])
    return together


def _pooled_tree(old: Any, new: Any) -> Any:
    """Mappings and lists of figures, however deep; what only one of them has is kept, and so is what was written by hand."""
    if old is None:
        return new
    if is_ours(new):
        if is_measured(old) and is_measured(new):
            return pooled(old, new)
        return new if is_ours(old) else old
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _pooled_tree(old.get(key), new[key]) if key in new else old[key] for key in {**old, **new}}
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [_pooled_tree(was, now) for was, now in zip(old, new, strict=True)]
    return new


def _levels(old: list[dict], new: list[dict]) -> list[dict]:
    """Levels one by one, or by name if there are fewer or more now: each may have been given a better name.

    What was measured is pooled, what is only in the old file (a datasheet's bandwidth) stays.
    """
    if len(old) == len(new):
        return [_level(was, now) for was, now in zip(old, new, strict=True)]
    before = {level.get("name"): level for level in old[:-1]}
    return [*(_level(before.get(now["name"], {}), now) for now in new[:-1]), _level(old[-1] if old else {}, new[-1])]


def _level(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    told = [key for key in _CAPACITIES if key in old]
    if any(not is_ours(old[key]) for key in told):
        new = {key: value for key, value in new.items() if key not in _CAPACITIES}
    else:  # in another unit, perhaps
        old = {key: value for key, value in old.items() if key not in told}
    return {**old, **_pooled_tree(old, new), "name": old.get("name", new["name"])}


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
