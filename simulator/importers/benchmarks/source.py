"""The text of a file of benchmark output, taken apart: lines as a program wrote them, JSON values, tables, what a log tells."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from simulator.errors import InputError, plain_line
from simulator.importers.records import Record

UNFINISHED = "unfinished, as if the run had been cut short"
MOST_LINES = 250_000
LONGEST_LINE = 2_000  # characters of a line that are looked at where it is no row and no JSON
LONGEST_ROW = 20_000  # of a table, of CSV or of SQL
LONGEST_REPORT = 200  # lines
MOST_BROKEN = 200  # braces that open what is no JSON, before no more is looked for
NEAR_END = 12  # characters: a word or number that the end of the text cut off

# Colours and moves of a cursor, as a terminal gets them or as they are written out in text that may be printed.
_TERMINAL = re.compile(r"(?:\x1b|\\x1b)(?:\[[0-9;:?]*[ -/]*[@-~]|[()][A-Z0-9])")
_QUOTE = re.compile(r"(?:[ \t]*>){1,20}[ \t]?")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_JSON = re.compile(r'[ \t]*(?:data:[ \t]*|,[ \t]*)?(?=\{[ \t]*(?:"|$)|\[[ \t]*(?:\{|$))')
# Control characters that JSON may hold as they are, and that were made visible when the file was read.
_WRITTEN_OUT = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:x|U000)(?P<code>(?<=x)[0-9a-f]{2}|(?<=000)[0-9a-f]{5})")
_SEPARATOR = re.compile(r":?-+:?")


class Value(NamedTuple):
    """A JSON object of a file; *place*: the how many-th of a list, 0 alone."""

    line: int
    place: int
    data: dict[str, Any]


class Broken(NamedTuple):
    """What begins as JSON and cannot be read."""

    line: int
    reason: str


class Table(NamedTuple):
    """A table as Markdown writes it: the cells of its head, and its rows with their lines."""

    line: int
    head: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Source:
    """A file's text. Lines count from 1."""

    path: Path
    lines: tuple[str, ...]  # without quotation marks of replies, fences and colours
    values: tuple[Value, ...]
    broken: tuple[Broken, ...]
    tables: tuple[Table, ...]
    plain: tuple[tuple[int, str], ...]  # lines outside values and tables

    @cached_property
    def log(self) -> Log:
        """What log lines tell of the model and the machine."""
        return Log(self.lines_with(*_TELLING))

    @cached_property
    def _text(self) -> str:
        return "\n".join(line for _, line in self.plain)

    def lines_with(self, *words: str) -> Iterator[tuple[int, str]]:
        """The lines outside values and tables in which one of these stands, by their numbers."""
        present = [word for word in words if word in self._text]
        if present:
            yield from ((n, line) for n, line in self.plain if any(word in line for word in present))

    def block(self, line: int) -> Iterator[tuple[int, str]]:
        """The lines behind one, as many as a report may have."""
        yield from enumerate((each[:LONGEST_LINE] for each in self.lines[line : line + LONGEST_REPORT]), line + 1)

    @cached_property
    def _is_one_list(self) -> bool:
        return bool(self.values) and len({(each.line, each.place > 0) for each in self.values}) == 1

    def record(self, line: int, fields: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Record:
        """A row that stands on a line."""
        return Record(f"{self.path}:{line}", f"{self.path.name}:{line}", _safe(fields), columns or {})

    def record_of(self, value: Value, fields: Mapping[str, Any] | None = None) -> Record:
        """A JSON object, or other *fields* of it, by its line; of a file that is one list, by its place there."""
        fields = value.data if fields is None else fields
        if value.place and self._is_one_list:
            name = f"{self.path.name}:{value.place}"
            return Record(f"{self.path}: run {value.place}", name, _safe(fields))
        place = f".{value.place}" if value.place > 1 else ""
        return Record(f"{self.path}:{value.line}{place}", f"{self.path.name}:{value.line}{place}", _safe(fields))


def _safe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with control characters of their texts made visible, which JSON may write as escapes."""
    return {name: plain_line(each) if isinstance(each, str) else each for name, each in fields.items()}


def take_apart(text: str, path: Path) -> Source:
    """Everything that a text holds, whoever wrote it."""
    if text.count("\n") > MOST_LINES:
        raise InputError(f"{path}: more than {MOST_LINES:,} lines are too many")
    lines = _clean(text)
    values, broken, used = _values(lines)
    tables = _tables(lines, used)
    used |= {line for table in tables for line, _ in table.rows} | {table.line for table in tables}
    plain = tuple((n, line[:LONGEST_LINE]) for n, line in enumerate(lines, 1) if n not in used and line.strip())
    return Source(path, tuple(lines), tuple(values), tuple(broken), tables, plain)


def _clean(text: str) -> list[str]:
    plain = _TERMINAL.sub("", text) if "\x1b" in text else text
    return [_bare(line) for line in plain.split("\n")]


def _bare(line: str) -> str:
    """A line without marks of quoting; of one that a program wrote over itself, what stands there at last."""
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part.strip()), "")
    if r"\x1b" in line:
        line = _TERMINAL.sub("", line)
    quote = _QUOTE.match(line)
    line = line[quote.end() :] if quote else line
    return "" if _FENCE.match(line) else line


# ---- JSON ----


def _values(lines: list[str]) -> tuple[list[Value], list[Broken], set[int]]:
    """The objects in a text, alone or in lists, whatever stands around them; and the lines that they take."""
    lines = [_WRITTEN_OUT.sub(_as_json, line) if "\\" in line else line for line in lines]
    text = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    decoder = json.JSONDecoder(parse_constant=str)  # NaN is told where a number is needed
    values: list[Value] = []
    broken: list[Broken] = []
    used: set[int] = set()
    number, n_broken = 0, 0
    while number < len(lines):
        begins = _JSON.match(lines[number]) if n_broken < MOST_BROKEN else None
        if not begins:
            number += 1
            continue
        at = starts[number] + begins.end()
        try:
            data, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            n_broken += 1
            if _begins_an_object(text, at):
                broken.append(Broken(number + 1, _why(error, text)))
                used.add(number + 1)
            number += 1
            continue
        last = bisect_right(starts, end - 1) - 1
        used.update(range(number + 1, last + 2))
        values += _objects(data, number + 1)
        number = last + 1
    return values, broken, used


def _as_json(match: re.Match[str]) -> str:
    """A character that was written out, as JSON writes it."""
    return f"{match[1]}\\u{int(match['code'], 16) & 0xFFFF:04x}"


def _objects(data: Any, line: int) -> Iterator[Value]:
    if isinstance(data, dict):
        yield Value(line, 0, data)
    elif isinstance(data, list):
        yield from (Value(line, place, each) for place, each in enumerate(data, 1) if isinstance(each, dict))


def _begins_an_object(text: str, at: int) -> bool:
    return text[at] == "{" and text[at + 1 : at + 200].lstrip().startswith('"')


def _why(error: Exception, text: str) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, json.JSONDecodeError):
        return "a number of thousands of digits"
    is_open = error.msg.startswith(("Unterminated string", "Invalid control character"))
    if is_open or error.pos >= len(text.rstrip()) - NEAR_END:
        return UNFINISHED
    told = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
    return f"not valid JSON: {told}"


# ---- tables ----


def _tables(lines: list[str], used: set[int]) -> tuple[Table, ...]:
    """Every table; lines that are none, such as of a log, may stand between its rows."""
    found: list[tuple[int, tuple[str, ...], list[tuple[int, tuple[str, ...]]]]] = []
    cells = {
        n: _cells(line) for n, line in enumerate(lines, 1) if "|" in line and n not in used and len(line) <= LONGEST_ROW
    }
    for number, here in cells.items():
        if _is_separator(here):
            continue
        if number + 1 in cells and _is_separator(cells[number + 1]):
            found.append((number, here, []))
        elif found and (lines[number - 1].lstrip().startswith("|") or len(here) == len(found[-1][1])):
            found[-1][2].append((number, here))
    return tuple(Table(line, head, tuple(rows)) for line, head, rows in found)


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip(" \t*`") for cell in line.strip().strip("|").split("|"))


def _is_separator(cells: tuple[str, ...]) -> bool:
    return all(_SEPARATOR.fullmatch(cell) for cell in cells)


# ---- what a log tells ----

_LOGGED = (
    ("architecture", re.compile(r": arch\s+= (\S+)")),
    ("size", re.compile(r": model type\s+= (\S.*)")),
    ("params", re.compile(r": model params\s+= ([\d.]+ [KMBT])")),
    ("format", re.compile(r": (?:model ftype|file type)\s+= (\S.*)")),
    ("bytes", re.compile(r": (?:model|file) size\s+= ([\d.]+ [MG]iB)")),
    ("file", re.compile(r"key-value pairs and \d+ tensors from (\S.*?) \(version ")),
    ("gpus", re.compile(r"[Ff]ound (\d+) (?:CUDA|ROCm|Vulkan|SYCL|HIP) devices")),
    # A device as CUDA and HIP, Vulkan and Metal call it, or as the loader of the model does.
    (
        "gpu",
        re.compile(
            r"^(?:ggml_\w+: +)?\s*Device \d+: (\S.*?)(?:, (?:compute capability|VMM|Wave Size)|$)|ggml_vulkan: \d+ = (\S.*?) \||"
            r"(?:GPU name|found device): +(?:MTL\d+ \()?([A-Z]\w+ [\w -]+)|using device \w+ \((\S.*?)\)(?: \(| -)"
        ),
    ),
    ("rpc", re.compile(r"(RPC\[[^\]]+\]|using device RPC\d+|\s-?-rpc[ =]\S+)")),
    ("build", re.compile(r"^build: ([0-9a-f]{6,} \(\d+\)|\d+ \([0-9a-f]{6,}\))")),
    ("settings", re.compile(r"(n_kv_max = .*)")),
    ("ollama", re.compile(r"\bollama run\s+(?:-\S+\s+)*(\w[\w./-]*(?::[\w.-]+)?)")),
    ("model", re.compile(r"--model(?:-path)?[ =]([\w./~-]+)")),
    ("stopped", re.compile(r"stop processing: n_(?:tokens|past) = (\d+)")),
    ("prompt", re.compile(r"(?:n_prompt_tokens|task\.n_tokens) = (\d+)")),
)
# Of which one stands in every line that tells something.
_TELLING = (
    "evice ",
    "GPU name",
    ": arch",
    " = ",
    "tensors from",
    "ound ",
    "RPC",
    "rpc",
    "build: ",
    "ollama run",
    "--model",
)


class Log:
    """What lines of logs tell, by name and by where they stand."""

    def __init__(self, telling: Iterator[tuple[int, str]]):
        self._lines: dict[str, list[int]] = defaultdict(list)
        self._texts: dict[str, list[str]] = defaultdict(list)
        for number, line in telling:
            self._note(number, line)

    def _note(self, number: int, line: str) -> None:
        for name, pattern in _LOGGED:
            match = pattern.search(line)
            if match:
                self._lines[name].append(number)
                self._texts[name].append(match[match.lastindex].strip())

    def before(self, name: str, line: int, since: int = 0) -> str:
        """What was told last before a line, and not before the line *since*; empty for nothing."""
        place = bisect_left(self._lines[name], line)
        return self._texts[name][place - 1] if place and self._lines[name][place - 1] >= since else ""

    def last_before(self, name: str, line: int, most: int) -> list[str]:
        """What was told before a line, the last *most* of it; nothing twice."""
        place = bisect_left(self._lines[name], line)
        return list(dict.fromkeys(self._texts[name][max(0, place - most) : place]))

    def after(self, name: str, line: int, within: int = MOST_LINES) -> str:
        """What was told next behind a line, no more than so many lines below; empty for nothing."""
        place = bisect_right(self._lines[name], line)
        is_there = place < len(self._lines[name]) and self._lines[name][place] <= line + within
        return self._texts[name][place] if is_there else ""
