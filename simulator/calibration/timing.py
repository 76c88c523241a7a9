"""Seconds of all observed steps at once, and how they change with each factor: `forecast.kernels` over arrays.

A test holds both equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, diags

from simulator.calibration.observations import OF_OPERATION, OF_STEP, Observation, each_factor
from simulator.forecast.kernels import OVERLAP
from simulator.spec.factors import SHARPNESS, Factor

SHARES = ("bandwidth", "vector", "further", "matrix", "cache", "attention", "attended")  # of what hardware sustains

assert OVERLAP == 3.0, "the derivatives below are those of cubes"


@dataclass(frozen=True)
class Steps:
    """Observed steps as arrays: one entry for each operation, and sparse matrices that say which factors it rests on."""

    observed: Sequence[Observation]

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Every factor, in the order of the values that are fitted."""
        return tuple(sorted({factor.name: factor for factor in each_factor(self.observed)}.values()))

    @cached_property
    def seconds(self) -> np.ndarray:
        """Measured, of each step."""
        return np.array([each.seconds for each in self.observed])

    @cached_property
    def _parts(self) -> dict[str, np.ndarray]:
        names = (
            "count",
            "launches",
            "is_cache",
            "memory_s",
            "activation_s",
            "vector_s",
            "tiled_s",
            "tiles",
            "filling",
            "sharers",
            "again",
            "is_few",
        )
        parts = [part for each in self.observed for part in each.parts]
        return {name: np.array([getattr(part, name) for part in parts]) for name in names}

    @cached_property
    def _of_step(self) -> csr_matrix:
        """Sums operations to steps."""
        rows = np.repeat(np.arange(len(self.observed)), [len(each.parts) for each in self.observed])
        return csr_matrix((np.ones(rows.size), (rows, np.arange(rows.size))))

    @cached_property
    def _rests(self) -> dict[str, csr_matrix]:
        place = {factor.name: index for index, factor in enumerate(self.factors)}
        parts = [part.listed for each in self.observed for part in each.parts]
        found = {name: self._matrix([listed[n] for listed in parts], place) for n, name in enumerate(OF_OPERATION)}
        steps = [each.step for each in self.observed]
        return found | {name: self._matrix([listed[n] for listed in steps], place) for n, name in enumerate(OF_STEP)}

    @staticmethod
    def _matrix(listed: Sequence[tuple[Factor, ...]], place: dict[str, int]) -> csr_matrix:
        starts = np.cumsum([0, *(len(each) for each in listed)])
        columns = [place[factor.name] for each in listed for factor in each]
        return csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(listed), len(place)))

    def timed(self, values: np.ndarray) -> tuple[np.ndarray, csr_matrix]:
        """Seconds of each step, and the derivatives of their logarithms by the logarithms of the factors, *values*.

        A step rests on few of all factors.
        """
        parts, rests = self._parts, self._rests
        logs = {name: rests[name] @ values for name in rests}
        share = {name: _bent(logs[name]) for name in SHARES}
        slope = {name: 1 / (1 + np.exp(SHARPNESS * np.clip(logs[name], -20, 20))) for name in share}
        memory, of_core = self._memory(logs["core"])
        is_cache, n = parts["is_cache"], parts["sharers"]
        read = memory / np.where(is_cache, share["cache"], share["bandwidth"])
        is_least = share["vector"] > share["further"]  # a token costs no less than its products
        further = np.where(is_cache, 0.0, np.maximum(share["vector"], share["further"]) * (n - 1))
        single = parts["vector_s"] / np.where(is_cache, share["attention"], share["vector"])
        vector = (read * parts["again"] + parts["activation_s"], single * (1 + further))
        unpacks = np.diff(rests["vector"].indptr) > 0
        fill = parts["filling"] * np.exp(logs["fill"])
        tiled = parts["tiled_s"] * (parts["tiles"] + fill) / np.where(is_cache, share["attended"], share["matrix"])
        is_unpacking = unpacks & (single > tiled)
        matrix = (read + parts["activation_s"], np.where(is_unpacking, single, tiled))
        both, other = (np.cbrt(one**3 + two**3) for one, two in (vector, matrix))
        has_vector = is_cache | unpacks
        is_vector = has_vector & ((both <= other) | parts["is_few"])
        memory_s, compute_s = (np.where(is_vector, one, two) for one, two in zip(vector, matrix, strict=True))
        work_s = np.where(is_vector, both, other)
        launch = np.exp(logs["launch"])
        parts_s = parts["count"] * (parts["launches"] * launch + work_s)
        own = {name: np.exp(logs[name]) * size for name, size in self._of_steps.items()}
        seconds = self._of_step @ parts_s + sum(own.values())
        scale = parts["count"] / np.maximum(work_s, 1e-100) ** 2
        by_read = scale * memory_s**2 * np.where(is_vector, read * parts["again"], read)
        by_compute = scale * compute_s**3
        weights, caches, is_tiled = ~is_cache, is_cache, ~is_vector & ~is_unpacking
        by = {
            "bandwidth": -by_read * slope["bandwidth"] * weights,
            "cache": -by_read * slope["cache"] * caches,
            "core": by_read * of_core,
            "vector": -by_compute
            * slope["vector"]
            * ((is_vector & weights) / np.where(is_least, 1 + further, 1.0) + (~is_vector & is_unpacking)),
            "attention": -by_compute * slope["attention"] * (is_vector & caches),
            "further": by_compute * further / (1 + further) * slope["further"] * (is_vector & weights & ~is_least),
            "matrix": -by_compute * slope["matrix"] * (is_tiled & weights),
            "fill": by_compute * fill / (parts["tiles"] + fill) * (is_tiled & weights),
            "attended": -by_compute * slope["attended"] * (is_tiled & caches),
            "launch": parts["count"] * parts["launches"] * launch,
        }
        changes = sum(diags(by[name]) @ rests[name] for name in by)
        changes = self._of_step @ changes + sum(diags(own[name]) @ rests[name] for name in own)
        return seconds, csr_matrix(diags(1 / seconds) @ changes)

    def _memory(self, log_core: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of each operation's bytes as far as cores can read them, and how they change with what a core reads."""
        per_byte = self._of_step.T @ np.array([each.s_per_byte for each in self.observed])
        by_core = self._of_step.T @ np.array([each.core_s for each in self.observed])
        of_cores = (by_core * np.exp(-np.where(by_core > 0, log_core, 0.0))) ** 4
        limited = (per_byte**4 + of_cores) ** 0.25
        return self._parts["memory_s"] * limited / per_byte, -of_cores / limited**4

    @cached_property
    def _of_steps(self) -> dict[str, np.ndarray]:
        """What the factors of OF_STEP are multiplied with."""
        every = self.observed
        sizes = {
            "step": [each.n_steps for each in every],
            "sequence": [each.batch * each.n_steps for each in every],
            "submit": [each.n_submitted for each in every],
            "link": [each.link_s for each in every],
        }
        return {name: np.array(sizes[name], float) for name in OF_STEP}


def _bent(log_product: np.ndarray) -> np.ndarray:
    """`factors.share_of` over an array."""
    return np.exp(-np.logaddexp(0.0, -SHARPNESS * log_product) / SHARPNESS)
