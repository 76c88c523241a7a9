"""Ways data comes into a device, and how several of a kind are joined by them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.spec.figure import Figure
from simulator.spec.schema import Field, Spec
from simulator.units import GIGA


@dataclass(frozen=True)
class Kind:
    """What is known of all links of a kind, where a device's file does not say it."""

    names: str  # a pattern of their names
    latency_us: Figure  # until a small message is at the next device
    most_devices: int | None  # that one such net joins
    is_switched: bool  # whether each device reaches every other with the whole rate, so that none has to pass on
    joins: frozenset[str]  # kinds of devices
    is_network: bool  # between boards, rather than on one
    sustained_share: float  # of the datasheet's rate that a transfer between devices reaches


def _hop(value: float, source: str) -> Figure:
    return Figure.model_construct(
        value=value, provenance="estimated", source=source, how="that of all links of its kind"
    )


# Latencies: `hwLatencies` of the tuning model in src/graph/tuning.cc of https://github.com/NVIDIA/nccl, protocol LL: ring on a
# board, tree over a network, which is what it chooses for small messages. It says 1.0 us for PCIe; NCCL took 8.3 us to gather
# 8 KiB among 2 and 13.6 among 4 RTX PRO 6000, so 2.65 for each further one (flashinfer-ai/flashinfer#5023), and 19.4 us to sum 4 KiB
# among 4 V100 behind one switch, so 2.1 for each of six transfers (haohervchb/sglang-V100#2). For
# Ethernet half a round trip of one byte by TCP between two hosts, 12,507 a second (netperf TCP_RR, grpc/grpc#7988): small boards
# are slower. Shares: H100s over NVLink 4 read 20 MB of each other's values in 64 us, of 450 GB/s (vllm-project/vllm#24111, one-shot
# kernel on 6 GPUs, 4 MiB), taken for PCIe and InfiniBand too; a Raspberry Pi sends 941 of 1,000 Mbit/s (iperf3,
# https://mpr-projects.com/index.php/2023/12/15/rpi-nas-part-3-network-connections/).
_GPU, _ANY = frozenset({"gpu"}), frozenset({"gpu", "cpu"})
KINDS = (
    # A bridge for two cards is an accessory, and NVLink-C2C joins a GPU to its own host: neither is taken.
    Kind(
        r"NVLink \d+",
        _hop(0.6, "NCCL"),
        most_devices=8,
        is_switched=True,
        joins=_GPU,
        is_network=False,
        sustained_share=0.7,
    ),
    Kind(
        r"PCIe .*",
        _hop(2.4, "flashinfer#5023, sglang-V100#2"),
        most_devices=8,
        is_switched=False,
        joins=_GPU,
        is_network=False,
        sustained_share=0.7,
    ),
    Kind(
        r"InfiniBand.*",
        _hop(5.0, "NCCL"),
        most_devices=None,
        is_switched=False,
        joins=_GPU,
        is_network=True,
        sustained_share=0.7,
    ),
    Kind(
        r".*Ethernet.*",
        _hop(40.0, "netperf"),
        most_devices=None,
        is_switched=True,
        joins=_ANY,
        is_network=True,
        sustained_share=0.94,
    ),
)


class Link(Spec):
    """PCIe, NVLink, a network, a disk; one direction."""

    name: str = Field(min_length=1)
    gb_per_s: Figure
    latency_us: Figure | None = (
        None  # until a small message is at the next device, or read; not given: that of its kind
    )
    most_devices: int | None = Field(None, ge=2, le=1_000_000)  # that one such net joins; not given: those of its kind
    experimental: bool = False  # whether the device's maker does not support it

    @property
    def kind(self) -> Kind | None:
        """What is known of such links; None of one that joins no devices."""
        return next((kind for kind in KINDS if re.fullmatch(kind.names, self.name)), None)

    @property
    def latency(self) -> Figure:
        """Microseconds until a small message is at the next device."""
        found = self.latency_us or (self.kind.latency_us if self.kind else None)
        assert found is not None, "asked of links between devices only"
        return found

    @property
    def most(self) -> int | None:
        """How many devices one such net joins; None: any number."""
        return self.most_devices or (self.kind.most_devices if self.kind else None)

    @property
    def is_switched(self) -> bool:
        """Whether each device reaches every other with the whole rate."""
        return self.kind is not None and self.kind.is_switched

    @property
    def is_network(self) -> bool:
        """Whether it goes from one board or machine to another."""
        return self.kind is not None and self.kind.is_network

    @property
    def bytes_per_s(self) -> float:
        """What a transfer between devices reaches."""
        is_measured = self.gb_per_s.provenance == "measured" or self.kind is None
        share = 1.0 if is_measured else self.kind.sustained_share
        return share * self.gb_per_s.value * GIGA
