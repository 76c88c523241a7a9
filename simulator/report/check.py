"""How to check a forecast: the command that measures what was forecast, or why none does."""

from __future__ import annotations

import shlex

from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario
from simulator.report import splits, storage
from simulator.spec.mixes import PURE
from simulator.spec.routing import Uniform

MAX_CHECKED = 8


def check_command(base: Scenario, points: list[Prediction]) -> str:
    """The command that measures what was forecast; empty where none does."""
    fitting = [point for point in points if point.fits]
    if not fitting or why_no_command(base, points):
        return ""
    split, first = _split_options(base, fitting), fitting[0]
    if base.hardware.reads_from:
        return storage.run_command(base, first, split or "")
    is_inside = (
        base.placement is not None and base.placement.crosses
    )  # options of the program, where those of a layout stand
    flags = base.runtime.exchange.flags_for(base.hardware.layout)
    within = " ".join(filter(None, (flags, split if is_inside else "")))
    command = _filled(base, fitting, f" {within}" if within else "")
    return f"{command} {split}" if split and not is_inside else command


def no_command(base: Scenario, points: list[Prediction]) -> str:
    """A line that says that no command measures what was forecast, and why; empty where one does, or nothing was forecast."""
    why = why_no_command(base, points) if any(point.fits for point in points) else ""
    if why and base.runtime.name == "roofline":
        return "no command measures the hardware alone: software does not reach it"
    return f"no command of {base.runtime.title or base.runtime.name} measures {why}" if why else ""


def why_no_command(base: Scenario, points: list[Prediction]) -> str:
    """What no command measures, and the reason in a few words; empty where one does."""
    load, layout = base.load, base.hardware.layout
    if load.sparsity is not None:
        return f"{load.sparsity.name}: it computes with all inputs, zero or not"
    if not isinstance(load.routing, Uniform) and base.loaded.model.experts:
        return f"routing {load.routing.name}: the model's router picks its experts itself"
    if base.hardware.reads_from and not base.runtime.maps_file:
        return "weights that come from a drive: it loads all of them first"
    if not base.runtime.check:
        return "decoding at one context: its file has none (check)"
    if layout.data > 1:
        return "sequences in groups of their own: each group is a server, under requests"
    if layout.n_devices > 1 and not (
        base.runtime.exchange.flags_for(layout) and "{parallel}" in _template(base, points)
    ):
        return f"{layout.n_devices} devices by {layout}: its benchmark has no options for it"
    if _split_options(base, points) is None:
        return "this split: it has no options that place the weights so"
    return ""


def _is_batch(points: list[Prediction]) -> bool:
    return any(int(point.load.batch) > 1 for point in points if point.fits)


def _template(base: Scenario, points: list[Prediction]) -> str:
    runtime = base.runtime
    return runtime.check_batch if _is_batch(points) and runtime.check_batch else runtime.check


def _split_options(base: Scenario, points: list[Prediction]) -> str | None:
    return splits.check_options(base, bool(base.hardware.reads_from) or _is_batch(points))


def _filled(base: Scenario, fitting: list[Prediction], within: str) -> str:
    """The runtime's command, with *within* where options of several devices stand."""
    load, first = base.load, fitting[0]
    sizes = sorted({int(point.load.batch) for point in fitting})
    sizes = sizes[:: -(-len(sizes) // MAX_CHECKED)]  # a check of every size of a long sweep would take days
    file = base.loaded.path or f"{base.loaded.model.name}-{load.weights.name.removeprefix(PURE)}.gguf"
    keys, _, values = load.cache.name.partition("/")
    return _template(base, fitting).format(
        file=shlex.quote(str(file)),
        model=base.loaded.model.name,
        weights=load.weights.name.removeprefix(PURE),
        cache=load.cache.name,
        keys=keys,
        values=values or keys,
        context=int(first.load.context),
        batches=",".join(map(str, sizes)),
        threads=f" -t {first.threads}" if first.threads else "",
        cells=max(int(point.load.batch) for point in fitting) * (int(first.load.context) + 128),
        parallel=within,
    )
