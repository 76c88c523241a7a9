"""From a model, a device, a runtime and a workload to the forecast."""

from __future__ import annotations

from simulator.forecast.pieces import pieces_of
from simulator.forecast.prediction import Prediction
from simulator.forecast.step import Steps, time_step
from simulator.spec.arguments import expect
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.placement import Placement
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload


def predict(
    model: Model, hardware: Hardware, load: Workload, runtime: Runtime, placement: Placement | None = None
) -> Prediction:
    """The forecast for one step, with a *placement* of its parts on those of the machine, None: all on its first device.

    ValueError where a tensor's rows do not divide into the blocks of its format.
    """
    expect("model", model, Model, "a Model, as load_model(...).model is")
    expect("hardware", hardware, Hardware, "a Hardware, as load_hardware gives one")
    expect("load", load, Workload, "a Workload")
    expect("runtime", runtime, Runtime, "a Runtime, as load_runtime gives one")
    expect("placement", placement, (Placement, type(None)), "a Placement or None")
    pieces = pieces_of(load)
    if pieces is None:
        step = time_step(model, hardware, runtime, load, placement)
        return Prediction(model, hardware, runtime, load, step, placement)
    steps = tuple(time_step(model, hardware, runtime, each, placement) for each in pieces.loads)
    return Prediction(model, hardware, runtime, load, Steps(steps, pieces.joined), placement)
