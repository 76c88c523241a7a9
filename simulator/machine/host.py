"""Who this machine is, as far as its system tells an ordinary user."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from simulator.errors import InputError, describe
from simulator.spec.hardware import Vendor
from simulator.spec.memory import DeviceClass
from simulator.units import GI, KI, MEGA, MI, counted

Run = Callable[[Sequence[str]], str]  # what a program prints; empty if it is missing or fails

MAX_BYTES = 4 * MI  # of a file: /proc/cpuinfo of a thousand threads has less
READ_BYTES = 16 * KI
MAX_NAME = 200  # characters
MAX_TEMPERATURE_C = 150  # what reads higher, or 0 and below, is a sensor that is off
HOT_C = 80  # a Pi 5 begins to slow down here
BUSY_SHARE = 0.15  # of the processor's time: beyond it other programs disturb what is measured
LOOK_S = 0.4
MANY_CORES = 32
PROGRAM_S = 5
CPUS = "sys/devices/system/cpu"
UNNAMED = "unknown hypervisor"
SLOW_GOVERNORS = {"powersave", "conservative"}
SELF_DRIVEN = {"intel_pstate", "amd-pstate-epp"}  # their "powersave" is the normal mode, which rises to the full clock

# By implementer and part, as the main id register has them (cputype.h of Linux, lscpu). Every one of these cores runs
# one thread: Cortex-A65 and Neoverse E1 are left out.
ARM_CORES = {
    "0x41": {
        "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
        "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
        "0xd0c": "Neoverse N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse V1", "0xd41": "Cortex-A78",
        "0xd42": "Cortex-A78AE", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710",
        "0xd48": "Cortex-X2", "0xd49": "Neoverse N2", "0xd4b": "Cortex-A78C", "0xd4d": "Cortex-A715",
        "0xd4e": "Cortex-X3", "0xd4f": "Neoverse V2", "0xd80": "Cortex-A520", "0xd81": "Cortex-A720",
        "0xd82": "Cortex-X4", "0xd84": "Neoverse V3", "0xd85": "Cortex-X925", "0xd87": "Cortex-A725",
        "0xd8e": "Neoverse N3",
    },
    "0x51": {
        "0x802": "Kryo 3xx Gold", "0x803": "Kryo 3xx Silver", "0x804": "Kryo 4xx Gold", "0x805": "Kryo 4xx Silver",
    },
    "0x61": {
        "0x022": "Apple M1", "0x023": "Apple M1", "0x024": "Apple M1 Pro", "0x025": "Apple M1 Pro",
        "0x028": "Apple M1 Max", "0x029": "Apple M1 Max", "0x032": "Apple M2", "0x033": "Apple M2",
    },
    "0xc0": {"0xac3": "Ampere-1", "0xac4": "Ampere-1a"},
}  # fmt: skip
VENDORS: dict[str, Vendor] = {
    "GenuineIntel": "intel", "AuthenticAMD": "amd",
    "0x41": "arm", "0x42": "broadcom", "0x4e": "nvidia", "0x51": "qualcomm", "0x61": "apple",
}  # fmt: skip
HYPERVISORS = {  # words in what the firmware calls its maker and product
    "vmware": "VMware", "virtualbox": "VirtualBox", "qemu": "QEMU", "kvm": "KVM", "xen": "Xen", "domu": "Xen",
    "parallels": "Parallels", "bhyve": "bhyve", "amazon ec2": "Amazon EC2", "virtual machine": "Hyper-V",
    "google compute engine": "Google Compute Engine", "openstack": "OpenStack", "digitalocean": "DigitalOcean",
    "hetzner": "Hetzner", "alibaba cloud": "Alibaba Cloud", "apple virtualization": "Apple Virtualization",
}  # fmt: skip
MEANINGLESS = {
    "none", "default string", "system product name", "to be filled by o.e.m.", "not specified", "not applicable",
    "n/a", "o.e.m.", "unknown", "undefined", "all series", "linux,dummy-virt",
}  # fmt: skip
SINGLE_BOARD = re.compile(
    r"(raspberry|orange|banana|nano|mango) ?pi|radxa|\brock ?(pi|[345])|odroid|khadas|libre ?computer|pine64|rockpro"
    r"|beagle|jetson|visionfive|milk-?v|lichee|tinker ?board|cubie",
    re.IGNORECASE,
)
SERVER = re.compile(r"epyc|xeon|opteron|neoverse|graviton|ampere|altra|thunderx|kunpeng|\bpower\d", re.IGNORECASE)
MEMORY_OF_BOARD = {  # as their maker says of every one of them
    re.compile(r"Raspberry Pi (Compute Module )?5"): "LPDDR4X",
    re.compile(r"Raspberry Pi (Compute Module )?4"): "LPDDR4",
}
MEMORY_FILES = (  # limit, use, and the line of memory.stat for what the system would give up at once: version 2, version 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
COOL = "give it a heat sink and a fan"
THROTTLING = (  # bits 0 to 3 of the Pi's firmware: what is, what was (16 bits higher), what helps
    ("the supply voltage is too low", "the supply voltage was too low", "use the power supply made for this board"),
    ("the clock is capped", "the clock was capped", "see to its cooling and its power supply"),
    ("the processor is throttled", "the processor was throttled", "see to its cooling and its power supply"),
    ("the soft temperature limit slows it down", "the soft temperature limit slowed it down", COOL),
)


@dataclass(frozen=True)
class Cache:
    """Caches of one level and size: `L1 data`, `L2`, `L3`. A hybrid processor has two entries of a level."""

    name: str
    nbytes_each: int
    n: int  # that the usable cores have between them

    @property
    def nbytes(self) -> int:
        """All of them together."""
        return self.n * self.nbytes_each


@dataclass(frozen=True)
class Frequency:
    """The clock of the fastest core now, and what the cores can be set to."""

    current_hz: float | None = None
    lowest_hz: float | None = None
    highest_hz: float | None = None


@dataclass(frozen=True)
class Host:
    """A machine, of which this process may use some hardware threads; None or empty is what its system does not tell."""

    n_threads: int  # hardware threads that this process may use
    cpu: str | None = None  # its name, as people know it
    vendor: Vendor = ""
    architecture: str = ""
    board: str | None = None
    n_cores: int | None = None  # physical ones behind those threads
    cpu_quota: float | None = None  # how many threads' worth of time a control group allows, where that is less
    caches: tuple[Cache, ...] = ()  # nearest first
    memory_bytes: int | None = None  # of the machine, or what a control group allows
    available_bytes: int | None = None  # of it without swapping
    memory_type: str | None = None
    frequency: Frequency = Frequency()
    frequency_driver: str | None = None
    governor: str | None = None  # several, joined by commas, where the cores differ
    temperature_c: float | None = None  # of the hottest sensor in the processor
    throttling: tuple[str, ...] = ()  # sentences
    virtual: str = ""  # the hypervisor
    container: str = ""
    device_class: DeviceClass = "desktop-cpu"  # a guess

    @property
    def cache_bytes(self) -> dict[str, int]:
        """All caches of a level together, by its name, nearest first."""
        names = dict.fromkeys(cache.name for cache in self.caches)
        return {name: sum(cache.nbytes for cache in self.caches if cache.name == name) for name in names}


def run_program(command: Sequence[str]) -> str:
    """What a program prints; nothing if it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROGRAM_S, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="ignore")


def read_host(
    root: Path = Path("/"),
    affinity: frozenset[int] | None = None,
    run: Run = run_program,
    architecture: str | None = None,
) -> Host:
    """The machine whose files lie below *root*, with the CPUs of *affinity*: this one and those this process may use.

    Never raises, whatever is in the files.
    """
    architecture = common_name(architecture or platform.machine())
    if sys.platform == "darwin" and root == Path("/"):
        return read_mac(run, architecture)
    tree = Tree(root)
    usable = affinity or usable_cpus()
    everything = [fields(text) for text in re.split(r"\n\s*\n", tree.text("proc/cpuinfo"))]
    processors = [each for each in everything if natural(each.get("processor", "")) in usable]
    described = processors or everything
    cpu, vendor, board = cpu_name(described), vendor_of(described, architecture), read_board(tree, everything)
    n_cores = count_cores(tree, processors, usable)
    memory_bytes, available_bytes = read_memory(tree)
    return Host(
        n_threads=len(usable),
        cpu=cpu,
        vendor=vendor,
        architecture=architecture,
        board=board,
        n_cores=n_cores,
        cpu_quota=read_quota(tree, len(usable)),
        caches=read_caches(tree, usable),
        memory_bytes=memory_bytes,
        available_bytes=available_bytes,
        memory_type=read_memory_type(tree, board),
        frequency=read_frequency(tree, processors, usable),
        frequency_driver=setting(tree, usable, "scaling_driver"),
        governor=setting(tree, usable, "scaling_governor"),
        temperature_c=read_temperature(tree),
        throttling=read_throttling(tree, board, run),
        virtual=read_hypervisor(tree, described),
        container=read_container(tree),
        device_class=guess_class(
            cpu, vendor, board, n_cores, battery=has_battery(tree), phone=tree.has("system/build.prop")
        ),
    )


def most_threads(host: Host) -> int:
    """Threads that can be at work at once: the hardware threads that this process may use, or the whole ones its quota pays for."""
    return max(1, int(min(host.n_threads, host.cpu_quota or host.n_threads)))


def threads_here(wanted: int | None = None, option: str = "threads", host: Host | None = None) -> int:
    """As many threads as wanted, None for all that can be at work at once; InputError, naming the *option*, where there are fewer.

    More would wait for each other in turns of the scheduler: a hundred times slower, and the machine is no use to anybody else.
    """
    if host is None:
        usable = len(usable_cpus())
        host = Host(usable, cpu_quota=read_quota(Tree(Path("/")), usable))
    most = most_threads(host)
    if wanted is None:
        return most
    if isinstance(wanted, bool) or not isinstance(wanted, Integral) or not 1 <= wanted <= most:
        raise InputError(f"{option} {describe(wanted)}: {_possible(host, most)}")
    return int(wanted)


def _possible(host: Host, most: int) -> str:
    if most == host.n_threads:
        return f"between 1 and {most:,} are possible on this machine" if most > 1 else "this machine has one"
    return f"at most {most:,}, since a control group allows {host.cpu_quota:.3g} of this machine's {host.n_threads:,}"


def describe_state(host: Host) -> tuple[str, ...]:
    """What a user should know, and may want to change, before this machine is measured; nothing where all is well."""
    return tuple(_remarks(host))


def _remarks(host: Host) -> Iterator[str]:
    yield from host.throttling
    slow = SLOW_GOVERNORS.intersection((host.governor or "").split(", "))
    if slow and host.frequency_driver not in SELF_DRIVEN:
        remedy = f"echo performance | sudo tee /{CPUS}/cpu*/cpufreq/scaling_governor"
        yield f"the frequency governor {' and '.join(sorted(slow))} keeps the clock low: {remedy}"
    if host.temperature_c is not None and host.temperature_c >= HOT_C:
        yield f"the processor is at {host.temperature_c:.0f} °C, where it may slow down: let it cool first"
    if host.cpu_quota is not None:
        most = max(1, int(host.cpu_quota))
        yield f"a control group allows {host.cpu_quota:.3g} of {counted(host.n_threads, 'hardware thread')}: measure with at most {most}"
    if host.virtual:
        yield f"this is a virtual machine ({host.virtual}): others may share its memory bandwidth, and figures vary"


# ---- files and texts, read without ever raising


def remark_on_others(root: Path = Path("/"), sleep: Callable[[float], object] = time.sleep) -> tuple[str, ...]:
    """A sentence where other programs are at work just now, while this one only waits."""
    before = _ticks(Tree(root))
    sleep(LOOK_S)
    after = _ticks(Tree(root))
    if before is None or after is None or after[1] <= before[1]:
        return ()
    share = 1 - (after[0] - before[0]) / (after[1] - before[1])
    if share <= BUSY_SHARE:
        return ()
    return (
        f"other programs take {share:.0%} of the processor: stop them, they take time and bandwidth from what is measured",
    )


def _ticks(tree: Tree) -> tuple[int, int] | None:
    """Ticks that all processors have idled (or waited for a disk), and all their ticks, since the start."""
    words = tree.text("proc/stat").partition("\n")[0].split()
    ticks = [natural(word) for word in words[1:9]]
    if len(ticks) < 5 or words[0] != "cpu" or None in ticks:
        return None
    return ticks[3] + ticks[4], sum(ticks)


@dataclass(frozen=True)
class Tree:
    """Files below a folder; what is missing or unreadable is empty."""

    root: Path

    def text(self, name: str) -> str:
        """What a file says, without what is not UTF-8."""
        try:
            with (self.root / name).open("rb") as file:
                raw = bytearray()
                while len(raw) < MAX_BYTES and (
                    piece := file.read(READ_BYTES)
                ):  # asked for all at once, as much is set aside
                    raw += piece
                return raw.decode("utf-8", errors="ignore")
        except (OSError, ValueError):
            return ""

    def count(self, name: str) -> int | None:
        """The number in a file; None for 0 and what is no number."""
        return natural(self.text(name)) or None

    def has(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return os.path.lexists(self.root / name)

    def find(self, pattern: str) -> list[str]:
        """Names of files and folders that fit a pattern, in order."""
        try:
            return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))
        except (OSError, ValueError):
            return []


def natural(text: str) -> int | None:
    """A whole number; None for anything else, and for what no machine has (a limit that is none reads 2**63 - 4096)."""
    found = re.fullmatch(r"\s*([0-9]{1,15})\s*", text)
    return int(found[1]) if found else None


def decimal(text: str) -> float | None:
    """The number that a text begins with."""
    found = re.match(r"\s*([0-9]{1,15}(\.[0-9]{1,15})?)(\s|$)", text)
    return float(found[1]) if found else None


def clean(text: str) -> str | None:
    """Somebody's text as one printable line; None if nothing is left."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 10 * MAX_NAME])
    return " ".join(printable.split())[:MAX_NAME].strip() or None


def fields(text: str) -> dict[str, str]:
    """The lines `name : value` of a text."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}


def cpus_in(text: str, usable: Iterable[int]) -> frozenset[int]:
    """The usable ones among the CPUs of a list such as `0-3,8`; none if it is no such list."""
    found = [re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part) for part in text.split(",")]
    if not all(found):
        return frozenset()
    ranges = [(int(each[1]), int(each[2] or each[1])) for each in found if each]
    return frozenset(cpu for cpu in usable if any(first <= cpu <= last for first, last in ranges))


# ---- the processor


def usable_cpus() -> frozenset[int]:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def common_name(architecture: str) -> str:
    """An architecture under the name that most systems give it."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture.lower(), architecture.lower())


def cpu_name(processors: Iterable[dict[str, str]]) -> str | None:
    """The processor's name; the names of all kinds of cores where they differ."""
    names = dict.fromkeys(_core_name(each) for each in processors)
    return clean(" + ".join(name for name in names if name))


def _core_name(processor: dict[str, str]) -> str | None:
    name = clean(processor.get("model name", ""))
    if name and not name.startswith("ARMv"):  # "ARMv8 Processor rev 1 (v8l)" is what every such core is called
        return name
    implementer, part = processor.get("CPU implementer", ""), processor.get("CPU part", "")
    if re.fullmatch("0x[0-9a-f]{2}", implementer) and re.fullmatch("0x[0-9a-f]{3}", part):
        return arm_core(processor) or f"CPU implementer {implementer}, part {part}"
    return None


def arm_core(processor: dict[str, str]) -> str | None:
    """The name of an Arm core, if we know it."""
    return ARM_CORES.get(processor.get("CPU implementer", ""), {}).get(processor.get("CPU part", ""))


def vendor_of(processors: Iterable[dict[str, str]], architecture: str) -> Vendor:
    """Who designed the cores."""
    for each in processors:
        name = each.get("vendor_id") or each.get("CPU implementer", "")
        if name in VENDORS:
            return VENDORS[name]
    return "riscv" if architecture.startswith("riscv") else ""


def count_cores(tree: Tree, processors: Sequence[dict[str, str]], usable: frozenset[int]) -> int | None:
    """Physical cores behind the usable hardware threads; None if the system does not tell of each."""
    lists = {cpu: tree.text(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list") for cpu in usable}
    siblings = {cpu: cpus_in(text, usable) for cpu, text in lists.items()}
    if all(cpu in group for cpu, group in siblings.items()):
        return len(set(siblings.values()))
    cores = [_core_id(each) for each in processors]
    return len(set(cores)) if len(cores) == len(usable) and None not in cores else None


def _core_id(processor: dict[str, str]) -> tuple[int | None, ...] | None:
    if arm_core(processor):
        return (natural(processor["processor"]),)
    core = natural(processor.get("core id", ""))
    return None if core is None else (natural(processor.get("physical id", "")), core)


def read_quota(tree: Tree, n_threads: int) -> float | None:
    """How many threads' worth of time the control groups allow; None where that is no limit."""
    quotas = []
    for group in control_groups(tree, "cpu"):
        version_2 = re.fullmatch(r"([0-9]+) ([0-9]+)\s*", tree.text(f"{group}/cpu.max"))
        version_1 = tree.text(f"{group}/cpu.cfs_quota_us"), tree.text(f"{group}/cpu.cfs_period_us")
        quota, period = map(natural, version_2.groups() if version_2 else version_1)
        if quota and period and quota < n_threads * period:
            quotas.append(quota / period)
    return min(quotas, default=None)


def read_caches(tree: Tree, usable: frozenset[int]) -> tuple[Cache, ...]:
    """Data and unified caches of the usable CPUs. What several CPUs share counts once."""
    folders = [folder for cpu in usable for folder in tree.find(f"{CPUS}/cpu{cpu}/cache/index*")]
    instances = {_instance(tree, folder, usable) for folder in folders}
    kinds = Counter(instance[:2] for instance in instances if instance)
    ordered = sorted(kinds.items(), key=lambda kind: (kind[0][0], -kind[0][1]))
    return tuple(Cache("L1 data" if level == 1 else f"L{level}", nbytes, n) for (level, nbytes), n in ordered)


def _instance(tree: Tree, folder: str, usable: frozenset[int]) -> tuple[int, int, frozenset[int]] | None:
    """Level, bytes and usable CPUs of a cache; None if it holds instructions or something of it is not told."""
    level = tree.count(f"{folder}/level")
    size = re.fullmatch(r"([0-9]{1,9})([KMG])", tree.text(f"{folder}/size").strip())
    shared = cpus_in(tree.text(f"{folder}/shared_cpu_list"), usable)
    nbytes = int(size[1]) * {"K": KI, "M": MI, "G": GI}[size[2]] if size else 0
    holds_data = tree.text(f"{folder}/type").strip() in ("Data", "Unified")
    return (level, nbytes, shared) if holds_data and level in (1, 2, 3, 4) and nbytes and shared else None


def read_frequency(tree: Tree, processors: Iterable[dict[str, str]], usable: frozenset[int]) -> Frequency:
    """The clock; without the files of cpufreq only the current one, as /proc/cpuinfo has it."""

    def hertz(name: str) -> list[float]:
        counts = (tree.count(f"{CPUS}/cpu{cpu}/cpufreq/{name}") for cpu in usable)
        return [1e3 * count for count in counts if count]

    told = (decimal(each.get("cpu MHz", "")) for each in processors)
    current = hertz("scaling_cur_freq") or [MEGA * mhz for mhz in told if mhz]
    return Frequency(
        max(current, default=None),
        min(hertz("cpuinfo_min_freq"), default=None),
        max(hertz("cpuinfo_max_freq"), default=None),
    )


def setting(tree: Tree, usable: frozenset[int], name: str) -> str | None:
    """A word of cpufreq; all of them where the cores differ."""
    words = {tree.text(f"{CPUS}/cpu{cpu}/cpufreq/{name}").strip() for cpu in usable}
    return ", ".join(sorted(word for word in words if re.fullmatch("[a-z][a-z0-9_-]{0,30}", word))) or None


# ---- memory


def read_memory(tree: Tree) -> tuple[int | None, int | None]:
    """Bytes of memory, and how many of them can be had without swapping; control groups may allow less than there are."""
    told = fields(tree.text("proc/meminfo"))
    total, available = (natural(told.get(name, "").removesuffix("kB")) for name in ("MemTotal", "MemAvailable"))
    limits = list(_memory_limits(tree))
    return (
        min([total * KI, *(limit for limit, _ in limits)]) if total else None,
        min([available * KI, *(max(0, limit - used) for limit, used in limits)]) if available else None,
    )


def _memory_limits(tree: Tree) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes of every control group that has a limit."""
    for group in control_groups(tree, "memory"):
        for limit_file, use_file, reclaimable in MEMORY_FILES:
            limit = tree.count(f"{group}/{limit_file}")
            if limit:
                lines = tree.text(f"{group}/memory.stat").splitlines()
                cached = [natural(line[len(reclaimable) :]) for line in lines if line.startswith(f"{reclaimable} ")]
                yield limit, max(0, (tree.count(f"{group}/{use_file}") or 0) - sum(filter(None, cached)))


def control_groups(tree: Tree, controller: str) -> list[str]:
    """Folders of the control groups this process is in, those around them included; there need not be such folders."""
    places = {"sys/fs/cgroup": "", "sys/fs/cgroup/unified": "", f"sys/fs/cgroup/{controller}": ""}
    for line in tree.text("proc/self/cgroup").splitlines():
        names, _, path = line.partition(":")[2].partition(":")
        if controller in names.split(","):
            places |= {f"sys/fs/cgroup/{names}": path, f"sys/fs/cgroup/{controller}": path}
        elif not names:
            places |= {"sys/fs/cgroup": path, "sys/fs/cgroup/unified": path}
    return [folder for place, path in places.items() for folder in _with_parents(place, path)]


def _with_parents(place: str, path: str) -> list[str]:
    parts = [part for part in path.split("/") if part][:50]
    if ".." in parts:  # a group outside what this process can see
        parts = []
    return ["/".join([place, *parts[:depth]]) for depth in range(len(parts) + 1)]


def read_memory_type(tree: Tree, board: str | None) -> str | None:
    """Such as `DDR5`: told by servers with error correction, known of some boards."""
    for folder in tree.find("sys/devices/system/edac/mc/mc*/dimm*"):
        found = re.search("DDR[2-9]", tree.text(f"{folder}/dimm_mem_type"))
        if found:
            return ("LP" if "Low-Power" in tree.text(f"{folder}/dimm_mem_type") else "") + found[0]
    return next((name for pattern, name in MEMORY_OF_BOARD.items() if pattern.match(board or "")), None)


# ---- the machine around them


def read_board(tree: Tree, everything: Iterable[dict[str, str]]) -> str | None:
    """The machine's name: of its device tree, of /proc/cpuinfo (containers do not see the former), of its firmware."""
    of_cpuinfo = " ".join(each["Model"] for each in everything if "Model" in each)
    for text in (
        tree.text("proc/device-tree/model"),
        tree.text("sys/firmware/devicetree/base/model"),
        of_cpuinfo,
        tree.text("sys/class/dmi/id/product_name"),
    ):
        name = clean(text)
        if name and name.lower() not in MEANINGLESS:
            return name
    return None


def read_temperature(tree: Tree) -> float | None:
    """Degrees Celsius at the hottest sensor in the processor."""
    zones = tree.find("sys/class/thermal/thermal_zone*")
    inside = [zone for zone in zones if re.search("cpu|soc|x86_pkg", tree.text(f"{zone}/type"), re.IGNORECASE)]
    files = [f"{zone}/temp" for zone in inside] + list(_sensors(tree))
    readings = [(tree.count(file) or 0) / 1000 for file in files]
    return max((reading for reading in readings if 0 < reading < MAX_TEMPERATURE_C), default=None)


def _sensors(tree: Tree) -> Iterator[str]:
    """Files of a PC's sensors. AMD's Tctl is no temperature: it steers the fan, on some models 27 degrees too high."""
    for folder in tree.find("sys/class/hwmon/hwmon*"):
        driver = tree.text(f"{folder}/name").strip()
        for file in tree.find(f"{folder}/temp*_input") if driver in ("coretemp", "k10temp") else ():
            label = tree.text(f"{file.removesuffix('input')}label")
            if driver == "coretemp" or label.startswith(("Tdie", "Tccd")):
                yield file


def read_throttling(tree: Tree, board: str | None, run: Run) -> tuple[str, ...]:
    """What a Raspberry Pi's firmware says of its clock; what holds now is not told again as having been."""
    told = run(("vcgencmd", "get_throttled")) if "Raspberry Pi" in (board or "") else ""
    # The file comes second: the kernel calls it deprecated and logs a warning on the first read.
    files = tree.find("sys/devices/platform/soc*/soc*:firmware/get_throttled")
    texts = [told, *(tree.text(file) for file in files)]
    matches = [re.fullmatch(r"\s*(?:throttled=)?(?:0x)?([0-9a-f]{1,8})\s*", text) for text in texts]
    numbers = (int(match[1], 16) for match in matches if match)
    return tuple(_throttling_sentences(next((bits for bits in numbers if not bits & ~0xF000F), 0)))


def _throttling_sentences(bits: int) -> Iterator[str]:
    for bit, (now, before, remedy) in enumerate(THROTTLING):
        if bits >> bit & 1:
            yield f"{now} now: {remedy}"
        elif bits >> bit + 16 & 1:
            yield f"{before} at some time since the boot: {remedy}"


def read_hypervisor(tree: Tree, processors: Iterable[dict[str, str]]) -> str:
    """The hypervisor of a virtual machine, otherwise nothing."""
    flags = " ".join(each.get("flags", "") for each in processors).split()
    if flags and "hypervisor" not in flags:  # x86, where it is certain; a cloud's bare metal names the cloud, too
        return ""
    product = tree.text("sys/class/dmi/id/product_name").lower()
    firmware = f"{tree.text('sys/class/dmi/id/sys_vendor')} {product} {tree.text('sys/hypervisor/type')}".lower()
    named = (name for word, name in HYPERVISORS.items() if re.search(rf"\b{word}\b", firmware))
    if "microsoft" in tree.text("proc/sys/kernel/osrelease").lower():
        return "WSL 2"
    if ".metal" in product:
        return ""
    is_dummy = "dummy-virt" in tree.text("proc/device-tree/model") + tree.text("sys/firmware/devicetree/base/model")
    return next(named, UNNAMED if "hypervisor" in flags or is_dummy else "")


def read_container(tree: Tree) -> str:
    """The software whose container this is, otherwise nothing."""
    if tree.has(".dockerenv"):
        return "Docker"
    if tree.has("run/.containerenv"):
        return "Podman"
    found = re.search("kubepods|docker|containerd|lxc", tree.text("proc/1/cgroup"))
    return clean(tree.text("run/systemd/container")) or (found[0] if found else "")


def has_battery(tree: Tree) -> bool:
    """Whether the machine runs on one; that of a mouse does not count."""
    supplies = tree.find("sys/class/power_supply/*")
    batteries = [each for each in supplies if tree.text(f"{each}/type").strip() == "Battery"]
    return any(tree.text(f"{each}/scope").strip() != "Device" for each in batteries)


def guess_class(
    cpu: str | None, vendor: Vendor, board: str | None, n_cores: int | None, *, battery: bool, phone: bool
) -> DeviceClass:
    """What kind of machine this probably is."""
    if phone:
        return "phone"
    if SINGLE_BOARD.search(board or ""):
        return "sbc"
    if vendor == "apple":
        return "apple"
    if battery:
        return "laptop-cpu"
    return "server-cpu" if SERVER.search(cpu or "") or (n_cores or 0) > MANY_CORES else "desktop-cpu"


# ---- macOS


def read_mac(run: Run, architecture: str) -> Host:
    """A machine with macOS, which tells of itself through `sysctl`."""

    def ask(name: str) -> str:
        return run(("sysctl", "-n", name))

    cpu, board, n_cores = clean(ask("machdep.cpu.brand_string")), clean(ask("hw.model")), natural(ask("hw.physicalcpu"))
    n_threads = natural(ask("hw.logicalcpu")) or os.cpu_count() or 1
    vendor: Vendor = "apple" if "Apple" in (cpu or "") else "intel" if "Intel" in (cpu or "") else ""
    portable = (board or "").startswith("MacBook")
    return Host(
        n_threads=n_threads,
        cpu=cpu,
        vendor=vendor,
        architecture=architecture,
        board=board,
        n_cores=n_cores or None,
        caches=_mac_caches(ask, n_threads),
        memory_bytes=natural(ask("hw.memsize")) or None,
        virtual=UNNAMED if natural(ask("kern.hv_vmm_present")) else "",
        device_class=guess_class(cpu, vendor, board, n_cores, battery=portable, phone=False),
    )


def _mac_caches(ask: Callable[[str], str], n_threads: int) -> tuple[Cache, ...]:
    """By kind of core; before there were kinds, hw.cacheconfig said how many threads share an L1, an L2 and an L3."""
    found = []
    for kind in range(min(natural(ask("hw.nperflevels")) or 0, 4)):
        name = f"hw.perflevel{kind}"
        threads, cores = natural(ask(f"{name}.logicalcpu")) or 0, natural(ask(f"{name}.physicalcpu")) or 0
        found.append(("L1 data", natural(ask(f"{name}.l1dcachesize")), cores))
        for level in (2, 3):
            sharing = natural(ask(f"{name}.cpusperl{level}"))
            size = natural(ask(f"{name}.l{level}cachesize"))
            found.append((f"L{level}", size, -(-threads // sharing) if sharing else 0))
    if not found:
        shares = [natural(word) for word in ask("hw.cacheconfig").split()[1:4]]
        for (name, key), sharing in zip((("L1 data", "l1d"), ("L2", "l2"), ("L3", "l3")), shares, strict=False):
            found.append((name, natural(ask(f"hw.{key}cachesize")), -(-n_threads // sharing) if sharing else 0))
    return tuple(sorted((Cache(name, size, n) for name, size, n in found if size and n), key=lambda cache: cache.name))
