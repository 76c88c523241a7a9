"""Experts and a dense network side by side, each between norms of its own, with a router that reads the residual stream (Gemma 4)."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.engine.assembly.feed_forward import Mixture
from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.kernels.table import kernel, task
from simulator.engine.recipes.recipe import ROUTER_SCALE
from simulator.engine.team import Entry


class ExpertsBeside(Mixture):
    """Layers with both; the dense network stands in the place of a shared expert, and reads what has the usual norm."""

    def allocate(self) -> None:
        """What experts and routers read, which are normed otherwise than what the dense network reads."""
        super().allocate()
        network, d_model = self.network, self.network.model.d_model
        for name in ("to_experts", "to_router"):
            network.activations(name, network.limits.rows, d_model)
        for index in self.layers:
            scale = network.loaded.vectors[index, ROUTER_SCALE]
            network.buffers.new(f"router_norm_{index}", (d_model,))[:] = scale * d_model**-0.5

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """norm(dense(norm(x))) + norm(experts(norm(x))) is still to be normed and added to the residual stream."""
        at, recipe, ffn = parts.buffers.at, parts.recipe, self.network.model.stack[index].ffn
        before, of_dense, of_experts = recipe.expert_norms
        yield [parts.prepare(index, recipe.norms[1])]
        yield [
            parts.prepare(index, before, "to_experts"),
            parts.prepare(index, "", "to_router", at(f"router_norm_{index}")),
        ]
        yield from self.mixed(parts, index, "to_router", "to_experts")
        numbers = task(
            "B",
            state=at("state"),
            width=parts.model.d_model,
            dense=at("y"),
            dense_norm=parts.vector(index, of_dense),
            experts=at("expert_out"),
            n_active=ffn.n_active,
            shares=at("slot_weights"),
            experts_norm=parts.vector(index, of_experts),
            epsilon=bits(recipe.epsilon),
        )
        yield [Entry(kernel("join_experts"), numbers, "vectors")]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, recipe.norms[3])}
