"""Ways in which the values of JSON go wrong: others in their place, too many, too few, too deep, and what JSON cannot say."""

import json
import random
from typing import Any

HUGE = [10**9, 10**12, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400]
WRONG = [
    None, True, False, 0, 1, -1, 2, 3, 7, -0.0, 0.5, 1.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), *HUGE,
    "", " ", "x", "5", "-1", "1e3", "null", "a\nb", "\x1b[31mred", "\0", "\u202e", "\ud800", "é", "\U0001f600", "x" * 5000,
    "../../etc/passwd", "%s{0}{x}", [], {}, [None], [[]], [0], [1, 2], [-1, 0], ["x"], [1, "x", None], [True, False], {"a": 1},
    {"__float__": "Infinity"}, {"__float__": "NaN"}, {"__float__": []}, [0] * 2000, [1] * 2001, ["full_attention"] * 5000,
    [{}] * 50, {str(n): n for n in range(500)},
]  # fmt: skip
NESTS = (5, 60, 900, 3000, 100_000)
_MARK = "%%raw"  # stands in the text for what json.dumps cannot write


def mutated_tree(rng: random.Random, data: Any, pool: dict[str, list[Any]]) -> bytes:
    """*data* as JSON with one to four mistakes; *pool* has values that other files have under the same keys, and other keys."""
    data, raw = json.loads(json.dumps(data)), []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 4))):
        data = _changed(rng, data, pool, raw)
    text = json.dumps(data)
    for number, instead in enumerate(raw):
        text = text.replace(f'"{_MARK}{number}"', instead, 2)  # not fifty times, where a list has it so often
    return text.encode()


def _containers(data: Any) -> list[Any]:
    """Every list and mapping with something in it, to 2,000 of them."""
    found, waiting = [], [data]
    while waiting and len(found) < 2000:
        each = waiting.pop()
        if isinstance(each, dict | list) and each:
            found.append(each)
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return found


def _changed(rng: random.Random, data: Any, pool: dict[str, list[Any]], raw: list[str]) -> Any:
    """The same with one mistake in it, or in place of it."""
    places = _containers(data)
    if not places or rng.random() < 0.01:
        return _wrong(rng)
    place = data if isinstance(data, dict) and data and rng.random() < 0.5 else rng.choice(places)
    key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    change = rng.choice(_CHANGES)
    change(rng, place, key, pool, raw)
    return data


def _another(rng, place, key, pool, raw):
    place[key] = _wrong(rng)


def _number(rng, place, key, pool, raw):
    """A number becomes another one, a number of another kind, or a text; what is none becomes a number."""
    value = place[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        place[key] = rng.choice((0, 1, 2, -1, 10**6, 0.5))
        return
    place[key] = rng.choice(
        (
            value + 1,
            value - 1,
            value * 2,
            -value,
            value * 10**6,
            value // 3 if value == value else 0,
            0,
            1,
            str(value),
            [value],
            3,
        )
    )
    if rng.random() < 0.1:
        place[key] = float(value) if abs(value) < 1e300 else None


def _of_another(rng, place, key, pool, raw):
    """What other files have there."""
    if isinstance(key, str) and key in pool:
        place[key] = _copy(rng.choice(pool[key]))
    else:
        place[key] = _wrong(rng)


def _added(rng, place, key, pool, raw):
    """A key that other files have, or one of nobody's."""
    if isinstance(place, list):
        place.insert(key, _wrong(rng))
        return
    name = (
        rng.choice(list(pool)) if pool and rng.random() < 0.9 else rng.choice(("", "x" * 3000, "a\nb", "\ud800", "1"))
    )
    place[name] = _copy(rng.choice(pool[name])) if name in pool and rng.random() < 0.7 else _wrong(rng)


def _removed(rng, place, key, pool, raw):
    del place[key]


def _renamed(rng, place, key, pool, raw):
    if isinstance(place, dict) and key:
        at = rng.randrange(len(key))
        place[rng.choice((key[:at] + key[at + 1 :], key + "s", key.upper(), key[::-1], f"{key}\0"))] = place.pop(key)
    else:
        del place[key]


def _list(rng, place, key, pool, raw):
    """A list that is too short, too long or mixed, or one in place of a value."""
    value = place[key]
    if not isinstance(value, list) or not value:
        place[key] = [value] * rng.choice((1, 2, 3, 40, 2000))
        return
    at = rng.randrange(len(value))
    place[key] = rng.choice(
        (value[:at], value + value, value[::-1], value * 50, value[:1], [*value, value], {"0": value})
    )
    if place[key] and isinstance(place[key], list) and rng.random() < 0.3:
        place[key][rng.randrange(len(place[key]))] = _wrong(rng)


def _deep(rng, place, key, pool, raw):
    """Lists or mappings in each other, as often as parsers do not like."""
    depth = rng.choice(NESTS)
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"text_config":', "}]")))
    raw.append(opened * depth + "1" + closed * rng.choice((depth, depth, depth - 1)))
    place[key] = f"{_MARK}{len(raw) - 1}"


def _unwritable(rng, place, key, pool, raw):
    """What JSON does not know, or Python does not print."""
    raw.append(
        rng.choice(
            (
                "9" * 5000,
                "1e999",
                "-1e999",
                "01",
                "1.",
                ".5",
                "+1",
                "'x'",
                "undefined",
                "nan",
                '"\\x"',
                '"\\ud800"',
                "1e-999",
            )
        )
    )
    place[key] = f"{_MARK}{len(raw) - 1}"


def _twice(rng, place, key, pool, raw):
    """A key that stands twice, with different values."""
    if isinstance(key, str):
        raw.append(f"{json.dumps(rng.choice(WRONG[:30]))}, {json.dumps(key)}: {json.dumps(place[key])}")
        place[key] = f"{_MARK}{len(raw) - 1}"


def _swapped(rng, place, key, pool, raw):
    """Two values in each other's place."""
    other = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    place[key], place[other] = place[other], place[key]


def _wrong(rng: random.Random) -> Any:
    return _copy(rng.choice(WRONG))


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


_CHANGES = (
    *(_another,) * 5, *(_number,) * 6, *(_of_another,) * 3, *(_added,) * 4, *(_removed,) * 3, _renamed, *(_list,) * 3, _deep, _unwritable,
    _twice, _swapped,
)  # fmt: skip
