"""What tests of the engine share: random numbers, threads, and small files."""

import naive
import numpy as np
import pytest
import tiny
from reference import SEQUENCES, Case

from simulator.engine import pack
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.team import Team


@pytest.fixture
def draw():
    """Random numbers, the same each time."""
    return np.random.default_rng(1)


@pytest.fixture(scope="module")
def team():
    """Two threads."""
    members = Team(2)
    yield members
    members.close()


@pytest.fixture
def case(tmp_path):
    """Writes a file of an architecture and a format, and opens it for the reference."""

    def write(arch, fmt="f32", *, sequences=SEQUENCES, **changes):
        path = tiny.write(tmp_path / f"{arch}-{fmt}.gguf", arch, fmt, **changes)
        return Case(path, naive.load(path), sequences)

    return write


@pytest.fixture(scope="module")
def compiled():
    """What an engine compiles first is none of its own memory."""
    Team(1).close()
    for fmt in LAYOUTS:
        pack.kernel(fmt)


@pytest.fixture
def small(tmp_path):
    """Writes a small file."""

    def write(arch="llama", fmt="q8_0", **changes):
        return tiny.write(tmp_path / "m.gguf", arch, fmt, **changes)

    return write
