"""The scenario that a published measurement was made under."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from simulator.forecast.scenario import Scenario, scenario
from simulator.forecast.split_options import SplitOptions, place
from simulator.importers.in_ram import Split
from simulator.importers.records import NO_HOST, SPLIT, Published, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placement
from simulator.spec.runtime import Runtime, load_runtime


def runtime_of(each: Published, runtime: Runtime | str | None = None) -> Runtime:
    """The software of a measurement, as it ran there and then; *runtime* instead of its own."""
    chosen = runtime or each.runtime
    found = chosen if isinstance(chosen, Runtime) else load_runtime(chosen)
    return found.under(each.api, each.date, each.flash_attention)


def scenario_of(each: Published, device: Hardware | None, runtime: Runtime) -> Scenario:
    """What was measured, on *device* where the measurement names none; Unusable or InputError where it cannot be forecast."""
    device = each.hardware or device
    if device is None:
        raise Unusable("the device is not stated")
    device = _that_did(each, device)
    return scenario(
        each.loaded,
        device.with_all_memory(),  # it ran: whoever measured may have had the system give more than it does by default
        weights=each.weights,
        routing=each.routing or None,
        cache=each.cache,
        runtime=runtime,
        threads=each.threads if device.kind == "cpu" or each.split else None,
        placement=_placement(each.split, each.loaded.model, device) if each.split else None,
    )


def _that_did(each: Published, device: Hardware) -> Hardware:
    """The parts of a machine that did what was measured."""
    if each.split:
        if device.host is None:
            raise Unusable(NO_HOST)
        if len(device.parts) > 2:  # GPUs alike, and their host
            raise Unusable(f"{SPLIT} and several kinds of GPUs")
        return device
    if device.host is not None:
        device = device.host if each.ran_on == "cpu" else device.without_host()
    if each.ran_on and each.ran_on != device.kind:
        raise Unusable(f"ran on the {each.ran_on.upper()}, {device.name} is a {device.kind.upper()}")
    return device


def _placement(split: Split, model: Model, device: Hardware) -> Placement:
    """Where a split puts a model on a machine; InputError for patterns that are found in no name."""
    found = split.placement(model)
    if not split.patterns:
        return found
    asked = place(model, device, SplitOptions(override_tensor=split.patterns))
    return replace(found, apart=MappingProxyType({**found.apart, **asked.apart}))
