"""Gated delta nets: projections, the convolution of queries, keys and values, and a matrix for each value head."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.assembly.states import States, records_of
from simulator.engine.kernels.table import kernel, task
from simulator.engine.team import Entry


class DeltaNet(States):
    """Layers with gated delta nets (Qwen3-Next, Qwen3.5)."""

    @property
    def scratch_bytes(self) -> int:
        """A query and a key of length 1."""
        return 2 * 4 * max(a.k_dim for a in self.mixers.values())

    def allocate(self) -> None:
        """And what projections yield, and what is read of the states."""
        super().allocate()
        rows, new = self.network.limits.rows, self.network.buffers.new
        for index, a in self.mixers.items():
            self.add_convolution(index, "ssm_conv1d", _mixed(a), a.conv)
        mixers = self.mixers.values()
        values = max(a.n_v_heads * a.v_dim for a in mixers)
        for name in ("mixed", "convolved"):
            new(name, (rows, max(map(_mixed, mixers))))
        new("delta_gate", (rows, values))
        for name in ("betas", "alphas"):  # or both in the first
            new(name, (rows, 2 * max(a.n_v_heads for a in mixers)))
        self.network.activations("delta", rows, values)

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        a, at = self.mixers[index], parts.buffers.at
        gates = {"ssm_beta": "betas", "ssm_alpha": "alphas"} if a.split_gates else {"ssm_ba": "betas"}
        outputs = {"attn_qkv": "mixed", "attn_gate": "delta_gate", **gates}
        projections = dict(zip(outputs, parts.matrices(index, *outputs), strict=True))
        yield [parts.prepare(index, parts.recipe.norms[0])]
        yield from parts.select("h", projections)
        yield [parts.multiply(matrix, "h", outputs[role], "attention") for role, matrix in projections.items()]
        yield [self.convolve(parts, index, "", input=at("mixed"), input_stride=4 * _mixed(a), output=at("convolved"))]
        (out,) = parts.matrices(index, "ssm_out")
        numbers = task(
            "D",
            **self.order(parts, index),
            **self._steps(parts, index),
            **parts.scratch(),
            **records_of(parts, "delta", out, a.v_dim),
            mixed=at("convolved"),
            mixed_stride=4 * _mixed(a),
            gate=at("delta_gate"),
            n_keys=a.n_k_heads,
            n_values=a.n_v_heads,
            key=a.k_dim,
            value=a.v_dim,
            tiled=parts.recipe.keys_in_turn,
            dt=parts.vector(index, "ssm_dt.bias"),
            a=parts.vector(index, "ssm_a"),
            norm=parts.vector(index, "ssm_norm"),
            epsilon=bits(parts.recipe.epsilon),
            output=at("delta"),
        )
        yield [Entry(kernel("delta_rule"), numbers, "state")]
        yield from parts.select("delta", {"ssm_out": out})
        yield [parts.multiply(out, "delta", "y", "attention")]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, parts.recipe.norms[2])}

    def _steps(self, parts: Parts, index: int) -> dict[str, int]:
        """Where the steps and decays of value heads stand: in rows of their own, or by key head beside each other."""
        a, at = self.mixers[index], parts.buffers.at
        if a.split_gates:
            n = a.n_v_heads
            return {"beta": at("betas"), "alpha": at("alphas"), "step_stride": 4 * n, "per": n, "every": n}
        per = a.n_v_heads // a.n_k_heads
        both = {"beta": at("betas"), "alpha": at("betas") + 4 * per, "step_stride": 8 * a.n_v_heads}
        return both | {"per": per, "every": 2 * per}


def _mixed(a) -> int:
    """Queries, keys and values of a token."""
    return 2 * a.n_k_heads * a.k_dim + a.n_v_heads * a.v_dim
