"""Text files that somebody wrote (text, JSON, CSV): read with bounds on size, depth and kind, before anything is built."""

from __future__ import annotations

import codecs
import csv
import errno
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from simulator.errors import InputError, plain_line, plain_text, printable

MAX_FILE_BYTES = 4 * 2**20  # recorded choices of experts are the largest
MAX_YAML_BYTES = 256 * 2**10  # a device or model file has a few kB; its nodes take a thousand times that
STANDARD_INPUT = Path("standard input")  # in messages


# What is no file with an end, and no seat of data: reading it would wait for whoever writes there, or go on for ever.
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


_DESCRIPTOR = re.compile(r"/dev/stdin|(/dev|/proc/self)/fd/\d+")


def open_file(path: Path) -> BinaryIO:
    """A file of data, open for reading; OSError, or InputError for a pipe and whatever else is no regular file."""
    # A pipe without a writer holds up whoever opens it, unless told not to wait; a regular file is read as ever.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:  # which is all that a socket answers
            raise
        mode = path.stat().st_mode
    else:
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(handle, "rb")
        os.close(handle)
    raise InputError(f"{path}: is {_kind(mode)}, a file is needed")


def _open_text(path: Path) -> BinaryIO:
    """The same, or the pipe that a shell made for `<(...)` or `|` and gave as a descriptor: somebody writes there."""
    if _DESCRIPTOR.fullmatch(str(path)):
        file = path.open("rb")
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    return open_file(path)


def _kind(mode: int) -> str:
    return next((name for is_one, name in _KINDS if is_one(mode)), "no regular file")


def read_text(path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """The text of a file of sane size, with control characters in it made visible: it will be printed."""
    try:
        with _open_text(path) as file:
            raw = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return decode_text(raw, path, max_bytes)


def read_standard_input(max_bytes: int = MAX_FILE_BYTES) -> str:
    """The text that is piped in; InputError where nothing is, or a terminal would have to be waited for."""
    remedy = "pipe text into it, or give a file"
    if sys.stdin is None or sys.stdin.closed:
        raise InputError(f"{STANDARD_INPUT}: is closed; {remedy}")
    if sys.stdin.isatty():
        raise InputError(f"{STANDARD_INPUT}: is a terminal; {remedy}")
    try:
        raw = sys.stdin.buffer.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{STANDARD_INPUT}: cannot be read ({error.strerror}); {remedy}") from None
    if not raw.strip():
        raise InputError(f"{STANDARD_INPUT}: is empty; {remedy}")
    return decode_text(raw, STANDARD_INPUT, max_bytes)


def decode_text(raw: bytes, path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """The text of what was read from *path*, of which *max_bytes* are allowed."""
    if raw[:4] == b"GGUF":
        raise InputError(f"{path}: is a GGUF file, a text file is needed here")
    if len(raw) > max_bytes:
        raise InputError(f"{path}: too large for such a file (at most {max_bytes:,} bytes)")
    # A byte-order mark is no part of the text; before UTF-16, which PowerShell's > writes, it tells the encoding.
    is_wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return plain_text(raw.decode("utf-16" if is_wide else "utf-8-sig"))
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if is_wide else "UTF-8"
        raise InputError(f"{path}: not a text file (byte {error.start} is not {encoding})") from None


def read_json(path: Path, *, infinities: bool = False) -> Any:
    """The plain data of a JSON file; with *infinities* also `Infinity` and `NaN`, which Python writes and JSON does not know."""
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return parse_json(text, path, infinities=infinities)


def parse_json(text: str, path: Path, first_line: int = 1, *, infinities: bool = False) -> Any:
    """The plain data of JSON text that stands in the file *path*."""
    try:
        constant = float if infinities else _refuse_constant
        return _plain_data(json.loads(text, parse_constant=constant), "\\" in text)
    except json.JSONDecodeError as error:
        told = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting")
        is_cut = first_line == 1 and (not text[error.pos :].strip() or error.msg.startswith("Unterminated"))
        remedy = "; is it cut off? then fetch it again" if is_cut else ""
        raise InputError(f"{path}:{first_line - 1 + error.lineno}: not valid JSON: {told}{remedy}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {short(error)}") from None


def _plain_data(data: Any, has_escapes: bool) -> Any:
    """The same with control characters made visible, which JSON writes as escapes."""
    if not has_escapes:
        return data
    if isinstance(data, str):
        return plain_line(data)
    if isinstance(data, list):
        return [_plain_data(each, True) for each in data]
    if isinstance(data, dict):
        return {_plain_data(key, True): _plain_data(each, True) for key, each in data.items()}
    return data


def read_csv(path: Path, max_rows: int) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and its rows as (line, value by column); missing values are empty text."""
    return parse_csv(read_text(path), path, max_rows)


def parse_csv(text: str, path: Path, max_rows: int) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The same of text that stands in the file *path*."""
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    reader = csv.DictReader(text.splitlines(), restval="", strict=True)  # which refuses a quote that nothing closes
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        columns = [column.strip() for column in reader.fieldnames or []]
        _check_columns(columns, f"{path}:{max(1, reader.line_num)}")
        reader.fieldnames = columns
        for row in reader:
            if None in row:  # where DictReader puts what is too much
                n_cells = len(columns) + len(row[None])
                raise InputError(
                    f"{path}:{reader.line_num}: has {n_cells} cells, the header has {len(columns)}; put text with commas in quotes"
                )
            rows.append((reader.line_num, row))
            if len(rows) > max_rows:
                raise InputError(f"{path}: more than {max_rows:,} rows are too many")
    except csv.Error as error:
        raise InputError(_told_of_csv(error, text, path, reader.reader.line_num)) from None
    return columns, rows


def _told_of_csv(error: csv.Error, text: str, path: Path, line: int) -> str:
    """What is wrong with quotes and other marks, by the line."""
    told = str(error)
    if "unexpected end" in told:
        lines = text.splitlines()  # of which the last cell that begins with a quote is read to the end
        line = next(number for number in range(len(lines), 0, -1) if re.search(r'(^|,)"', lines[number - 1]))
        return f"{path}:{line}: a quote is opened and never closed; close it, or fetch the file again"
    if "expected after" in told:
        return f"{path}:{max(1, line)}: a cell goes on behind its closing quote; write a quote inside of it twice"
    return f"{path}:{max(1, line)}: not valid CSV: {told}"


def missing_told(columns: Sequence[str], missing: Sequence[str]) -> str:
    """That columns are missing, or are there in capital letters."""
    return f"the column{'s' * (len(missing) > 1)} {', '.join(missing)} must be there{letters_told(columns, missing) or ', too'}"


def letters_told(columns: Sequence[str], needed: Iterable[str]) -> str:
    """That names are written in small letters, where that is all that is wrong with one; else empty."""
    others = {each.lower() for each in columns if each != each.lower()}
    return ", in small letters" if others & set(needed) else ""


def _check_columns(columns: list[str], where: str) -> None:
    if len(columns) == 1 and ";" in columns[0]:
        raise InputError(f"{where}: the columns are separated by semicolons; separate them by commas")
    repeated = next((name for name in columns if name and columns.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{where}: the column {printable(repeated)} is given twice, keep one")


def parse_number(text: str, kind: type = float) -> Any:
    """Text as a number; ValueError for what is none, and for 1_6, which Python takes for 16."""
    if "_" in text:
        raise ValueError(f"{printable(text)} is not a number")
    return kind(text)


def csv_number(path: Path, line: int, row: dict[str, str], column: str, kind: type = float) -> Any:
    """One value of a CSV row as a number; InputError names line and column."""
    text = row[column].strip()
    try:
        return parse_number(text, kind)
    except ValueError:
        needed = "a whole number" if kind is int else "a number"
        found = f"{column} is {text[:40]!r}, {needed} is needed" if text else f"{column} is missing"
        raise InputError(f"{path}:{line}: {found}") from None


def short(error: Exception) -> str:
    """What a library says of unreadable text, in a line."""
    text = str(error)
    if "integer string conversion" in text:
        return "a number of thousands of digits"
    return text.splitlines()[0][:100] if text else type(error).__name__


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
