"""What a record of a router's choices says, in a table by layer and as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simulator.report.screen import print_section
from simulator.report.table import print_table
from simulator.spec import routing_statistics as statistics
from simulator.spec.layers.ffn import Experts
from simulator.spec.recorded import Recorded
from simulator.spec.routing import Uniform, repeat_chance
from simulator.units import counted

BATCHES = tuple(2**power for power in range(9))
HELD = (1 / 8, 1 / 4, 1 / 2, 3 / 4)  # shares of a layer's experts that a cache holds


@dataclass(frozen=True)
class Layer:
    """Figures of one layer."""

    number: int
    n_experts: int
    n_active: int
    zipf_exponent: float
    busiest_share: float  # of the choices, to the busiest eighth of the experts
    never_used: int
    reuse: float  # share of a token's experts that the token before had
    reuse_by_popularity: float  # were the tokens in random order
    repeats: float  # how often two tokens in a row have an expert in common
    repeats_by_chance: float  # were all experts equally likely, and tokens not alike
    hits: tuple[float, ...]  # of a cache of 1, 2, ... experts


@dataclass(frozen=True)
class RoutingReport:
    """Figures of a record, worked out when they are asked for."""

    recorded: Recorded

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Of each layer with experts."""
        return tuple(map(self._layer, range(len(self.recorded.layers))))

    @cached_property
    def _hits(self) -> np.ndarray:
        return statistics.cache_hits(self.recorded)

    def _layer(self, place: int) -> Layer:
        found = self.recorded
        n_tokens, n, active = len(found.tokens), found.n_experts[place], found.n_active[place]
        uses, chosen = found.uses[place], found.chosen[place]
        return Layer(
            number=found.layers[place],
            n_experts=n,
            n_active=active,
            zipf_exponent=statistics.zipf_exponent(uses, n_tokens, active),
            busiest_share=statistics.busiest_share(uses),
            never_used=int(np.count_nonzero(uses == 0)),
            reuse=statistics.reuse(chosen),
            reuse_by_popularity=statistics.reuse_by_popularity(uses, n_tokens, active),
            repeats=statistics.repeats(chosen),
            repeats_by_chance=repeat_chance(n, active),
            hits=tuple(self._hits[place, :n].tolist()),
        )

    def mean(self, name: str) -> float:
        """Over the layers."""
        return float(np.mean([getattr(layer, name) for layer in self.layers]))

    def hit_rate(self, share: float) -> float:
        """Of caches that hold such a share of the experts of each layer."""
        return float(np.mean([layer.hits[held(share, layer.n_experts) - 1] for layer in self.layers]))

    def distinct(self) -> list[tuple[int, float, float]]:
        """Batches no larger than the record, distinct experts of a layer in each, and those of uniform choice."""
        batches = [batch for batch in BATCHES if batch <= len(self.recorded.tokens)]
        uniform = [
            Experts(n_experts=n, n_active=active, d_expert=1)
            for n, active in zip(self.recorded.n_experts, self.recorded.n_active, strict=True)
        ]
        found = self.recorded.distinct(max(uniform, key=lambda ffn: ffn.n_experts), np.array(batches))
        even = [float(np.mean([Uniform().distinct(ffn, batch) for ffn in uniform])) for batch in batches]
        return list(zip(batches, map(float, found), even, strict=True))


def held(share: float, n_experts: int) -> int:
    """How many experts that is, at least one."""
    return max(1, round(share * n_experts))


def print_routing(found: RoutingReport) -> None:
    """What the record is of, its layers, and what follows for batches and caches."""
    recorded = found.recorded
    n_generated = len(recorded.tokens) - recorded.n_prompt
    print(
        f"{recorded.model}: {counted(len(recorded.layers), 'layer')} with experts, "
        f"{counted(recorded.n_prompt, 'token')} of a prompt and {n_generated:,} generated\n"
    )
    rows = [_cells(layer) for layer in found.layers]
    means = ("zipf_exponent", "busiest_share", "reuse", "reuse_by_popularity", "repeats", "repeats_by_chance")
    zipf, *shares = (found.mean(name) for name in means)
    rows.append(
        [
            "all",
            "",
            f"{zipf:.2f}",
            *(f"{each:.0%}" for each in shares),
            *(f"{found.hit_rate(each):.0%}" for each in HELD[:3]),
        ]
    )
    print_table(_HEAD, rows, left=())
    print()
    print_section(
        "Zipf", ["the exponent with which two tokens share as many experts as two recorded ones; 0 is uniform"]
    )
    print_section("Busiest", ["share of all choices that go to an eighth of the experts"])
    print_section("Reuse", [
        "share of a token's experts that the token before had, too; shuffled: what popularity alone would make of it",
    ])  # fmt: skip
    print_section(
        "Repeat", ["how often two tokens in a row have an expert in common; chance: of equally likely experts"]
    )
    print_section(
        "LRU", ["hit rate of a cache that keeps the experts used last: an eighth, a quarter, half of each layer's"]
    )
    print()
    print_table(
        ["batch", "experts", "uniform"],
        [[f"{n:,}", f"{mine:.1f}", f"{even:.1f}"] for n, mine, even in found.distinct()],
        left=(),
    )
    if len(recorded.tokens) < _FEW:
        print()
        print_section(
            "Few",
            [f"{counted(len(recorded.tokens), 'token')} tell little: record {_FEW:,} and more, of texts such as yours"],
        )


_FEW = 256
_HEAD = ["layer", "experts", "zipf", "busiest", "reuse", "shuffled", "repeat", "chance", "LRU 1/8", "1/4", "1/2"]


def _cells(layer: Layer) -> list[str]:
    shares = (layer.busiest_share, layer.reuse, layer.reuse_by_popularity, layer.repeats, layer.repeats_by_chance)
    hits = (layer.hits[held(share, layer.n_experts) - 1] for share in HELD[:3])
    return [
        f"{layer.number}", f"{layer.n_active} of {layer.n_experts}", f"{layer.zipf_exponent:.2f}",
        *(_percent(each) for each in shares), *(_percent(each) for each in hits),
    ]  # fmt: skip


def _percent(share: float) -> str:
    return "-" if share != share else f"{share:.0%}"


def routing_record(found: RoutingReport) -> dict[str, Any]:
    """The same as plain numbers; null where a single token tells nothing."""
    recorded = found.recorded
    return {
        "model": recorded.model,
        "tokens": len(recorded.tokens),
        "prompt_tokens": recorded.n_prompt,
        "layers": [{name: _known(value) for name, value in vars(layer).items()} for layer in found.layers],
        "mean": {
            name: _known(found.mean(name))
            for name in (
                "zipf_exponent",
                "busiest_share",
                "reuse",
                "reuse_by_popularity",
                "repeats",
                "repeats_by_chance",
            )
        },
        "hit_rates": [{"share_held": share, "hit_rate": found.hit_rate(share)} for share in HELD],
        "distinct_experts": [
            {"batch": batch, "recorded": mine, "uniform": even} for batch, mine, even in found.distinct()
        ],
    }


def _known(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and value != value else value
