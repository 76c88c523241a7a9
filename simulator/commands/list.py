"""The command `list`: its options, and the shelves as lists, what of them is asked for, as many lines as a terminal shows."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, subcommand
from simulator.errors import InputError, hint, printable
from simulator.forecast.prediction import Prediction
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario, scenario
from simulator.importers.open import load_model
from simulator.report.screen import fold, is_screen, print_line
from simulator.report.table import print_table
from simulator.spec.hardware import Hardware
from simulator.spec.library import RUNTIMES, names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import GROUPS
from simulator.spec.model import Loaded, Model
from simulator.spec.names import holds, words
from simulator.spec.quant import FAMILIES, FORMATS, SERIES, Format
from simulator.spec.recipes import PARTS
from simulator.spec.runtime import default_runtime, load_runtime
from simulator.units import GIGA, KILO, MEGA, TERA, counted, format_gib, format_number, format_params

LINES = 20  # of a list on a terminal, where not all are asked for
NAMED = 5  # models that are too large, on a terminal
_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([kmbt])")
_SIZES = {"k": KILO, "m": MEGA, "b": GIGA, "t": TERA}


@subcommand("list")
@argument("what", "models, hardware, runtimes, formats, or architectures: what files are read.")
@argument(
    "words",
    "Of models, hardware and architectures only those whose name holds each of these.",
    metavar="WORD",
    nargs=-1,
    required=False,
)
@option("--on", metavar="HARDWARE", help="For models: those that fit there, and how fast.")
@option("--min-params", metavar="SIZE", help="For models: of so many weights or more, such as 7b or 500m.")
@option("--max-params", metavar="SIZE", help="For models: of so many weights or fewer.")
@flag("--moe", help="For models: mixtures of experts only.")
@flag("--all", "everything", help="Every line; a terminal shows the first 20, a pipe or a file always gets all.")
def command(
    what: str,
    words: tuple[str, ...],
    on: str | None,
    min_params: str | None,
    max_params: str | None,
    moe: bool,
    everything: bool,
) -> None:
    """List what roofcast knows by name. Models that people measure come first, and of these the newest."""
    options.refuse_empty({"on": on, "min-params": min_params, "max-params": max_params})
    what = "hardware" if what == "devices" else what
    if what not in LISTS:
        raise InputError(f"list {what!r} is unknown, {hint(what, LISTS)}")
    if on is not None and what != "models":
        raise InputError(f"list {printable(what)} --on {printable(on)}: only models are listed on a device")
    if what != "models" and (moe or min_params is not None or max_params is not None):
        raise InputError(f"list {what}: --min-params, --max-params and --moe choose among models, leave them out")
    if words and what in ("runtimes", "formats"):
        raise InputError(f"list {what} {printable(words[0])}: the list is short, leave the word out")
    print_list(Asked(what, words, on, min_params, max_params, moe, everything))


Texts = tuple[str, ...]  # of an entry: its name first, its title, and what else it is looked for by


@dataclass(frozen=True)
class Asked:
    """What is to be listed: what holds every word, and of models those of such a size and kind."""

    what: str
    words: tuple[str, ...] = ()
    on: str | None = None
    min_params: str | None = None
    max_params: str | None = None
    moe: bool = False
    everything: bool = False

    @property
    def most(self) -> int | None:
        """Lines to show; None for all, which a program that reads them always gets."""
        return None if self.everything or not is_screen() else LINES

    @property
    def command(self) -> str:
        """That asks for it."""
        on = [] if self.on is None else ["--on", self.on]
        return " ".join([shlex.join(["roofcast", "list", self.what, *self.words, *on]), *self.options])

    @property
    def options(self) -> tuple[str, ...]:
        """Those that leave models out, as they are written."""
        sizes = {"--min-params": self.min_params, "--max-params": self.max_params}
        given = (shlex.join([name, value]) for name, value in sizes.items() if value is not None)
        return (*given, *(["--moe"] if self.moe else []))

    def holds(self, texts: Texts) -> bool:
        """Whether every word stands in one of the texts, in whatever spelling."""
        return all(_stands(word, texts) for word in self.words)


def _stands(word: str, texts: Texts) -> bool:
    return any(holds(text, word) for text in texts)


def _refusal(asked: Asked, entries: Sequence[Texts], sort: str) -> InputError:
    """What of that which was asked for leaves nothing over, and what to write instead."""
    start = f"{asked.command}: none of the {len(entries)} {sort}"
    for word in asked.words:
        if not any(_stands(word, texts) for texts in entries):
            every = f"roofcast list {asked.what} --all shows their names"
            return InputError(f"{start} is called {printable(word)!r}; {_near(word, entries) or every}")
    conditions = [*map(shlex.quote, asked.words), *asked.options]
    if len(conditions) == 1:
        return InputError(f"{start} is as {conditions[0]} asks; leave it out")
    return InputError(f"{start} is all of that; leave out one of {', '.join(conditions)}")


def _near(word: str, entries: Sequence[Texts]) -> str:
    """Words of the entries' names, and whole names, that are nearly that word; empty where none is."""
    known = {part for name, *_ in entries for part in words(name) if len(part) > 2}
    guess = hint(word, [*sorted(known), *(name for name, *_ in entries)])
    return guess if guess.startswith("did") else ""


def print_list(asked: Asked) -> None:
    """Models, hardware, runtimes or formats; InputError where none is as asked for."""
    if asked.what == "models" and asked.on is not None:
        _print_models_on(load_hardware(asked.on), asked)
        return
    LISTS[asked.what](asked)


# ---- models ----


def _models(asked: Asked) -> list[Loaded]:
    """Those asked for: the ones that people measure before the others, and the newest first."""
    least, most = parse_size(asked.min_params, "--min-params", 0.0), parse_size(asked.max_params, "--max-params", inf)
    if least > most:
        raise InputError(f"--min-params {asked.min_params}: more than --max-params {asked.max_params}")
    every = [load_model(name) for name in names(shelf("models"))]
    found = [
        each
        for each in every
        if asked.holds(_model_texts(each))
        and least <= each.model.total_params <= most
        and (each.model.experts or not asked.moe)
    ]
    if not found:
        raise _refusal(asked, [_model_texts(each) for each in every], "models")
    return sorted(found, key=lambda each: _age(each.model))


def _model_texts(each: Loaded) -> Texts:
    return each.model.name, each.model.title


def _age(model: Model) -> tuple[bool, int]:
    """By which models are sorted; of a month that is unknown the last."""
    released = model.published.released
    return not model.published.measured, -int(released.month.replace("-", "")) if released else 0


def parse_size(text: str | None, option: str, default: float) -> float:
    """A number of weights: `7b`, `350m`, `1.5t`; InputError names the option."""
    if text is None:
        return default
    match = _SIZE.fullmatch(text.strip().lower())
    if not match:
        raise InputError(f"{option} {printable(text)!r}: write a number of weights such as 500m, 7b or 1.5t")
    return float(match[1]) * _SIZES[match[2]]


def _print_models(asked: Asked) -> None:
    """With size and what they are made of."""
    head = ["model", "weights", "read a token", "experts", "attention", "came out"]
    rows = [_model_row(each.model) for each in _models(asked)]
    _print_rows(head, rows, ("model", "attention"), asked, spared=("attention",))


def _model_row(model: Model) -> list[str]:
    active = format_params(model.active_params("without_input_embedding")) if model.experts else ""
    experts = f"{model.experts[0].n_active} of {model.experts[0].n_experts}" if model.experts else ""
    return [model.name, format_params(model.total_params), active, experts, _attention(model), _month(model)]


def _month(model: Model) -> str:
    return model.published.released.month if model.published.released else ""


def _print_models_on(device: Hardware, asked: Asked) -> None:
    """Each in the best format that fits the device; those that do not fit in a line."""
    found, too_large, limit = [], [], 0.0
    for loaded in _models(asked):
        try:
            base = scenario(loaded, device)
            point = base.at(1, DEFAULT_CONTEXT)
        except InputError:
            continue  # no format of this runtime suits its shapes
        limit = point.memory_limit_bytes
        if point.fits:
            found.append((base, point))
        else:
            too_large.append(loaded.model.name)
    # Of one month the fastest first.
    found.sort(key=lambda each: (_age(each[0].loaded.model), -float(each[1].tokens_per_s)))
    several = f"{device.asked} x " if (device.asked or 1) > 1 else ""
    print_line(f"{several}{device.full_title}: one user, {DEFAULT_CONTEXT:,} tokens in the cache")
    print_line(f"with {load_runtime(default_runtime(device)).title}, each model in the first of its formats that fits")
    print()
    head = ["model", "weights", "tokens/s", "80 % interval", "limited by", "memory", "came out"]
    rows = [_fitting_row(base, point) for base, point in found]
    _print_rows(head, rows, ("model", "weights", "limited by"), asked, spared=("came out", "limited by"))
    print()
    if too_large:
        few = too_large if asked.most is None else too_large[:NAMED]
        rest = f" and {len(too_large) - len(few)} others" if len(few) < len(too_large) else ""
        print(
            fold(
                f"Too large for the {format_gib(limit)} that can be had, even in the smallest of these formats: "
                f"{', '.join(few)}{rest}"
            )
        )
    print_line("How good a model's answers are, and what fewer bits cost them, is not forecast.")


def _fitting_row(base: Scenario, point: Prediction) -> list[str]:
    low, high = (format_number(float(rate)) for rate in (point.tokens_per_s_low, point.tokens_per_s_high))
    model = base.loaded.model
    memory, rate = format_gib(float(point.memory_bytes)), format_number(float(point.tokens_per_s))
    return [model.name, base.load.weights.name, rate, f"{low} - {high}", str(point.bound), memory, _month(model)]


def _attention(model: Model) -> str:
    kinds = Counter(_kind(layer.attention) for layer in model.stack if layer.attention is not None)
    return " + ".join(kind for kind, _ in kinds.most_common())


def _kind(attention) -> str:
    if attention.kind != "grouped_query":
        return {"gated_delta_net": "delta net", "short_conv": "convolution"}.get(attention.kind, attention.kind)
    if attention.window or attention.chunk:
        return f"window {attention.window}" if attention.window else f"chunk {attention.chunk}"
    return "multi-head" if attention.queries_per_kv == 1 else "multi-query" if attention.n_kv_heads == 1 else "grouped"


# ---- the other shelves ----


def _print_hardware(asked: Asked) -> None:
    """Devices with memory and speed."""
    devices = [load_hardware(name) for name in names(shelf("hardware"))]
    texts = [(each.name, each.title, *each.aliases, each.device_class, each.vendor) for each in devices]
    found = [each for each, called in zip(devices, texts, strict=True) if asked.holds(called)]
    if not found:
        raise _refusal(asked, texts, "devices")
    head = ["hardware", "memory", "GB/s", "sustained", "is"]
    _print_rows(head, [_device_row(each) for each in found], ("hardware", "sustained", "is"), asked, spared=("is",))


def _device_row(device: Hardware) -> list[str]:
    memory = device.main_memory
    ceiling = memory.ceiling_bytes_per_s()
    sustained = memory.sustained(device.device_class, device.threads)
    reached = f"{format_number(sustained.value / GIGA)} {sustained.origin}"
    return [
        device.name,
        format_gib(memory.capacity_bytes),
        format_number(ceiling / GIGA),
        reached,
        device.title,
    ]


def _print_architectures(asked: Asked) -> None:
    """What files may call what they hold, first what is read; one that is asked for by its name before all others."""
    from simulator.importers.architectures import known_architectures

    every = known_architectures()
    found = [each for each in every if asked.holds((each.name, each.file, each.says))]
    if not found:
        raise InputError(
            f"{asked.command}: no architecture that is known here is called that, and of any other the bytes per token would be a guess; "
            "describe the model in a YAML file like the shipped ones"
        )
    found.sort(key=lambda each: each.name not in asked.words)
    rows = [[each.name, each.file, each.says if each.is_read else f"refused: {each.says}"] for each in found]
    _print_rows(["architecture", "file", "is"], rows, ("architecture", "file", "is"), asked)


def _print_runtimes(_asked: Asked) -> None:
    rows = [[name, load_runtime(name).title] for name in names(RUNTIMES)]
    print_table(["runtime", "is"], rows, left=("runtime", "is"))


def _print_formats(_asked: Asked) -> None:
    """Number formats with their bits per weight by who made them, the named mixes of them, checkpoints, and what can be written beside."""
    from simulator.importers.quantised.methods.table import METHODS

    rows = [
        [name, f"{FORMATS[name].bits:.4g}", _block(FORMATS[name]), family]
        for family, members in FAMILIES.items()
        if family not in SERIES
        for name in sorted(members, key=lambda each: FORMATS[each].bits)
    ]
    print_table(["format", "bits", "block", "of"], rows, left=("format", "block", "of"))
    print()
    for group, members in GROUPS.items():
        if group not in FAMILIES or group in SERIES:
            print(fold(f"{group[0].upper()}{group[1:]}: {', '.join(members)}"))
    print(fold(f"Quantised checkpoints, by what their config.json states (quant_method): {', '.join(sorted(METHODS))}"))
    print_line(
        "A mix is called after the file that its tool makes: most matrices in such blocks, some in others; pure:q4_0 is every matrix in "
        "q4_0. q3_k, q4_k and q5_k are the mixes q3_k_m, q4_k_m and q5_k_m, as llama-quantize lists them."
    )
    print_line(
        "mxfp4 is every linear layer, as in checkpoints, or what the runtime's users mean by it (roofcast show RUNTIME): in "
        "llama.cpp mxfp4_moe, the experts alone."
    )
    print_line("Any size: 2.70bpw, or q4_k@4.71bpw for mostly q4_k. Experts in one, the rest in another: mxfp4+bf16.")
    print_line(f"Any part: head:q8_0+attention:q5_k+q4_k_m; the parts are {', '.join(PARTS)}.")
    print_line("A cache whose keys and values differ: q8_0/f16.")


def _block(fmt: Format) -> str:
    """A block in words, with what stands beside it."""
    more = f" + {fmt.row_bytes:g} a row" if fmt.row_bytes else ""
    more += f" + {format_gib(fmt.matrix_bytes)} a matrix" if fmt.matrix_bytes else ""
    return f"{counted(fmt.block_bytes, 'byte')} for {fmt.block}{more}"


LISTS = {
    "models": _print_models,
    "hardware": _print_hardware,
    "runtimes": _print_runtimes,
    "formats": _print_formats,
    "architectures": _print_architectures,
}


# ---- lines ----


def _print_rows(
    head: list[str], rows: list[list[str]], left: Sequence[str], asked: Asked, spared: Sequence[str] = ()
) -> None:
    """A table of as many rows as are to be shown, and a line on how to see the others."""
    shown = rows[: asked.most]
    print_table(head, shown, left=left, spared=spared)
    if len(shown) < len(rows):
        print()
        print_line(f"{len(rows) - len(shown)} more: {' '.join(_remedies(asked))}")


def _remedies(asked: Asked) -> Iterator[str]:
    narrower = {
        f"a word such as {'rtx' if asked.what == 'hardware' else 'qwen'}": not asked.words,
        "--min-params 7b": asked.what == "models" and asked.min_params is None,
        "--max-params 70b": asked.what == "models" and asked.max_params is None,
        "--moe": asked.what == "models" and not asked.moe,
    }
    *most, last = [name for name, is_open in narrower.items() if is_open] or ["a further word"]
    yield f"{asked.command} --all shows them;"
    yield f"{', '.join(most)}{' or ' if most else ''}{last} narrows the list"
