"""The forecast of a case: decoding, chunks of prompts, drafted tokens, experts on a disk, layers in a slower memory."""

from __future__ import annotations

import math
from dataclasses import replace

from simulator.errors import InputError
from simulator.forecast.decode import FINAL_NORM
from simulator.forecast.interval import Z80, expected_spread
from simulator.forecast.predict import predict
from simulator.forecast.prediction import Prediction
from simulator.forecast.roofline import TimedOp
from simulator.forecast.wait import Wait
from simulator.importers.open import load_routing
from simulator.judge.matrix import SLOW_GB_PER_S, Case
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.spec.links import Link
from simulator.spec.mixes import parse_weights
from simulator.spec.placement import Placement
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import Runtime
from simulator.spec.sparsity import parse_sparsity
from simulator.spec.storage import find_storage, usual_storage
from simulator.spec.workload import Workload

NO_DRIVE = "needs a measured drive that experts can be read from"


def forecast_case(hardware: Hardware, case: Case, runtime: Runtime) -> Prediction:
    """The forecast from the hardware's file alone; InputError where it cannot be made."""
    load = Workload(
        weights=parse_weights(case.weights),
        batch=case.batch,
        context=case.context,
        cache=FORMATS["f16"],
        routing=load_routing(case.routing),
        sparsity=parse_sparsity(case.sparsity) if case.sparsity else None,
        threads=case.threads,
        tokens=case.tokens,
        verifies=case.verifies,
    )
    machine, placement = _split(hardware, case) if case.slow_layers else (hardware, None)
    try:
        found = predict(case.model, machine, load, runtime, placement)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{case.id}: {error}") from None
    found = _with_experts_on_disk(found) if case.on_disk else found
    return found if case.wants_logits else _without_head(found)


def other_kind(case: Case) -> str:
    """What sort of step a case is that is not plain decoding."""
    if case.on_disk:
        return "experts on a disk"
    if case.slow_layers:
        return "layers in a slower memory"
    return "drafted tokens" if case.verifies else "prompts in chunks"


def has_drive(hardware: Hardware) -> bool:
    """Whether a machine's file says how fast it reads from a disk."""
    return bool(usual_storage(hardware.storage))


def _split(hardware: Hardware, case: Case) -> tuple[Hardware, Placement]:
    """A machine of two memories that one team of threads reads, and the layers in the slower one: no cache holds what that gives."""
    rate = Figure.model_construct(value=SLOW_GB_PER_S, provenance="datasheet", how="as the engine was told")
    main = hardware.main_memory.model_copy(
        update={"gb_per_s": rate, "datasheet_gb_per_s": None, "gb_per_s_by_threads": {}}
    )
    # What passes from layer to layer stays where it is: one team of threads computes all of them.
    link = Link.model_construct(name="PCIe in name only", gb_per_s=rate.times(1000), latency_us=rate.times(1e-3))
    update = {"name": f"{hardware.name}-slow", "memory": (main,), "curve": (), "links": (link,)}
    slow = hardware.model_copy(update=update)
    n_fast = len(case.model.stack) - case.slow_layers
    return hardware.joined((slow,)), Placement((*[1] * case.slow_layers, *[0] * n_fast))


def _without_head(found: Prediction) -> Prediction:
    """The same step, which ends with the last layer."""
    ops = tuple(timed for timed in found.ops if timed.op.part != "head" and timed.op.name != FINAL_NORM)
    return replace(found, timed=replace(found.timed, ops=ops))


def _with_experts_on_disk(found: Prediction) -> Prediction:
    """The same step, in which experts are first read from the drive, as none of them is in memory.

    The engine asks for a layer's experts as soon as they are chosen, so that the drive gives them in large pieces.
    """
    hardware = found.hardware
    drive = find_storage(usual_storage(hardware.storage), hardware.storage, found.load.routing)
    doubt = math.exp(Z80 * expected_spread(drive.gb_per_s))

    def waiting(timed: TimedOp) -> TimedOp:
        if timed.op.experts is None:
            return timed
        n_bytes = timed.op.cost.weight_bytes
        seconds = n_bytes / drive.bytes_per_s
        wait = Wait(seconds, seconds / doubt, seconds * doubt, n_bytes, n_bytes)
        return replace(timed, wait=wait, storage_s=seconds)

    ops = tuple(waiting(each) for each in found.ops)
    return replace(found, hardware=hardware.reading_from(drive), timed=replace(found.timed, ops=ops))
