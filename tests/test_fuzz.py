"""Damaged, hostile and careless inputs: each ends as a forecast or as a message, soon and in little memory.

The command runs in a child process that may have 1 GiB more than it starts with, so that a crash of a C library or an
endless loop fails one input and not the test run: `fuzz/child.py` is that child's program. `fuzz/reading.py` is that of the readers
of other people's files, which are called themselves: thousands of inputs here with --inputs, a million with `fuzz/many.py`.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import amount
import pytest
from fuzz.child import run_command, write_files
from fuzz.families import FAMILIES
from fuzz.many import read_inputs
from fuzz.seeds import DEVICE, EXPERTS, MODEL, RUNTIME
from places import ROOT, TESTS


def run_family(family: str, folder: Path) -> tuple[int, list[str]]:
    """How many cases ran, and the problems found; a child that dies is followed by another."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(TESTS)])
    command = [sys.executable, "-m", "fuzz.child", family]
    problems, begun, count = [], -1, FAMILIES[family][1]
    while begun < count:
        child = subprocess.run(
            [*command, str(begun + 1), str(count)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        problems += [line["problem"] for line in lines if "problem" in line]
        last = [line for line in lines if "begins" in line][-1:]
        if not last:
            raise AssertionError(f"the child did not start: {child.stderr[-2000:]}")
        begun = last[0]["begins"]
        if child.returncode:
            problems.append(f"{last[0].get('name')}: the process ended with status {child.returncode}")
    return begun, problems


@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_ends_as_a_result_or_as_a_message(family, tmp_path):
    """Exit status 0 with numbers that can be, or 2 with sentences on standard error: within 6 s and 1 GiB, without a warning."""
    pytest.importorskip("resource", reason="memory can be limited on Linux and macOS only")
    count, problems = run_family(family, tmp_path)
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems[:40])


def test_there_are_enough_inputs_and_they_are_different(tmp_path):
    """At least 250 mutated inputs, 2,500 in a thorough run, nine tenths of a family's unlike each other."""
    assert sum(count for _, count in FAMILIES.values()) >= amount.of(250)
    for family, (make, count) in FAMILIES.items():
        cases = [make(random.Random(f"{family} {number}"), number, tmp_path) for number in range(min(count, 40))]
        assert len({(*case.arguments, *case.files.values()) for case in cases}) >= 0.9 * len(cases), family


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("attacks", "words")])
def test_what_is_mutated_is_itself_good(family, tmp_path, monkeypatch):
    """Without its mutation the first input of each family is forecast, so that the others fail by their mutation alone."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"device": DEVICE, "model": MODEL, "experts": EXPERTS, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    case = FAMILIES[family][0](random.Random(0), 0, Path())
    write_files(case)
    assert run_command(case.arguments) == 0


def test_the_same_inputs_are_made_every_time(tmp_path):
    """The seed is the number of the case: a failure can be repeated."""
    for family, (make, _) in FAMILIES.items():
        first, again = (make(random.Random(f"{family} 7"), 7, tmp_path) for _ in range(2))
        assert first == again


def pytest_generate_tests(metafunc):
    """The inputs of the readers, some in each test, for tests run side by side."""
    if "first" in metafunc.fixturenames:
        metafunc.parametrize("first", range(0, amount.n_inputs(), amount.IN_ONE_TEST))


def test_every_input_of_a_reader_is_read_or_refused(first, tmp_path):
    """In 2 s of CPU time and 1 GiB: a model that can be forecast, or one sentence."""
    pytest.importorskip("resource", reason="memory can be limited on Linux and macOS only")
    count = min(amount.IN_ONE_TEST, amount.n_inputs() - first)
    tally = Counter()
    problems = list(read_inputs(first, count, tmp_path, tally))
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems[:40])
    assert tally["inputs"] == count
    assert sum(tally[name] for name in tally if name.endswith(" read")) > count / 10
