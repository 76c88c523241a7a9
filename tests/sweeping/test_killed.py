"""A sweep that is killed at random moments, processes of it or all of it: what comes out in the end is what an undisturbed run writes."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT

pytest.importorskip("pyarrow")

from pyarrow import parquet

from simulator import open_sweep, run_sweep

ASKED = {
    "models": ["llama-3-8b", "qwen3-30b-a3b", "gpt-oss-20b", "gemma-3-4b"],
    "devices": ["pi5-16gb", "rtx-3060+ryzen-7950x", "2xrtx-3090"],
    "formats": ["q4_k_m", "q8_0", "fp8"],
    "caches": ["f16", "q8_0"],
    "routings": ["uniform", "zipf:1.2"],
    "batches": "1..8",
    "contexts": "0..8k+1k",
}
N_PARTS = 8  # each of 32 or 4 combinations
LIMIT_S = 120  # of anything that is waited for
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Its rows, by file."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run_sweep(ASKED, out, processes=1).n_parts == N_PARTS
    return rows_of(out)


def rows_of(folder):
    """What every file of a finished sweep holds, by its path there."""
    open_sweep(folder)
    return {path.relative_to(folder): parquet.read_table(path) for path in folder.rglob("*.parquet")}


def alike(found, expected):
    """Whether two sweeps have the same files with the same rows, one after the other."""
    return found.keys() == expected.keys() and all(found[path].equals(expected[path]) for path in expected)


@contextmanager
def started(*arguments):
    """A command in a process of its own, which is killed at last."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=ENVIRONMENT,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def until(happens, process):
    """Waits for something, but for no process that has ended."""
    limit = time.monotonic() + LIMIT_S
    while not happens() and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.002)


def n_finished(out):
    """Parts that are there."""
    return sum(1 for _ in out.glob("model=*/part-*.parquet"))


def children(process):
    """Processes that one started, as Linux tells them."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return [int(each) for each in path.read_text().split()]
    except OSError:
        return []


def killed_at_random(out, command, kinds, moments):
    """Runs a sweep again and again, killing what *kinds* names at a random moment of each run, until one is left to end.

    Returned is how many processes were killed.
    """
    n_killed = 0
    for kind in kinds:
        with started(*command) as process:
            at = min(n_finished(out) + moments.randint(1, 3), N_PARTS)
            until(lambda at=at: n_finished(out) >= at, process)
            time.sleep(moments.uniform(0, 0.05))
            if process.poll() is None:
                n_killed += kind(process)
            if kind is not kill_parent:
                process.wait(LIMIT_S)
    with started(*command) as process:
        assert process.wait(LIMIT_S) == 0, process.stderr.read()
    return n_killed


def kill_parent(process):
    """At once, without a word."""
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT_S)
    return 1


def kill_helper(process):
    """One that helps, where there is one; the others go on."""
    found = children(process)
    for child in found[:1]:
        os.kill(child, signal.SIGKILL)
    return len(found[:1])


def interrupt(process):
    """As Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    return 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells which processes another one started")
@pytest.mark.parametrize("seed", range(10))
def test_processes_killed_at_random(seed, tmp_path, undisturbed, is_thorough):
    """The whole run twice, a helper of a third, and a Ctrl-C: no row is lost, none is there twice, and nothing else is left."""
    if seed and not is_thorough:
        pytest.skip("more random moments: --thorough")
    moments, out = random.Random(seed), tmp_path / "out"
    asked = tmp_path / "sweep.json"  # which is YAML, too
    asked.write_text(json.dumps(ASKED))
    command = ("simulator", "sweep", str(asked), "-o", str(out), "--processes", "2")
    kinds = [kill_parent, kill_parent, kill_helper, interrupt]
    moments.shuffle(kinds)
    assert killed_at_random(out, command, kinds, moments) >= 2
    assert alike(rows_of(out), undisturbed)
    assert not list(out.rglob("_unfinished*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_by_a_signal_says_how_to_go_on(number, tmp_path, undisturbed):
    """What is kept, and a command that is taken as it stands: it finds that, and makes the rest."""
    out, asked = tmp_path / "o u t", tmp_path / "sweep.json"
    asked.write_text(json.dumps(ASKED))
    with started("simulator", "sweep", str(asked), "-o", str(out), "--processes", "1", "--check") as process:
        until(lambda: n_finished(out) >= 2, process)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 128 + number
        told, command = process.stderr.read().splitlines()
    n_kept = n_finished(out)
    assert told.startswith(f"interrupted: {out} keeps ")
    assert told.endswith(" points; this goes on with the rest:")
    program, *words = shlex.split(command)
    assert program == "roofcast"
    assert words[-3:] == ["--processes", "1", "--check"]
    with started("simulator", *words, "--json", str(tmp_path / "found.json")) as process:
        assert process.wait(LIMIT_S) == 0
    assert json.loads((tmp_path / "found.json").read_text())["parts_found"] == n_kept >= 2
    assert alike(rows_of(out), undisturbed)


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler and two workers, each a process: the address, and the workers."""
    if find_spec("distributed") is None:
        pytest.skip("dask[distributed] is not installed")
    told = tmp_path / "scheduler.json"
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            started(
                "dask",
                "scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
                "--scheduler-file",
                str(told),
            )
        )
        until(told.exists, scheduler)
        worker = ("dask", "worker", "--scheduler-file", str(told), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        folders = ("--local-directory", str(tmp_path))
        workers = [stack.enter_context(started(*worker, *folders)) for _ in range(2)]
        yield json.loads(told.read_text())["address"], workers


def test_a_cluster_with_a_worker_and_the_run_killed(tmp_path, undisturbed, cluster):
    """Two workers, of which one is killed while it works, and the run that waits for them: the rest does the same rows."""
    address, workers = cluster
    moments, out = random.Random(3), tmp_path / "out"
    asked = tmp_path / "sweep.json"
    asked.write_text(json.dumps(ASKED))
    command = ("simulator", "sweep", str(asked), "-o", str(out), "--scheduler", address)

    def kill_worker(_process):
        workers[moments.randint(0, 1)].kill()
        return 1

    wait_for_workers(address, 2)
    assert killed_at_random(out, command, [kill_parent, kill_worker], moments) == 2
    assert alike(rows_of(out), undisturbed)
    assert sorted(each.poll() is None for each in workers) == [False, True]


def wait_for_workers(address, n):
    """Until so many have come to the scheduler."""
    code = f"from distributed import Client; Client({address!r}).wait_for_workers({n}, timeout={LIMIT_S})"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True, capture_output=True)
