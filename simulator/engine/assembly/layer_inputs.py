"""Inputs of each layer's own: what they are made of before the first layer, and what each layer does with its own at its end."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.engine.assembly.kind import Kind
from simulator.engine.assembly.parts import Parts, Phase, bits
from simulator.engine.kernels.table import kernel, task
from simulator.engine.layout import QUANTISED_BLOCK, record_bytes
from simulator.engine.recipes.recipe import ACTIVATIONS
from simulator.engine.team import Entry


class LayerInputs(Kind):
    """A token's row of a table of all layers, beside what a matrix makes of its embedding."""

    @property
    def _width(self) -> int:
        return self.network.model.per_layer_input.width

    def allocate(self) -> None:
        """Inputs of all layers, what is made for them, and those of one layer with their gate. The rows of the table are looked
        up into `layer_inputs`."""
        rows, new, width = self.network.limits.rows, self.network.buffers.new, self._width
        for name in ("layer_inputs", "layer_made"):
            new(name, (rows, width * len(self.network.model.stack)))
        new("layer_gates", (rows, width))
        self.network.activations("layer_input", rows, width)

    def _fields(self) -> dict[str, int]:
        at, n_layers = self.network.buffers.at, len(self.network.model.stack)
        return {"state": at("state"), "width": self._width, "n_layers": n_layers, "inputs": at("layer_inputs")}

    def start(self, parts: Parts) -> Iterator[Phase]:
        """Before the first layer: inputs = (norm(matrix * x / sqrt(d_model)) + sqrt(width) * row) / sqrt(2)."""
        (matrix,) = parts.matrices(-1, "per_layer_model_proj")
        yield [parts.prepare(-1, "")]
        yield from parts.select("h", {"per_layer_model_proj": matrix})
        yield [parts.multiply(matrix, "h", "layer_made", "ffn")]
        numbers = task(
            "I",
            **self._fields(),
            made=parts.buffers.at("layer_made"),
            norm=parts.vector(-1, "per_layer_proj_norm"),
            epsilon=bits(parts.recipe.epsilon),
            made_scale=bits(parts.model.d_model**-0.5),
            input_scale=bits(self._width**0.5),
            scale=bits(0.5**0.5),
        )
        yield [Entry(kernel("mix_inputs"), numbers, "vectors")]

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """At a layer's end: norm(projection * (act(gate * x) * input)) is still to be added to the residual stream."""
        (gate, projection), at = parts.matrices(index, "inp_gate", "proj"), parts.buffers.at
        yield [parts.prepare(index, "")]
        yield from parts.select("h", {"inp_gate": gate})
        yield [parts.multiply(gate, "h", "layer_gates", "ffn")]
        numbers = task(
            "I",
            **self._fields(),
            layer=index,
            gates=at("layer_gates"),
            activation=ACTIVATIONS.index(parts.recipe.activation),
            output=at("layer_input"),
            records=at("layer_input_records") if self._width % QUANTISED_BLOCK == 0 else 0,
            record_stride=record_bytes(self._width),
        )
        yield [Entry(kernel("gate_inputs"), numbers, "vectors")]
        yield from parts.select("layer_input", {"proj": projection})
        yield [parts.multiply(projection, "layer_input", "y", "ffn")]
        parts.pending = {"y": at("y"), "post_norm": parts.vector(index, "post_norm")}
