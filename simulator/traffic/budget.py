"""How much a run may come to: where requests give up their cache for others again and again, it would hardly end."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.spec.serving import Scheduling
from simulator.traffic.cache import Room
from simulator.traffic.demand import Demand

# Stretches, steps that are taken by themselves or together: of each request, of each step that reads, and besides.
USUAL, OF_READS, MORE = 16, 2, 1_000_000
SURE_FROM = (
    100_000  # stretches, from which on it is told of a server that thrashes whether those that remain come to more
)
OFTEN = 100  # requests that were put back, more than were answered: there a server thrashes
LOOKED_EVERY = 256  # stretches


@dataclass(slots=True)
class Budget:
    """Stretches of one run."""

    most: int
    n_requests: int
    fit: int  # requests that the cache holds to their end
    spent: int = 0

    def spend(self, n_ended: int, put_back: int) -> None:
        """One more, with so many requests answered and so many put back; InputError as soon as those that remain come to too many."""
        self.spent += 1
        if self.spent % LOOKED_EVERY or self.spent < SURE_FROM:
            return
        is_thrashing = put_back > n_ended + OFTEN
        if self.spent <= self.most and not (is_thrashing and self.spent * self.n_requests > self.most * n_ended):
            return
        told = f"{self.spent:,} changes of its steps answer {n_ended:,} of {self.n_requests:,} requests, {self.most:,} are simulated"
        if not is_thrashing:
            raise InputError(f"requests must be fewer: {told}")
        raise InputError(
            f"max_requests must be at most {self.fit:,}, so many fit in the cache to their end: {told}, and {put_back:,} times one gave "
            "up its cache for others and was read again"
        )


def budget_of(demand: Demand, room: Room, rules: Scheduling) -> Budget:
    """Of so many requests, whose prompts are read in so many steps."""
    n_reads = sum(-(-each // rules.chunk_tokens) for each in demand.prompts)
    most = MORE + USUAL * len(demand) + OF_READS * n_reads
    return Budget(most, len(demand), room.fitting(demand.longest))
