"""How much a run may come to.

Where prompts are read in very many steps, or requests give up their cache for others again and again, it would hardly end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.spec.serving import Scheduling
from simulator.traffic.cache import Room
from simulator.traffic.demand import Demand

MOST_READS = 1_000_000  # steps that read prompts, in one run
MOST_SEARCHED, SEARCH_RUNS = 4_000_000, 16  # the same in all runs of a search, and how many those are
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
    most = MORE + USUAL * len(demand) + OF_READS * reads_of(demand, rules)
    return Budget(most, len(demand), room.fitting(demand.longest))


def reads_of(demand: Demand, rules: Scheduling) -> int:
    """Steps that read its prompts at most, each by itself and nothing of it in the cache."""
    return sum(n * _reads(*lengths, rules) for lengths, n in _by_lengths(demand).items())


def _by_lengths(demand: Demand) -> Counter[tuple[int, int]]:
    return Counter(zip(demand.prompts, demand.answers, strict=True))


def _reads(prompt: int, answer: int, rules: Scheduling) -> int:
    if not rules.splits_prompts:
        return 1
    # Those that decode in a step take a token of it each: of a full server's steps answers take their share, and prompts a token at least.
    n_tokens = prompt + answer * rules.mixes_prompts
    return min(prompt, -(-n_tokens // rules.chunk_tokens))


def expect_reads(demand: Demand, rules: Scheduling, n_runs: int = 1, most: int = MOST_READS) -> None:
    """InputError where so many runs read prompts in more steps than *most*; it names the least chunk that is enough, if any is."""
    n_reads = n_runs * reads_of(demand, rules)
    if n_reads <= most:
        return
    of_all = f"in up to {n_reads:,} steps{f' of {n_runs} runs' * (n_runs > 1)}, at most {most:,} are simulated"
    whole = max(map(sum, _by_lengths(demand)))  # in one step each
    if not rules.splits_prompts or n_runs * len(demand) > most or whole <= rules.chunk_tokens:
        raise InputError(f"{len(demand):,} requests are too many: their prompts are read {of_all}")
    low, high = rules.chunk_tokens, whole
    while high - low > 1:
        middle = (low + high) // 2
        fits = n_runs * reads_of(demand, replace(rules, chunk_tokens=middle)) <= most
        low, high = (low, middle) if fits else (middle, high)
    raise InputError(
        f"chunk must be at least {high:,} here, or requests fewer: {len(demand):,} prompts in parts of {rules.chunk_tokens:,} are read "
        f"{of_all}"
    )
