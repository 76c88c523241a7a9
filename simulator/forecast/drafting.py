"""Who drafts beside a model: a block of its own that predicts further tokens, or a smaller model; what that holds and takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.fit import Held, bytes_elsewhere, memory_of_parts
from simulator.forecast.held import free_in_last_stage
from simulator.forecast.parallel import one_pass
from simulator.forecast.predict import predict
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import Scenario, scenario
from simulator.spec.hardware import Hardware
from simulator.spec.layers.extra import Extra
from simulator.spec.layers.layer import Layer
from simulator.spec.layers.listed import mixers_of
from simulator.spec.model import Model, looked_up_bytes, store, weight_bytes
from simulator.spec.placement import Placement, by_layers
from simulator.spec.quant import Slot, Weights
from simulator.spec.runtime import Runtime
from simulator.spec.speculation import DRAFT, MTP, NGRAM, Speculation
from simulator.spec.workload import Workload
from simulator.units import format_bytes

# Joins a hidden state with an embedding, and norms both (llama.cpp's names; DeepSeek-V3, arXiv 2412.19437, section 2.2).
_JOINS, _NORMS = "nextn.eh_proj", ("nextn.enorm", "nextn.hnorm")


@dataclass(frozen=True)
class Pass:
    """What is run `count` times in a step to draft."""

    point: Prediction
    count: int
    is_step: bool  # costs what a step does beside its operations
    makes_logits: bool = True  # False: a pass that only fills the drafter's cache

    @property
    def seconds(self) -> Any:
        """Of all of them, with memory enough."""
        one = self.point.seconds_given_memory
        if not self.is_step:
            one = one - self.point.step_overhead_s
        if not self.makes_logits:
            heads = (timed for timed in self.point.ops if timed.op.part == "head")
            one = one - sum(timed.op.count * timed.seconds for timed in heads)
        return self.count * one


@dataclass(frozen=True)
class Drafter:
    """A model that drafts, in its formats, on the parts of a machine; `n_blocks` of them in memory."""

    model: Model
    weights: Weights
    placement: Placement | None = None
    n_blocks: int = 1
    is_block: bool = False  # of the large model, which has its embedding and head, and for which the same is assumed
    remarks: tuple[str, ...] = ()

    def load(self, load: Workload, tokens: int) -> Workload:
        """The work of one pass over *tokens* of each sequence."""
        sparsity = load.sparsity if self.is_block else None
        return replace(load, weights=self.weights, tokens=tokens, verifies=False, drafts=True, sparsity=sparsity)

    def held_bytes(self, base: Scenario, load: Workload) -> list[Any]:
        """What each part of the machine holds of weights, caches and working memory beside those of the large model."""
        held = memory_of_parts(self.model, self.load(load, 1), base.runtime, self._on(base), self.placement)
        found = [each.needed_bytes for each in held]
        if not base.runtime.drafting.is_apart:
            found[0] = found[0] - held[0].scratch_bytes
        if not self.is_block:
            return found
        found = self._beside_own_model(base, held, found)
        layout = base.hardware.layout
        if self.placement is None and layout.pipeline > 1:
            # Counted, as all is, on each stage: what the fullest would have to hold beside what it is counted with.
            model, rules, runtime = base.loaded.model, base.runtime.cache_rules.on(base.hardware), base.runtime
            apart = held[0].scratch_bytes if runtime.drafting.is_apart else 0.0
            more = found[0] - apart - free_in_last_stage(model, load, rules, layout, runtime)
            found[0] = layout.pipeline * np.maximum(more, 0.0) + apart
        return found

    def _on(self, base: Scenario) -> Hardware:
        """The devices that run it: a block those that have the last layers."""
        return base.hardware.one_stage() if self.is_block else base.hardware

    def _beside_own_model(self, base: Scenario, held: Sequence[Held], found: list[Any]) -> list[Any]:
        """Of a block: without tables that are the large model's, and without what is counted with that already."""
        own, place = _own_bytes(self.model, self.weights), self.placement.head if self.placement else 0
        rest = [each.weight_bytes for each in held]
        tables = weight_bytes(self.model, self.weights) - own - _looked_up_apart(self, base)
        already = min(_held_bytes(base.loaded.model, base.load.weights), self.n_blocks * own)
        found[place] = found[place] - min(tables, rest[place]) + (self.n_blocks - 1) * own - already
        if len(found) > 1 and _looked_up_apart(self, base):
            found[-1] = found[-1] - looked_up_bytes(self.model, self.weights)
        return found

    def passes(self, base: Scenario, load: Workload, tokens: int) -> Iterator[Pass]:
        """What is run to draft *tokens* of each sequence, after a step that verified so many and one more."""

        hardware = self._on(base)
        if self.is_block:  # the last stage drafts for those sequences that pass it at once
            load, _ = one_pass(load, base.hardware.layout, base.runtime)

        def over(n: int) -> Prediction:
            return predict(self.model, hardware, self.load(load, n), base.runtime, self.placement)

        first, one, is_apart = over(tokens + 1), over(1), base.runtime.drafting.is_apart
        if is_apart:
            # A draft model makes logits of the last token all the same; blocks make none, and each of several reads all tokens.
            yield Pass(first, self.n_blocks, is_step=True, makes_logits=not self.is_block)
            yield Pass(one, tokens, is_step=True)
            return
        yield Pass(first, 1, is_step=False)
        if tokens > 1:
            yield Pass(one, tokens - 1, is_step=False)


def _looked_up_apart(drafter: Drafter, base: Scenario) -> float:
    """Bytes of the embedding that lie in the memory around a card instead of where the head is."""
    if drafter.placement is None:
        load = drafter.load(base.load, 1)
        return bytes_elsewhere(drafter.model, load, base.runtime, base.hardware)
    is_apart = base.runtime.keeps_lookup_on_host and base.hardware.host is not None
    return looked_up_bytes(drafter.model, drafter.weights) if is_apart else 0.0


def drafter_of(base: Scenario, speculation: Speculation) -> Drafter | None:
    """Who drafts; None where nothing is run for it. InputError where the model has no such blocks, or no such draft is known."""
    if speculation.kind == NGRAM or not speculation.tokens:
        return None
    return _own_block(base) if speculation.kind == MTP else _small_model(base, speculation)


def _own_block(base: Scenario) -> Drafter:
    model = base.loaded.model
    if not model.mtp_blocks:
        known = "has no blocks" if model.mtp_blocks == 0 else "is not known to have blocks"
        raise InputError(
            f"--speculate mtp: {model.name} {known} that predict further tokens; take ngram or --draft MODEL, or state mtp_blocks in a "
            "YAML file of the model"
        )
    block, weights = block_of(model, base.load.weights)
    shape = {1: "the last layer", 2: "the last attention and the last network"}[len(block.layers)]
    shape = shape if model.mtp_layer is None else f"layer {model.mtp_layer}"
    remark = (
        f"a block that predicts further tokens is taken to have the shape of {shape}, a matrix of {2 * model.d_model:,} by "
        f"{model.d_model:,} and three norms: {format_bytes(_own_bytes(block, weights))} as {weights.name}; embedding and head are the "
        "model's own"
    )
    return Drafter(block, weights, _beside_last(base, block), model.mtp_blocks, True, (remark,))


def _beside_last(base: Scenario, block: Model) -> Placement | None:
    """Where a block lies: with the model's last layer, its experts where that one's are."""
    placed, n_layers = base.placement, len(block.stack)
    if placed is None:
        return None
    last = len(placed.layers) - 1
    roles = {role: place for (layer, role), place in placed.apart.items() if layer == last}
    apart = {(index, role): place for index in range(n_layers) for role, place in roles.items()}
    return replace(placed, layers=(placed.layers[last],) * n_layers, apart=apart)


@lru_cache(maxsize=64)  # a new choice of formats would be a new store of tensors each time
def block_of(model: Model, weights: Weights) -> tuple[Model, Weights]:
    """A block of *model* that predicts further tokens, with the model's embedding and head, as a model of its own; and its formats.

    Its layer is the model's last: all that publish one shape them so (DeepSeek-V3, GLM-4.5, Qwen3-Next, Qwen3.5). Where layers
    are halves, or the last keeps a state instead of a cache, it is the last attention and the last network (Nemotron 3 Super).
    """
    places = _places(model)
    layers = tuple(model.stack[place].model_copy(update={"shares_weights": False}) for place in places)
    joining = (
        Extra.model_construct(role=_JOINS, rows=model.d_model, columns=2 * model.d_model),
        *(Extra.model_construct(role=role, columns=model.d_model) for role in _NORMS),
    )
    block = model.model_copy(
        update={
            "name": f"{model.name}, block that predicts",
            "layers": layers,
            "repeats": (),
            "encoder": (),
            "beside": joining,
            "final_norm": True,
            "learned_positions": 0,
            "unstored_params": 0,
        }
    )
    return block, _formats(model, weights, block, places)


def _places(model: Model) -> tuple[int, ...]:
    """Which layers of the model the block is shaped as."""
    if model.mtp_layer is not None:
        return (model.mtp_layer,)
    last = len(model.stack) - 1
    if model.stack[last].ffn is not None and _attends(model.stack[last]):
        return (last,)
    attention = next((place for place in range(last, -1, -1) if _attends(model.stack[place])), None)
    network = next((place for place in range(last, -1, -1) if model.stack[place].ffn is not None), None)
    return tuple(dict.fromkeys(place for place in (attention, network) if place is not None))


def _attends(layer: Layer) -> bool:
    return any(mixer.cached for mixer in mixers_of(layer.attention))


def _formats(model: Model, weights: Weights, block: Model, places: tuple[int, ...]) -> Weights:
    """The formats that the same tensors have in the model's last layers; the joining matrix as the first of these."""
    stored = [model.stored_layers[place] for place in places]
    of_model = {"n_layers": model.n_stored_layers, "n_runs": len(model.stack), "is_mixture": bool(model.experts)}
    first = next(tensor for tensor in block.shapes[1][2] if not tensor.is_vector and not tensor.is_idle)

    def choose(slot: Slot) -> Any:
        if slot.role == _JOINS:
            slot = block.slot(0, block.stack[0], first)
        elif slot.role in _NORMS:
            slot = slot._replace(role="output_norm")
        return weights.choose(slot._replace(layer=stored[min(slot.layer, len(stored) - 1)], **of_model))

    return Weights(weights.name, choose, kernels=weights.kernels)


def _own_bytes(block: Model, weights: Weights) -> float:
    """Bytes of a block without embedding and head."""
    return sum(
        stored.total_bytes
        for stored in store(block, weights)
        if stored.tensor.role not in ("token_embd", "output", "output.bias")
    )


def _held_bytes(model: Model, weights: Weights) -> float:
    """What a file holds beside the layers' tensors, such as the blocks that predict further tokens: counted with the model."""
    held = sum(each.total_bytes for each in store(model, weights) if each.tensor.role.startswith("held."))
    return held + weights.held_bytes


def _small_model(base: Scenario, speculation: Speculation) -> Drafter:
    assert speculation.kind == DRAFT
    small = scenario(
        speculation.draft,
        base.hardware.alone().model_copy(update={"_asked": None}),  # which are so many together already
        weights=speculation.draft_weights,
        runtime=base.runtime,
        threads=base.load.threads,
        cache=base.load.cache.name,
    )
    model, large = small.loaded.model, base.loaded.model
    remarks = [f"draft {model.name} in {small.load.weights.name}, all of it on {base.hardware.alone().label}"]
    if model.vocab != large.vocab:
        remarks.append(_told_vocabularies(base.runtime, large, model))
    placement = by_layers((len(model.stack),)) if base.placement else None
    return Drafter(model, small.load.weights, placement, remarks=tuple(remarks))


def _told_vocabularies(runtime: Runtime, large: Model, small: Model) -> str:
    """What is to know of two vocabularies that differ; InputError where the runtime refuses them."""
    told = f"{large.name} knows {large.vocab:,} tokens and {small.name} {small.vocab:,}"
    most = runtime.drafting.vocabularies_apart
    if most is not None and abs(large.vocab - small.vocab) > most:
        allowed = (
            f"whose vocabulary is more than {most:,} tokens larger or smaller" if most else "with another vocabulary"
        )
        raise InputError(
            f"--draft {small.name}: {told}, and {runtime.title or runtime.name} refuses a draft {allowed}: name a smaller model of the "
            "same family"
        )
    return f"{told}: a draft must have the same ones"
