"""Where a batch ends the advantage of a mixture of experts: Mixtral, Qwen3 and DeepSeek beside dense models of their own size.

    python examples/moe_in_a_batch.py [FOLDER]

One token reads a few experts; tokens of a batch pick different ones, until a step reads them all. Draws how many experts
that are, and how many times as fast a mixture is as a dense model with as many weights, both on a Mac with 512 GB.
"""

import sys
from pathlib import Path

import numpy as np

from simulator import scenario
from simulator.importers.open import load_model
from simulator.report.charts.chart import BATCH, Chart, Panel, Series
from simulator.report.charts.experts import experts_chart
from simulator.report.charts.naming import model_name
from simulator.report.drawing.picture import save_chart
from simulator.spec.layers.ffn import Gated
from simulator.spec.model import Loaded, Model

MODELS = ("mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v3")
DEVICE, WEIGHTS, CONTEXT = "m3-ultra-80", "q4_k_m", 1024
BATCHES = tuple(2**power for power in range(11))


def dense_twin(model: Model) -> Model:
    """The same model with one dense feed-forward network in place of the experts, as wide as all of them together."""
    layers = []
    for layer in model.stack:
        ffn = layer.ffn
        if ffn.kind == "experts":
            ffn = Gated(d_ff=ffn.n_experts * ffn.d_expert + ffn.d_shared)
        layers.append(layer.model_dump() | {"ffn": ffn.model_dump(), "count": 1})
    return Model.model_validate(model.model_dump() | {"name": f"dense-{model.name}", "layers": layers})


def advantage(name: str, colour: int) -> Series:
    """How many times as fast as its dense twin a mixture is, batch by batch."""
    loaded = load_model(name)
    mixture = scenario(loaded, DEVICE, weights=WEIGHTS)
    dense = scenario(Loaded(dense_twin(loaded.model)), DEVICE, weights=WEIGHTS)
    fast, slow = (each.at(np.array(BATCHES), CONTEXT).tokens_per_s for each in (mixture, dense))
    return Series(model_name(mixture), BATCHES, tuple(float(ratio) for ratio in fast / slow), colour=colour)


def main(folder: Path) -> None:
    """Draw both into *folder*, and print the batch at which half of the advantage is gone."""
    bases = [scenario(name, DEVICE, weights=WEIGHTS) for name in MODELS]
    save_chart(experts_chart(bases, BATCHES), folder / "moe_experts.png")
    lines = [advantage(name, number) for number, name in enumerate(MODELS)]
    for line in lines:
        known = [(batch, ratio) for batch, ratio in zip(line.x, line.y, strict=True) if ratio]  # what fits
        half = next((batch for batch, ratio in known if ratio <= line.y[0] / 2), None)
        print(f"{line.label}: {line.y[0]:.1f} times as fast at batch 1, half of that from batch {half}")
    chart = Chart(
        "advantage", "lines", "What experts buy over a dense model of the same size", BATCH,
        (Panel("", tuple(lines), "times as fast"),), f"forecast for llama.cpp, {WEIGHTS}, context {CONTEXT:,}, routing uniform",
        bases[0].hardware.title,
    )  # fmt: skip
    save_chart(chart, folder / "moe_advantage.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
