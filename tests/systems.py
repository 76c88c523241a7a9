"""Machines as their systems' files describe them: made-up trees of /proc and /sys."""

from simulator.machine.read import read_host

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
