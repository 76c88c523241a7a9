"""What a runtime's kernels reach on a device, from fitted factors: shares, and seconds beside the work itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from simulator.spec import factors
from simulator.spec.factors import Factor, Place
from simulator.spec.quant import Format


@dataclass(frozen=True)
class Kernels:
    """The kernels of one runtime on one device."""

    place: Place
    values: Mapping[str, float] = field(default_factory=factors.fitted, repr=False, compare=False)
    has_vector: bool = True  # kernels for few tokens, which compute no more tokens than there are
    _known: dict[tuple, float] = field(default_factory=dict, repr=False, compare=False)

    def with_own(self, values: Mapping[str, float]) -> Kernels:
        """The same kernels with factors of the device's own (logarithms by name), which were measured on it."""
        return replace(self, place=replace(self.place, is_learned=True), values={**self.values, **values}, _known={})

    def own_factors(self) -> dict[str, Factor]:
        """Those that all which has been asked for so far rests on, by name."""
        lists = [listed(self.place, *where) for listed, *where in self._known]
        lists += [listed(self.place) for listed in (factors.core, factors.launch, factors.step, factors.sequence)]
        return {each.name: each for listed in lists for each in listed if each.name.startswith("own/")}

    def bandwidth_share(self, fmt: Format, is_expert: bool) -> float:
        """Of the sustained bandwidth, reading weights in *fmt*."""
        return self._share(factors.bandwidth, self._family(fmt), is_expert)

    def cache_share(self, fmt: Format, is_state: bool) -> float:
        """Of the sustained bandwidth, reading a cache in *fmt* or a recurrent state."""
        return self._share(factors.cached, is_packed(fmt), is_state)

    def vector_share(self, fmt: Format) -> float:
        """Of the peak of 8-bit products in vector units, multiplying weights in *fmt* with one token."""
        return self._share(factors.vector, self._family(fmt))

    def further_cost(self, fmt: Format) -> float:
        """What each further token costs of what the first does: no less than its products take at the peak."""
        return max(self._share(factors.further, self._family(fmt)), self.vector_share(fmt))

    def matrix_share(self, fmt: Format, is_expert: bool) -> float:
        """Of the peak for matrices, multiplying weights in *fmt* with many tokens."""
        return self._share(factors.matrix, self._family(fmt), is_expert)

    def attended_share(self, fmt: Format, is_state: bool) -> float:
        """Of the peak for matrices, multiplying many queries with a cache in *fmt*, or updating a recurrent state."""
        return self._share(factors.attended, is_packed(fmt), is_state)

    @cached_property
    def fill_tokens(self) -> float:
        """Tokens by which kernels for many tokens compute more than there are."""
        return factors.product(factors.fill(self.place), self.values)

    def attention_share(self, fmt: Format) -> float:
        """Of the peak of 8-bit products in vector units, multiplying with a cache in *fmt*."""
        return self._share(factors.attention, is_packed(fmt))

    @cached_property
    def core_bytes_per_s(self) -> float:
        """What one core of a CPU reads."""
        return factors.product(factors.core(self.place), self.values)

    @cached_property
    def launch_s(self) -> float:
        """Seconds that an operation takes before it works."""
        return factors.product(factors.launch(self.place), self.values)

    @cached_property
    def expert_launch_s(self) -> float:
        """Seconds that a product with the experts' weights takes before it works, with what sorts tokens by experts."""
        return factors.product(factors.launch(self.place, True), self.values)

    @cached_property
    def step_s(self) -> float:
        """Seconds that a step takes beside its operations."""
        return factors.product(factors.step(self.place), self.values)

    @cached_property
    def sequence_s(self) -> float:
        """Seconds of each sequence in a step beside that."""
        return factors.product(factors.sequence(self.place), self.values)

    @cached_property
    def submit_s(self) -> float:
        """Seconds that a GPU waits for each kernel of a step that reads a prompt."""
        return factors.product(factors.submit(self.place), self.values) if self.place.kind == "gpu" else 0.0

    def overhead_s(self, batch: Any) -> Any:
        """Seconds of a step beside its operations."""
        return self.step_s + self.sequence_s * batch

    @cached_property
    def link_scale(self) -> float:
        """What messages among devices take, over what their links' latency and bandwidth say."""
        return factors.product(factors.link(self.place), self.values)

    @property
    def tile(self) -> int:
        """Tokens that matrix kernels compute at least."""
        return factors.TILES.get(self.place.api, factors.OTHER_TILE)

    def vector_tokens(self, fmt: Format) -> int:
        """Tokens up to which kernels for few are taken in any case, with weights in *fmt*."""
        is_llama = self.place.kernels == "llama.cpp" and is_packed(fmt)
        return factors.VECTOR_TOKENS.get(self.place.api, 1) if is_llama else 1

    @property
    def query_tile(self) -> int:
        """Queries that attention computes at least, where it does not take them one by one."""
        return factors.QUERY_TILES.get(self.place.api, self.tile)

    @property
    def read_again(self) -> float:
        """How much of an expert's weights is read again for each further token by kernels for few: 0 nothing, 1 all."""
        return factors.READ_AGAIN.get(self.place.api, factors.OTHER_READ_AGAIN)

    def _family(self, fmt: Format) -> str:
        return factors.family(fmt.kernel, fmt.bits)

    def _share(self, listed, *where) -> float:
        key = (listed, *where)
        if key not in self._known:
            self._known[key] = factors.share(listed(self.place, *where), self.values)
        return self._known[key]


def is_packed(fmt: Format) -> bool:
    """Whether a cache in this format has to be unpacked."""
    return fmt.bits < 16
