"""Our probes of memory beside C: both compute what they should, rows have their fields, and what is missing is told."""

import shutil
import stat

import numpy as np
import pytest

from simulator.bench import bandwidth
from simulator.bench.bandwidth import COMPILERS, SOURCE, Case, bandwidth_rows, c_program, compile_c, our_probe
from simulator.engine.memory import aligned
from simulator.engine.team import Team
from simulator.errors import InputError
from simulator.probe.bandwidth import ROUND, stream_probe

SMALL = [Case("read-small", "read", 64 * 1024), Case("triad-small", "triad", 3 * 64 * 1024 + 700)]
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C compiler")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C program."""
    return compile_c(tmp_path_factory.mktemp("c"))[0]


@needs_compiler
def test_every_case_has_a_row_with_the_ratio_of_both(monkeypatch):
    """Two rounds of small working sets on one thread: the fields that all benchmarks have, and how C was compiled."""
    monkeypatch.setattr(bandwidth, "LOOKS", 2)
    monkeypatch.setattr(bandwidth, "BURST_S", 1e-4)
    rows, notes = bandwidth_rows(2, threads=1, cases=SMALL)
    assert [row["case"] for row in rows] == ["read-small", "triad-small"]
    fields = {"case", "value", "unit", "ratio", "ratio_low", "ratio_high", "against", "target", "rounds"}
    for row in rows:
        assert set(row) == fields
        assert (row["unit"], row["against"], row["target"], row["rounds"]) == ("B/s", "C", ">= 0.95", 2)
        assert 0 < row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert notes[0].startswith("1 thread; small 65.5 kB, small 197 kB; C: ")
    assert "-O3" in notes[0]
    assert [row["case"] for row in bandwidth_rows(1, 1, "triad", SMALL)[0]] == ["triad-small"]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("case", SMALL, ids=["read", "triad"])
def test_c_moves_what_it_should(program, case, threads):
    """Its own answer is checked at each call: the sum of all words over all passes, or one of the sums written."""
    with c_program(program, case, threads) as seconds:
        assert seconds(1) > 0
        assert seconds(7) > 0


@pytest.mark.parametrize("threads", [1, 3])
def test_ours_moves_what_it_should(threads):
    """first = second + 3 * third everywhere, nothing behind it is touched, and a sum of ones is their number."""
    team = Team(threads)
    try:
        memory = aligned(3 * 7 * ROUND + 64)
        numbers = memory.view(np.float32)
        numbers[:] = np.arange(numbers.size)
        before = numbers.copy()
        stream_probe("t", "triad", team, memory, 3 * 7 * ROUND).run(2)
        n = 7 * ROUND // 4
        assert (numbers[:n] == before[n : 2 * n] + 3 * before[2 * n : 3 * n]).all()
        assert (numbers[n:] == before[n:]).all()
        stream_probe("w", "write", team, memory, 2 * ROUND).run(1)
        assert (numbers[: ROUND // 2] == 1).all()
        assert numbers[ROUND // 2] != 1
        stream_probe("c", "copy", team, memory, 4 * ROUND).run(1)
        assert (numbers[: ROUND // 2] == numbers[ROUND // 2 : ROUND]).all()
        memory.view(np.int32)[:] = 1
        assert stream_probe("r", "read", team, memory, 7 * ROUND).run(3) == 3 * 7 * ROUND // 4
    finally:
        team.close()


def test_our_arrays_are_touched_before_they_are_read():
    """What was never written costs nothing to read: 384 words of 1.0, 0x3f800000, make 2**30 in 32 bits."""
    with our_probe(Case("read-small", "read", 3 * ROUND), 1) as probe:
        assert (probe.bytes, probe.run(1)) == (3 * ROUND, 2**30)
    with our_probe(SMALL[1], 2) as probe:
        assert probe.bytes == 3 * 128 * ROUND


def test_without_a_compiler_there_is_a_sentence(monkeypatch):
    """What to install."""
    monkeypatch.setattr(bandwidth.shutil, "which", lambda _name: None)
    with pytest.raises(InputError) as caught:
        bandwidth_rows(1, 1, cases=SMALL)
    assert str(caught.value) == "no C compiler is there to compare with (cc, gcc or clang): install one, or set CC"


def made_up_compiler(path, script):
    """A program that stands in for a compiler, chosen by CC."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'stream.c: In function' >&2; echo 'stream.c:1: error: no such thing' >&2; exit 1", "stream.c:1: error: no such thing"),
        ("exit 0", ""),
    ],
)  # fmt: skip
def test_a_compiler_that_fails_gives_a_sentence(tmp_path, monkeypatch, script, told):
    """With its first error; one that says it is done and leaves no program has failed, too."""
    compiler = made_up_compiler(tmp_path / "cc", script)
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(InputError) as caught:
        compile_c(tmp_path)
    assert str(caught.value).startswith("the C compiler ")
    assert str(caught.value).endswith(f" does not compile what we compare with ({told})")


def test_a_compiler_without_its_own_words_for_this_processor_gets_none(tmp_path, monkeypatch):
    """-march=native and -mcpu=native are tried, then neither."""
    script = 'case "$*" in *native*) echo "error: unknown" >&2; exit 1;; esac; touch "$6"'
    monkeypatch.setenv("CC", made_up_compiler(tmp_path / "cc", script))
    program, command = compile_c(tmp_path)
    assert program.exists()
    assert command.endswith("cc -O3 -std=gnu11 -pthread")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "the C program for read-small ended: is there memory enough?"),
        ("read passes; echo 0.5 17; read more", "the C program for read-small computed 17, not 858996736"),
    ],
)
def test_a_program_that_fails_is_told(tmp_path, script, told):
    """It ended, or it computed something else: 16384 words of 0x3f8ccccd, once, make 858996736 in 32 bits."""
    path = made_up_compiler(tmp_path / "stream", script)
    with pytest.raises(InputError) as caught, c_program(path, SMALL[0], 1) as seconds:
        seconds(1)
    assert str(caught.value) == told


def test_the_source_lies_beside_the_module():
    """So it is in the wheel, which takes the whole package."""
    assert SOURCE.is_file()
    assert SOURCE.parent.name == "bench"
