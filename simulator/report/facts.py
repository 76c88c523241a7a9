"""A table of facts on a page: side by side, and on a phone a block for each row, whose cells name their columns."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_NUMBER = ' class="number"'


def facts_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", numbers_from: int | None = None
) -> str:
    """Texts that are escaped here; columns in which all cells are empty are left out, those *numbers_from* on stand to the right."""
    shown = [place for place in range(len(head)) if any(row[place] for row in rows)]
    marks = {place: _NUMBER if numbers_from is not None and place >= numbers_from else "" for place in shown}
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = "".join(f'<th scope="col"{marks[place]}>{escape(head[place])}</th>' for place in shown)
    body = "\n".join(
        f"<tr>{''.join(_cell(head[place], row[place], marks[place]) for place in shown)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="facts">{title}<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _cell(column: str, text: str, mark: str) -> str:
    return f'<td{mark} data-column="{escape(column)}">{escape(text)}</td>'
