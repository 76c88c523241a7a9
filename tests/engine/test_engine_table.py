"""The documentation's table of architectures says what the engine runs."""

import sys

from places import TESTS

sys.path.insert(0, str(TESTS / "recorded"))
import engine_table

from simulator.commands.engine import print_engine
from simulator.engine.recipes.table import ARCHITECTURES


def test_the_page_has_the_table_that_the_code_gives():
    """To the letter; `python tests/recorded/engine_table.py` writes it."""
    assert engine_table.between_marks(engine_table.PAGE.read_text(encoding="utf-8")) == engine_table.engine_table()


def test_every_architecture_has_its_place():
    """In one row, with what it does."""
    rows = [row.strip("| \n").split(" | ") for row in engine_table.engine_table().splitlines()[2:]]
    assert sorted(name for names, _ in rows for name in names.split(", ")) == sorted(ARCHITECTURES)
    assert all(what and what[0].isupper() for _, what in rows)


def test_the_command_lists_them(capsys):
    """`roofcast show engine` ends with all names."""
    print_engine()
    line = next(line for line in capsys.readouterr().out.splitlines() if "architectures of GGUF files" in line)
    assert line.split(": ")[1].split(", ") == list(ARCHITECTURES)
