"""A machine as its files describe it: whole ones, poor ones and broken ones."""

from typing import get_args

import pytest
from systems import CPU, PI, THROTTLED, build, pi, silent, topology, x86

from simulator.machine.disturbances import describe_state
from simulator.machine.host import Cache, Frequency, Host
from simulator.machine.read import read_host
from simulator.spec.hardware import Vendor
from simulator.spec.memory import DeviceClass
from simulator.units import GI, KI, MI


def test_a_healthy_pi_5_is_read_whole(tmp_path):
    """Four A76: 4 x 64 KiB, 4 x 512 KiB, one L3 of 2 MiB; 8256064 kB of memory; clocks are in kHz; nothing to remark."""
    host = pi(tmp_path)
    assert host == Host(
        n_threads=4,
        cpu="Cortex-A76",
        vendor="arm",
        architecture="aarch64",
        board="Raspberry Pi 5 Model B Rev 1.0",
        n_cores=4,
        caches=(Cache("L1 data", 64 * KI, 4), Cache("L2", 512 * KI, 4), Cache("L3", 2 * MI, 1)),
        memory_bytes=8256064 * 1024,
        available_bytes=7 * GI,
        memory_type="LPDDR4X",
        frequency=Frequency(1.5e9, 1.5e9, 2.4e9),
        frequency_driver="cpufreq-dt",
        governor="ondemand",
        temperature_c=48.85,
        device_class="sbc",
    )
    assert host.cache_bytes == {"L1 data": 256 * KI, "L2": 2 * MI, "L3": 2 * MI}
    assert describe_state(host) == ()


def test_a_pi_in_a_container_without_sys_is_still_a_pi(tmp_path):
    """Docker hides the device tree, but /proc/cpuinfo names the board; an A76 has one thread, so threads are cores."""
    root = build(tmp_path, {"proc/cpuinfo": PI["proc/cpuinfo"], ".dockerenv": ""})
    host = read_host(root, frozenset({0, 1}), silent, "aarch64")
    assert (host.cpu, host.board, host.device_class) == ("Cortex-A76", "Raspberry Pi 5 Model B Rev 1.0", "sbc")
    assert (host.n_threads, host.n_cores, host.container, host.virtual) == (2, 2, "Docker", "")
    assert (host.caches, host.frequency, host.memory_bytes, host.temperature_c) == ((), Frequency(), None, None)


def test_a_server_vm_names_no_hypervisor_that_it_does_not_know(tmp_path):
    """Two CPUs of an EPYC under a hypervisor, without firmware tables: an L1 and an L2 each, one L3."""
    caches = {
        cpu: [(1, "Data", "32K", cpu), (2, "Unified", "1024K", cpu), (3, "Unified", "32768K", "0-1")] for cpu in (0, 1)
    }
    files = {"proc/cpuinfo": x86((0, 1), "AMD EPYC", flags="fpu hypervisor"), **topology({0: "0", 1: "1"}, caches)}
    host = read_host(build(tmp_path, files), frozenset({0, 1}), silent, "x86_64")
    assert (host.cpu, host.vendor, host.device_class) == ("AMD EPYC", "amd", "server-cpu")
    assert (host.n_cores, host.n_threads, host.board, host.governor) == (2, 2, None, None)
    assert host.caches == (Cache("L1 data", 32 * KI, 2), Cache("L2", MI, 2), Cache("L3", 32 * MI, 1))
    assert host.frequency == Frequency(current_hz=2596140000.0)
    assert describe_state(host) == (
        "this is a virtual machine (unknown hypervisor): others may share its memory bandwidth, and figures vary",
    )


def test_a_machine_that_tells_nothing_is_unknown(tmp_path):
    """No /proc, no /sys: only the threads are known, from outside."""
    host = read_host(tmp_path / "nothing", frozenset({0, 1, 2}), silent, "aarch64")
    assert host == Host(n_threads=3, architecture="aarch64")
    assert describe_state(host) == ()


def test_this_machine_can_be_read():
    """With whatever it has; every field is unknown or a number above zero."""
    host = read_host(run=silent)
    for count in (host.n_threads, host.n_cores, host.memory_bytes, host.available_bytes, host.cpu_quota):
        assert count is None or count > 0
    assert all(cache.n > 0 and cache.nbytes == cache.n * cache.nbytes_each for cache in host.caches)
    assert host.device_class in get_args(DeviceClass)
    assert host.vendor in get_args(Vendor)
    assert all(isinstance(remark, str) for remark in describe_state(host))


GARBAGE = {
    "nothing": b"",
    "zero": b"0\n",
    "minus": b"-1\n",
    "not a number": b"nan\n",
    "a word": b"kB\n",
    "not utf-8": b"\xff\xfe\x80\n",
    "zero bytes": b"\0\0\0\0",
    "huge number": b"9" * 6000,
    "beyond floats": b"1e999\n",
    "huge range": b"0-99999999999999999999\n",
    "backwards": b"9-0\n",
    "colons": b":::\n\n: :\n",
    "other digits": "\u0663\u0664\n".encode(),
    "two mebibytes": b"x: 1\n" * 400_000,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_every_file_is_unknown(tmp_path, content):
    """The same nonsense in all of a Pi's files and in those of control groups: no number comes out of it."""
    more = ["proc/self/cgroup", "proc/1/cgroup", "sys/fs/cgroup/memory.max", "sys/fs/cgroup/cpu.max"]
    files = dict.fromkeys([*PI, *more, "sys/class/hwmon/hwmon0/name", "sys/class/power_supply/x/type"], content)
    host = read_host(build(tmp_path, files), frozenset(range(4)), lambda _: content.decode("latin-1"), "aarch64")
    numbers = (host.n_cores, host.cpu_quota, host.memory_bytes, host.available_bytes, host.temperature_c)
    assert numbers == (None,) * 5
    assert (host.cpu, host.vendor, host.memory_type, host.caches, host.throttling) == (None, "", None, (), ())
    assert (host.frequency, host.n_threads) == (Frequency(), 4)
    assert describe_state(host) == ()


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("name", ["proc/cpuinfo", "proc/meminfo", f"{CPU}2/topology/thread_siblings_list", THROTTLED])
def test_one_broken_file_spoils_only_what_it_tells(tmp_path, name, content):
    """The rest of the Pi stays known."""
    host = pi(tmp_path, {name: content})
    assert (host.board, host.device_class, host.n_threads) == ("Raspberry Pi 5 Model B Rev 1.0", "sbc", 4)
    assert host.cache_bytes == {"L1 data": 256 * KI, "L2": 2 * MI, "L3": 2 * MI}
    assert host.n_cores == 4  # from /proc/cpuinfo or from /sys, whichever is whole


def test_folders_and_loops_in_place_of_files_are_unknown(tmp_path):
    """Every file a folder, or a link to itself."""
    unknown = Host(n_threads=1, architecture="aarch64")
    for name in PI:
        (tmp_path / "folders" / name).mkdir(parents=True, exist_ok=True)
    assert read_host(tmp_path / "folders", frozenset({0}), silent, "aarch64") == unknown
    for name in ("proc", "sys", "run"):
        (tmp_path / name).symlink_to(name)
    assert read_host(tmp_path, frozenset({0}), silent, "aarch64") == unknown
