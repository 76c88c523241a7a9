"""Which path is taken: the one asked for, else the one that was measured to be the fastest, else the first."""

import itertools

import pytest

from simulator.commands.engine import print_engine
from simulator.commands.show import show
from simulator.engine import cpu, remembered
from simulator.engine.team import Team
from simulator.errors import InputError
from simulator.probe import fastest_path

NAMES = [path.name for path in cpu.reachable()]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own for what is remembered."""
    monkeypatch.delenv(cpu.VARIABLE, raising=False)
    monkeypatch.setattr(remembered, "folder_of_code", lambda: str(tmp_path))
    return tmp_path


def test_the_fastest_one_needs_a_lead():
    """What is no more than 3 % faster may be chance, and the first one stays."""
    assert cpu.fastest({"a": 1.0, "b": 1.03, "c": 0.5}) == "a"
    assert cpu.fastest({"a": 1.0, "b": 1.04, "c": 1.2}) == "c"


def test_what_was_measured_is_taken_from_then_on():
    """The last path of this processor, were it the fastest; before it is remembered, the first."""
    assert cpu.choose().name == NAMES[0]
    assert cpu.keep_measured({NAMES[0]: 1.0, NAMES[-1]: 1.5})
    assert cpu.choose().name == NAMES[-1]
    assert cpu.choose(NAMES[0]).name == NAMES[0]


def test_the_environment_overrules_it(monkeypatch):
    """And is named where it asks for what there is not."""
    cpu.keep_measured({NAMES[0]: 1.5})
    monkeypatch.setenv(cpu.VARIABLE, "portable")
    assert cpu.choose().name == "portable"
    monkeypatch.setenv(cpu.VARIABLE, "avx9")
    with pytest.raises(InputError, match=r"^ROOFCAST_CPU_PATH: CPU path 'avx9' is unknown"):
        cpu.choose()
    elsewhere = next(name for name in ("neon-dotprod", "avx2") if name not in NAMES)
    monkeypatch.setenv(cpu.VARIABLE, elsewhere)
    with pytest.raises(InputError, match=f"^ROOFCAST_CPU_PATH: CPU path {elsewhere} does not run on this processor"):
        cpu.choose()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[1]",
        b"{}",
        b'{"speeds": 3}',
        b'{"speeds": {}}',
        b'{"speeds": {"mmx": 1.0}}',
        b'{"speeds": {"portable": "x"}}',
    ],
)
def test_a_damaged_file_counts_for_nothing(folder, content):
    """The first path stands."""
    cpu.keep_measured({NAMES[-1]: 1.0})
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert cpu.measured() is None
    assert cpu.choose().name == NAMES[0]


def test_other_kernels_are_measured_anew(monkeypatch):
    """What is remembered is of these kernels and this processor."""
    cpu.keep_measured({NAMES[-1]: 1.0})
    monkeypatch.setattr(cpu, "machine", lambda: "another processor")
    assert cpu.measured() is None
    monkeypatch.undo()


def test_without_a_folder_nothing_is_remembered(monkeypatch):
    """And the first path stands."""
    monkeypatch.setattr(remembered, "folder_of_code", lambda: None)
    assert not cpu.keep_measured({NAMES[-1]: 1.0})
    assert cpu.choose().name == NAMES[0]
    monkeypatch.setattr(remembered, "folder_of_code", lambda: "/dev/null/none")
    assert not cpu.keep_measured({NAMES[-1]: 1.0})


def test_speeds_are_shares_of_the_first_path(monkeypatch):
    """By a clock on which every run of the second takes half as long: its speed is 2."""
    monkeypatch.setattr(fastest_path, "FORMATS", ("q8_0",))
    monkeypatch.setattr(fastest_path, "TOKENS", (1,))
    ticks = itertools.cycle([0.0, 1.0, 1.0, 1.5])  # start and end of each run
    paths = [cpu.PATHS[NAMES[0]], cpu.PATHS[NAMES[-1]]]
    team = Team(1)
    found = fastest_path.measure_paths(paths, team, 2**17, lambda: next(ticks))
    team.close()
    assert found == {paths[0].name: 1.0, paths[1].name: 2.0}


def test_the_command_says_why(capsys, monkeypatch):
    """Which was measured, how to measure again, and who else may have chosen."""
    cpu.keep_measured({NAMES[0]: 1.0, NAMES[-1]: 0.5})
    print_engine()
    text = capsys.readouterr().out
    assert f"chosen: as measured, speeds {NAMES[0]} 1.00, {NAMES[-1]} 0.50" in text
    assert "roofcast show engine --measure" in text
    monkeypatch.setenv(cpu.VARIABLE, "portable")
    print_engine()
    assert "chosen: by ROOFCAST_CPU_PATH" in capsys.readouterr().out


def test_only_the_engine_is_measured():
    """Of anything else there is nothing to measure."""
    with pytest.raises(InputError, match="--measure: 'h100-sxm' is not the engine"):
        show("h100-sxm", None, measure=True)
