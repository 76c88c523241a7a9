"""Short convolutions between two gates (LFM2), whose state are the last inputs."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.engine.assembly.parts import Parts, Phase
from simulator.engine.assembly.states import States, records_of


class ShortConvolution(States):
    """Layers with a short convolution."""

    def allocate(self) -> None:
        """And what the projection yields, and what the convolution does."""
        super().allocate()
        rows, new = self.network.limits.rows, self.network.buffers.new
        for index, a in self.mixers.items():
            self.add_convolution(index, "shortconv.conv", a.channels, a.width)
        channels = max(a.channels for a in self.mixers.values())
        new("gated", (rows, 3 * channels))
        self.network.activations("short", rows, channels)

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """From the norm before it to what is still to be added to the residual stream."""
        a, at = self.mixers[index], parts.buffers.at
        enter, out = parts.matrices(index, "shortconv.in_proj", "shortconv.out_proj")
        yield [parts.prepare(index, parts.recipe.norms[0])]
        yield from parts.select("h", {"shortconv.in_proj": enter})
        yield [parts.multiply(enter, "h", "gated", "attention", bias=parts.vector(index, "shortconv.in_proj.bias"))]
        fields = {"input": at("gated"), "input_stride": 12 * a.channels, "output": at("short"), "gated": 1}
        fields |= records_of(parts, "short", out, a.channels)
        yield [self.convolve(parts, index, "shortconv.conv.bias", **fields)]
        yield from parts.select("short", {"shortconv.out_proj": out})
        yield [parts.multiply(out, "short", "y", "attention", bias=parts.vector(index, "shortconv.out_proj.bias"))]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, parts.recipe.norms[2])}
