"""Room for whoever drafts on a machine of several parts: where the placement that was chosen for a model leaves none, another."""

from __future__ import annotations

from dataclasses import replace

from simulator.forecast.drafting import drafter_of
from simulator.forecast.fastest import fastest
from simulator.forecast.fit import Held, memory_of_parts
from simulator.forecast.scenario import Scenario
from simulator.forecast.split_command import llama_options
from simulator.spec.placement import Placement
from simulator.spec.speculation import Speculation


def with_room(base: Scenario, speculation: Speculation) -> Scenario:
    """A scenario, placed anew where its own placement has no room for drafts and another has; as it is where somebody named one."""
    if base.placed_for is None or not speculation.tokens:
        return base
    batch, context = base.placed_for
    load = replace(base.load, batch=batch, context=context, tokens=speculation.tokens + 1, verifies=True)

    def held(placement: Placement) -> tuple[Held, ...]:
        found = memory_of_parts(base.loaded.model, load, base.runtime, base.hardware, placement)
        placed = replace(base, placement=placement)
        drafter = drafter_of(placed, speculation)
        more = drafter.held_bytes(placed, load) if drafter else [0.0] * len(found)
        return tuple(
            replace(each, scratch_bytes=each.scratch_bytes + other) for each, other in zip(found, more, strict=True)
        )

    trials = replace(base.trials(batch, context), held=held)
    if base.placement is None or trials.fits(base.placement) or not base.fits(batch, context):
        return base
    placement = fastest(trials)
    return replace(base, placement=placement) if placement and trials.fits(placement) else base


def told_room(base: Scenario, placed: Scenario) -> list[str]:
    """How the model is placed with drafts, where that is not as without."""
    if placed.placement is None or placed.placement == base.placement:
        return []
    options = llama_options(placed.loaded.model, placed.hardware, placed.placement)
    how = f": {' '.join(options)}" if options else ""
    return [f"with drafts more of the model lies in RAM, to make room for whoever drafts{how}"]
