"""Mamba 2: one projection to gate, inputs and steps, a convolution, and a matrix for each head."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.assembly.states import States, records_of
from simulator.engine.kernels.table import kernel, task
from simulator.engine.team import Entry


class Mamba(States):
    """Layers with Mamba 2."""

    @property
    def scratch_bytes(self) -> int:
        """A head's inputs, times the step."""
        return 4 * max(a.head_dim for a in self.mixers.values())

    def allocate(self) -> None:
        """And what the projection yields, and what is read of the states."""
        super().allocate()
        rows, new = self.network.limits.rows, self.network.buffers.new
        for index, a in self.mixers.items():
            self.add_convolution(index, "ssm_conv1d", _convolved(a), a.conv)
        mixers = self.mixers.values()
        new("made", (rows, max(_made(a) for a in mixers)))
        new("convolved", (rows, max(_convolved(a) for a in mixers)))
        self.network.activations("scanned", rows, max(_inner(a) for a in mixers))

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        a, at, made = self.mixers[index], parts.buffers.at, 4 * _made(self.mixers[index])
        enter, out = parts.matrices(index, "ssm_in", "ssm_out")
        yield [parts.prepare(index, parts.recipe.norms[0])]
        yield from parts.select("h", {"ssm_in": enter})
        yield [parts.multiply(enter, "h", "made", "attention", bias=parts.vector(index, "ssm_in.bias"))]
        inputs = {"input": at("made") + 4 * _inner(a), "input_stride": made, "output": at("convolved")}
        yield [self.convolve(parts, index, "ssm_conv1d.bias", **inputs)]
        shared = {
            **parts.scratch(),
            **records_of(parts, "scanned", out, _inner(a) // a.n_groups),
            "state": at("state"),
            "mixed": at("convolved"),
            "mixed_stride": 4 * _convolved(a),
            "gate": at("made"),
            "step": at("made") + made - 4 * a.n_heads,
            "made_stride": made,
            "n_heads": a.n_heads,
            "head": a.head_dim,
            "n_groups": a.n_groups,
            "d_state": a.d_state,
            "dt": parts.vector(index, "ssm_dt.bias"),
            "a": parts.vector(index, "ssm_a"),
            "skip": parts.vector(index, "ssm_d"),
            "norm": parts.vector(index, "ssm_norm"),
            "epsilon": bits(parts.recipe.epsilon),
            "output": at("scanned"),
        }
        yield [Entry(kernel("scan"), task("H", **shared, **self.order(parts, index)), "state")]
        yield [Entry(kernel("norm_groups"), task("H", **shared), "state")]
        yield from parts.select("scanned", {"ssm_out": out})
        yield [parts.multiply(out, "scanned", "y", "attention", bias=parts.vector(index, "ssm_out.bias"))]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, parts.recipe.norms[2])}


def _inner(a) -> int:
    """Channels of the state."""
    return a.n_heads * a.head_dim


def _convolved(a) -> int:
    """Inputs, and what enters and leaves the state, by group."""
    return _inner(a) + 2 * a.n_groups * a.d_state


def _made(a) -> int:
    """What the projection yields: a gate, those, and a step for each head."""
    return _inner(a) + _convolved(a) + a.n_heads
