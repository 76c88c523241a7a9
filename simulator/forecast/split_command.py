"""A placement as the options that make llama.cpp or vLLM run it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from simulator.forecast.stages import by_shares
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model, store_of
from simulator.spec.placement import EXPERTS, Placement
from simulator.spec.quant import Weights
from simulator.units import GI

ALL = 99  # what people write for all layers
NETWORK = ("ffn_up", "ffn_gate", "ffn_down")  # a dense layer's large tensors


def llama_options(model: Model, hardware: Hardware, placement: Placement) -> list[str] | None:
    """Words of llama.cpp's command line, as `-ngl 99 --n-cpu-moe 24`; None where it has no options that make the placement."""
    if placement.crosses:
        return None
    host = _host_place(hardware)
    # A head in RAM behind layers on a GPU is a tensor apart from them.
    is_head_apart = placement.head == host != placement.layers[-1]
    places = (*placement.layers, placement.layers[-1] if is_head_apart else placement.head)
    in_ram = next((index for index, place in enumerate(places) if place != host), len(places))
    on_gpus = places[in_ram:]
    if host in on_gpus or any(later < earlier for earlier, later in pairwise(on_gpus)):
        return None
    n_layers = max(ALL, len(places)) if in_ram == 0 else len(on_gpus)
    head = ["-ot", rf"^{'token_embd' if model.tied_head else 'output'}\.weight=CPU"] if is_head_apart else []
    return ["-ngl", str(n_layers), *_shares(hardware, on_gpus), *head, *_apart(model, hardware, placement, host)]


def _host_place(hardware: Hardware) -> int | None:
    return len(hardware.parts) - 1 if hardware.host is not None else None


def _gpus(hardware: Hardware) -> list[tuple[int, Hardware]]:
    return [(place, part) for place, part in enumerate(hardware.parts) if part.kind == "gpu"]


def _shares(hardware: Hardware, on_gpus: Sequence[int]) -> list[str]:
    """So many layers on each GPU, where there are unequal ones, or equal ones that have other shares than llama.cpp deals them."""
    gpus = _gpus(hardware)
    devices = [place for place, part in gpus for _ in range(part.count)]
    if len(gpus) < 2 or not on_gpus:
        return []
    is_equal = len({part.name for _, part in gpus}) == 1
    if is_equal and [devices[each] for each in by_shares(len(on_gpus), [1.0] * len(devices))] == list(on_gpus):
        return []
    counts = {place: f"{on_gpus.count(place) / part.count:g}" for place, part in gpus}
    return ["-ts", ",".join(counts[place] for place in devices)]


def _apart(model: Model, hardware: Hardware, placement: Placement, host: int | None) -> list[str]:
    """What lies elsewhere than its layer: a number of layers where it is just the experts of the first ones."""
    by_layer: dict[int, dict[str, int]] = defaultdict(dict)
    for (index, role), place in placement.apart.items():
        if place != placement.layers[index]:
            by_layer[index][role] = place
    if not by_layer:
        return []
    of_layers = [{index: roles for index, roles in enumerate(found) if roles and placement.layers[index] != host}
                 for found in (_roles(model, EXPERTS), _roles(model, NETWORK))]  # fmt: skip
    for large, option in zip(of_layers, ("--n-cpu-moe", "--n-cpu-ffn"), strict=True):
        moved = [index for index in large if by_layer.get(index) == dict.fromkeys(large[index], host)]
        if len(moved) == len(by_layer) and moved == list(large)[: len(moved)]:
            is_all = large is of_layers[0] and len(moved) == len(large)
            return ["--cpu-moe"] if is_all else [option, str(moved[-1] + 1)]
    experts = of_layers[0]
    return ["-ot", ",".join(_patterns(hardware, by_layer, experts, host))]


def _roles(model: Model, meant: Sequence[str]) -> list[tuple[str, ...]]:
    """Of each layer, the roles of its tensors that are among those *meant*, their biases with them."""
    of_shape = {
        index: tuple(tensor.role for tensor in tensors if tensor.role.removesuffix(".bias") in meant)
        for _, indices, tensors in model.shapes[1:]
        for index in indices
    }
    return [of_shape[index] for index in range(len(model.stack))]


def _patterns(
    hardware: Hardware,
    by_layer: Mapping[int, Mapping[str, int]],
    experts: Mapping[int, Iterable[str]],
    host: int | None,
) -> Iterable[str]:
    """One for the layers of which the same lies on the same part; no name is in two of them."""
    alike: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, roles in sorted(by_layer.items()):
        for place in sorted(set(roles.values())):
            chosen = {role for role, each in roles.items() if each == place}
            names = "ffn_(up|down|gate|gate_up)_exps" if chosen == set(experts.get(index, ())) else _names(chosen)
            alike[place, names].append(index)
    for (place, names), layers in alike.items():
        yield rf"blk\.({'|'.join(map(str, layers))})\.{names}={_buffer(hardware, place, host)}"


def _names(roles: Iterable[str]) -> str:
    ends = (role if role.endswith(".bias") else f"{role}.weight" for role in sorted(roles))
    return f"({'|'.join(end.replace('.', chr(92) + '.') for end in ends)})"


def _buffer(hardware: Hardware, place: int, host: int | None) -> str:
    """What llama.cpp calls a part's memory."""
    if place == host:
        return "CPU"
    number = sum(part.count for each, part in _gpus(hardware) if each < place)
    return f"{'CUDA' if hardware.parts[place].vendor == 'nvidia' else 'Vulkan'}{number}"


def vllm_options(model: Model, weights: Weights, hardware: Hardware, placement: Placement) -> list[str] | None:
    """Words of vLLM's command line, as `--cpu-offload-gb 20`; None where it has no options that make the placement.

    It moves the parameters of the first layers, one after the other, until there are so many GiB; where only experts are to
    move, their name says so (vllm/model_executor/offloader/uva.py, 0.33.0).
    """
    host = _host_place(hardware)
    if not placement.crosses or host is None or placement.head == host:
        return None
    in_ram = [index for index, place in enumerate(placement.layers) if place == host]
    apart = {index for (index, _), place in placement.apart.items() if place == host}
    moved = in_ram or sorted(apart)
    if not moved or (in_ram and apart) or moved != list(range(moved[-1] + 1)):
        return None
    n_bytes = sum(
        stored.total_bytes
        for group in placement.groups(model)
        for stored in store_of(model, weights, group.shape, group.indices)
        if group.place_of(stored.tensor.role) == host and not stored.tensor.is_again
    )
    gib = math.floor(100 * n_bytes / GI / hardware.count) / 100
    return ["--cpu-offload-gb", f"{gib:g}", *(["--cpu-offload-params", "experts"] if apart else [])]
