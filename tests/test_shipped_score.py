"""The score of the shipped measurements: no worse than it was recorded, and quoted as the command prints it."""

import importlib.util
import json

import pytest
from places import ROOT

from simulator.spec.library import MEASURED, SCORE
from simulator.spec.textfiles import read_csv

WORSE = 1.1  # times an error that was recorded
FEW_ROWS = 10  # of a group in which one row decides


def recorder():
    """The script that records the score."""
    spec = importlib.util.spec_from_file_location("score_recorder", ROOT / "tests" / "recorded" / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def now():
    """The score and its figures as they are now, and the tables that pages quote."""
    script = recorder()
    found, figures = script.found_now()
    return found, figures, script.quoted(found)


def served(figures):
    """What is held of servers: the time for each token."""
    found = figures["serving"]["all"]
    return {
        name: found.get(f"token_{name}", found.get(name)) for name in ("n_rows", "median_abs_error", "p90_abs_error")
    }


def worse(kept, found):
    """Figures of a group that are worse than recorded by more than a tenth, or rows that can no longer be forecast."""
    if kept["n_rows"] < FEW_ROWS:
        return
    for name in ("median_abs_error", "p90_abs_error"):
        if found[name] > WORSE * kept[name]:
            yield f"{name} {found[name]:.3f}, recorded {kept[name]:.3f}"
    if found["n_rows"] < kept["n_rows"] / WORSE:
        yield f"{found['n_rows']} rows can be forecast, recorded {kept['n_rows']}"


def test_no_error_is_worse_by_a_tenth(now):
    """In no group of the headline, and for no class of device; `python tests/recorded/score.py` records what is meant."""
    kept = json.loads(SCORE.read_text(encoding="utf-8"))
    _, figures, _ = now
    told = []
    for place in (("summary",), ("by", "device class")):
        old, new = kept, figures
        for name in place:
            old, new = old[name], new[name]
        told += [f"{group}: {line}" for group, each in old.items() for line in worse(each, new[group])]
    told += [f"serving: {line}" for line in worse(served(kept), served(figures))]
    assert not told, "\n".join(told)


def test_what_is_worse_is_seen():
    """The check itself: an error of 0.111 for 0.1, a row in ten that is gone; few rows decide nothing."""
    kept = {"n_rows": 100, "median_abs_error": 0.1, "p90_abs_error": 0.5}
    assert list(worse(kept, kept)) == []
    assert len(list(worse(kept, kept | {"median_abs_error": 0.111}))) == 1
    assert len(list(worse(kept, kept | {"n_rows": 90, "p90_abs_error": 0.56}))) == 2
    assert list(worse(kept | {"n_rows": 9}, kept | {"median_abs_error": 1.0})) == []


@pytest.mark.parametrize("page", ["README.md", "docs/accuracy.md", "docs/speculation.md"])
def test_pages_quote_what_the_command_finds(now, page):
    """Each table to the letter."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for table in now[2][page]:
        assert table in text, table.splitlines()[0]


def test_every_row_is_counted(now):
    """Forecast or named with the reason: none is lost, and none is there twice."""
    _, rows = read_csv(MEASURED, 10_000)
    found = now[0].decode
    ids = [each.id for each in (*found.rows, *found.skipped)]
    assert len(rows) == len(set(ids)) == len(ids)
    assert sorted(ids) == sorted(row["id"] for _, row in rows)


def test_no_row_names_a_person():
    """Notes and names hold no mail address."""
    assert "@" not in "".join(
        row[name] for _, row in read_csv(MEASURED, 10_000)[1] for name in ("notes", "hardware_as_published")
    )
