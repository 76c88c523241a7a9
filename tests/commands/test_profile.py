"""The command `profile`: a tiny measuring from end to end, what it refuses before any time is spent, and how it may be cut short."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from messages import message_of
from places import ROOT, TESTS
from readings import PI5, readings_of, tiny_plan

from simulator.cli import main
from simulator.commands import profile
from simulator.commands.profile import to_yaml
from simulator.engine import compiled
from simulator.machine import host as hosts
from simulator.probe import groups, storage
from simulator.spec.hardware import load_hardware
from simulator.units import KI

# What a child process does: the command on a plan that takes two seconds, after a change of its own.
CHILD = """
import os, sys
sys.path[:0] = [{here!r}]
from patching import change
from readings import readings_of, tiny_plan
from simulator import cli
from simulator.machine import read as machine
from simulator.probe import device, passes, storage
from simulator.commands import profile
def plan_of(machine, seconds, threads, **more):
    return tiny_plan(threads=tuple(range(1, machine.n_threads + 1))[:2], budget_s=120.0, storage_bytes=2**20, **more)
change(storage, BLOCK=65536)
change(profile, make_plan=plan_of, remark_on_others=lambda: (), compile_all=lambda *_: None)
{change}
cli.main(["profile", "--quick", "-o", "mine.yaml"])
"""


def run(*arguments):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as ended:
        main(["profile", *map(str, arguments)])
    return ended.value.code or 0


def child(change="", cwd=None):
    """The command in a process of its own, after a change of its code."""
    code = CHILD.format(here=str(TESTS), change=change)
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=environment, cwd=cwd)


def ended(process):
    """Its exit status, and what it said."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quickly(folder, monkeypatch):
    """This machine measured in no time: readings of a made-up Pi 5, which it is taken for; noted how often."""
    taken = []

    def read(host, plan, where, progress):
        taken.append(where)
        progress(1.0, "done")
        return readings_of(PI5, quick=True, faster=len(taken))

    monkeypatch.setattr(profile, "read_host", lambda: PI5)
    monkeypatch.setattr(profile, "remark_on_others", lambda: ())
    monkeypatch.setattr(profile, "gpu_notes", lambda: ())
    monkeypatch.setattr(profile, "read_device", read)
    monkeypatch.setattr(profile, "compile_all", lambda *_: None)
    return taken


@pytest.fixture
def refusal(quickly, capsys):
    """A function that runs the command, which must say one sentence before anything is measured."""

    def refuse(*arguments):
        assert run(*arguments) == 2
        assert quickly == []
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        return message_of(line)

    return refuse


# ---- from end to end ----


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """This machine really measured, if only a little: the folder, and what was said."""
    folder = tmp_path_factory.mktemp("profile")
    status, out, err = ended(child(cwd=folder))
    assert status == 0, err
    return folder, out, err


def test_this_machine_is_measured_and_written(measured):
    """A hardware file of its threads, caches and kernels; nothing else is left in the folder."""
    folder, out, _ = measured
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]
    hardware = load_hardware(folder / "mine.yaml")
    assert hardware.kind == "cpu"
    assert hardware.main_memory.gb_per_s.provenance == "measured"
    assert set(hardware.engine.kernels[1]) == {"f32", "q8_0"}
    assert hardware.runs[0].rounds >= 3
    assert hardware.name == "mine"
    assert "mine.yaml: measured once; last with" in out
    assert "next: roofcast simulate qwen3-30b-a3b mine.yaml    roofcast validate mine.yaml" in out


def test_the_file_forecasts_and_is_shown(measured, capsys, monkeypatch):
    """By the commands that were named, and for the engine itself."""
    folder, _, _ = measured
    monkeypatch.chdir(folder)
    for arguments in (
        ["simulate", "smollm2-135m", "mine.yaml", "--json", "-"],
        [
            "simulate",
            "smollm2-135m",
            "mine.yaml",
            "--runtime",
            "roofcast",
            "--weights",
            "q8_0",
            "--batch",
            "1",
            "--json",
            "-",
        ],
        ["show", "mine.yaml"],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out, err = capsys.readouterr()
        assert (end.value.code or 0, err) == (0, "")
        if arguments[0] == "simulate":
            assert all(row["tokens_per_s"] > 0 for row in json.loads(out)["predictions"])
        else:
            assert "measured" in out


def test_measuring_again_pools(measured):
    """The rounds of both, two runs, and what was changed by hand stays."""
    folder, _, _ = measured
    path = folder / "mine.yaml"
    first = load_hardware(path).main_memory.gb_per_s.count
    path.write_text(path.read_text().replace("name: mine", "name: mine\nnotes: on my desk", 1))
    status, out, err = ended(child(cwd=folder))
    assert status == 0, err
    hardware = load_hardware(path)
    assert len(hardware.runs) == 2
    assert hardware.main_memory.gb_per_s.count == first + hardware.runs[1].rounds
    assert hardware.notes == "on my desk"
    assert "measured 2 times, pooled" in out
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_figures_of_all_times_are_pooled(quickly, folder):
    """The second time everything goes twice, the third time three times as fast: 16 GB/s times the third root of 6."""
    for _ in range(3):
        assert run("--quick") == 0
    main_memory = load_hardware(folder / "mine.yaml").main_memory
    assert main_memory.gb_per_s.value == pytest.approx(16 * 6 ** (1 / 3), rel=1e-3)
    assert main_memory.gb_per_s.count == 15
    assert quickly == [Path()] * 3


def test_numbers_in_quotes_are_pooled_all_the_same(quickly, folder):
    """Thread counts, sizes and values that somebody's editor put in quotes: the next measuring, and the one after it."""
    assert run("--quick") == 0
    path = folder / "mine.yaml"
    quoted = re.sub(r"(working_set_kib|threads|value|best): ([\d.]+)", r"\1: '\2'", path.read_text())
    path.write_text(re.sub(r"^( +)(\d+):", r"\1'\2':", quoted, flags=re.MULTILINE))
    assert run("--quick") == run("--quick") == 0
    hardware = load_hardware(path)
    assert hardware.main_memory.gb_per_s_by_threads[4].count == 15
    assert {point.gb_per_s.count for point in hardware.curve} == {15}


def test_what_was_measured_is_kept_where_it_cannot_be_pooled(quickly, folder, capsys):
    """A datasheet's 17.1 GB/s, and 16 and 32 measured, 22.6 together: the file stays, and the 32 stand beside it."""
    assert run("--quick") == 0
    path = folder / "mine.yaml"
    path.write_text(path.read_text().replace("- name: LPDDR4X", "- name: LPDDR4X\n  datasheet_gb_per_s: 17.1"))
    before = path.read_text()
    for beside in ("mine-new.yaml", "mine-new1.yaml"):
        assert run("--quick") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "exceeds datasheet_gb_per_s 17.1" in line
        assert line.endswith(f"; what was measured is in {beside}")
    assert path.read_text() == before
    assert load_hardware(folder / "mine-new.yaml").main_memory.gb_per_s.value == pytest.approx(32, rel=1e-3)


def test_a_link_and_permissions_stay(quickly, folder):
    """The file that the link points to gets the new figures, and nobody else may read it, as before."""
    (folder / "mine.yaml").symlink_to("real.yaml")
    assert run("--quick") == 0
    (folder / "real.yaml").chmod(0o600)
    assert run("--quick") == 0
    assert (folder / "mine.yaml").is_symlink()
    assert len(load_hardware(folder / "real.yaml").runs) == 2
    assert stat.S_IMODE((folder / "real.yaml").stat().st_mode) == 0o600


def test_a_figure_of_ones_own_stays_as_the_file_says(quickly, folder):
    """As a bare number, or with another source; what says that it is from profiling is pooled, whatever its value."""
    assert run("--quick") == 0
    path = folder / "mine.yaml"
    rule = "To keep a figure of your own, write it as a bare number or give it another source; comments are not kept."
    assert rule in path.read_text()
    data = yaml.safe_load(path.read_text())
    data["peaks_tflops"]["f32"] = 0.25
    data["peaks_tflops"]["int8"]["source"] = "mine"
    data["engine"]["step_us"]["value"] *= 16
    path.write_text(yaml.safe_dump(data))
    assert run("--quick") == 0
    found = yaml.safe_load(path.read_text())
    assert found["peaks_tflops"] == data["peaks_tflops"]
    assert found["engine"]["step_us"]["count"] == 10


def test_a_speed_that_changes_nothing_is_remarked_on(quickly, folder, capsys):
    """gb_per_s by hand in a profile, where the figures by threads decide; not where it nearly agrees with them."""
    assert run("--quick") == 0
    path, said = folder / "mine.yaml", {}
    for speed in (18, 32):
        data = yaml.safe_load(path.read_text())
        data["memory"][-1]["gb_per_s"] = speed
        path.write_text(yaml.safe_dump(data))
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main(["simulate", "smollm2-135m", "mine.yaml", "--batch", "1"])
        said[speed] = " ".join(capsys.readouterr().out.split())
    assert "changes little" not in said[18]
    assert (
        "gb_per_s 32.0 of LPDDR4X changes little, since mine also has for 4 threads gb_per_s_by_threads 16.0, curve 16.0, "
        "engine.read_gb_per_s 16.0: change those, too"
    ) in said[32]


def test_the_file_is_named_after_its_name(quickly, folder, capsys):
    """Also in another folder, where the disk is measured too; names that are no names are made to be."""
    (folder / "there").mkdir()
    odd = folder / "there" / ("x" * 240 + ".yaml")
    assert run("-o", "there/pi.yml") == 0
    assert run("-o", str(odd)) == 0
    assert quickly == [Path("there"), folder / "there"]
    assert load_hardware(folder / "there" / "pi.yml").name == "pi"
    assert load_hardware(odd).name == "x" * 57 + "..."


def test_what_disturbs_is_said_before_measuring_and_kept(quickly, folder, monkeypatch, capsys):
    """On standard error, and the state of the machine in the file as well."""
    hot = "the processor is at 85 °C, where it may slow down: let it cool first"
    monkeypatch.setattr(profile, "describe_state", lambda _host: (hot,))
    monkeypatch.setattr(profile, "remark_on_others", lambda: ("other programs take 50% of the processor",))
    assert run() == 0
    assert capsys.readouterr().err.splitlines() == ["note: other programs take 50% of the processor", f"note: {hot}"]


# ---- what is refused ----


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
    status, out, err = ended(child(limit + "change(profile, read_device=lambda *_: sys.exit('too late'))", cwd=folder))
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


def write_profile(**changes):
    """A profile of the Pi 5, as mine.yaml; its text."""
    fields = profile.hardware_fields(readings_of(PI5), "mine", profile.datetime.now()) | changes
    Path("mine.yaml").write_text(to_yaml(fields))
    return Path("mine.yaml").read_text()


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
    fields = profile.hardware_fields(readings_of(PI5), "mine", profile.datetime.now())
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


@pytest.mark.parametrize(("arguments", "seconds"), [((), 60), (("--quick",), 20), (("--seconds", "7.5"), 7.5)])
def test_seconds_are_those_that_were_given(quickly, folder, monkeypatch, arguments, seconds):
    """A minute unless told otherwise."""
    plans, make_plan = [], profile.make_plan
    monkeypatch.setattr(profile, "make_plan", lambda *given: plans.append(make_plan(*given)) or plans[-1])
    assert run(*arguments) == 0
    assert [plan.budget_s for plan in plans] == [seconds]


def test_all_is_compiled_before_anything_is_measured(quickly, folder, monkeypatch):
    """With a bar of its own, for which the budget of seconds does not count."""
    bars, bar = [], profile.progress_bar
    monkeypatch.setattr(profile, "progress_bar", lambda label: bars.append(label) or bar(label))
    monkeypatch.setattr(profile, "compile_all", lambda _plan, tell: tell(1.0, "done") or bars.append(len(quickly)))
    assert run("--quick") == 0
    assert bars == ["compiling", 0, "measuring"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_compiling_is_said_once_where_there_is_any(quickly, folder, monkeypatch, capsys, is_kept):
    """Two functions that were not kept, 58 seconds: a line on standard error, and in the summary beside the measuring's own."""
    seconds = iter([100.0, 158.0])
    monkeypatch.setattr(profile, "time", SimpleNamespace(monotonic=lambda: next(seconds)))

    def compile_all(*_):
        if not is_kept:
            compiled._announce()
            compiled._announce()

    monkeypatch.setattr(profile, "compile_all", compile_all)
    assert run("--quick") == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == ([] if is_kept else ["compiling kernels, once on this processor, about a minute"])
    assert ("in 17 s, 5 rounds, after 58 s of compiling\n" in out) != is_kept
    assert ("in 17 s, 5 rounds\n" in out) == is_kept


def test_what_is_not_kept_is_announced():
    """Before it is compiled, to whoever listens then."""
    cache, heard = compiled._KernelCache(lambda: None, "unheard"), []
    cache.disable()
    with compiled.when_compiling(lambda: heard.append(1)):
        assert heard == []
        assert cache.load_overload("signature", SimpleNamespace(refresh=lambda: None)) is None
        assert heard == [1]
    with compiled.when_compiling(lambda: heard.append(2)):
        pass
    compiled._announce()
    assert heard == [1]


def test_line_ends_and_marks_of_other_systems_survive_a_refusal(refusal, folder):
    """The trial of writing is made beside the file, not in it."""
    text = write_profile(cores=16).replace("\n", "\r\n")
    Path("mine.yaml").write_bytes(text.encode())
    refusal()
    assert Path("mine.yaml").read_bytes() == text.encode()


# ---- cut short ----


STAGES = (
    "a decode step",
    "preparing",
    "read 1 16384",
    "the engine's other work",
    "attention",
    "with zero inputs",
    "the disk",
    "done",
)


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_leaves_the_old_file_and_nothing_else(folder, monkeypatch, capsys, stage):
    """At any stage: the file is as it was, no test file and no part of a file remains, and the status is 130."""
    monkeypatch.setattr(profile, "read_host", lambda: PI5)
    little = {"threads": (1,), "formats": ("q8_0",), "tokens": (1,), "storage_bytes": 2**20, "rounds": 1}
    monkeypatch.setattr(profile, "make_plan", lambda *_: tiny_plan(**little))
    monkeypatch.setattr(profile, "refuse_stranger", lambda *_: None)
    monkeypatch.setattr(profile, "remark_on_others", lambda: ())
    monkeypatch.setattr(storage, "BLOCK", 64 * KI)
    monkeypatch.setattr(groups, "RANDOM_BYTES", 64 * KI)
    text, reached = write_profile(), []

    class Bar:
        """Interrupts when a stage is told."""

        def __init__(self, _label):
            """Whatever it is called."""

        def __enter__(self):
            def tell(_share, what):
                if stage in what:
                    reached.append(what)
                    raise KeyboardInterrupt

            return tell

        def __exit__(self, *_):
            return False

    monkeypatch.setattr(profile, "progress_bar", Bar)
    assert run("--quick") == 130
    assert reached
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_an_interrupt_while_the_disk_is_read_leaves_nothing(folder, monkeypatch):
    """The test file has no name by then; nor has it one while it is written."""
    for name in ("readv", "fsync"):
        process = child(
            "read = lambda _host, _plan, where, _tell: storage.measure_storage(where, 2**20, 1)\n"
            "change(profile, read_device=read)\n"
            f"{name} = os.{name}\ndef waits(*arguments):\n    print('here', flush=True)\n    import time\n    time.sleep(60)\n"
            f"change(os, {name}=waits)",
            cwd=folder,
        )
        assert process.stdout.readline() == "here\n"
        assert list(folder.iterdir()) == []
        process.send_signal(signal.SIGINT)
        status, _, err = ended(process)
        assert (status, err.splitlines()[-1]) == (130, "interrupted")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_measuring_leaves_the_old_file(folder, kind):
    """Sent for real, a moment after the measuring has begun."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "change(profile, refuse_stranger=lambda *_: None)\n"
        "measure = passes.measure\n"
        "def begins(*arguments):\n    print('here', flush=True)\n    return measure(*arguments)\n"
        "change(passes, measure=begins)",
        cwd=folder,
    )
    assert process.stdout.readline() == "here\n"
    time.sleep(0.2)
    process.send_signal(kind)
    status, _, err = ended(process)
    assert status == (130 if kind == signal.SIGINT else -kind)
    assert "Traceback" not in err
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


def test_being_killed_while_writing_leaves_the_old_file_whole(folder):
    """At the last moment before the new one takes its name."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "from pathlib import Path\n"
        "change(profile, read_device=lambda host, plan, *_: readings_of(host, plan=plan))\n"
        "change(profile, refuse_stranger=lambda *_: None, merge=lambda _old, new, _where: new)\n"
        "change(Path, replace=lambda *_: os.kill(os.getpid(), 9))",
        cwd=folder,
    )
    assert ended(process)[0] == -signal.SIGKILL
    assert Path("mine.yaml").read_text() == text


def test_a_disk_that_fills_up_while_measuring_is_told(folder):
    """The old file stays, and no part of the new one."""
    write_profile(cores=os.cpu_count())
    text = Path("mine.yaml").read_text()
    process = child(
        "import resource\n"
        "change(profile, refuse_stranger=lambda *_: None, merge=lambda _old, new, _where: new)\n"
        "def fills(host, plan, *_):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "    return readings_of(host, plan=plan)\n"
        "change(profile, read_device=fills)",
        cwd=folder,
    )
    status, out, err = ended(process)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == "roofcast: mine.yaml: cannot be written (File too large)"
    assert Path("mine.yaml").read_text() == text
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]


# ---- machines of other sorts ----


def test_one_core_is_enough(folder):
    """A process that may use one: one thread is measured, and the file says so."""
    status, _, err = ended(child("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", cwd=folder))
    assert status == 0, err
    hardware = load_hardware("mine.yaml")
    assert hardware.threads == 1
    assert set(hardware.engine.kernels) == set(hardware.main_memory.gb_per_s_by_threads) == {1}


def test_a_system_that_tells_nothing_is_measured_all_the_same(folder):
    """Neither /proc nor /sys: no caches, no memory, no name, and still a usable file."""
    (folder / "nothing").mkdir()
    process = child(
        "read = machine.read_host\nchange(profile, read_host=lambda: read(machine.Path('nothing')))", cwd=folder
    )
    status, out, err = ended(process)
    assert status == 0, err
    hardware = load_hardware("mine.yaml")
    assert hardware.main_memory.name == "memory"
    assert hardware.description == ""
    assert out


def test_a_process_without_memory_is_told_so(quickly, folder, monkeypatch, capsys):
    """Numpy and the system say it in their own ways."""

    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(profile, "read_device", fails)
    assert run() == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert message_of(line) == "profiling needs more memory than this process may have: raise its limit (ulimit -v)"
    assert list(folder.iterdir()) == []


def test_a_limit_on_memory_is_told(folder):
    """1.5 GB of addresses, of which the libraries alone take a third; what is read as memory would take 1.4 GB, which are there."""
    process = child(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)\n"
        "change(profile, make_plan=lambda *asked: plan_of(*asked, most_buffer=1_400_000_000))\n"
        "change(device, check_room=lambda *_: None, _look=lambda *_: sys.exit('too late'))\n",
        cwd=folder,
    )
    status, out, err = ended(process)
    assert (status, out) == (2, "")
    assert (
        err.splitlines()[-1]
        == "roofcast: profiling needs more memory than this process may have: raise its limit (ulimit -v)"
    )
    assert list(folder.iterdir()) == []


def test_a_child_cannot_change_what_is_not_there(folder):
    """A stub for a function that has another name by now would leave the test to measure for real."""
    status, _, err = ended(child("change(device, calibrate_all=lambda *_: None)", cwd=folder))
    assert status == 1
    assert "has no calibrate_all that could be changed" in err


# ---- the text ----


def test_the_text_is_what_was_said(folder):
    """Numbers, names with accents, and nothing that another reader of YAML would take for something else."""
    data = yaml.safe_load(to_yaml({"name": "é: 1", "notes": "yes", "memory": ({"value": 1.5, "how": "x, y"},)}))
    assert data == {"name": "é: 1", "notes": "yes", "memory": [{"value": 1.5, "how": "x, y"}]}
    assert hosts.Host(n_threads=1).caches == ()
