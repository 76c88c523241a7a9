"""How a runtime uses several devices where nobody says it, and what of what somebody says it cannot do."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import InputError, printable
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.listed import mixers_of
from simulator.spec.layout import Layout, parse_parallel
from simulator.spec.model import Model
from simulator.spec.names import listed
from simulator.spec.runtime import Runtime


def usual_layout(n_devices: int, runtime: Runtime, model: Model) -> Layout:
    """How a runtime uses so many devices where nobody says it: each matrix on all of them, or other layers on each.

    Where heads do not divide among all, as many share a matrix as can, in stages of layers.
    """
    if runtime.split == "layers":
        return Layout(pipeline=n_devices)
    heads = _heads(model)
    tensor = max(n for n in range(1, n_devices + 1) if n_devices % n == 0 and not any(each % n for each in heads))
    n_stages = n_devices // tensor
    has_stages = "pipeline" in runtime.exchange.ways and n_stages <= len(model.stack)
    return Layout(tensor, pipeline=n_stages) if has_stages else Layout(tensor=n_devices)


def matrices_shared(n_devices: int, runtime: Runtime, model: Model, kind: str) -> Layout | None:
    """Each matrix on all of so many devices of a *kind*, where that can be and is not the usual; else None."""
    layout = Layout(tensor=n_devices)
    if n_devices == 1 or layout == usual_layout(n_devices, runtime, model):
        return None
    try:
        check_layout(layout, model, runtime, kind)
    except InputError:
        return None
    return layout


def layout_of(text: str | Layout | None, n_devices: int, runtime: Runtime, model: Model) -> Layout:
    """How so many devices share a model, as somebody wrote it; None: as the runtime usually does."""
    if text is None:
        return usual_layout(n_devices, runtime, model)
    if n_devices == 1 and text != Layout():
        raise InputError(
            f"parallel {printable(text, 40)}: how several devices share a model: say how many, as in --devices 2"
        )
    return parse_parallel(str(text), n_devices)


def check_layout(layout: Layout, model: Model, runtime: Runtime, kind: str) -> None:
    """InputError where a runtime cannot share a model in such a way on devices of a *kind*: by the way, heads, experts or layers."""
    n_layers, exchange = len(model.stack), runtime.exchange
    used = [name for name in ("tensor", "pipeline", "data", "expert") if getattr(layout, name) > 1]
    usual = "pipeline" if runtime.split == "layers" else "tensor"
    ways = exchange.ways or (usual,)
    unknown = next((name for name in used if name not in ways), None)
    if unknown:
        raise InputError(
            f"parallel {layout}: runtime {runtime.name} does not share by {unknown}, but by {listed(ways)}"
        )
    if layout.tensor > 1:
        _check_tensor(layout, model, runtime, kind)
    if exchange.power_of_two and layout.tensor & (layout.tensor - 1):
        raise InputError(f"{layout.tensor} devices: runtime {runtime.name} shares a layer among 1, 2, 4 or 8 of them")
    if layout.pipeline > n_layers:
        raise InputError(f"parallel {layout}: {model.name} has {n_layers} layers, so at most as many stages")
    if layout.expert > 1:
        _check_experts(layout, model)
        if exchange.experts_everywhere and layout.expert != layout.n_at_once:
            told = replace(layout, expert=layout.n_at_once)
            raise InputError(f"parallel {layout}: runtime {runtime.name} divides experts among all devices: {told}")
    uneven = next((n for n in sorted(_heads(model)) if n % layout.tensor), None)
    if uneven and runtime.split == "tensors":
        raise InputError(
            f"{layout.tensor} devices cannot share the {uneven} heads of {model.name} evenly: take a number that divides {uneven}"
            + (f", or parallel pipeline{layout.tensor}" if "pipeline" in ways and layout.tensor <= n_layers else "")
        )


def _check_tensor(layout: Layout, model: Model, runtime: Runtime, kind: str) -> None:
    exchange, name = runtime.exchange, runtime.name
    kinds = {part.kind for layer in model.stack for part in mixers_of(layer.attention)}
    missing = sorted(kinds & {*exchange.tensor_not_with})
    if kind not in exchange.tensor_on:
        raise InputError(
            f"parallel {layout}: runtime {name} cuts matrices on {' and '.join(exchange.tensor_on).upper()}s only"
        )
    if missing or model.architecture in exchange.tensor_not_of:
        what = f"layers of kind {missing[0]}" if missing else f"models of architecture {model.architecture}"
        raise InputError(
            f"parallel {layout}: runtime {name} does not cut matrices of {what}, as {model.name} has them; leave it out"
        )


def _heads(model: Model) -> set[int]:
    """The numbers of heads that its layers have."""
    parts = (part for layer in model.stack for part in mixers_of(layer.attention))
    return {part.n_heads for part in parts if isinstance(part, GroupedQuery | Latent)}


def _check_experts(layout: Layout, model: Model) -> None:
    n_experts = max((ffn.n_experts for ffn in model.experts), default=0)
    if not n_experts:
        raise InputError(f"parallel {layout}: {model.name} has no experts; leave expert out")
    if layout.expert > n_experts:
        raise InputError(f"parallel {layout}: {model.name} has {n_experts} experts, so at most as many groups of them")
    if layout.n_at_once % layout.expert:
        raise InputError(f"parallel {layout}: {layout.n_at_once} devices cannot be divided into {layout.expert} groups")
