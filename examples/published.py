"""Forecasts beside published measurements that no figure of roofcast was taken from: how far can it be trusted today?

    python examples/published.py [FILE.png]

Prints them, and draws them where a file is named. The rows lie in simulator/published.csv; contexts that were not stated
are taken as 128.
"""

import sys
from pathlib import Path

from simulator.report.charts.measurements import measured_chart
from simulator.report.drawing.picture import save_chart
from simulator.report.measured import load_measured, published_path
from simulator.report.table import print_table


def main(picture: str | None) -> None:
    """Forecast each, print them side by side, and sum up."""
    found = load_measured(published_path())
    rows = [
        [each.hardware, each.model, each.weights, f"{each.tokens_per_s:.2f}", f"{each.forecast:.2f}", f"{each.error:+.0%}",
         f"{each.forecast_low:.2f} - {each.forecast_high:.2f}"]
        for each in found
    ]  # fmt: skip
    head = ["device", "model", "weights", "measured", "forecast", "error", "80 % interval"]
    print_table(head, rows, left=("device", "model", "weights"))
    chart = measured_chart(found, "published measurements that no figure was taken from")
    print(f"\n{chart.source}")
    if picture:
        save_chart(chart, Path(picture))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
