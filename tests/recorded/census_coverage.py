"""How much of a census is read exactly from config.json: prints it by type, with what is wrong or refused.

    python tests/recorded/census_coverage.py [--types llama,qwen3] [--variants v1,v2] [--census DIR] [--all]

Without `--census` that is `tests/importers/census.json.xz`; a folder holds files as `census.py --folder` writes them. A type is exact
if all its variants are: every weight, and the cache of every layer where the census has it.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from simulator.errors import InputError  # noqa: E402
from simulator.importers.huggingface import load_huggingface  # noqa: E402
from simulator.spec.model import Model  # noqa: E402

CENSUS = ROOT / "tests" / "importers" / "census.json.xz"
NOTHING = "nothing"
WITH_BUFFERS = "counting what is saved beside the parameters"
VERDICTS = ("exact", "refused", "wrong")


@dataclass(frozen=True)
class Verdict:
    """What became of one configuration: "exact", "refused" with the sentence that says so, or "wrong" with what differs."""

    model_type: str
    variant: str
    is_wrapper: bool
    kind: str
    why: str = ""


def read_census(source: Path = CENSUS) -> tuple[dict[str, Any], ...]:
    """The entries of the shipped census, or of a folder."""
    if not source.is_dir():
        return tuple(json.loads(lzma.decompress(source.read_bytes()))["entries"])
    files = [*source.glob("*.*.json"), *source.glob("wrappers/*.*.json")]
    return tuple(
        {**json.loads(file.read_text(encoding="utf-8")), "is_wrapper": file.parent != source} for file in sorted(files)
    )


def judged(entry: dict[str, Any]) -> Verdict:
    """What reading the configuration of an entry gives; what it raises beside an InputError is raised here as well."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(entry["config"]), encoding="utf-8")
        try:
            model = load_huggingface(file).model
        except InputError as error:
            return _verdict(entry, "refused", str(error).replace(f"{file}: ", ""))
    faults = [fault for fault in (of_weights(entry, model), of_cache(entry, model)) if fault]
    if faults:
        return _verdict(entry, "wrong", "; ".join(faults))
    return _verdict(entry, "exact", "" if model.total_params == entry["total_params"] else WITH_BUFFERS)


def _verdict(entry: dict[str, Any], kind: str, why: str = "") -> Verdict:
    return Verdict(entry["model_type"], entry["variant"], entry["is_wrapper"], kind, why)


def of_weights(entry: dict[str, Any], model: Model) -> str:
    """How the number of weights differs from the parameters, and from those with what else is saved, which may count as well."""
    wanted, saved = entry["total_params"], saved_buffer_values(entry)
    if model.total_params in (wanted, wanted + saved):
        return ""
    more = f", or {wanted + saved:,} with saved buffers" if saved else ""
    return f"{model.total_params:,} weights, {wanted:,} expected ({model.total_params - wanted:+,}){more}"


def saved_buffer_values(entry: dict[str, Any]) -> int:
    """Values of tensors in the file that are no parameters: a bias that corrects the choice of experts, a scale of a layer."""
    named = entry.get("saved_buffers")
    if "saved_buffer_values" in entry or not named:
        return entry.get("saved_buffer_values", 0)
    if isinstance(named, int):
        return named
    if isinstance(named, dict):
        return sum(named.values())
    return sum(prod(shape) * n_layers_in(name) for name, shape in named)


def n_layers_in(name: str) -> int:
    """How many tensors `model.layers.0-3,5.weight` stands for."""
    spans = next((part.split(",") for part in name.split(".") if part[:1].isdigit()), ["0"])
    return sum(1 for span in spans for _ in numbers_of(span))


def numbers_of(span: str | int) -> range:
    """The numbers that "3-5" or 3 stands for."""
    first, _, last = str(span).partition("-")
    return range(int(first), int(last or first) + 1)


def of_cache(entry: dict[str, Any], model: Model) -> str:
    """How the cache by layer differs; layers that keep nothing are passed over, for a layer of ours may be two of theirs."""
    if entry.get("cache_by_layer") is None:
        return ""
    theirs = {
        n: kept_by(name) for name, spans in entry["cache_by_layer"].items() for each in spans for n in numbers_of(each)
    }
    wanted = [theirs[number] for number in sorted(theirs) if theirs[number] != NOTHING]
    found = [kept for kept in (kept_in(layer.attention) for layer in model.stack) if kept != NOTHING]
    if any(layer.shares_weights for layer in model.stack):
        found = found[: len(wanted)]  # transformers makes the caches of layers that run again as they do
    if len(found) != len(wanted):
        return f"{len(found)} layers keep {_told(found)}; {len(wanted)} are expected to keep {_told(wanted)}"
    differing = [(number, *pair) for number, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]]
    if not differing:
        return ""
    number, ours, expected = differing[0]
    more = f", as do {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"layer {number} keeps {ours} where {expected} is expected{more}"


def _told(kept: Iterable[str]) -> str:
    return ", ".join(f"{n} x {name}" for name, n in Counter(kept).items()) or NOTHING


def kept_by(name: str) -> str:
    """What transformers' cache class of a layer keeps, its window behind a colon."""
    name, _, window = name.partition(":")
    if name.endswith(("HCACache", "CSACache")):
        return f"window {window} and compressed"
    if name.startswith("LinearAttentionAnd"):
        return f"state and window {window}" if "Sliding" in name else "state and all"
    if name.endswith("ReferenceSlidingWindowLayer"):
        return f"the prompt and window {window}"
    if name.endswith("SlidingWindowLayer"):
        return f"window {window}"
    return {
        "DummyLayer": NOTHING,
        "CrossAttention": NOTHING,
        "Layer": "all",
        "LinearAttentionLayer": "state",
        "IndexedLayer": "indexed",
    }[name]


def kept_in(attention) -> str:
    """The same of what mixes tokens in a layer of ours."""
    if attention is None:
        return NOTHING
    parts = {_kept_in_one(part) for part in getattr(attention, "parts", (attention,))}
    return " and ".join(sorted(parts, key=lambda kept: kept != "state"))


def _kept_in_one(mixer) -> str:
    if not mixer.cached:
        return "state" if mixer.state_bytes else NOTHING
    first, *more = mixer.cached
    if not first.is_own:
        return NOTHING
    if first.window and any(store.every > 1 for store in more):
        return f"window {first.window} and compressed"
    if more or first.picked:
        return "indexed"
    return f"window {first.window}" if first.window else "all"


def by_type(verdicts: Iterable[Verdict]) -> dict[str, dict[str, list[Verdict]]]:
    """Verdicts of each type by what became of the type: exact or refused in all its variants, else wrong, or refused in some."""
    types = defaultdict(list)
    for each in verdicts:
        types[each.model_type].append(each)
    found: dict[str, dict[str, list[Verdict]]] = {kind: {} for kind in (*VERDICTS, "partly refused")}
    for model_type, those in types.items():
        kinds = {each.kind for each in those}
        kind = "wrong" if "wrong" in kinds else kinds.pop() if len(kinds) == 1 else "partly refused"
        found[kind][model_type] = those
    return found


def summary(title: str, found: dict[str, dict[str, list[Verdict]]]) -> str:
    """One line: how many types are exact, refused and wrong."""
    n_types = sum(map(len, found.values()))
    exact, refused, partly, wrong = (len(found[kind]) for kind in ("exact", "refused", "partly refused", "wrong"))
    some = f" and {partly} in some variants" if partly else ""
    share = f"({exact / n_types:.1%})"
    counting = sum(any(each.why == WITH_BUFFERS for each in those) for those in found["exact"].values())
    beside = f", {counting} of them {WITH_BUFFERS}" if counting else ""
    return f"{title}: {exact} of {n_types} types exact in all variants {share}{beside}, {refused} refused by name{some}, {wrong} wrong"


def report(title: str, verdicts: list[Verdict], every_refusal: bool) -> Iterator[str]:
    """The summary, what is wrong, and what is refused."""
    found = by_type(verdicts)
    yield summary(title, found)
    told = [
        *found["wrong"].values(),
        *found["partly refused"].values(),
        *(found["refused"].values() if every_refusal else ()),
    ]
    for each in (verdict for those in told for verdict in those if verdict.kind != "exact"):
        yield f"  {each.kind:7} {each.model_type}.{each.variant}: {each.why}"
    if found["refused"] and not every_refusal:
        yield f"  refused: {', '.join(sorted(found['refused']))}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--census", type=Path, default=CENSUS, help="a folder of config.json with counts")
    parser.add_argument("--types", default="", help="only these, as llama,qwen3")
    parser.add_argument("--variants", default="", help="only these, as v1,v2")
    parser.add_argument("--all", action="store_true", help="say of every refused configuration why")
    options = parser.parse_args()
    types, variants = (set(given.split(",")) - {""} for given in (options.types, options.variants))
    verdicts = [
        judged(entry)
        for entry in read_census(options.census)
        if (not types or entry["model_type"] in types) and (not variants or entry["variant"] in variants)
    ]
    for title, is_wrapper in (("plain decoders", False), ("wrappers", True)):
        those = [each for each in verdicts if each.is_wrapper == is_wrapper]
        if those:
            print(*report(title, those, options.all or bool(types)), sep="\n")
    return int(any(each.kind == "wrong" for each in verdicts))


if __name__ == "__main__":
    sys.exit(main())
