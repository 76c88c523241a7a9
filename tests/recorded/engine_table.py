"""Which architectures of GGUF files the engine runs, as docs/engine.md has it: prints the table, and writes it there.

    python tests/recorded/engine_table.py

A row is a class of `simulator/engine/recipes`: what its files call themselves, and its docstring.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from simulator.engine.recipes.table import ARCHITECTURES  # noqa: E402

PAGE = ROOT / "docs" / "engine.md"
START, END = "<!-- engine_table.py -->\n", "<!-- end -->\n"


def engine_table() -> str:
    """The table."""
    names = defaultdict(list)
    for name, kind in ARCHITECTURES.items():
        names[kind].append(name)
    rows = [("`general.architecture`", "what it computes in its own way"), ("---", "---")]
    rows += [(", ".join(each), " ".join(kind.__doc__.split()).rstrip(".")) for kind, each in names.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def between_marks(text: str) -> str:
    """What stands on the page in the table's place."""
    return text.partition(START)[2].partition(END)[0]


def main() -> None:
    """Print the table, and write it."""
    table, text = engine_table(), PAGE.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise SystemExit(f"{PAGE}: the table's place is not marked")
    written = re.sub(f"(?<={re.escape(START)}).*?(?={re.escape(END)})", lambda _match: table, text, flags=re.DOTALL)
    PAGE.write_text(written, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
