"""Prefixes live here and in YAML keys, nowhere else: inside Python everything is bytes, seconds and flops."""

KI, MI, GI = 2**10, 2**20, 2**30
KILO, MEGA, GIGA, TERA = 1e3, 1e6, 1e9, 1e12
MILLI, MICRO, NANO = 1e-3, 1e-6, 1e-9


def format_bytes(n_bytes: float) -> str:
    """Bytes for a reader, in the decimal units that bandwidths are quoted in: `1.13 GB`."""
    for size, unit in ((TERA, "TB"), (GIGA, "GB"), (MEGA, "MB"), (KILO, "kB")):
        if abs(n_bytes) >= size:
            return f"{format_number(n_bytes / size)} {unit}"
    return f"{n_bytes:.0f} B"


def format_rate(ops_per_s: float) -> str:
    """Operations a second for a reader: `614 Gop/s`."""
    return (
        f"{format_number(ops_per_s / TERA)} Top/s" if ops_per_s >= TERA else f"{format_number(ops_per_s / GIGA)} Gop/s"
    )


def format_gib(n_bytes: float) -> str:
    """Bytes in the binary units that memory is sold in: `16.0 GiB`."""
    if n_bytes >= 1000 * GI:
        return f"{n_bytes / GI:,.0f} GiB"
    return f"{n_bytes / GI:.1f} GiB" if abs(n_bytes) >= 0.1 * GI else f"{n_bytes / MI:.1f} MiB"


def format_capacity(n_bytes: float) -> str:
    """What a cache or a memory holds, in the binary units that makers write: `48 KiB`, `1.25 MiB`, `53.0 KiB`."""
    size, unit = next(((size, unit) for size, unit in ((GI, "GiB"), (MI, "MiB")) if n_bytes >= size), (KI, "KiB"))
    value = n_bytes / size
    return f"{value:g} {unit}" if value * 4 == int(value * 4) else f"{format_number(value)} {unit}"


def format_seconds(seconds: float) -> str:
    """Seconds for a reader: `124 ms`."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if abs(seconds) >= size:
            return f"{format_number(seconds / size)} {unit}"
    return f"{seconds / 1e-9:.0f} ns" if seconds else "0 s"


def format_number(value: float) -> str:
    """Three significant digits, never an exponent, thousands set apart: `0.083`, `8.03`, `127`, `2,200`."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or value == 0 else f"{value:.3g}"


def format_price(value: float) -> str:
    """As somebody would write it, thousands set apart: `99`, `1,499.5`."""
    return f"{value:,.10g}" if value < 1e9 else f"{value:,.0f}"


def format_count(count: float) -> str:
    """A number of tokens or sequences for a reader: `512`, `8k`, `1M`."""
    for size, letter in ((MI, "M"), (KI, "k")):
        if count >= size and count % size == 0:
            return f"{count / size:,.0f}{letter}"
    return f"{count:,.10g}"


def format_params(count: float) -> str:
    """A number of weights for a reader: `30.53 B`, `134.5 M`."""
    return f"{count / GIGA:,.2f} B" if count >= GIGA else f"{count / MEGA:.1f} M"


def counted(number: float, noun: str) -> str:
    """So many of something: `1 token`, `0.5 bytes`, `2,048 tokens`."""
    return f"{f'{number:,}'.removesuffix('.0')} {noun}{'' if number == 1 else 's'}"
