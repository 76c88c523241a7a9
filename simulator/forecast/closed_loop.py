"""A server's steps one after the other, while users ask, wait for the answer and ask again: when the first and the last token come.

Between two events (a request ends, prompts are read, the scheduler looks what was sent) steps differ only by the tokens that caches
grow by, so they are taken together: a benchmark of a thousand requests is a few thousand events.
By which rules steps do what: `scheduler.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from simulator.forecast.scheduler import Scheduler
from simulator.spec.serving import Scheduling


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of steps, by how many requests decode in them and how many tokens of prompts they read."""

    decode_s: Sequence[float]  # with so many requests that decode, nothing in their caches
    cached_s: Sequence[float]  # longer for each token that is cached for one of them, in the mean
    tokens: Sequence[int]  # of prompts, ascending, for which the next two hold
    alone_s: Sequence[float]  # of a step that reads so many and decodes nothing
    beside_s: Sequence[float]  # of one in which as many requests decode as there are

    def decoding(self, n_requests: int, cached: float, n_steps: int) -> float:
        """Of *n_steps* in which *n_requests* decode, with *cached* tokens in all their caches before the first."""
        mean = cached / n_requests + (n_steps - 1) / 2
        return n_steps * (self.decode_s[n_requests] + self.cached_s[n_requests] * mean)

    def reading(self, n_requests: int, n_tokens: float) -> float:
        """Of one step that reads *n_tokens* of prompts while *n_requests* decode: between those that are known, or beyond them."""
        share = n_requests / (len(self.decode_s) - 1)
        if len(self.tokens) == 1:
            return self._at(0, share)
        high = min(max(bisect_right(self.tokens, n_tokens), 1), len(self.tokens) - 1)
        low = high - 1
        part = (n_tokens - self.tokens[low]) / (self.tokens[high] - self.tokens[low])
        first, last = self._at(low, share), self._at(high, share)
        return first + max(0.0, part) * (last - first)

    def _at(self, place: int, share: float) -> float:
        return self.alone_s[place] + share * (self.beside_s[place] - self.alone_s[place])


@dataclass(frozen=True)
class Observed:
    """What a benchmark sees, in the mean over its requests."""

    first_s: float
    token_s: float  # between two tokens of one request
    n_decoding: float  # requests that decode at once, in the mean over time


def observe(asked: Sequence[tuple[int, int]], users: int, seconds: StepSeconds, rules: Scheduling) -> Observed:
    """What *users* see who ask for *asked* (tokens of prompt and of answer), all at first and each again once it has its answer."""
    return _Loop(asked, users, seconds, rules).run()


@dataclass(slots=True)
class _Request:
    asked_s: float
    n_prompt: int
    n_answer: int
    unread: int
    begun: bool = False
    first_s: float = 0.0


class _Loop(Scheduler):
    """One benchmark. Times are seconds since its start."""

    def __init__(self, asked: Sequence[tuple[int, int]], users: int, seconds: StepSeconds, rules: Scheduling):
        super().__init__(rules)
        self.asked, self.seconds, self.now_s = iter(asked), seconds, 0.0
        self.decoding: list[
            tuple[int, int, _Request]
        ] = []  # the step in which each ends, and in which order they began
        self.cached = 0  # tokens of all of them
        self.first_s: list[float] = []
        self.token_s: list[float] = []
        self.decoding_s = 0.0  # summed over requests
        for _ in range(users):
            self._ask()

    def run(self) -> Observed:
        """Until every request has ended."""
        while self.decoding or self.waiting or self.sent:
            self.look()
            if self.reads():
                self._read()
            elif self.decoding:
                self._decode()
        n = len(self.first_s)
        return Observed(sum(self.first_s) / n, sum(self.token_s) / n, self.decoding_s / self.now_s)

    def _ask(self) -> None:
        lengths = next(self.asked, None)
        if lengths is not None:
            self.sent.append(_Request(self.now_s, *lengths, unread=lengths[0]))

    def _read(self) -> None:
        """One step with prompts, in which those that decode get a token, too, or wait."""
        beside = self.n_beside
        taken = self.take()
        self._pass(self.seconds.reading(beside, sum(n_tokens for _, n_tokens in taken)))
        self.cached += beside
        self.has_read()
        for each, _ in taken:
            if not each.unread:
                self._begin(each)
        self._end()

    def _begin(self, request: _Request) -> None:
        request.first_s = self.now_s
        self.first_s.append(self.now_s - request.asked_s)
        self.cached += request.n_prompt
        self.n_decoding += 1
        heappush(self.decoding, (self.steps + request.n_answer - 1, len(self.first_s), request))

    def _decode(self) -> None:
        """Steps without prompts, until something changes."""
        n_steps = self.steps_alike(self.decoding[0][0] - self.steps)
        self._pass(self.seconds.decoding(self.n_decoding, self.cached, n_steps))
        self.has_decoded(n_steps)
        self.cached += self.n_decoding * n_steps
        self._end()

    def _pass(self, seconds: float) -> None:
        self.decoding_s += self.n_decoding * seconds
        self.now_s += seconds

    def _end(self) -> None:
        while self.decoding and self.decoding[0][0] <= self.steps:
            _, _, request = heappop(self.decoding)
            self.n_decoding -= 1
            self.cached -= request.n_prompt + request.n_answer - 1
            self.token_s.append((self.now_s - request.first_s) / (request.n_answer - 1))
            self._ask()
