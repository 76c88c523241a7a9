"""Forecasts beside published measurements: how far can it be trusted today?

    python examples/published.py [FILE.png]

Prints the README's table, as `roofcast score` does with much else, and draws every row and the errors of each group where a
file is named. The rows lie in simulator/measured/decode.csv.
"""

import sys
from pathlib import Path

from simulator.commands.score import SHIPPED, Request, scored
from simulator.report.charts.errors import errors_chart, scatter_chart
from simulator.report.drawing.picture import save_chart
from simulator.report.scored import headline_table
from simulator.report.table import print_table


def main(picture: str | None) -> None:
    """Forecast each, print how far off they are, and draw that."""
    request = Request(file=None)
    found = scored(request)
    print_table(*headline_table(found), left=("",))
    if picture:
        path = Path(picture)
        save_chart(scatter_chart(found.decode, SHIPPED), path)
        save_chart(errors_chart(found.decode, SHIPPED), path.with_name(f"{path.stem}-errors{path.suffix}"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
