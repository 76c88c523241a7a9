"""Ways in which a text or its bytes go wrong."""

import random
import re

from fuzz.values import CSV_VALUES, JSON_VALUES, NUMBERS, PLAUSIBLE, YAML_VALUES


def replace_value(rng: random.Random, text: str, kind: str) -> str:
    """A value of YAML, JSON or CSV text becomes a nasty one."""
    pattern, values = VALUES[kind]
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(values) + text[place.end() :]


def replace_number(rng: random.Random, text: str, kind: str) -> str:
    """A number becomes another that may or may not be possible."""
    places = list(re.finditer(r"(?<=[ ,\[])\d[\d.]*(?=[,\s}\]])", text))
    if not places:
        return text
    place = rng.choice(places)
    chosen = rng.choice(NUMBERS if rng.random() < 0.3 else PLAUSIBLE)
    return text[: place.start()] + chosen + text[place.end() :]


VALUES = {
    "yaml": (r"(?<=: )[^,{}\[\]\n]+|(?<=: )[{\[].*[}\]]", YAML_VALUES),
    "json": (r'(?<=": )("[^"]*"|[-\d.]+|true|false|null|\[[^\[\]]*\]|\{[^{}]*\})|(?<=[\[ ])[\d.]+(?=[,\]])', JSON_VALUES),
    "csv": (r"[^,\n]+", CSV_VALUES),
}  # fmt: skip


def rename_field(rng: random.Random, text: str, kind: str) -> str:
    """A word loses, gains or swaps a letter."""
    places = list(re.finditer(r"[a-z_]{3,}", text))
    if not places:
        return text
    place = rng.choice(places)
    word = place[0]
    at = rng.randrange(len(word) - 1)
    changed = rng.choice([word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word[::-1], "x" * 3000, "a\\nb"])
    return text[: place.start()] + changed + text[place.end() :]


def change_lines(rng: random.Random, text: str, kind: str) -> str:
    """A line is dropped, given twice, moved or indented."""
    lines = text.splitlines(keepends=True) or [""]
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        del lines[one]
    elif change == 1:
        lines.insert(other, lines[one])
    elif change == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif change == 3:
        lines[one] = rng.choice(["  ", "\t", "- ", "    "]) + lines[one]
    else:
        lines[one] = lines[one].lstrip()
    return "".join(lines)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Up to eight bytes become others."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Foreign bytes stand somewhere."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice([rng.randbytes(rng.randint(1, 40)), b"\0" * 9, b"\xff\xfe", b"\r"]) + data[at:]


def delete(rng: random.Random, data: bytes) -> bytes:
    """Some bytes are missing."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randint(1, 30) :]


def recode(rng: random.Random, data: bytes) -> bytes:
    """Another encoding, a byte-order mark, other line ends, or all of it twice."""
    text = data.decode("utf-8", "replace")
    marked = ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"]
    return rng.choice([*(text.encode(name) for name in marked), data.replace(b"\n", b"\r\n"), data + data])


BYTE_MUTATIONS = (flip, cut, insert, delete)
TEXT_MUTATIONS = (replace_value, replace_value, replace_value, *[replace_number] * 5, rename_field, change_lines)


def mutated_text(rng: random.Random, text: str, kind: str) -> bytes:
    """*text* with one to three mistakes, now and then in its bytes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = rng.choice(TEXT_MUTATIONS)(rng, text, kind)
    data = text.encode()
    if rng.random() < 0.1:
        data = rng.choice((*BYTE_MUTATIONS, recode))(rng, data)
    return data
