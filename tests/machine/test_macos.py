"""Machines with macOS, as they answer `sysctl`."""

import pytest

from simulator.machine.host import Cache
from simulator.machine.macos import read_mac
from simulator.units import GI, KI, MI

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
    "hw.optional.arm.FEAT_DotProd": "1",
    "hw.optional.arm.FEAT_I8MM": "0",
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
    "hw.optional.avx2_0": "1",
    "hw.optional.avx1_0": "1",
    "hw.optional.avx512bw": "0",
}


def sysctl(values):
    """A system that answers `sysctl -n NAME` from some values."""
    return lambda command: values.get(command[2], "") + "\n" if tuple(command[:2]) == ("sysctl", "-n") else ""


def test_a_mac_tells_its_two_kinds_of_cores():
    """M1 Pro: 8 fast cores in two clusters with 12 MiB each, 2 frugal ones with 4 MiB."""
    host = read_mac(sysctl(M1_PRO), "aarch64")
    assert (host.cpu, host.vendor, host.device_class, host.n_cores) == ("Apple M1 Pro", "apple", "apple", 10)
    assert (host.memory_bytes, host.board, host.virtual) == (16 * GI, "MacBookPro18,3", "")
    assert host.kernels == "neon-dotprod"
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
