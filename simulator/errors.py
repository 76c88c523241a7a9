"""What is said to whoever gave something that cannot be used: one sentence, in the words of their file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MAX_LINE = 400  # characters of a message: what fills half a terminal is not read
MAX_WORD = 160  # longer ones are somebody's value or path, whose beginning and end tell what it is

# Control characters, and those that turn the direction of writing: a terminal obeys them. Those that nobody sees, by which
# two names would look alike: only the two joiners stay, without which Persian and some signs are not written. Halves of
# pairs, as Python reads what is no UTF-8 in the name of a file: nothing can be written with them.
_UNSAFE = re.compile(
    r"[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
_UNSAFE_BETWEEN_LINES = re.compile(_UNSAFE.pattern.replace(r"\0-\x1f", r"\0-\x08\x0b\x0c\x0e-\x1f"))
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD + 1},}}")


class InputError(ValueError):
    """What a user gave cannot be used. The message is one sentence that says where, what and the remedy.

    A file with several mistakes has a line for each. Whatever is quoted, a line is short and has no control characters.
    """

    def __init__(self, *lines: str):
        super().__init__("\n".join(map(brief, lines)))


def plain_text(text: str) -> str:
    """Text as it may be printed: control characters as Python writes them, `\\x1b`; tabs and ends of lines stay."""
    return _written_out(text, _UNSAFE_BETWEEN_LINES)


def plain_line(text: str) -> str:
    """The same in one line, without tabs."""
    return _written_out(text, _UNSAFE)


def is_plain_line(text: str) -> bool:
    """Whether a text may be printed as it is, in one line."""
    return _UNSAFE.search(text) is None


def _written_out(text: str, unsafe: re.Pattern[str]) -> str:
    found = set(unsafe.findall(text))  # each once: a file may be nothing but such characters
    return text.translate({ord(each): each.encode("unicode_escape").decode() for each in found}) if found else text


def brief(line: str) -> str:
    """A line of a message, with the middle left out of long words and of what is still too long."""
    line = _LONG_WORD.sub(lambda match: _without_middle(match[0], MAX_WORD), plain_line(line))
    return _without_middle(line, MAX_LINE)


def _without_middle(text: str, limit: int) -> str:
    tail = limit // 4
    return text if len(text) <= limit else f"{text[: limit - tail - 3]}...{text[-tail:]}"


def hint(word: object, known: Iterable[str]) -> str:
    """`did you mean d_hidden?`, or all that is known where nothing is near and the list is short; else nothing."""
    known, text = list(known), str(word).lower()
    inside = [name for name in known if text and (name.lower().startswith(text) or text in name.lower())]
    near = (inside if len(text) > 1 else []) or _near(text, known)
    near.sort(key=lambda name: not name.lower().startswith(text))
    if not any(name.lower().startswith(text) for name in near):
        near = list(dict.fromkeys([*one_edit_off(text, known), *near]))
    if near:
        *most, last = near[:3]
        return f"did you mean {', '.join(most) + ' or ' if most else ''}{last}?"
    return f"known: {', '.join(known)}" if len(known) <= 30 else ""


def one_edit_off(word: str, known: Iterable[str]) -> list[str]:
    """Of names those from which a word differs by one letter: another, too many, left out, or changed with the next; nearest first."""
    lower = {name.lower(): name for name in known}
    return [lower[name] for name in _near(word, list(lower), 8) if _is_one_edit(word, name)]


def _is_one_edit(one: str, other: str) -> bool:
    n = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[n:], other[n:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


def _near(word: str, known: list[str], most: int = 3) -> list[str]:
    from difflib import get_close_matches  # which nobody waits for who makes no mistake

    return get_close_matches(word, known, n=most, cutoff=0.6)


def printable(value: Any, limit: int = 60) -> str:
    """Somebody's text as it may stand in a line of ours: short, and without control characters."""
    text = plain_line(str(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def describe(value: Any) -> str:
    """A value as it may stand in a message: short, and in the words of a file."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    try:
        text = repr(value if len(value) <= 50 else value[:50] + "...") if isinstance(value, str) else str(value)
    except ValueError:  # Python refuses to print an integer of more than 4,300 digits
        return "a number of thousands of digits"
    return printable(text)
