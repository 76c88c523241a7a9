"""What `roofcast score` finds for the shipped measurements: run as a script it writes that down anew, wherever it is quoted.

    python tests/recorded/score.py

That is for a change which is meant: it writes simulator/measured/score.json, from which the report quotes and which the test
of errors compares with, the tables of README.md, docs/accuracy.md and docs/speculation.md, and the pictures of examples/published.py.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from simulator.commands.score import SHIPPED, Request, scored  # noqa: E402
from simulator.judge.groups import BY, groups_by, of_usable  # noqa: E402
from simulator.judge.scored import Scored  # noqa: E402
from simulator.report.charts.errors import errors_chart, scatter_chart  # noqa: E402
from simulator.report.drawing.picture import save_chart  # noqa: E402
from simulator.report.scored import as_markdown, group_table, headline_table, short_table  # noqa: E402
from simulator.report.scored_record import scored_record  # noqa: E402
from simulator.report.speculation_score import speculation_table  # noqa: E402
from simulator.spec.library import SCORE  # noqa: E402

IN_DOCS = ("runtime", "device class", "format", "batch", "context", "ran on")


def found_now() -> tuple[Scored, dict]:
    """The score of the shipped set, and its figures as they are kept."""
    request = Request(file=None)
    found = scored(request)
    whole = scored_record(found, request.basis)
    return found, _rounded({name: whole[name] for name in ("basis", "summary", "by", "unusable", "serving")})


def quoted(found: Scored) -> dict[str, list[str]]:
    """The tables that each page has to hold, to the letter."""
    usable = of_usable(found.decode)
    groups = [group_table(label, groups_by(usable, of)) for label, of in BY if label in IN_DOCS]
    return {
        "README.md": [as_markdown(*short_table(found))],
        "docs/accuracy.md": [as_markdown(*headline_table(found)), *(as_markdown(*each) for each in groups)],
        "docs/speculation.md": [as_markdown(*speculation_table(found.speculated))],
    }


def requote(page: Path, tables: list[str]) -> None:
    """Write each table in the place of the one whose head has the same first cells."""
    text = page.read_text(encoding="utf-8")
    for table in tables:
        head = table.splitlines()[0]
        place = re.compile(rf"^{re.escape(head)}\n(?:\|.*\n)+", re.MULTILINE)
        if not place.search(text):
            raise SystemExit(f"{page}: has no table that begins with {head}")
        text = place.sub(lambda _match, table=table: f"{table}\n", text, count=1)
    page.write_text(text, encoding="utf-8")


def _rounded(value):
    """To six digits: the last bits differ from one processor to another."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def record() -> None:
    """Everything anew."""
    found, kept = found_now()
    SCORE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name, tables in quoted(found).items():
        requote(ROOT / name, tables)
    save_chart(scatter_chart(found.decode, SHIPPED), ROOT / "examples" / "published.png")
    save_chart(errors_chart(found.decode, SHIPPED), ROOT / "examples" / "published-errors.png")


if __name__ == "__main__":
    record()
