"""Options that several commands share, and what is refused of options before anything is done."""

from __future__ import annotations

from simulator.commands.line.parser import argument, option, several, target
from simulator.commands.line.values import whole_number
from simulator.errors import InputError

models = argument(
    "models", "Names (roofcast list models), YAML, GGUF or config.json.", metavar="MODEL...", nargs=-1, required=False
)
on_devices = several("--on", metavar="HARDWARE...", help="Names (roofcast list hardware) or YAML.")
runtime = option("--runtime", help="llama.cpp, vllm, roofcast, roofline or YAML. [default: by device]")
threads = option("--threads", type=whole_number, metavar="INTEGER", help="CPU threads. [default: the device's]")
threads_here = option(
    "--threads", type=whole_number, metavar="INTEGER", help="CPU threads. [default: one for each core]"
)
n_devices = option(
    "--devices",
    type=whole_number,
    metavar="INTEGER",
    help="So many of a device hold a model together, as in 2xrtx-3090. [default: 1]",
)
parallel = option(
    "--parallel",
    help="How they share it: tensor, layer, expert, data, or pipeline2xtensor4. [default: as the runtime does]",
)
measured = option("--measured", metavar="FILE", help="Measurements to show, of validate --json, llama-bench or a CSV.")
picture = target("--plot", help="Draw it, as .png, .svg or .pdf, or - in the terminal.")
speculate = option(
    "--speculate",
    help="Tokens drafted in a step by blocks of the model's own or from n-grams, and the chance that each is kept: mtp:3@0.7, "
    "ngram:4@0.5, or mtp:3 for kinds of text.",
)
draft = option("--draft", help="The same by a smaller model: qwen3-0.6b:4@0.6.")
draft_weights = option("--draft-weights", help="Format of the smaller model. [default: the first choice]")
interval = option(
    "--interval",
    type=whole_number,
    metavar="PERCENT",
    help="A second interval beside that of 80 %, such as 95.",
)
json_file = target("--json", metavar="<str>", help="Write JSON to a file, or - for standard output.")


def device_names(given: tuple[str, ...]) -> list[str]:
    """What follows `--on`, once or several times, with commas or without."""
    return [name for each in given for name in each.split(",")]


def parse_coverage(percent: int | None) -> int | None:
    """The percentage of a second interval; InputError for one that none is made for."""
    from simulator.forecast.interval import COVERAGES, PROMISED  # which takes numpy with it

    lowest, highest = (round(100 * end) for end in COVERAGES)
    if percent is not None and not lowest <= percent <= highest:
        raise InputError(f"--interval {percent:,}: a percentage from {lowest} to {highest} is needed, such as 95")
    return None if percent == round(100 * PROMISED) else percent


def refuse_empty(texts: dict[str, str | tuple[str, ...] | None]) -> None:
    """InputError for the first option, by its name, whose value is there and says nothing."""
    for name, given in texts.items():
        text = (" ".join(given) if given else None) if isinstance(given, tuple) else given
        if name == "on" and text is not None and not text.strip():
            raise InputError("--on: name a device after it, as in --on pi5-16gb (roofcast list hardware)")
        if text is not None and not text.strip():
            raise InputError(f"--{name}: nothing is given after it; leave it out for the default")


def refuse_both(plot: str | None, json: str | None) -> None:
    """InputError where a picture and JSON are both to go to the standard output."""
    if plot == "-" and json == "-":
        raise InputError("--plot - and --json - both want the standard output: give one of them a file")
