"""What `profile` refuses before any time is spent: files that cannot be written or gone on with, threads and seconds."""

import os
import tempfile
from pathlib import Path

import pytest
from messages import message_of
from profiling import child, ended, profile_here, write_profile
from readings import PI5, readings_of

from simulator.commands import profile_cpu


@pytest.fixture
def refusal(quickly, capsys):
    """A function that runs the command, which must say one sentence before anything is measured."""

    def refuse(*arguments):
        assert profile_here(*arguments) == 2
        assert quickly == []
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        return message_of(line)

    return refuse


def test_a_name_without_yaml_is_refused(refusal, folder):
    """A folder's name, too."""
    (folder / "there").mkdir()
    assert refusal("-o", "mine.json") == "-o mine.json: a hardware file ends in .yaml, as in mine.yaml"
    assert refusal("-o", "there") == "-o there: a hardware file ends in .yaml, as in mine.yaml"
    assert refusal("-o", "there/.yaml") == "-o there/.yaml: a hardware file ends in .yaml, as in mine.yaml"
    assert refusal("-o", "") == "--output: nothing is given after it; leave it out for the default"


def test_a_missing_folder_is_refused(refusal):
    """Nothing is made."""
    assert refusal("-o", "nowhere/mine.yaml") == "-o nowhere/mine.yaml: there is no folder nowhere"
    assert not Path("nowhere").exists()


def test_a_folder_is_refused(refusal, folder):
    """Even one that is called like a file."""
    (folder / "mine.yaml").mkdir()
    assert refusal() == "mine.yaml: is a folder, a file is needed"


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_must_not_be_written_is_refused(refusal, folder, monkeypatch, exists):
    """Whether there is such a file already or not."""
    if exists:
        write_profile()

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert refusal() == "-o mine.yaml: cannot be written (Permission denied)"


def test_a_disk_without_room_is_refused(folder):
    """Here a limit of 4 KiB a file: told at once, not after a minute."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    status, out, err = ended(
        child(limit + "change(profile_cpu, read_device=lambda *_: sys.exit('too late'))", cwd=folder)
    )
    assert (status, out) == (2, "")
    assert err == "roofcast: -o mine.yaml: cannot be written (File too large)\n"
    assert list(folder.iterdir()) == []


BROKEN = [
    ("name: [", "mine.yaml:2: not valid YAML: "),
    ("", "mine.yaml: "),
    ("name: x\nclass: sbc\nkind: cpu\nmemory: []\n", "mine.yaml:4: memory: "),
    (
        "name: x\nclass: sbc\nkind: cpu\nmemory: [{name: m, capacity_gib: 1, gb_per_s: 1}]\nspeed: 3\n",
        "mine.yaml:5: speed: unknown field",
    ),
    ("name: x\nd_model: 64\nlayers: []\n", "mine.yaml: this is a model file, hardware fields are needed here"),
    ("\x00\x01", "mine.yaml"),
]


@pytest.mark.parametrize(("text", "start"), BROKEN)
def test_a_file_that_cannot_be_gone_on_with_is_refused(refusal, folder, text, start):
    """A broken YAML, an empty one, one of a model: told by line and field, and left as it is."""
    path = folder / "mine.yaml"
    path.write_text(text)
    before = path.stat()
    assert refusal().startswith(start)
    assert (path.read_text(), path.stat().st_mtime_ns) == (text, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kind": "gpu"}, "kind gpu, here it is cpu"),
        ({"vendor": "intel"}, "vendor intel, here it is arm"),
        ({"cores": 16}, "cores 16, here it is 4"),
        (
            {"description": "a; b; c"},
            "a; b; c; here: 4 cores; 4 x 64 KiB L1 data, 4 x 512 KiB L2, 1 x 2 MiB L3; 8.0 GiB LPDDR4X",
        ),
    ],
)
def test_a_file_of_another_machine_is_refused(refusal, folder, changes, what):
    """Before measuring, and left as it is."""
    text = write_profile(**changes)
    before = Path("mine.yaml").stat()
    assert refusal() == f"mine.yaml: describes another machine ({what}); give -o another file name"
    assert (Path("mine.yaml").read_text(), Path("mine.yaml").stat().st_mtime_ns) == (text, before.st_mtime_ns)


def test_a_pipe_is_refused(refusal):
    """It is not waited for."""
    os.mkfifo("mine.yaml")
    assert refusal() == "-o mine.yaml: is a pipe or a device, a hardware file is needed"


def test_a_protected_file_is_refused(refusal, monkeypatch):
    """Although its folder may be written."""
    write_profile()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refusal() == "mine.yaml: is write-protected; give another file name, or allow writing with chmod u+w"


def test_figures_that_cannot_be_pooled_are_refused(refusal):
    """A count that has no room for more: told before a minute of measuring."""
    fields = profile_cpu.hardware_fields(readings_of(PI5), "mine", profile_cpu.datetime.now())
    fields["storage"][0]["gb_per_s"]["count"] = 1_000_000_000
    write_profile(storage=fields["storage"])
    assert refusal() == (
        "mine.yaml: pooled with another measuring: storage[0].gb_per_s.count: at most 1,000,000,000 is possible, got 2000000000"
    )


def test_another_number_of_threads_is_not_pooled(refusal, folder):
    """Its figures cannot be pooled."""
    write_profile()
    told = "mine.yaml: was measured with 4 threads, not 2: give --threads 4, or another -o"
    assert refusal("--threads", "2") == told


@pytest.mark.parametrize("threads", ["0", "-1", "5", "100000"])
def test_threads_that_there_are_not_are_refused(refusal, threads):
    """More than there are would wait for each other."""
    assert refusal("--threads", threads) == f"--threads {threads}: between 1 and 4 are possible on this machine"


@pytest.mark.parametrize("seconds", ["0", "-3", "4.9", "1e9"])
def test_seconds_that_make_no_profile_are_refused(refusal, seconds):
    """Fewer than the essential takes, more than an hour, and what is no number of seconds."""
    assert refusal("--seconds", seconds) == f"--seconds {float(seconds):g}: between 5 and 3,600 are possible"


def test_seconds_are_given_once(refusal):
    """A quick profile has its own."""
    assert refusal("--quick", "--seconds", "30") == "--quick stands for --seconds 20: leave one of them out"


def test_line_ends_and_marks_of_other_systems_survive_a_refusal(refusal, folder):
    """The trial of writing is made beside the file, not in it."""
    text = write_profile(cores=16).replace("\n", "\r\n")
    Path("mine.yaml").write_bytes(text.encode())
    refusal()
    assert Path("mine.yaml").read_bytes() == text.encode()
