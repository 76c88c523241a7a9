"""Memory that llama.cpp keeps on each device for what it computes: one buffer, large enough for its largest micro-batch.

It holds at once, and therefore the largest of: the logits of all tokens of the micro-batch, the values between the matrices of a
layer, and, where weights lie in RAM, the largest tensor of those that are brought to the first GPU for so many tokens. Beside
either lie the masks and a few rows of the residual stream. Read in its source, b11549 (src/llama-context.cpp, sched_reserve;
ggml/src/ggml-backend.cpp), and compared with what its own scheduler asks for: tests/forecast/compute_buffers.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.forecast.decode import cache_bytes_held
from simulator.spec.brought import is_brought
from simulator.spec.cache_rules import CacheRules
from simulator.spec.hardware import Hardware
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer
from simulator.spec.layers.listed import mixers_of
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2
from simulator.spec.model import Model, store_of
from simulator.spec.placement import Group, Placement
from simulator.spec.runtime import Runtime
from simulator.spec.workload import Workload

VALUE_BYTES = 4  # of what lies between operations, float32
MASK_BYTES = 2  # of a mask's entry with flash attention
# Rows of the residual stream that are alive beside whatever is largest: those of the inputs, of the sum and of the norm.
STREAMS = 4
# Where several GPUs take turns with micro-batches, each input is there so often (GGML_SCHED_MAX_COPIES), and the rows that go from
# one GPU to the next with it: 16 more on the first and 6 on the others, as measured.
TURNS, FIRST_STREAMS, FURTHER_STREAMS = 4, 16, 6


@dataclass(frozen=True)
class _Step:
    """What all buffers of a step depend on."""

    model: Model
    load: Workload
    rules: CacheRules
    tokens: Any  # of the micro-batch
    brings_experts: bool = True  # those in RAM, to the first GPU, as it does all else there

    @property
    def stream_bytes(self) -> Any:
        """The residual stream of all tokens."""
        return VALUE_BYTES * self.model.d_model * self.tokens

    def mask_bytes(self, groups: Iterable[Group]) -> Any:
        """Masks of whole and of windowed attention, each once for all layers that have it."""
        kept: dict[Any, Any] = {}
        for group in groups:
            for each in _cached(self, group)[:1]:
                kept[each.window] = self.rules.held(each, self.load.context + self.load.tokens)
        return sum(MASK_BYTES * entries * self.tokens for entries in kept.values())


def working_memory(
    model: Model, load: Workload, runtime: Runtime, hardware: Hardware, placement: Placement
) -> list[Any]:
    """Bytes of the buffers of each part's devices together, in their order; numbers, or arrays over the workload's grid."""
    rules = runtime.cache_rules.on(hardware)
    # Each sequence's cache is kept in multiples of so many tokens, and no micro-batch is longer than all of them.
    in_context = load.batch * -(-(load.context + load.tokens) // rules.pad_tokens) * rules.pad_tokens
    tokens = np.minimum(runtime.scratch_tokens, in_context)
    step = _Step(model, load, rules, runtime.scratch_tokens if np.all(tokens == runtime.scratch_tokens) else tokens)
    groups, turns = placement.groups(model), takes_turns(runtime, hardware, placement)
    host = len(hardware.parts) - 1 if hardware.host is not None and runtime.brings_from else None

    def of_parts(step: _Step) -> list[Any]:
        parts = enumerate(hardware.parts)
        return [_of_part(step, place, part, groups, placement.head, turns, host) for place, part in parts]

    if not (runtime.brings_experts_by_use and model.experts):
        return of_parts(step)
    brought, both = is_brought(runtime, step.tokens, model.experts[0]), (step, replace(step, brings_experts=False))
    return [np.where(brought, *each)[()] for each in zip(*map(of_parts, both), strict=True)]


def takes_turns(runtime: Runtime, hardware: Hardware, placement: Placement | None) -> bool:
    """Whether micro-batches of a prompt run on several GPUs at once: only where no tensor lies apart and no layer in RAM."""
    n_gpus = sum(part.count for part in hardware.parts if part.kind == "gpu")
    if n_gpus < 2 or runtime.passes_at_once == 1 or any(part.layout.n_at_once > 1 for part in hardware.parts):
        return False
    if placement is None:
        return True
    host = len(hardware.parts) - 1 if hardware.host else None
    return not placement.apart and host not in (*placement.layers, placement.head)


def _of_part(step: _Step, place: int, part: Hardware, groups, head: int, turns: bool, host: int | None) -> Any:
    """Of all its devices: the layers are dealt among them, and the last has the head."""
    own = [group for group in groups if group.place == place]
    if part.kind == "cpu" and place:
        return (STREAMS * step.stream_bytes + step.mask_bytes(groups)) * (bool(own) or head == place)
    heads = [head == place and device == part.count - 1 for device in range(part.count)]
    firsts = [place == 0 and device == 0 for device in range(part.count)]
    if turns:
        return sum(
            _taking_turns(step, own, is_first, has_head) for is_first, has_head in zip(firsts, heads, strict=True)
        )
    in_ram = [group for group in groups if host == group.place or _sizes_in_ram(step, group, host)]
    return sum(
        _of_device(step, groups, own, in_ram, host if is_first else None, has_head)
        for is_first, has_head in zip(firsts, heads, strict=True)
    )


def _logits(step: _Step, has_head: bool) -> Any:
    return VALUE_BYTES * step.model.n_logits * step.tokens * has_head


def _taking_turns(step: _Step, own: Sequence[Group], is_first: bool, has_head: bool) -> Any:
    """Of a GPU that works on one micro-batch of a prompt while others work on the next."""
    streams = STREAMS + (FIRST_STREAMS if is_first else FURTHER_STREAMS)
    largest = np.maximum(_largest(step, own), _logits(step, has_head))
    return largest + streams * step.stream_bytes + TURNS * step.mask_bytes(own)


def _of_device(
    step: _Step,
    groups: Sequence[Group],
    own: Sequence[Group],
    in_ram: Sequence[Group],
    host: int | None,
    has_head: bool,
) -> Any:
    """Of a GPU; weights of layers *in_ram* are brought to it if *host* is told, else to another or to none."""
    logits, masks, streams = _logits(step, has_head), step.mask_bytes(own), STREAMS * step.stream_bytes
    of_layers = _largest(step, own) + streams + masks
    if not in_ram:
        return np.maximum(of_layers, logits + streams + masks)
    if host is None:
        return np.maximum(of_layers, logits + step.stream_bytes)
    # What is brought before the first mask leaves room for the logits behind it; a layer in RAM brings matrices of its attention.
    first, is_apart = min((group.indices[0], group.place != host) for group in in_ram)
    late = _first_whole(step, groups) - first + (not is_apart)
    brought = _brought(step, in_ram, host, is_apart and late > 1)
    return np.maximum(np.maximum(of_layers, logits + streams + masks * (late < 1)), brought)


def _first_whole(step: _Step, groups: Iterable[Group]) -> int:
    """The first layer that attends to the whole context."""
    found = [group.indices[0] for group in groups if any(each.window is None for each in _cached(step, group)[:1])]
    return min(found, default=0)


def _cached(step: _Step, group: Group) -> tuple:
    attention = step.model.shapes[group.shape][0].attention
    return () if attention is None else step.rules.attention_of(step.model, attention).cached


def _largest(step: _Step, groups: Iterable[Group]) -> Any:
    """Bytes between the matrices of the layer that has most."""
    layers = {step.model.shapes[group.shape][0] for group in groups}
    return max((_values_between(step.model, layer) for layer in layers), default=0) * VALUE_BYTES * step.tokens


def _values_between(model: Model, layer: Layer) -> int:
    """Of one token: the largest of what its attention and its feed-forward network keep at once."""
    return max(_values_of_network(model, layer), *map(_values_of_mixer, mixers_of(layer.attention)), 0)


def _values_of_network(model: Model, layer: Layer) -> int:
    ffn = layer.ffn
    if isinstance(ffn, Experts):
        return ffn.n_active * (ffn.d_expert + max(ffn.d_expert, ffn.latent or model.d_model))
    return 2 * ffn.d_ff if ffn else 0


def _values_of_mixer(mixer: Any) -> int:
    """Queries, keys, values and outputs; of a latent the queries and outputs over the latent too; of a state its inputs twice."""
    if isinstance(mixer, GroupedQuery):
        return 2 * mixer.n_heads * mixer.head_dim + mixer.cache_width
    if isinstance(mixer, Latent):
        return mixer.n_heads * (2 * mixer.kv_rank + mixer.qk_rope_dim + 2 * mixer.v_dim)
    if isinstance(mixer, GatedDeltaNet):
        return 3 * (2 * mixer.n_k_heads * mixer.k_dim + mixer.n_v_heads * mixer.v_dim)
    if isinstance(mixer, Mamba2):
        return 3 * (mixer.n_heads * mixer.head_dim + 2 * mixer.n_groups * mixer.d_state)
    return 0


def _brought(step: _Step, in_ram: Iterable[Group], host: int, is_split: bool) -> Any:
    """The largest of the layers of which something lies in RAM: one of its tensors with what is made of it, or its cache.

    *is_split*: a mask comes between the first of them and those after it, so that the place of one is too small for the next.
    """
    found = 0.0
    for group in in_ram:
        sizes = _sizes_in_ram(step, group, host)
        layer = step.model.shapes[group.shape][0]
        masks = step.mask_bytes([group])
        around = STREAMS * step.stream_bytes + masks
        made = _values_of_network(step.model, layer) * VALUE_BYTES * step.tokens
        found = np.maximum(found, sum(sizes[:1]) + made + around)
        if is_split:
            found = np.maximum(
                found, np.where(masks >= step.stream_bytes, 2 * sum(sizes[:1]) + around + step.stream_bytes, 0.0)
            )
        if group.place == host:
            cache = cache_bytes_held(step.model, step.load, step.rules, 1, (group._replace(indices=group.indices[:1]),))
            found = np.maximum(found, cache + around + step.stream_bytes)
    return found


def _sizes_in_ram(step: _Step, group: Group, host: int | None) -> list[float]:
    """Bytes of the matrices of one of these layers that are brought from there, the largest first."""
    stored = store_of(step.model, step.load.weights, group.shape, group.indices)
    there = (each for each in stored if group.place_of(each.tensor.role) == host and not each.tensor.is_vector)
    return sorted((each.nbytes for each in there if step.brings_experts or each.tensor.copies == 1), reverse=True)
