"""`profile` where there is little: one core, no word from the system, a limit on memory."""

from messages import message_of
from profiling import child, ended, profile_here

from simulator.commands import profile_cpu
from simulator.spec.machine import load_hardware


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
        "read = machine.read_host\nchange(profile_cpu, read_host=lambda: read(machine.Path('nothing')))", cwd=folder
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

    monkeypatch.setattr(profile_cpu, "read_device", fails)
    assert profile_here() == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert message_of(line) == "profiling needs more memory than this process may have: raise its limit (ulimit -v)"
    assert list(folder.iterdir()) == []


def test_a_limit_on_memory_is_told(folder):
    """1.5 GB of addresses, of which the libraries alone take a third; what is read as memory would take 1.4 GB, which are there."""
    process = child(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)\n"
        "change(profile_cpu, make_plan=lambda *asked: plan_of(*asked, most_buffer=1_400_000_000))\n"
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
