"""What servers take beside operations, fitted without the device and the model that they are judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from simulator.spec.figure import Figure
from simulator.spec.library import SERVED
from simulator.spec.runtime import Runtime
from simulator.spec.serving import Serving

LEFT_OUT = SERVED.with_name("serving_left_out.json")
PARAMETERS = ("request_ms", "eager_us", "eager_experts_us")
SCALE = "scale"  # of prompts, by the format of the weights: scale/fp8


def pair_name(device: str, model: str) -> str:
    """What was left out of a fit."""
    return f"{device} {model}"


@cache
def _fits() -> dict[str, dict[str, dict[str, float]]]:
    return json.loads(LEFT_OUT.read_text(encoding="utf-8"))


def with_values(serving: Serving, values: Mapping[str, float]) -> Serving:
    """The same server where it takes so long."""
    scales = {
        name.removeprefix(f"{SCALE}/"): _figure(value) for name, value in values.items() if name.startswith(SCALE)
    }
    own = {name: _figure(values[name]) for name in PARAMETERS}
    return serving.model_copy(update=own | {"prompt_scales": scales})


def _figure(value: float) -> Figure:
    return Figure.model_construct(value=value, provenance="fitted")


def server_runtime_for(runtime: Runtime, device: str, model: str) -> Runtime:
    """A runtime whose servers take what was fitted without *device* and *model*; as it is where neither was ever fitted on."""
    values = _fits().get(pair_name(device, model), {}).get(runtime.name)
    if values is None:
        return runtime
    return runtime.model_copy(update={"serving": with_values(runtime.serving, values)})
