"""One chart of each kind with values worked out by plain formulas, so that its picture depends on the drawing alone."""

from profiled import machine

from simulator.report.charts import BAND, BATCH, CHANGES, Chart, Mark, Panel, Point, Series, device_chart

BATCHES = (1, 2, 4, 8, 16, 32)


def line(label, start, growth, colour=0, **more):
    """Grows by a factor each time the batch doubles; interval a quarter either way, ceiling twice as high."""
    y = tuple(start * growth**step for step in range(len(BATCHES)))
    ends = {"low": tuple(v * 0.75 for v in y), "high": tuple(v * 1.25 for v in y), "ceiling": tuple(2 * v for v in y)}
    return Series(label, BATCHES, y, **ends, colour=colour, **more)


def bars(names, values, colour=0):
    """As far as there are values; the others do not fit."""
    low, high, most = (tuple(v and v * factor for v in values) for factor in (0.8, 1.2, 1.7))
    notes = tuple("memory-bound" if v else "does not fit: needs 30 GiB of 15 GiB" for v in values)
    measured = (Point(0, values[0] * 1.1, values[0], values[0] * 1.15),)
    return Series("tokens/s", tuple(names), tuple(values), low, high, most, notes, measured=measured, colour=colour)


def sample(kind: str) -> Chart:
    """The chart of a kind."""
    source = "made up, memory bandwidth measured"
    if kind == "batch":
        marks = (Mark(4, 12.5, CHANGES[0], "arithmetic takes over at 4"), Mark(32, 24.4, CHANGES[2], "fits up to 32"))
        total = line("a mixture", 8.0, 1.25, marks=marks, measured=(Point(1, 9.0, 8.0, 10.0),))
        each = Series("a mixture", BATCHES, tuple(y / x for x, y in zip(total.x, total.y, strict=True)))
        panels = (
            Panel("All sequences together", (total,), "tokens/s"),
            Panel("Each sequence", (each,), "tokens/s, each"),
        )
        return Chart(
            kind,
            "lines",
            "Tokens per second against the batch",
            BATCH,
            panels,
            source,
            "a mixture on a board",
            legend=BAND,
        )
    if kind in ("context", "experts", "routing"):
        panel = Panel("", tuple(line(f"number {n}", 10.0 + 3 * n, 1.4, n) for n in range(12)), "tokens/s")
        return Chart(kind, "lines", f"Twelve lines: {kind}", BATCH, (panel,), source, "on a board")
    if kind == "sparsity":
        panels = tuple(
            Panel(
                f"on board {n}",
                tuple(Series(f"batch {b}", (0, 50, 90), (1.0, 1.5, 4.0 / b), colour=b) for b in (1, 2)),
                "times",
            )
            for n in range(3)
        )
        return Chart(kind, "lines", "What zero inputs buy", "zero, %", panels, source, x_log=False, y_log=False)
    if kind in ("speed", "formats"):
        panels = (
            Panel("one", (bars(("a", "b", "c"), (20.0, 5.0, None)),), ""),
            Panel("two", (bars(("d",), (9.0,)),), ""),
        )
        return Chart(
            kind,
            "bars",
            "Tokens per second",
            "tokens/s",
            panels,
            source,
            y_log=False,
            x_log=False,
            legend="bar: interval",
        )
    if kind == "bytes":
        parts = {
            "weights": (2e9,) * 6,
            "experts": tuple(1e9 * b for b in BATCHES),
            "cache": tuple(1e8 * b for b in BATCHES),
        }
        panel = Panel(
            "",
            tuple(Series(name, BATCHES, y, colour=n) for n, (name, y) in enumerate(parts.items())),
            "bytes of a step",
        )
        return Chart(kind, "stacks", "Where the bytes go", BATCH, (panel,), source, y_log=False)
    if kind == "roofline":
        points = (Series("attention", (1.0, 8.0), (10e9, 70e9)), Series("cache", (2.0, 2.1), (15e9, 16e9), colour=1))
        panel = Panel("", points, "operations per second", machine())
        return Chart(kind, "roofline", "What holds it back", "operations per byte", (panel,), source, legend="batch 1")
    if kind == "measured":
        x = tuple(10.0 * 1.3**n for n in range(12))
        y = tuple(v * (1.1 if n % 2 else 0.9) for n, v in enumerate(x))
        rows = tuple(Point(a, b, a * 0.95, a * 1.05) for a, b in zip(x, y, strict=True))
        series = Series("dense", x, y, tuple(v * 0.8 for v in y), tuple(v * 1.2 for v in y), measured=rows)
        return Chart(
            kind, "scatter", "Forecast against measured", "measured", (Panel("", (series,), "forecast"),), source
        )
    return device_chart(machine())
