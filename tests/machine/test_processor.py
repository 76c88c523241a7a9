"""A processor's cores and caches: which of them are usable, how they are named, who shares what."""

import pytest
from systems import CPU, arm, build, silent, topology, x86

from simulator.machine.host import Cache
from simulator.machine.processor import KERNEL_FLAGS, widest_kernels
from simulator.machine.read import read_host
from simulator.spec.hardware import CPU_KERNELS
from simulator.units import KI, MI

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


@pytest.mark.parametrize(
    ("architecture", "cores", "kernels"),
    [
        ("x86_64", ["fpu ssse3 avx avx2 fma"], "avx2"),
        ("x86_64", ["fpu ssse3 avx avx2 fma avx512f avx512bw avx512_vnni"], "avx512-vnni"),
        ("x86_64", ["fpu ssse3 avx avx2 fma avx512f avx512bw"], "avx512"),
        ("x86_64", ["fpu ssse3 avx avx2 fma avx_vnni"], "avx-vnni"),
        ("x86_64", ["fpu sse sse2"], ""),
        ("aarch64", ["fp asimd aes"], "neon"),
        ("aarch64", ["fp asimd asimddp", "fp asimd asimddp i8mm"], "neon-dotprod"),  # what all cores have
        ("aarch64", [""], ""),
        ("riscv64", ["rv64imafdcv_zicsr_zvl256b"], "rvv"),
        ("riscv64", ["rv64imafdc_zicsr_zifencei_zve32x"], "riscv"),
        ("riscv64", [], ""),
    ],
)
def test_the_widest_kernels_are_those_of_all_cores(architecture, cores, kernels):
    """By the flags that /proc/cpuinfo has under another name for each family; unknown where it has none."""
    key = {"x86_64": "flags", "aarch64": "Features", "riscv64": "isa"}[architecture]
    assert widest_kernels([{key: each} for each in cores], architecture) == kernels


def test_every_kernel_that_a_machine_is_said_to_have_is_one_of_a_device_file():
    """Else its profile would be refused."""
    assert KERNEL_FLAGS.keys() <= set(CPU_KERNELS)
