"""The tape of one decode step, from the first norm to the logits; and the kinds of blocks that a model has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from simulator.engine.assembly.attention import GroupedAttention
from simulator.engine.assembly.delta_net import DeltaNet
from simulator.engine.assembly.experts_beside import ExpertsBeside
from simulator.engine.assembly.feed_forward import DenseFeedForward, Mixture
from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.latent import LatentAttention
from simulator.engine.assembly.layer_inputs import LayerInputs
from simulator.engine.assembly.mamba import Mamba
from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.assembly.short_convolution import ShortConvolution
from simulator.engine.kernels.table import kernel, task
from simulator.engine.memory import check_room
from simulator.engine.network import Network
from simulator.engine.slow_layers import SlowLayers, check_slow
from simulator.engine.team import Entry, Tape
from simulator.spec.layers.attention import GroupedQuery, Latent
from simulator.spec.layers.ffn import Experts, Gated, Plain
from simulator.spec.layers.layer import Attention, FeedForward
from simulator.spec.layers.recurrent import GatedDeltaNet, Mamba2, ShortConv
from simulator.spec.sparsity import Sparsity
from simulator.units import counted

KINDS: dict[type, type[Kind]] = {  # which of ours computes what a layer's description calls by that class
    GroupedQuery: GroupedAttention,
    Latent: LatentAttention,
    GatedDeltaNet: DeltaNet,
    Mamba2: Mamba,
    ShortConv: ShortConvolution,
    Gated: DenseFeedForward,
    Plain: DenseFeedForward,
    Experts: Mixture,
}


def _kind_of(part: Attention | FeedForward, network: Network) -> type[Kind]:
    """Which of ours computes a part of a layer."""
    return ExpertsBeside if isinstance(part, Experts) and network.recipe.expert_norms else KINDS[type(part)]


class Assembly:
    """A network's blocks, by kind, with their memory; and the tape that decodes one token of each row."""

    def __init__(self, network: Network, target: str, sparsity: Sparsity | None = None, slow: SlowLayers | None = None):
        """Allocates all that the blocks need. InputError where the cache does not fit, or a block cannot be run."""
        self._network, self._slow = network, slow
        check_slow(slow, network.model.name, len(network.model.stack))
        self._blocks = [
            [_kind_of(part, network) for part in (layer.attention, layer.ffn) if part is not None]
            for layer in network.model.stack
        ]
        if network.model.per_layer_input:
            self._blocks = [[*blocks, LayerInputs] for blocks in self._blocks]
        numbers = defaultdict(list)
        for index, blocks in enumerate(self._blocks):
            for kind in blocks:
                numbers[kind].append(index)
        self.kinds = {kind: kind(network, layers) for kind, layers in numbers.items()}
        limits = network.limits
        check_room(
            f"{network.model.name}: a cache of {limits.sequences:,} x {counted(limits.context, 'token')} needs",
            self.kept_bytes,
        )
        network.allocate_scratch(max(kind.scratch_bytes for kind in self.kinds.values()))
        for kind in self.kinds.values():
            kind.allocate()
        parts = Parts(network, target, sparsity)
        layers = list(self._layers(parts))
        self.tape = Tape([*layers, *_head(parts)])
        self.tape_without_head = Tape(layers)

    @property
    def kept_bytes(self) -> int:
        """Bytes that there is room for of what blocks keep of past tokens: the cache."""
        return sum(kind.kept_bytes for kind in self.kinds.values())

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:
        """Says which token of the next step stands where in which sequence."""
        self._network.place(sequences, positions)
        for kind in self.kinds.values():
            kind.place(sequences, positions)

    def check_taken_back(self, n_tokens: int) -> None:
        """InputError unless a sequence can go on as if so many of its last tokens had never been."""
        for kind in self.kinds.values():
            kind.check_taken_back(n_tokens)

    def fill(self) -> None:
        """Puts something into all that is kept of past tokens."""
        for kind in self.kinds.values():
            kind.fill()

    def _layers(self, parts: Parts) -> Iterator[Phase]:
        """Layer by layer; what a block put out is added by whichever phase comes next."""
        if LayerInputs in self.kinds:
            yield from self.kinds[LayerInputs].start(parts)
        for index in range(len(self._blocks)):
            layer = self._layer(parts, index)
            yield from self._slow.phases(self._network, index, layer) if self._slow else layer

    def _layer(self, parts: Parts, index: int) -> Iterator[Phase]:
        """One layer, whose output may have a scale."""
        for kind in self._blocks[index]:
            yield from self.kinds[kind].phases(parts, index)
        scale = parts.vector(index, "layer_output_scale")
        parts.pending |= {"layer_scale": scale} if scale else {}


def _head(parts: Parts) -> Iterator[Phase]:
    """The last norm and the logits, scaled and capped where the recipe says so."""
    recipe, at, matrices = parts.recipe, parts.buffers.at, parts.network.loaded.matrices
    yield [parts.prepare(-1, "output_norm")]
    head = matrices.get((-1, "output"), matrices[-1, "token_embd"])
    yield [parts.multiply(head, "h", "logits", "head", bias=parts.vector(-1, "output.bias"))]
    if recipe.logit_scale != 1.0 or recipe.logit_cap:
        fields = {"state": at("state"), "logits": at("logits"), "width": parts.model.vocab}
        numbers = task("L", **fields, scale=bits(recipe.logit_scale), cap=bits(recipe.logit_cap))
        yield [Entry(kernel("finish"), numbers, "head")]
