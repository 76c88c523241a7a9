"""What files are read, as the README's table has it: prints the table, and writes it there.

    python tests/recorded/coverage_table.py

Numbers come from the code that reads, and those of config.json from reading every one of the census (census_coverage.py).
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import census_coverage  # noqa: E402
from census_coverage import Verdict, by_type, judged, read_census  # noqa: E402

from simulator.engine.recipes.table import ARCHITECTURES  # noqa: E402
from simulator.families.config import config_classes  # noqa: E402
from simulator.families.family import FAMILIES  # noqa: E402
from simulator.families.gguf import names_of_llama_cpp, why_no_forecast  # noqa: E402
from simulator.importers import ggml_types  # noqa: E402
from simulator.importers.architectures import of_configs  # noqa: E402
from simulator.importers.benchmarks.programs import PROGRAMS  # noqa: E402
from simulator.importers.places.names import STORES  # noqa: E402
from simulator.importers.quantised.methods.table import METHODS  # noqa: E402
from simulator.importers.safetensors import DTYPE_BITS  # noqa: E402
from simulator.spec.mixes import GROUPS  # noqa: E402

README = ROOT / "README.md"
START, END = "<!-- coverage_table.py -->\n", "<!-- end -->\n"
Row = tuple[str, str, str]


def coverage_table(verdicts: Iterable[Verdict]) -> str:
    """The table; *verdicts* are those of every configuration of the census."""
    head = [("file", "read", "refused by name"), ("---", "---", "---")]
    rows = [*head, *_of_configs(list(verdicts)), *_of_gguf(), *_of_the_rest()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _of_configs(verdicts: list[Verdict]) -> list[Row]:
    library = json.loads(lzma.decompress(census_coverage.CENSUS.read_bytes()))["library"]
    others = len(FAMILIES.keys() - config_classes().keys())
    reasons = sum(not each.is_read for each in of_configs())
    return [
        _of_census(f"`config.json` of {library}", [each for each in verdicts if not each.is_wrapper]),
        _of_census("with pictures or sound", [each for each in verdicts if each.is_wrapper]),
        ("of other code", f"{others} types", f"{reasons} with a reason"),
    ]


def _of_census(name: str, verdicts: list[Verdict]) -> Row:
    """Types that are exact in all variants, and those that are not."""
    found = by_type(verdicts)
    if found["wrong"]:
        raise SystemExit(f"{name}: {', '.join(found['wrong'])} is read wrongly, see census_coverage.py")
    exact, partly = found["exact"], found["partly refused"]
    names = [*sorted(found["refused"]), *(f"{each} in part" for each in sorted(partly))]
    return name, f"{len(exact)} of {sum(map(len, found.values()))} types exact", ", ".join(names)


def _of_gguf() -> list[Row]:
    names = names_of_llama_cpp()
    refused = sum(why_no_forecast(name) is not None for name in names)
    gone = ggml_types.ARM_NAMES | ggml_types.BITNET_NAMES
    numbers = [number for number, stored in ggml_types.TYPES.items() if stored.name not in gone]
    of_ik = sum(ggml_types.TYPES[number].name in ggml_types.IK_NAMES for number in numbers)
    types = (
        f"{len(numbers) - of_ik} of llama.cpp, {of_ik} of ik_llama.cpp, {len(ggml_types.BITNET_TYPES)} of bitnet.cpp"
    )
    return [
        ("GGUF of llama.cpp b11549", f"{len(names) - refused} of {len(names)} architectures", f"{refused}"),
        ("its tensors", types, f"{len(ggml_types.GONE)} dropped"),
        (
            "GGUF that [the engine](docs/engine.md#which-architectures) decodes",
            f"{len(ARCHITECTURES)} architectures",
            "others",
        ),
    ]


def _of_the_rest() -> list[Row]:
    formats = {name for members in GROUPS.values() for name in members}
    return [
        ("quantised checkpoints", f"{len(METHODS)} methods", "others, unless headers tell"),
        ("safetensors headers", f"{len(DTYPE_BITS)} types", "others"),
        ("names of formats", f"{len(formats)}", "others"),
        ("benchmark output", f"{len(PROGRAMS)} programs", "rows, not files"),
        ("models kept by", ", ".join(STORES), "what is no model"),
    ]


def between_marks(text: str) -> str:
    """What stands in the README in the table's place."""
    return text.partition(START)[2].partition(END)[0]


def main() -> None:
    """Print the table, and write it."""
    table = coverage_table(map(judged, read_census()))
    text = README.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise SystemExit(f"{README}: the table's place is not marked")
    written = re.sub(f"(?<={re.escape(START)}).*?(?={re.escape(END)})", lambda _match: table, text, flags=re.DOTALL)
    README.write_text(written, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
