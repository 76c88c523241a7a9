"""The shelf of shipped files: a name becomes the path of a device, model or runtime file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError, hint, one_edit_off
from simulator.spec.arguments import expect_path
from simulator.spec.names import MAX_TEXT, Entry, Meaning, listed, meaning, words

_PACKAGE = Path(__file__).parent.parent
RUNTIMES = _PACKAGE / "runtimes"
MEASURED = _PACKAGE / "measured" / "decode.csv"  # published measurements
SERVED = _PACKAGE / "measured" / "serving.csv"  # the same of servers under load
SPLIT = _PACKAGE / "measured" / "split.csv"  # the same of weights split between a GPU and RAM
PROMPTS = _PACKAGE / "measured" / "prompts.csv"  # the same of reading prompts
SPECULATED = _PACKAGE / "measured" / "speculation.csv"  # the same of speculative decoding, beside plain
SCORE = _PACKAGE / "measured" / "score.json"  # how far off they were forecast


@lru_cache(maxsize=8)
def shelf(kind: str) -> Path:
    """The folder of shipped *kind* files: inside the installed package, or beside it in a checkout."""
    inside = _PACKAGE / "library" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the shipped ones, as `find` gives their paths."""
    return path.parent in (shelf("models"), shelf("hardware"), RUNTIMES)


def comes_with_roofcast(path: Path) -> bool:
    """Whether a file, by whatever name, is one that is installed with roofcast: measurements and code, too."""
    place = path.resolve()
    return is_file(place) and (is_shipped(place) or place.is_relative_to(_PACKAGE))


def names(folder: Path) -> list[str]:
    """Every name on a shelf, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def is_file(path: Path) -> bool:
    """Whether there is such a file; False, too, for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def find(given: str | Path, folder: Path, what: str) -> Path:
    """The path of a file or of a shipped name; InputError with those that may be meant where there is neither.

    Something with a folder or a suffix in it is a path; anything else is a shipped name first, then a file, and last
    another spelling of a shipped name.
    """
    path = at_hand(given, folder, what)
    if path is not None:
        return path
    text = str(given)
    meant = look_up(text, folder) if isinstance(given, str) else Meaning()
    if meant.name:
        return folder / f"{meant.name}.yaml"
    raise InputError(_unknown(text[:MAX_TEXT], Path(text), folder, what, meant))


def at_hand(given: str | Path, folder: Path, what: str) -> Path | None:
    """The path of a shipped name as it is written, or else of a file that there is; None for neither."""
    expect_path(what, given)
    text = str(given)
    if not text.strip() or "\0" in text:
        raise InputError(f"{what} {text[:60]!r} is not a name; see roofcast list {_PLURAL[what]}")
    path = Path(text)
    if isinstance(given, str) and path.name == text and is_file(folder / f"{text.lower()}.yaml"):
        return folder / f"{text.lower()}.yaml"
    try:
        return path if path.exists() else None
    except OSError as error:
        raise InputError(f"{text[:80]}: cannot be read ({error.strerror})") from None


def look_up(text: str, folder: Path) -> Meaning:
    """What *text* means on a shelf, by any spelling: no file is looked for."""
    name = _without_owner(text)
    return meaning(name, entries(folder)) if name else Meaning()


def _without_owner(text: str) -> str:
    """`Qwen/Qwen3-8B`, as repositories of models are called, without its owner; empty for another path."""
    owner, slash, name = text.strip().rpartition("/")
    if not slash:
        return "" if Path(name).suffix.lower() in _FILES else name
    is_repository = re.fullmatch(r"[\w-][\w.-]*", owner) and not Path(owner).exists()
    return name if is_repository and Path(name).suffix.lower() not in _FILES else ""


@lru_cache(maxsize=16)
def entries(folder: Path) -> tuple[Entry, ...]:
    """Everything on a shelf by the names that it has in its file, which is read no further than needed."""
    return tuple(_entry(path) for path in sorted(folder.glob("*.yaml")))


def _entry(path: Path) -> Entry:
    text = path.read_text(encoding="utf-8")
    fields = dict(re.findall(r"^(title|vendor|kind|aliases|runs_in): *(.+)$", text, flags=re.MULTILINE))
    other = re.findall(r"[\w.+-][\w.+ -]*", fields.get("aliases", "")) + re.findall(
        r"([\w.-]+):", fields.get("runs_in", "")
    )
    beside = MODEL_WORDS
    if "kind" in fields:  # a device: what its title says beside its name, and the size of its memory
        sizes = re.findall(r"capacity_gib: \{value: (\d+),", text)
        told = " ".join(fields.get(name, "") for name in ("title", "vendor", "kind"))
        beside = (*DEVICE_WORDS, *words(told), *(f"{size}gb" for size in sizes[-1:]))
    return Entry(path.stem, tuple(other), fields.get("title", ""), beside)


# What stands in names of models that have the same shapes, and of cards.
MODEL_WORDS = (
    "instruct",
    "it",
    "chat",
    "base",
    "hf",
    "gguf",
    "latest",
    "meta",
    "reasoning",
    "thinking",
    "qat",
    "2507",
    "2512",
)
DEVICE_WORDS = ("graphics", "card", "r", "tm")
_FILES = (".yaml", ".yml", ".json", ".gguf", ".csv", ".safetensors")
_PLURAL = {"model": "models", "hardware": "hardware", "runtime": "runtimes"}


def did_you_mean(text: str, meant: Meaning, known: Iterable[str]) -> str:
    """Names that a text may mean: those from which it is one letter off before those of which it is a word; else what is near."""
    known = list(known)
    if not meant.candidates:
        return hint(text.lower(), known)
    off = [] if text.lower() in " ".join(meant.candidates).lower() else one_edit_off(text.lower(), known)
    return f"did you mean {listed(list(dict.fromkeys([*off, *meant.candidates])))}?"


def is_written_as_path(text: str) -> bool:
    """Whether a text starts or ends as no name does: ./folder, ~/folder, /folder, folder/."""
    return re.match(r"(\.\.?|~|)[/\\]", text) is not None or text.endswith(("/", "\\"))


def _unknown(text: str, path: Path, folder: Path, what: str, meant: Meaning) -> str:
    if len(meant.candidates) > 1 and len(path.parts) == 1:
        return f"{what} {text!r} could be {listed(meant.candidates)}: write one of them"
    other = {"model": "hardware", "hardware": "model"}.get(what)
    if other and look_up(text, shelf(_PLURAL[other])).name:
        return f"{text!r} is a {other} name, a {what} name is needed here: write roofcast simulate MODEL HARDWARE"
    guess = did_you_mean(path.name, meant, names(folder))
    guess = guess if guess.startswith("did") else ""
    if is_written_as_path(text):
        return f"{text}: no such file or folder{'; ' + guess if guess else ''}"
    if path.suffix.lower() in _FILES or len(path.parts) > 1:
        return f"{text}: no such file{'; ' + guess if guess else ''}"
    return f"unknown {what} {text!r} (give a file, or see roofcast list {_PLURAL[what]}){'; ' + guess if guess else ''}"
