"""One chart of each kind with values worked out by plain formulas, so that its picture depends on the drawing alone."""

from profiled import machine

from simulator.report.charts.chart import BAND, BATCH, CHANGES, FITS_FROM, Chart, Mark, Panel, Point, Series
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


SOURCE = "made up, memory bandwidth measured"


def sample(kind: str) -> Chart:
    """The chart of a kind."""
    return device_chart(machine()) if kind == "device" else SAMPLES[kind](kind)


def _batch(kind):
    marks = (Mark(4, 12.5, CHANGES[0], "compute takes over at 4"), Mark(32, 24.4, CHANGES[2], "fits up to 32"))
    total = line("a mixture", 8.0, 1.25, marks=marks, measured=(Point(1, 9.0, 8.0, 10.0),))
    each = Series("a mixture", BATCHES, tuple(y / x for x, y in zip(total.x, total.y, strict=True)))
    panels = Panel("All sequences together", (total,), "tokens/s"), Panel("Each sequence", (each,), "tokens/s, each")
    title, subtitle = "Tokens per second against the batch", "a mixture on a board"
    return Chart(kind, "lines", title, BATCH, panels, SOURCE, subtitle, legend=BAND)


def _twelve_lines(kind):
    panel = Panel("", tuple(line(f"number {n}", 10.0 + 3 * n, 1.4, n) for n in range(12)), "tokens/s")
    return Chart(kind, "lines", f"Twelve lines: {kind}", BATCH, (panel,), SOURCE, "on a board")


def _sparsity(kind):
    lines = tuple(Series(f"batch {b}", (0, 50, 90), (1.0, 1.5, 4.0 / b), colour=b) for b in (1, 2))
    panels = tuple(Panel(f"on board {n}", lines, "times") for n in range(3))
    return Chart(kind, "lines", "What zero inputs buy", "zero, %", panels, SOURCE, x_log=False, y_log=False)


def _speculation(kind):
    kept = (0, 25, 50, 75, 100)
    lines = tuple(
        Series(
            f"{n} drafted", kept, tuple(sum((x / 100) ** i for i in range(n + 1)) / (1 + n / 8) for x in kept), colour=k
        )
        for k, n in enumerate((1, 2, 4))
    )
    panels = tuple(Panel(f"on board {n}", lines, "times") for n in range(2))
    return Chart(kind, "lines", "What drafts buy", "kept, %", panels, SOURCE, x_log=False, y_log=False)


def _split(kind):
    lines = tuple(
        Series(name, tuple(range(9)), tuple(40 / (1 + n * cost) for n in range(9)), colour=k,
               marks=(Mark(5, 40 / (1 + 5 * cost), FITS_FROM, "fits from 5"),))
        for k, (name, cost) in enumerate({"their experts": 0.2, "all of them": 0.5}.items())
    )  # fmt: skip
    panel = Panel("", lines, "tokens/s")
    return Chart(kind, "lines", "What lies in RAM", "layers", (panel,), SOURCE, "a mixture", x_log=False, y_log=False)


def _bars(kind):
    found = {"one": bars(("a", "b", "c"), (20.0, 5.0, None)), "two": bars(("d",), (9.0,))}
    panels = tuple(Panel(title, (each,), "") for title, each in found.items())
    linear = {"x_log": False, "y_log": False}
    return Chart(kind, "bars", "Tokens per second", "tokens/s", panels, SOURCE, legend="bar: interval", **linear)


def _bytes(kind):
    growing = {"experts": 1e9, "cache": 1e8}
    parts = {"weights": (2e9,) * 6} | {name: tuple(one * b for b in BATCHES) for name, one in growing.items()}
    series = tuple(Series(name, BATCHES, y, colour=n) for n, (name, y) in enumerate(parts.items()))
    panel = Panel("", series, "bytes of a step")
    return Chart(kind, "stacks", "Where the bytes go", BATCH, (panel,), SOURCE, y_log=False)


def _roofline(kind):
    points = (Series("attention", (1.0, 8.0), (10e9, 70e9)), Series("cache", (2.0, 2.1), (15e9, 16e9), colour=1))
    panel = Panel("", points, "operations per second", machine())
    return Chart(kind, "roofline", "What holds it back", "operations per byte", (panel,), SOURCE, legend="batch 1")


def _measured(kind):
    x = tuple(10.0 * 1.3**n for n in range(12))
    y = tuple(v * (1.1 if n % 2 else 0.9) for n, v in enumerate(x))
    rows = tuple(Point(a, b, a * 0.95, a * 1.05) for a, b in zip(x, y, strict=True))
    series = Series("dense", x, y, tuple(v * 0.8 for v in y), tuple(v * 1.2 for v in y), measured=rows)
    return Chart(kind, "scatter", "Forecast against measured", "measured", (Panel("", (series,), "forecast"),), SOURCE)


SAMPLES = {
    "batch": _batch, "context": _twelve_lines, "experts": _twelve_lines, "routing": _twelve_lines, "sparsity": _sparsity,
    "speculation": _speculation, "split": _split,
    "speed": _bars, "formats": _bars, "bytes": _bytes, "roofline": _roofline, "measured": _measured,
}  # fmt: skip


# ---- crowds: as many entries as people ask for, with names as long as they are ----

NAMES = (
    "Qwen3-30B-A3B, q3_k_m", "NVIDIA GeForce RTX 4090, 24 GB, q4_k_m", "a-model-of-my-own-whose-name-has-neither-spaces-nor-an-end, q4_0",
    "AMD EPYC 9654 (Genoa), one socket, 12 channels, q4_k_m", "Llama 3 / 3.1 8B, q4_k_m", "gpt-oss-120b, mxfp4+bf16",
    "Raspberry Pi 5, 16 GB (CPU), iq2_xxs", "Apple M3 Ultra, 80-core GPU, q8_0", "Gemma 3 4B (text), q4_k_m", "Qwen3-0.6B, bf16",
    "DeepSeek-V3 / R1, int4-g128", "Mixtral 8x7B, fp8",
)  # fmt: skip
LONG_SOURCE = (
    "forecast for llama.cpp, vLLM, batch 1, context 1,024, memory bandwidth measured for pi5-16gb, rtx-4090 and 4 more; estimated for "
    "epyc-9654, ryzen-7950x and m3-ultra-80"
)
OF = "Qwen3-30B-A3B, q3_k_m on AMD EPYC 9654 (Genoa), one socket, 12 channels"


def crowd(kind: str, count: int) -> Chart:
    """A chart of so many models or devices: lines or bars in one panel, or a panel each; some of them do not fit."""
    shared = {
        "kind": kind,
        "title": f"{kind}, a title of some length of {count}",
        "source": LONG_SOURCE,
        "subtitle": OF,
    }
    return Chart(**shared, **CROWDS[kind](kind, count))


def _many_lines(kind, count):
    # Names that are short stand at their lines.
    names = NAMES[:count] if kind != "routed" else tuple(f"zipf:{n}" for n in range(count))
    found = [
        line(name, 5.0 * 3**n if kind == "batch" else 20.0 + n, 0.8, n, marks=(Mark(4, 9.0, CHANGES[n % 3], "fits up to 4"),),
             measured=(Point(2, 7.0, 6.0, 8.0),))
        for n, name in enumerate(names)
    ]  # fmt: skip
    found[-1:] = [Series(f"{names[-1]}: does not fit", BATCHES, (None,) * 6, colour=count - 1)] if count > 1 else []
    found = found or [line(names[0], 5.0, 0.8)]
    titles = ("All sequences together", "Each sequence") if kind == "batch" else ("",)
    panels = tuple(Panel(title, tuple(found), "tokens/s, all together") for title in titles)
    return {"form": "lines", "x": BATCH, "panels": panels, "legend": BAND}


def _many_bars(kind, count):
    rates = tuple(None if n == 7 else 2.0 * (1.8 if kind == "spread" else 1.2) ** n for n in range(count))
    names = NAMES[:count]
    many = [bars(names, rates)] if kind != "formats" else [bars(NAMES[:3], (30.0, 20.0, None)) for _ in names]
    x = "tokens/s, all sequences together" + (", logarithmic" if kind == "spread" else "")
    panels = tuple(Panel(OF if kind == "formats" else "", (each,), "") for each in many)
    signs = "bar: 80 % interval; tick: ceiling; star: measured"
    return {"form": "bars", "x": x, "panels": panels, "x_log": kind == "spread", "y_log": False, "legend": signs}


def _many_panels(kind, count):
    log = kind == "routing"
    each = tuple(Series(f"batch {n}", BATCHES, tuple(1.0 + n * x for x in BATCHES), colour=n) for n in (1, 4, 16))
    panels = tuple(
        Panel(name, () if n == 7 else each, "times as fast as without") for n, name in enumerate(NAMES[:count])
    )
    x = "inputs of the linear layers that are zero, %"
    return {"form": "lines", "x": x, "panels": panels, "x_log": log, "y_log": log}


def _many_stacks(kind, count):
    parts = tuple(
        Series(part, BATCHES, (2e9 * n,) * 6, colour=n) for n, part in enumerate(("weights", "experts", "cache"), 1)
    )
    panels = tuple(Panel(name, parts, "bytes of a step") for name in NAMES[:count])
    return {"form": "stacks", "x": BATCH, "panels": panels, "y_log": False}


def _many_roofs(kind, count):
    points = tuple(Series(f"part {n}", (1.0, 8.0), (n * 1e9, n * 7e9), colour=n) for n in range(1, 5))
    panels = tuple(
        Panel(name, () if n == 7 else points, "operations per second", machine())
        for n, name in enumerate(NAMES[:count])
    )
    return {"form": "roofline", "x": "operations per byte moved", "panels": panels, "legend": "batch 1"}


def _many_measurements(kind, count):
    series = []
    for n, name in enumerate(NAMES[:count]):
        x = (10.0 * 1.1**n,)
        row = (Point(x[0], x[0], x[0] * 0.97, x[0] * 1.03),)
        series.append(Series(name, x, x, (x[0] * 0.95,), (x[0] * 1.05,), measured=row, colour=n))
    panel = Panel("", tuple(series), "forecast, tokens/s")
    signs = "bars: 80 % interval, spread of the measurement"
    return {"form": "scatter", "x": "measured, tokens/s", "panels": (panel,), "legend": signs}


CROWDS = {
    "batch": _many_lines, "context": _many_lines, "experts": _many_lines, "routed": _many_lines,
    "speed": _many_bars, "spread": _many_bars, "formats": _many_bars, "sparsity": _many_panels, "routing": _many_panels,
    "bytes": _many_stacks, "roofline": _many_roofs, "measured": _many_measurements,
}  # fmt: skip


def measurement(base, rate, batch=1, context=1024):
    """Somebody's measurement of a scenario."""
    return Measured("row 1", base.loaded.model.name, base.hardware.name, base.runtime.name, base.load.weights.name,
                    batch, context, None, "uniform", None, rate, rate * 0.9, rate * 1.1, rate, rate * 0.8, rate * 1.2)  # fmt: skip
