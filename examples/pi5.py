"""Which model to run on a Raspberry Pi 5: a mixture of experts or a dense model, on the CPU or the GPU, in how many bits?

    python examples/pi5.py [FOLDER]

Draws four pictures: models on the 16 GB board, a dense 30B beside Qwen3-30B-A3B in a batch with what was measured, the
board's CPU beside its GPU, and one model in every format.
"""

import sys
from pathlib import Path

from simulator import scenario
from simulator.report.charts.bars import formats_chart, speed_chart
from simulator.report.charts.rates import batch_chart
from simulator.report.drawing.picture import save_chart
from simulator.report.measured import load_measured

MODELS = ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-30b-a3b", "qwen3-32b", "gpt-oss-20b")
BATCHES = (1, 2, 4, 8, 16, 32, 64)
CONTEXT = 1024
FORMATS = ("iq2_xxs", "2.70bpw", "q2_k", "q3_k_m", "q4_k_m")


def main(folder: Path) -> None:
    """Draw all four into *folder*."""
    board = [scenario(name, "pi5-16gb") for name in MODELS]
    save_chart(speed_chart(board, 1, CONTEXT), folder / "pi5_models.png")

    pair = [scenario(name, "pi5-16gb", weights="2.70bpw") for name in ("qwen3-30b-a3b", "qwen3-32b")]
    measured = load_measured(Path(__file__).with_name("pi5_measured.csv"))
    save_chart(batch_chart(pair, BATCHES, measured[0].context, measured), folder / "pi5_batch.png")

    # llama.cpp does not run on this GPU: even perfect software would be slower there.
    processors = [
        scenario("qwen3-4b", name, weights="q4_0", runtime="roofline") for name in ("pi5-16gb", "pi5-videocore7")
    ]
    save_chart(batch_chart(processors, BATCHES, CONTEXT), folder / "pi5_cpu_gpu.png")

    formats = [scenario("qwen3-30b-a3b", "pi5-16gb", weights=each) for each in FORMATS]
    save_chart(formats_chart(formats, 1, CONTEXT), folder / "pi5_formats.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
