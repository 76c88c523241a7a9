"""A machine as its files describe it: made-up trees of /proc and /sys, whole ones, poor ones and broken ones."""

import sys
from dataclasses import replace
from typing import get_args

import pytest

from simulator.errors import InputError
from simulator.machine import host as hosts
from simulator.machine.host import (
    Cache,
    Frequency,
    Host,
    describe_state,
    read_host,
    read_mac,
    remark_on_others,
    run_program,
    threads_here,
)
from simulator.spec.hardware import Vendor
from simulator.spec.memory import DeviceClass
from simulator.units import GI, KI, MI

CPU = "sys/devices/system/cpu/cpu"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def silent(command):
    """No program is installed."""
    return ""


def build(root, files):
    """Writes files by name below a folder, and gives the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def topology(siblings, caches):
    """Files of some CPUs. *siblings*: lists of CPUs by CPU; *caches*: (level, type, size, CPUs that share it) by CPU."""
    files = {f"{CPU}{cpu}/topology/thread_siblings_list": f"{text}\n" for cpu, text in siblings.items()}
    for cpu, entries in caches.items():
        for index, (level, kind, size, shared) in enumerate(entries):
            folder = f"{CPU}{cpu}/cache/index{index}"
            files |= {f"{folder}/level": f"{level}\n", f"{folder}/type": f"{kind}\n", f"{folder}/size": f"{size}\n"}
            files[f"{folder}/shared_cpu_list"] = f"{shared}\n"
    return files


def x86(cpus, name, vendor="AuthenticAMD", flags="fpu avx2"):
    """/proc/cpuinfo of a PC, all its CPUs alike."""
    return "\n".join(
        f"processor\t: {cpu}\nvendor_id\t: {vendor}\nmodel\t\t: 17\nmodel name\t: {name}\ncpu MHz\t\t: 2596.140\nflags\t\t: {flags}\n"
        for cpu in cpus
    )


def arm(parts, trailer=""):
    """/proc/cpuinfo of cores by Arm Ltd."""
    blocks = [
        f"processor\t: {cpu}\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\n"
        for cpu, part in enumerate(parts)
    ]
    return "\n".join([*blocks, trailer])


PI_TRAILER = "Revision\t: d04170\nSerial\t\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
PI_CACHES = {
    cpu: [
        (1, "Data", "64K", cpu),
        (1, "Instruction", "64K", cpu),
        (2, "Unified", "512K", cpu),
        (3, "Unified", "2048K", "0-3"),
    ]
    for cpu in range(4)
}
PI = {
    "proc/cpuinfo": arm(["0xd0b"] * 4, PI_TRAILER),
    "proc/meminfo": "MemTotal:        8256064 kB\nMemFree:         5000000 kB\nMemAvailable:    7340032 kB\n",
    "proc/loadavg": "0.05 0.01 0.00 1/200 1234\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48850\n",
    THROTTLED: "0\n",
    **topology({cpu: str(cpu) for cpu in range(4)}, PI_CACHES),
    **{f"{CPU}{cpu}/cpufreq/scaling_cur_freq": "1500000\n" for cpu in range(4)},
    **{f"{CPU}{cpu}/cpufreq/cpuinfo_min_freq": "1500000\n" for cpu in range(4)},
    **{f"{CPU}{cpu}/cpufreq/cpuinfo_max_freq": "2400000\n" for cpu in range(4)},
    **{f"{CPU}{cpu}/cpufreq/scaling_governor": "ondemand\n" for cpu in range(4)},
    **{f"{CPU}{cpu}/cpufreq/scaling_driver": "cpufreq-dt\n" for cpu in range(4)},
}


def pi(root, changes=None, run=silent):
    """The Pi 5 with some files changed; a file that is None is not there."""
    files = {name: content for name, content in (PI | (changes or {})).items() if content is not None}
    return read_host(build(root, files), frozenset(range(4)), run, "aarch64")


def pc(root, n_cpus, files=None, name="AMD Ryzen 9 7950X 16-Core Processor"):
    """A PC without a /sys of its own."""
    root = build(root, {"proc/cpuinfo": x86(range(n_cpus), name), **(files or {})})
    return read_host(root, frozenset(range(n_cpus)), silent, "x86_64")


# ---- whole machines


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


RYZEN = {  # CPU n and n + 16 are one core; cores 0 to 7 share one L3, 8 to 15 the other
    "proc/cpuinfo": x86(range(32), "AMD Ryzen 9 7950X 16-Core Processor"),
    **topology(
        {cpu: f"{cpu % 16},{cpu % 16 + 16}" for cpu in range(32)},
        {
            cpu: [
                (1, "Data", "32K", f"{cpu % 16},{cpu % 16 + 16}"),
                (2, "Unified", "1024K", f"{cpu % 16},{cpu % 16 + 16}"),
                (3, "Unified", "32768K", "0-7,16-23" if cpu % 16 < 8 else "8-15,24-31"),
            ]
            for cpu in range(32)
        },
    ),
}


def test_threads_of_a_core_share_its_caches(tmp_path):
    """16 cores of two threads in two complexes: 16 L1, 16 L2, 2 L3."""
    host = read_host(build(tmp_path, RYZEN), frozenset(range(32)), silent, "AMD64")
    assert (host.n_cores, host.n_threads, host.architecture, host.device_class) == (16, 32, "x86_64", "desktop-cpu")
    assert host.caches == (Cache("L1 data", 32 * KI, 16), Cache("L2", MI, 16), Cache("L3", 32 * MI, 2))
    assert host.cache_bytes["L3"] == 64 * MI


@pytest.mark.parametrize(
    ("usable", "n_cores", "n_l3"),
    [({0}, 1, 1), ({0, 16}, 1, 1), ({0, 1}, 2, 1), ({7, 8}, 2, 2), ({0, 16, 8}, 2, 2)],
)
def test_only_usable_cores_and_their_caches_count(tmp_path, usable, n_cores, n_l3):
    """0 and 16 are one core; 7 and 8 are of different complexes."""
    host = read_host(build(tmp_path, RYZEN), frozenset(usable), silent, "x86_64")
    assert (host.n_threads, host.n_cores) == (len(usable), n_cores)
    assert [cache.n for cache in host.caches] == [n_cores, n_cores, n_l3]


def test_a_hybrid_processor_has_two_kinds_of_caches(tmp_path):
    """Two P cores of two threads (48 KiB, 2 MiB), four E cores (32 KiB) that share an L2 of 4 MiB; the larger come first."""
    p_cores = {
        cpu: [
            (1, "Data", "48K", pair),
            (1, "Instruction", "32K", pair),
            (2, "Unified", "2048K", pair),
            (3, "Unified", "30720K", "0-7"),
        ]
        for cpu, pair in ((0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3"))
    }
    e_cores = {
        cpu: [(1, "Data", "32K", cpu), (2, "Unified", "4096K", "4-7"), (3, "Unified", "30720K", "0-7")]
        for cpu in range(4, 8)
    }
    siblings = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3", 4: "4", 5: "5", 6: "6", 7: "7"}
    clocks = {f"{CPU}{cpu}/cpufreq/cpuinfo_max_freq": "5400000" if cpu < 4 else "4200000" for cpu in range(8)}
    files = {
        "proc/cpuinfo": x86(range(8), "Intel(R) Core(TM) i7-14700K", "GenuineIntel"),
        **topology(siblings, p_cores | e_cores),
        **clocks,
    }
    host = read_host(build(tmp_path, files), frozenset(range(8)), silent, "x86_64")
    assert (host.cpu, host.vendor, host.n_cores, host.n_threads) == ("Intel(R) Core(TM) i7-14700K", "intel", 6, 8)
    assert host.caches == (
        Cache("L1 data", 48 * KI, 2),
        Cache("L1 data", 32 * KI, 4),
        Cache("L2", 4 * MI, 1),
        Cache("L2", 2 * MI, 2),
        Cache("L3", 30 * MI, 1),
    )
    assert host.cache_bytes == {"L1 data": (2 * 48 + 4 * 32) * KI, "L2": 8 * MI, "L3": 30 * MI}
    assert host.frequency.highest_hz == 5.4e9


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


# ---- the processor


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (["0xd08"], "Cortex-A72"),
        (["0xd05", "0xd05", "0xd0b", "0xd0b"], "Cortex-A55 + Cortex-A76"),
        (["0xd4f"], "Neoverse V2"),
        (["0xdff"], "CPU implementer 0x41, part 0xdff"),
        (["junk"], None),
    ],
)
def test_arm_cores_are_named_by_their_numbers(tmp_path, parts, name):
    """Arm writes no model name; a number that nobody has told us is repeated rather than guessed."""
    root = build(tmp_path, {"proc/cpuinfo": arm(parts)})
    assert read_host(root, frozenset(range(len(parts))), silent, "aarch64").cpu == name


def test_unusable_cores_are_not_named(tmp_path):
    """Bound to the two A76 of a board that also has A55."""
    root = build(tmp_path, {"proc/cpuinfo": arm(["0xd05", "0xd05", "0xd0b", "0xd0b"])})
    host = read_host(root, frozenset({2, 3}), silent, "aarch64")
    assert (host.cpu, host.n_cores) == ("Cortex-A76", 2)


def test_a_32_bit_arm_name_yields_to_the_number(tmp_path):
    """`ARMv8 Processor` says nothing; a maker's own name does."""
    implementer = "CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
    for name, told in (("ARMv8 Processor rev 1 (v8l)", "Cortex-A76"), ("Kunpeng-920", "Kunpeng-920")):
        root = build(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nmodel name\t: {name}\n{implementer}"})
        assert read_host(root, frozenset({0}), silent, "aarch64").cpu == told


def test_cores_come_from_cpuinfo_where_sys_is_missing(tmp_path):
    """Two packages with two cores of two threads each; a CPU without a core id leaves the number unknown."""
    rows = [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1), (4, 0, 0), (5, 0, 1), (6, 1, 0), (7, 1, 1)]
    blocks = [f"processor : {cpu}\nphysical id : {package}\ncore id : {core}\n" for cpu, package, core in rows]
    root = build(tmp_path, {"proc/cpuinfo": "\n".join(blocks)})
    assert read_host(root, frozenset(range(8)), silent, "x86_64").n_cores == 4
    build(tmp_path, {"proc/cpuinfo": "\n".join([*blocks[:7], "processor : 7\n"])})
    assert read_host(root, frozenset(range(8)), silent, "x86_64").n_cores is None


def test_cores_that_are_set_differently_name_all_governors(tmp_path):
    """And the clock is that of the fastest core."""
    changes = {f"{CPU}0/cpufreq/scaling_governor": "performance\n", f"{CPU}3/cpufreq/scaling_cur_freq": "2400000\n"}
    host = pi(tmp_path, changes)
    assert (host.governor, host.frequency.current_hz) == ("ondemand, performance", 2.4e9)


def test_the_hottest_sensor_of_the_processor_counts(tmp_path):
    """Not the disk's; AMD's Tctl is no temperature; a sensor that is off reads -274 or 0."""
    zones = {"x86_pkg_temp": "61000", "acpitz": "95000", "soc-thermal": "-274000", "cpu1-thermal": "0"}
    files = {}
    for number, (name, reading) in enumerate(zones.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = name + "\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = reading + "\n"
    assert pc(tmp_path, 2, files).temperature_c == 61.0
    sensors = {"name": "k10temp\n", "temp1_label": "Tctl\n", "temp1_input": "99000\n"}
    sensors |= {"temp3_label": "Tccd1\n", "temp3_input": "72250\n"}
    disk = {"name": "nvme\n", "temp1_input": "88000\n"}
    files |= {f"sys/class/hwmon/hwmon0/{name}": content for name, content in sensors.items()}
    files |= {f"sys/class/hwmon/hwmon1/{name}": content for name, content in disk.items()}
    assert pc(tmp_path, 2, files).temperature_c == 72.25


# ---- limits


MEMINFO = "MemTotal:       16777216 kB\nMemAvailable:   12582912 kB\n"  # 16 GiB, 12 of them free


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (16 * GI, 12 * GI)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, (16 * GI, 12 * GI)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
        (
            {  # 768 MiB used, of which 256 MiB are cached files: 512 MiB left
                "proc/self/cgroup": "0::/a.slice/b.scope\n",
                "sys/fs/cgroup/a.slice/memory.max": "1073741824\n",
                "sys/fs/cgroup/a.slice/memory.current": "805306368\n",
                "sys/fs/cgroup/a.slice/memory.stat": "anon 1\ninactive_file 268435456\nactive_file 7\n",
                "sys/fs/cgroup/a.slice/b.scope/memory.max": "2147483648\n",
            },
            (GI, GI // 2),
        ),
        (
            {  # version 1; the group's own path is the host's, in the container it is the top
                "proc/self/cgroup": "4:memory:/docker/0123\n1:name=systemd:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "536870912\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 99\ntotal_inactive_file 268435456\n",
            },
            (GI, GI * 3 // 4),
        ),
        (
            {  # version 1 writes "no limit" so
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            (16 * GI, 12 * GI),
        ),
        ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
        ({"sys/fs/cgroup/memory.max": "1073741824\n"}, (GI, GI)),
    ],
)
def test_a_control_group_limits_the_memory(tmp_path, files, expected):
    """The smallest limit of the group and those around it; what it uses is gone, but for what is only cached."""
    host = pc(tmp_path, 2, {"proc/meminfo": MEMINFO, **files})
    assert (host.memory_bytes, host.available_bytes) == expected


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "400000 100000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "150000\n"}, None),
        ({"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "0 0\n"}, None),
        (
            {
                "proc/self/cgroup": "2:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "75000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            1.5,
        ),
    ],
)
def test_a_cpu_quota_below_the_threads_is_told(tmp_path, files, quota):
    """Four threads: 150 ms of every 100 ms are one and a half, 400 ms are no limit."""
    host = pc(tmp_path, 4, files)
    assert (host.n_threads, host.cpu_quota) == (4, quota)
    remark = "a control group allows 1.5 of 4 hardware threads: measure with at most 1"
    assert describe_state(host) == ((remark,) if quota else ())


# ---- the machine around them


@pytest.mark.parametrize(
    ("files", "name", "device_class"),
    [
        ({}, "AMD Ryzen 9 7950X 16-Core Processor", "desktop-cpu"),
        ({}, "AMD EPYC 9R14 96-Core Processor", "server-cpu"),
        ({}, "Intel(R) Xeon(R) Platinum 8488C", "server-cpu"),
        ({"sys/class/power_supply/BAT0/type": "Battery\n"}, "Intel(R) Core(TM) i7-1185G7", "laptop-cpu"),
        (
            {"sys/class/power_supply/mouse/type": "Battery\n", "sys/class/power_supply/mouse/scope": "Device\n"},
            "AMD Ryzen 5 5600X",
            "desktop-cpu",
        ),
        ({"sys/class/power_supply/AC/type": "Mains\n"}, "AMD Ryzen 5 5600X", "desktop-cpu"),
        ({"system/build.prop": ""}, "", "phone"),
        ({"proc/device-tree/model": "Radxa ROCK 5B\0"}, "", "sbc"),
        ({"proc/device-tree/model": "Xunlong Orange Pi 5 Plus\0"}, "", "sbc"),
    ],
)
def test_the_class_is_guessed_from_name_board_and_battery(tmp_path, files, name, device_class):
    """A mouse's battery makes no laptop."""
    assert pc(tmp_path, 2, files, name).device_class == device_class


def test_many_cores_are_a_server(tmp_path):
    """33 cores of whatever name; 32 are not."""
    for n_cores, expected in ((32, "desktop-cpu"), (33, "server-cpu")):
        files = topology({cpu: str(cpu) for cpu in range(n_cores)}, {})
        assert pc(tmp_path, n_cores, files, "Some Processor").device_class == expected


@pytest.mark.parametrize(
    ("product", "board"),
    [
        ("OptiPlex 7090\n", "OptiPlex 7090"),
        ("System Product Name\n", None),
        ("To Be Filled By O.E.M.\n", None),
        ("\n", None),
        ("a\x1b[31m\tb\n", "a [31m b"),
    ],
)
def test_a_board_has_a_name_only_if_somebody_gave_it_one(tmp_path, product, board):
    """Placeholders are no names, and nothing unprintable reaches a terminal."""
    assert pc(tmp_path, 2, {"sys/class/dmi/id/product_name": product}).board == board


@pytest.mark.parametrize(
    ("vendor", "product", "flags", "virtual"),
    [
        ("Amazon EC2", "m7a.xlarge", "fpu hypervisor", "Amazon EC2"),
        ("Amazon EC2", "m7a.metal-48xl", "fpu", ""),
        ("Amazon EC2", "m7g.large", "", "Amazon EC2"),
        ("Amazon EC2", "m7g.metal", "", ""),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "fpu hypervisor", "QEMU"),
        ("Microsoft Corporation", "Virtual Machine", "fpu hypervisor", "Hyper-V"),
        ("Microsoft Corporation", "Surface Laptop 5", "fpu", ""),
        ("VMware, Inc.", "VMware Virtual Platform", "fpu hypervisor", "VMware"),
        ("", "", "fpu hypervisor", "unknown hypervisor"),
        ("", "", "", ""),
    ],
)
def test_a_virtual_machine_is_known_by_its_flag_and_its_firmware(tmp_path, vendor, product, flags, virtual):
    """x86 has a flag for it, Arm only the firmware's names; bare metal of a cloud is none."""
    files = {
        "proc/cpuinfo": x86((0, 1), "Some Processor", flags=flags),
        "sys/class/dmi/id/sys_vendor": vendor,
        "sys/class/dmi/id/product_name": product,
    }
    assert read_host(build(tmp_path, files), frozenset({0, 1}), silent, "").virtual == virtual


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({"run/.containerenv": ""}, "Podman"),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"proc/1/cgroup": "4:memory:/kubepods/burstable/pod1\n"}, "kubepods"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, ""),
    ],
)
def test_a_container_is_told_and_is_nothing_to_worry_about(tmp_path, files, container):
    """It shares nothing more than any program does."""
    host = pc(tmp_path, 2, files)
    assert (host.container, describe_state(host)) == (container, ())


@pytest.mark.parametrize(
    ("told", "memory_type"),
    [
        ("Registered-DDR5\n", "DDR5"),
        ("Unbuffered-DDR4\n", "DDR4"),
        ("Low-Power-DDR4-RAM\n", "LPDDR4"),
        ("Unknown\n", None),
    ],
)
def test_servers_tell_their_memory(tmp_path, told, memory_type):
    """In the words of the driver that counts its errors; empty slots come first."""
    slots = "sys/devices/system/edac/mc/mc0/dimm"
    files = {f"{slots}0/dimm_mem_type": "Empty\n", f"{slots}3/dimm_mem_type": told}
    assert pc(tmp_path, 2, files).memory_type == memory_type


@pytest.mark.parametrize(
    ("model", "memory_type"),
    [
        ("Raspberry Pi 5 Model B Rev 1.1", "LPDDR4X"),
        ("Raspberry Pi Compute Module 5 Rev 1.0", "LPDDR4X"),
        ("Raspberry Pi 4 Model B Rev 1.5", "LPDDR4"),
        ("Raspberry Pi 3 Model B Rev 1.2", None),
        ("Radxa ROCK 5B", None),
    ],
)
def test_the_memory_of_some_boards_is_known(tmp_path, model, memory_type):
    """Of those that come with one kind only."""
    assert pi(tmp_path, {"proc/device-tree/model": model + "\0"}).memory_type == memory_type


# ---- what to tell before measuring


def test_a_throttled_pi_says_why_and_what_helps(tmp_path):
    """0x50005: too little voltage and throttled, now (bits 0, 2) and since the boot (16, 18), each told once."""
    host = pi(tmp_path, {THROTTLED: "50005\n"})
    assert host.throttling == (
        "the supply voltage is too low now: use the power supply made for this board",
        "the processor is throttled now: see to its cooling and its power supply",
    )
    assert describe_state(host) == host.throttling


@pytest.mark.parametrize(
    ("told", "file", "beginnings"),
    [
        ("throttled=0x0\n", "50005\n", []),
        ("throttled=0x80002\n", None, ["the clock is capped now", "the soft temperature limit slowed it down at some"]),
        ("", "e0000\n", ["the clock was capped", "the processor was throttled", "the soft temperature limit slowed"]),
        ("VCHI initialization failed\n", "1", ["the supply voltage is too low now"]),
        ("throttled=0xfffffffffff\n", "zz\n", []),
        ("throttled=0x10\n", "ffffffff\n", []),
    ],
)
def test_the_firmware_is_asked_before_the_deprecated_file(tmp_path, told, file, beginnings):
    """`vcgencmd` answers first; where it is missing or fails, the file does; nonsense says nothing."""

    def run(command):
        return told if tuple(command) == ("vcgencmd", "get_throttled") else ""

    found = pi(tmp_path, {THROTTLED: file}, run).throttling
    assert len(found) == len(beginnings)
    assert all(sentence.startswith(beginning) for sentence, beginning in zip(found, beginnings, strict=True))


def test_only_a_raspberry_pi_is_asked_for_vcgencmd(tmp_path):
    """No other machine starts a program."""

    def run(command):
        raise AssertionError(command)

    root = build(tmp_path, {"proc/device-tree/model": "Radxa ROCK 5B\0"})
    assert read_host(root, frozenset({0}), run, "aarch64").throttling == ()


GOVERNOR = (
    "the frequency governor powersave keeps the clock low: "
    "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
)


@pytest.mark.parametrize(
    ("changes", "remarks"),
    [
        ({}, ()),
        ({"governor": "performance"}, ()),
        ({"governor": "schedutil"}, ()),
        ({"governor": "powersave", "frequency_driver": "acpi-cpufreq"}, (GOVERNOR,)),
        ({"governor": "performance, powersave", "frequency_driver": "cpufreq-dt"}, (GOVERNOR,)),
        ({"governor": "powersave", "frequency_driver": "intel_pstate"}, ()),
        ({"governor": "powersave", "frequency_driver": "amd-pstate-epp"}, ()),
        ({"temperature_c": 79.9}, ()),
        ({"temperature_c": 80.0}, ("the processor is at 80 °C, where it may slow down: let it cool first",)),
        (
            {"virtual": "KVM"},
            ("this is a virtual machine (KVM): others may share its memory bandwidth, and figures vary",),
        ),
    ],
)
def test_what_disturbs_a_measurement_is_told_with_its_remedy(changes, remarks):
    """Intel's and AMD's own drivers reach the full clock under `powersave`."""
    assert describe_state(replace(Host(n_threads=8, n_cores=4), **changes)) == remarks


# ---- broken files


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


# ---- macOS and programs


M1_PRO = {
    "machdep.cpu.brand_string": "Apple M1 Pro",
    "hw.model": "MacBookPro18,3",
    "hw.physicalcpu": "10",
    "hw.logicalcpu": "10",
    "hw.memsize": "17179869184",
    "hw.nperflevels": "2",
    "hw.perflevel0.physicalcpu": "8",
    "hw.perflevel0.logicalcpu": "8",
    "hw.perflevel0.l1dcachesize": "131072",
    "hw.perflevel0.l2cachesize": "12582912",
    "hw.perflevel0.cpusperl2": "4",
    "hw.perflevel1.physicalcpu": "2",
    "hw.perflevel1.logicalcpu": "2",
    "hw.perflevel1.l1dcachesize": "65536",
    "hw.perflevel1.l2cachesize": "4194304",
    "hw.perflevel1.cpusperl2": "2",
    "vm.loadavg": "{ 1.50 1.45 1.30 }",
    "kern.hv_vmm_present": "0",
}
INTEL_MAC = {
    "machdep.cpu.brand_string": "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz",
    "hw.model": "MacBookPro16,1",
    "hw.physicalcpu": "6",
    "hw.logicalcpu": "12",
    "hw.cacheconfig": "12 2 2 12 0 0 0 0 0 0",
    "hw.l1dcachesize": "32768",
    "hw.l2cachesize": "262144",
    "hw.l3cachesize": "12582912",
}


def sysctl(values):
    """A system that answers `sysctl -n NAME` from some values."""
    return lambda command: values.get(command[2], "") + "\n" if tuple(command[:2]) == ("sysctl", "-n") else ""


def test_a_mac_tells_its_two_kinds_of_cores():
    """M1 Pro: 8 fast cores in two clusters with 12 MiB each, 2 frugal ones with 4 MiB."""
    host = read_mac(sysctl(M1_PRO), "aarch64")
    assert (host.cpu, host.vendor, host.device_class, host.n_cores) == ("Apple M1 Pro", "apple", "apple", 10)
    assert (host.memory_bytes, host.board, host.virtual) == (16 * GI, "MacBookPro18,3", "")
    assert host.caches == (
        Cache("L1 data", 128 * KI, 8),
        Cache("L1 data", 64 * KI, 2),
        Cache("L2", 12 * MI, 2),
        Cache("L2", 4 * MI, 1),
    )


def test_an_intel_mac_tells_who_shares_what():
    """12 threads, 2 to an L1 and an L2, 12 to the L3."""
    host = read_mac(sysctl(INTEL_MAC), "x86_64")
    assert (host.vendor, host.device_class, host.n_cores, host.n_threads) == ("intel", "laptop-cpu", 6, 12)
    assert host.caches == (Cache("L1 data", 32 * KI, 6), Cache("L2", 256 * KI, 6), Cache("L3", 12 * MI, 1))


@pytest.mark.parametrize("answer", ["", "garbage", "-1", "0", "9" * 100])
def test_a_mac_that_answers_nonsense_is_unknown(answer):
    """Whatever every name gives."""
    host = read_mac(lambda _: answer, "aarch64")
    assert (host.memory_bytes, host.caches, host.n_cores) == (None, (), None)
    assert host.n_threads >= 1


def test_a_program_that_is_missing_or_fails_says_nothing():
    """Neither an absent one nor a failing one raises; a working one is heard."""
    assert run_program(("roofcast-no-such-program",)) == ""
    assert run_program((sys.executable, "-c", "print('lost'); raise SystemExit(3)")) == ""
    assert run_program((sys.executable, "-c", "print('heard')")).strip() == "heard"


@pytest.mark.parametrize(
    ("idle", "said"), [(90, ""), (80, "other programs take 20% of the processor"), (0, "take 100%")]
)
def test_other_programs_at_work_are_told(tmp_path, idle, said):
    """Of 100 ticks that pass while this program waits, so many are idle."""
    stat = tmp_path / "proc" / "stat"
    stat.parent.mkdir()
    stat.write_text("cpu  100 0 50 1000 10 0 0 0 0 0\ncpu0 1 2 3\n")
    found = remark_on_others(
        tmp_path, lambda _: stat.write_text(f"cpu  {200 - idle} 0 50 {1000 + idle} 10 0 0 0 0 0\n")
    )
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize("text", ["", "cpu", "cpu a b c d e", "intr 1 2 3 4 5 6 7 8", "cpu " + "9" * 40])
def test_processor_time_that_cannot_be_read_is_not_remarked_on(tmp_path, text):
    """A missing or damaged file says nothing."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_text(text)
    assert remark_on_others(tmp_path, lambda _: None) == ()


# ---- threads


@pytest.mark.parametrize(("quota", "most"), [(None, 8), (2.5, 2), (0.3, 1), (100.0, 8)])
def test_threads_are_those_of_the_machine_or_of_its_quota(quota, most):
    """Eight hardware threads, of which a control group may pay for whole ones only, and for one at least."""
    host = Host(n_threads=8, cpu_quota=quota)
    assert threads_here(host=host) == most
    assert threads_here(most, host=host) == most
    with pytest.raises(InputError, match=f"^threads {most + 1}: "):
        threads_here(most + 1, host=host)


@pytest.mark.parametrize(
    ("host", "wanted", "message"),
    [
        (Host(n_threads=8), 999, "--threads 999: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), 0, "--threads 0: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), -1, "--threads -1: between 1 and 8 are possible on this machine"),
        (Host(n_threads=8), "4", "--threads '4': between 1 and 8 are possible on this machine"),
        (Host(n_threads=1), 2, "--threads 2: this machine has one"),
        (
            Host(n_threads=8, cpu_quota=2.5),
            3,
            "--threads 3: at most 2, since a control group allows 2.5 of this machine's 8",
        ),
    ],
)
def test_more_threads_than_there_are_are_refused(host, wanted, message):
    """In one sentence that says how many there are, and why no more."""
    with pytest.raises(InputError) as refused:
        threads_here(wanted, "--threads", host)
    assert str(refused.value) == message


def test_without_a_host_this_process_counts(monkeypatch):
    """The CPUs that it may use."""
    monkeypatch.setattr(hosts, "usable_cpus", lambda: frozenset({3, 5, 7}))
    monkeypatch.setattr(hosts, "read_quota", lambda _tree, n: 1.5 if n == 3 else None)
    assert threads_here() == 1
