"""How many users one datacenter GPU serves: the largest batch that is fast enough for each of them, and that fits.

    python examples/capacity.py [FOLDER]

For several models on an H100 with vLLM at 8,192 tokens of context: prints the largest batch that gives every user 30 tokens/s,
what limits it, and draws speed for each user and in total against the batch.
"""

import sys
from pathlib import Path

import numpy as np

from simulator import scenario
from simulator.forecast.capacity import largest_batch
from simulator.report.charts.naming import model_name
from simulator.report.charts.rates import batch_chart
from simulator.report.drawing.picture import save_chart
from simulator.report.table import print_table

MODELS = ("llama-3-8b", "qwen3-30b-a3b", "gpt-oss-120b", "qwen3-32b")
DEVICE, RUNTIME, CONTEXT = "h100-sxm", "vllm", 8192
WANTED = 30.0  # tokens/s for each user
BATCHES = tuple(2**power for power in range(10))


def users(base) -> tuple[int, str]:
    """The largest batch in which each sequence gets WANTED tokens/s, and what keeps it from being larger."""
    room = largest_batch(base, CONTEXT)
    if not room:
        return 0, "the model does not fit"
    batches = np.arange(1, room + 1)
    each = base.at(batches, CONTEXT).tokens_per_s / batches
    enough = batches[each >= WANTED]
    if enough.size == room:
        return room, "memory is full"
    return int(enough[-1]) if enough.size else 0, "speed"


def main(folder: Path) -> None:
    """Print the table, and draw into *folder*."""
    bases = [scenario(name, DEVICE, runtime=RUNTIME) for name in MODELS]
    rows = []
    for base in bases:
        n_users, limit = users(base)
        total = f"{float(base.at(n_users, CONTEXT).tokens_per_s):,.0f}" if n_users else "-"
        rows.append([model_name(base), base.load.weights.name, f"{n_users:,}", total, limit])
    head = ["model", "weights", f"users at {WANTED:.0f} tokens/s", "tokens/s in total", "limited by"]
    print_table(head, rows, left=("model", "weights", "limited by"))
    save_chart(batch_chart(bases, BATCHES, CONTEXT), folder / "capacity.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
