"""One chart of each kind with values worked out by plain formulas, so that its picture depends on the drawing alone."""

from profiled import machine

from simulator.report.charts.chart import BAND, BATCH, CHANGES, Chart, Mark, Panel, Point, Series
from simulator.report.charts.rooflines import device_chart
from simulator.report.measured import Measured

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
        marks = (Mark(4, 12.5, CHANGES[0], "compute takes over at 4"), Mark(32, 24.4, CHANGES[2], "fits up to 32"))
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


# ---- crowds: as many entries as people ask for, with names as long as they are ----

NAMES = (
    "Qwen3-30B-A3B, q3_k_m", "NVIDIA GeForce RTX 4090, 24 GB, q4_k_m", "a-model-of-my-own-whose-name-has-neither-spaces-nor-an-end, q4_0",
    "AMD EPYC 9654 (Genoa), one socket, 12 channels, q4_k_m", "Llama 3 / 3.1 8B, q4_k_m", "gpt-oss-120b, mxfp4+bf16",
    "Raspberry Pi 5, 16 GB (CPU), iq2_xxs", "Apple M3 Ultra, 80-core GPU, q8_0", "Gemma 3 4B (text), q4_k_m", "Qwen3-0.6B, bf16",
    "DeepSeek-V3 / R1, int4-g128", "Mixtral 8x7B, fp8",
)  # fmt: skip
SOURCE = (
    "forecast for llama.cpp, vLLM, batch 1, context 1,024, memory bandwidth measured for pi5-16gb, rtx-4090 and 4 more; estimated for "
    "epyc-9654, ryzen-7950x and m3-ultra-80"
)
OF = "Qwen3-30B-A3B, q3_k_m on AMD EPYC 9654 (Genoa), one socket, 12 channels"


def crowd(kind: str, count: int) -> Chart:
    """A chart of so many models or devices: lines or bars in one panel, or a panel each; some of them do not fit."""
    shared = {"title": f"{kind}, a title of some length of {count}", "source": SOURCE, "subtitle": OF}
    names = (
        NAMES[:count] if kind != "routed" else tuple(f"zipf:{n}" for n in range(count))
    )  # short ones stand at their lines
    if kind in ("batch", "context", "experts", "routed"):
        found = [
            line(name, 5.0 * 3**n if kind == "batch" else 20.0 + n, 0.8, n, marks=(Mark(4, 9.0, CHANGES[n % 3], "fits up to 4"),),
                 measured=(Point(2, 7.0, 6.0, 8.0),))
            for n, name in enumerate(names)
        ]  # fmt: skip
        found[-1:] = [Series(f"{names[-1]}: does not fit", BATCHES, (None,) * 6, colour=count - 1)] if count > 1 else []
        found = found or [line(names[0], 5.0, 0.8)]
        titles = ("All sequences together", "Each sequence") if kind == "batch" else ("",)
        panels = tuple(Panel(title, tuple(found), "tokens/s, all together") for title in titles)
        return Chart(kind=kind, form="lines", x=BATCH, panels=panels, legend=BAND, **shared)
    if kind in ("speed", "spread", "formats"):
        rates = tuple(None if n == 7 else 2.0 * (1.8 if kind == "spread" else 1.2) ** n for n in range(count))
        many = [bars(names, rates)] if kind != "formats" else [bars(NAMES[:3], (30.0, 20.0, None)) for _ in names]
        x = "tokens/s, all sequences together" + (", logarithmic" if kind == "spread" else "")
        panels = tuple(Panel(OF if kind == "formats" else "", (each,), "") for each in many)
        signs = "bar: 80 % interval; tick: ceiling; star: measured"
        return Chart(
            kind=kind, form="bars", x=x, panels=panels, x_log=kind == "spread", y_log=False, legend=signs, **shared
        )
    if kind in ("sparsity", "routing"):
        log = kind == "routing"
        each = tuple(Series(f"batch {n}", BATCHES, tuple(1.0 + n * x for x in BATCHES), colour=n) for n in (1, 4, 16))
        panels = tuple(Panel(name, () if n == 7 else each, "times as fast as without") for n, name in enumerate(names))
        return Chart(
            kind=kind,
            form="lines",
            x="inputs of the linear layers that are zero, %",
            panels=panels,
            x_log=log,
            y_log=log,
            **shared,
        )
    if kind == "bytes":
        parts = tuple(
            Series(part, BATCHES, (2e9 * n,) * 6, colour=n) for n, part in enumerate(("weights", "experts", "cache"), 1)
        )
        panels = tuple(Panel(name, parts, "bytes of a step") for name in names)
        return Chart(kind=kind, form="stacks", x=BATCH, panels=panels, y_log=False, **shared)
    if kind == "roofline":
        points = tuple(Series(f"part {n}", (1.0, 8.0), (n * 1e9, n * 7e9), colour=n) for n in range(1, 5))
        panels = tuple(
            Panel(name, () if n == 7 else points, "operations per second", machine()) for n, name in enumerate(names)
        )
        return Chart(
            kind=kind, form="roofline", x="operations per byte moved", panels=panels, legend="batch 1", **shared
        )
    series = []
    for n, name in enumerate(names):
        x = (10.0 * 1.1**n,)
        row = (Point(x[0], x[0], x[0] * 0.97, x[0] * 1.03),)
        series.append(Series(name, x, x, (x[0] * 0.95,), (x[0] * 1.05,), measured=row, colour=n))
    panel = Panel("", tuple(series), "forecast, tokens/s")
    signs = "bars: 80 % interval, spread of the measurement"
    return Chart(kind=kind, form="scatter", x="measured, tokens/s", panels=(panel,), legend=signs, **shared)


def measurement(base, rate, batch=1, context=1024):
    """Somebody's measurement of a scenario."""
    return Measured("row 1", base.loaded.model.name, base.hardware.name, base.runtime.name, base.load.weights.name,
                    batch, context, None, "uniform", None, rate, rate * 0.9, rate * 1.1, rate, rate * 0.8, rate * 1.2)  # fmt: skip
