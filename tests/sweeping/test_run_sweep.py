"""Running a sweep: what is there stays, what is missing or broken is made, and nothing of another sweep is mixed in."""

import json
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest
from gguf_files import write
from places import ROOT

pytest.importorskip("pyarrow")

from pyarrow import parquet

from simulator import InputError, open_sweep, run_sweep, scenario
from simulator.spec.model import store
from simulator.sweeping import folder as folders
from simulator.sweeping import helpers
from simulator.sweeping import run as running
from simulator.sweeping.axes import load_sweep
from simulator.sweeping.folder import LOCK, MANIFEST, SweepFolder
from simulator.sweeping.helpers import finished_here

ASKED = {
    "models": ["llama-3-8b", "qwen3-30b-a3b", "gpt-oss-20b"],
    "devices": ["pi5-16gb", "h100-sxm"],
    "formats": ["q4_k_m", "fp8"],
    "batches": "1..4",
    "contexts": "0..8k+4k",
}


def files(folder):
    """What lies in a folder of a sweep, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_is_counted(tmp_path):
    """3 models x 2 devices x 2 formats x 4 batches x 3 contexts, with what came of each; another run finds all."""
    told = []
    found = run_sweep(ASKED, tmp_path / "out", processes=1, progress=lambda share, what: told.append((share, what)))
    assert (found.n_points, found.n_parts, found.n_found) == (144, 3, 0)
    assert sum(found.by_status.values()) == 144
    assert found.by_status["refused"] == sum(found.refused.values()) == 3 * 12
    assert told[-1] == (1.0, "144 of 144 points")
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    anew = []
    again = run_sweep(
        ASKED, str(tmp_path / "out"), processes=1, progress=lambda share, what: anew.append((share, what))
    )
    assert again.n_found == 3
    assert anew == told  # reading what is there takes its time, too, where there is much of it
    assert {**again.record(), "seconds": 0, "parts_found": 0} == {**found.record(), "seconds": 0}
    assert json.loads(json.dumps(found.record())) == found.record()


def test_what_is_kept_of_parts_is_bounded(tmp_path, monkeypatch):
    """Tallies are added up one at a time, never all held, and only so many of the reasons, those each counted in full."""
    held = []

    class Tally(dict):
        def __init__(self, number):
            super().__init__(status=[0, 0, 48], refused={"all": 40, f"only {number}": 8})
            held.append(weakref.ref(self))

    def tallies(_place, _is_checked):
        for number in range(3):
            yield Tally(number)
            assert sum(each() is not None for each in held) <= 2

    monkeypatch.setattr(SweepFolder, "tallies", tallies)
    monkeypatch.setattr(running, "MOST_COUNTED", 2)
    found = run_sweep(ASKED, tmp_path / "out", processes=1)
    assert (found.n_found, found.by_status["refused"]) == (3, 144)
    assert found.refused == {"all": 120, "only 0": 8}


def test_only_what_is_missing_is_made(tmp_path, monkeypatch):
    """A part that is gone, one that is cut off, one of other rows; the third is left as it is, and no leftover stays."""
    out = tmp_path / "out"
    run_sweep(ASKED, out, processes=1)
    whole = files(out)
    place = SweepFolder.of(out, load_sweep(ASKED))
    place.path(0).unlink()
    place.path(1).write_bytes(place.path(1).read_bytes()[:-7])
    kept = place.path(2).stat()
    (place.path(2).parent / "_unfinished-7-part-000002.parquet").write_bytes(b"half")
    assert run_sweep(ASKED, out, processes=1).n_found == 1
    assert files(out) == whole
    assert place.path(2).stat() == kept
    place.path(0).write_bytes(place.path(2).read_bytes())
    assert run_sweep(ASKED, out, processes=1).n_found == 3 - 1
    assert files(out) == whole


def test_another_sweep_goes_elsewhere(tmp_path, monkeypatch):
    """What differs is named: a list, a file behind a name, or the code that forecasts."""
    out, model = tmp_path / "out", tmp_path / "mine.yaml"
    text = (
        "name: mine\nd_model: 256\nvocab: 1000\nlayers:\n"
        "  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}\n    ffn: {kind: gated, d_ff: 512}\n"
    )
    model.write_text(text)
    asked = {"models": [str(model)], "devices": ["pi5-16gb"]}
    run_sweep(asked, out, processes=1)
    before = files(out)
    with pytest.raises(
        InputError, match=r"out: holds a sweep of other batches; give another folder, or remove this one$"
    ):
        run_sweep({**asked, "batches": [1, 2]}, out)
    model.write_text(text.replace("512", "768"))
    with pytest.raises(
        InputError, match=r"out: holds a sweep of the same names, but a file of a model, device, runtime or"
    ):
        run_sweep(asked, out)
    model.write_text(text)
    monkeypatch.setattr(folders, "code_digest", lambda: "other")
    with pytest.raises(InputError, match=r"out: was begun by another build of roofcast \("):
        run_sweep(asked, out)
    assert files(out) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    """Whatever it holds; one of a broken manifest, too."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes.txt, which is of no sweep; give a new or empty folder"):
        run_sweep(ASKED, tmp_path)
    assert files(tmp_path) == {"notes.txt": b"mine"}
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(InputError, match=r"_sweep.json: is no manifest of a sweep"):
        run_sweep(ASKED, tmp_path)


def test_one_run_at_a_time(tmp_path):
    """Another one is told so, and changes nothing."""
    place = SweepFolder.of(tmp_path / "out", load_sweep(ASKED))
    with place.held(), pytest.raises(InputError, match=r"out: another run is writing there; wait for it, or end it"):
        run_sweep(ASKED, tmp_path / "out", processes=1)
    assert run_sweep(ASKED, tmp_path / "out", processes=1).n_found == 0


@pytest.mark.parametrize(
    ("batches", "is_ended", "told"),
    [
        ("1..4", False, "another run is writing there"),
        ("1..5", False, "another run is writing there"),
        ("1..5", True, "holds a sweep of other batches"),
    ],
)
def test_two_first_runs_at_once(tmp_path, monkeypatch, batches, is_ended, told):
    """One makes the folder just when another has seen that there is none: that one leaves it alone."""
    out, make = tmp_path / "out", Path.mkdir
    first = SweepFolder.of(out, load_sweep(ASKED))
    second = SweepFolder.of(out, load_sweep({**ASKED, "batches": batches}))
    with ExitStack() as stack:

        def slowly(path, **options):
            monkeypatch.setattr(Path, "mkdir", make)
            make(path, **options)
            stack.enter_context(first.held())
            if is_ended:
                stack.close()

        monkeypatch.setattr(Path, "mkdir", slowly)
        with pytest.raises(InputError, match=told), second.held():
            pass
        assert json.loads((out / MANIFEST).read_text())["digest"] == first.digest


def test_a_run_that_ends_before_it_begins_leaves_an_empty_folder(tmp_path):
    """Killed between the lock and the manifest: any sweep may go there."""
    (tmp_path / LOCK).touch()
    (tmp_path / f"_unfinished-7-{MANIFEST}").write_text("{")
    assert run_sweep(ASKED, tmp_path, processes=1).n_found == 0
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {MANIFEST, LOCK}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    """Is told as such."""
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"out: cannot be written \(Permission denied\)"):
        run_sweep(ASKED, tmp_path / "out", processes=1)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"processes": 0}, r"^processes 0: "),
        ({"scheduler": 8786}, r"^scheduler must be the address of a Dask scheduler"),
        ({"folder": 7}, r"^folder must be a name or a path"),
        ({"folder": "a\0b"}, r"cannot be written \(embedded null byte\)"),
        ({"progress": 7}, r"^progress must be a function of a share and a text, got 7"),
        ({"given": 7}, r"^sweep must be the path of a YAML file, or a mapping of lists, got 7"),
    ],
)
def test_arguments_are_checked(tmp_path, more, told):
    """Before anything is done."""
    with pytest.raises(InputError, match=told):
        run_sweep(**{"given": ASKED, "folder": tmp_path / "out", **more})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("parameter", ["given", "folder", "scheduler", "processes", "progress"])
def test_wrong_arguments_are_told_in_a_sentence(parameter, tmp_path, monkeypatch):
    """Whatever is passed: taken where it has a meaning, else refused."""
    monkeypatch.chdir(tmp_path)
    right = {"given": {"models": "llama-3-8b", "devices": "pi5-16gb"}, "folder": "out"}
    for wrong in (object(), None, True, b"x", -1, float("nan"), 10**5000, [], [1], {}):
        try:
            run_sweep(**right | {parameter: wrong})
        except InputError as told:
            assert len(str(told)) < 500  # noqa: PT017 - some of the values are fine


def test_a_helper_that_dies_leaves_its_parts_to_others(tmp_path, monkeypatch):
    """Also where every one dies at once: then this process does all of it itself."""
    monkeypatch.setattr(helpers.sys, "executable", "/bin/false")
    assert sum(run_sweep(ASKED, tmp_path / "out", processes=None).by_status.values()) == 144
    place = SweepFolder.of(tmp_path / "other", load_sweep(ASKED))
    monkeypatch.setattr(helpers.sys, "executable", "/nonexistent/python")
    with place.held():
        assert sorted(number for number, _ in finished_here(place, range(3), 3)) == [0, 1, 2]


def test_without_threads_this_process_does_all_of_it(tmp_path, monkeypatch):
    """The first of three helpers has one, the system has no more."""
    started, start = [], threading.Thread.start

    def start_one(thread):
        started.append(thread)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    place = SweepFolder.of(tmp_path, load_sweep(ASKED))
    numbers = sorted([0, 1, 2] * 3)  # enough for three helpers
    with place.held():
        assert sorted(number for number, _ in finished_here(place, numbers, 4)) == numbers
    assert len(started) == 3


def test_what_is_left_by_a_helper_that_keeps_dying_is_done(tmp_path):
    """Its parts go back, the last first; after three deaths in a row it gives up."""

    class Dead:
        send = recv = None

        def kill(self): ...

        wait = close = kill

    class Line(Dead):
        def send(self, number):
            raise BrokenPipeError

    helper, left, arrived = helpers._Helper(start=lambda: (Dead(), Line())), deque([1, 2, 3]), SimpleQueue()
    helper.work(left, arrived)
    assert (list(left), helper.deaths, arrived.get(), arrived.empty()) == ([1, 2, 3], helpers.TRIALS, None, True)


class _Line:
    """What a helper would send."""

    def __init__(self, *messages):
        self.messages = deque(messages)

    def recv(self):
        return self.messages.popleft()


def test_what_goes_wrong_in_a_helper_is_raised_here():
    """As if it had happened in this process."""
    helper = helpers._Helper(
        start=None, at_work=deque([3]), line=_Line((3, {}), OSError(28, "No space left on device"))
    )
    assert helper.told(deque()) == (3, {})
    with pytest.raises(OSError, match="No space left"):
        helper.told(deque())


def test_helpers_get_what_the_sweep_is(tmp_path):
    """Everything of it goes through a pipe and comes out the same."""
    asked = {
        **ASKED,
        "devices": ["rtx-3060+ryzen-7950x"],
        "placements": ["auto", {"override_tensor": ["exps=CPU"]}],
        "routings": ["zipf:1.2"],
    }
    place = SweepFolder.of(tmp_path, load_sweep(asked))
    sent = pickle.loads(pickle.dumps(place))
    assert sent.digest == place.digest == SweepFolder.of(tmp_path, sent.sweep).digest


def test_models_that_are_files_are_swept(tmp_path):
    """A GGUF file and a quantised checkpoint, each tensor in a format of its own, by helpers too: rows are what one forecast says."""
    checkpoint = next((ROOT / "tests" / "importers" / "quantised" / "checkpoints").glob("*gptq*"))
    given = [write(tmp_path / "own.gguf", quantised=("ffn_down", "attn_v")), checkpoint]
    lists = {"models": [str(each) for each in given], "devices": ["pi5-16gb", "h100-sxm"]}
    sweep = load_sweep(lists)
    sent = pickle.loads(pickle.dumps(sweep))
    for there, here in zip(sent.models, sweep.models, strict=True):
        assert store(there.model, there.weights) == store(here.model, here.weights)
    run_sweep(lists, tmp_path / "out", processes=1)
    rows = open_sweep(tmp_path / "out").read(status="ok")
    named = {loaded.model.name: loaded for loaded in sweep.models}
    assert set(rows["model"]) == set(named)
    for model, hardware, rate in zip(rows["model"], rows["hardware"], rows["tokens_per_s"], strict=True):
        assert rate == pytest.approx(float(scenario(named[model], hardware).at(1, 1024).tokens_per_s), rel=1e-9)


def test_a_file_of_other_formats_is_another_sweep(tmp_path):
    """Though its name, its shapes and what it is called in rows stay."""
    path = tmp_path / "own.gguf"
    lists = {"models": str(path), "devices": "pi5-16gb"}
    digests = {load_sweep(lists).digest() for kinds in (("ffn_up",), ("ffn_gate",)) if write(path, quantised=kinds)}
    assert len(digests) == 2


def test_names_in_folders_are_safe(tmp_path):
    """A model's name may hold what a path may not; readers of Parquet give it back."""
    (tmp_path / "mine.yaml").write_text(
        'name: "../a=b c/d"\nd_model: 256\nvocab: 1000\nlayers:\n'
        "  - attention: {kind: grouped_query, n_heads: 4, n_kv_heads: 2, head_dim: 64}\n    ffn: {kind: gated, d_ff: 512}\n"
    )
    out = tmp_path / "out"
    run_sweep({"models": [str(tmp_path / "mine.yaml")], "devices": "pi5-16gb"}, out, processes=1)
    assert open_sweep(out).read(["model"])["model"].tolist() == ["../a=b c/d"]
    assert parquet.read_table(out)["model"].to_pylist() == ["../a=b c/d"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux shows it")
def test_memory_is_that_of_a_part(tmp_path):
    """Four million points, of which a row takes about 75 bytes, in two processes: neither ever holds more than its own part."""
    code = (
        "import resource\n"
        "from simulator import run_sweep\n"
        "asked = {'models': 'qwen3-30b-a3b', 'devices': ['h100-sxm', 'rtx-3060+ryzen-7950x'], 'formats': 'q4_k_m', 'batches': '1..512',\n"
        "         'contexts': '0..3999'}\n"
        "print(run_sweep(asked, 'out', processes=2).n_points)\n"
        "status = open('/proc/self/status').read()\n"  # ru_maxrss would begin with that of the process that started it
        "print(status.split('VmHWM:')[1].split()[0])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    n_points, *peaks_kib = map(int, done.stdout.split())
    assert n_points == 4_096_000
    assert sum(peaks_kib) < 600 * 1024
