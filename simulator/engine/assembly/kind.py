"""What every kind of block is asked for: its memory, what it must know of a step, and its phases."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.engine.assembly.parts import Parts, Phase
from simulator.engine.network import Network


class Kind:
    """One kind of block in a network: for all the layers that have it. What is not overruled needs nothing."""

    def __init__(self, network: Network, layers: list[int]):
        """*layers*: the numbers of the layers with such a block. Nothing is allocated yet."""
        self.network, self.layers = network, layers

    @property
    def kept_bytes(self) -> int:
        """Bytes of what it keeps of past tokens, for all sequences."""
        return 0

    @property
    def scratch_bytes(self) -> int:
        """The most that a thread needs for itself."""
        return 0

    def allocate(self) -> None:
        """Makes room for what its kernels read and write."""

    def fill(self) -> None:
        """Puts something into all that it keeps, so that memory stands behind it: for timing at a depth."""

    def place(self, sequences: np.ndarray, positions: np.ndarray) -> None:
        """Learns which token of a step stands where in which sequence, before the tape runs."""

    def check_taken_back(self, n_tokens: int) -> None:
        """InputError unless a sequence can go on as if so many of its last tokens had never been."""

    def phases(self, parts: Parts, index: int) -> Iterator[Phase]:
        """What one layer computes."""
        raise NotImplementedError
