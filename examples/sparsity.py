"""What sparsity would buy: zero inputs whose weights are not read (Q-Sparse), and tokens that need only a part of the layers.

    python examples/sparsity.py [FOLDER]

Draws how many times as fast Mistral 7B decodes on a desktop's CPU as inputs of its linear layers become zero, alone and in a
batch, where another token needs what this one does not; and the same for the share of the layers that a token reads.
"""

import sys
from pathlib import Path

from simulator import scenario
from simulator.forecast.density import with_density
from simulator.report.charts.chart import Chart, Panel, Series
from simulator.report.charts.sparsity import sparsity_chart
from simulator.report.drawing.picture import save_chart
from simulator.spec.density import Density

MODEL, DEVICE, WEIGHTS, CONTEXT = "mistral-7b", "ryzen-7950x", "q8_0", 1024
BATCHES = (1, 2, 4, 8, 16)
SHARES = tuple(round(1 - 0.05 * step, 2) for step in range(19))  # of the layers' weights that a token reads


def density_line(base, batch: int, colour: int) -> Series:
    """Times as fast as with all layers, over the share that is left out; each token reads weights of its own choice."""
    full = base.at(batch, CONTEXT)
    rates = [with_density(full, Density(kind="fixed", value=share)).tokens_per_s for share in SHARES]
    left_out = tuple(round(100 * (1 - share)) for share in SHARES)
    return Series(f"batch {batch}", left_out, tuple(rate / float(full.tokens_per_s) for rate in rates), colour=colour)


def main(folder: Path) -> None:
    """Draw both into *folder*."""
    base = scenario(MODEL, DEVICE, weights=WEIGHTS)
    save_chart(sparsity_chart([base], BATCHES, CONTEXT), folder / "sparsity.png")
    lines = [density_line(base, batch, number) for number, batch in enumerate(BATCHES)]
    for kind, rate in (("q-sparse:0.5", 0.5), ("q-sparse:0.4", 0.4)):
        sparse = scenario(MODEL, DEVICE, weights=WEIGHTS, sparsity=kind)
        times = [
            float(sparse.at(batch, CONTEXT).tokens_per_s / base.at(batch, CONTEXT).tokens_per_s) for batch in (1, 16)
        ]
        print(f"{rate:.0%} of the inputs zero: {times[0]:.2f} times as fast alone, {times[1]:.2f} in a batch of 16")
    chart = Chart(
        "density", "lines", "What reading fewer layers buys", "weights of the layers that a token does not read, %",
        (Panel("", tuple(lines), "times as fast as with all"),),
        f"forecast for llama.cpp, {WEIGHTS}, context {CONTEXT:,}, each token with layers of its own",
        f"{base.loaded.model.title} on {base.hardware.title}", x_log=False, y_log=False,
    )  # fmt: skip
    save_chart(chart, folder / "density.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
