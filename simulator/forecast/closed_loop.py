"""A server's steps one after the other, while users ask, wait for the answer and ask again: when the first and the last token come.

Between two events (a request ends, a prompt is read) steps differ only by the tokens that caches grow by, so they are taken
together: a benchmark of a thousand requests is a few thousand events.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from simulator.spec.serving import Scheduling


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of steps, by how many requests decode in them and how many tokens of prompts they read."""

    decode_s: Sequence[float]  # of a step in which so many requests decode; the first, of none, is never asked
    per_cached_s: Sequence[float]  # longer for each token that is cached for one of them, in the mean
    prompt_tokens: Sequence[int]  # ascending
    alone_s: Sequence[float]  # of a step that reads so many tokens of prompts and decodes nothing
    beside_s: Sequence[float]  # the same beside as many decoding requests as there are

    def decoding(self, n_requests: int, cached: float, n_steps: int) -> float:
        """Of *n_steps* in which *n_requests* decode, with *cached* tokens in all their caches before the first."""
        mean = cached / n_requests + (n_steps - 1) / 2
        return n_steps * (self.decode_s[n_requests] + self.per_cached_s[n_requests] * mean)

    def reading(self, n_requests: int, n_tokens: float) -> float:
        """Of one step that reads *n_tokens* of prompts while *n_requests* decode."""
        known = self.prompt_tokens
        high = min(max(bisect_right(known, n_tokens), 1), len(known) - 1)
        low = high - 1
        part = (n_tokens - known[low]) / (known[high] - known[low]) if high else 0.0
        share = n_requests / (len(self.decode_s) - 1)
        before, after = (
            self.alone_s[at] + share * (self.beside_s[at] - self.alone_s[at]) for at in (low if high else 0, high)
        )
        return max(before + part * (after - before), min(before, after) / 2)


@dataclass(frozen=True)
class Observed:
    """What a benchmark sees, in the mean over its requests."""

    first_s: float
    token_s: float
    n_decoding: float  # requests that decode at once, in the mean over time


@dataclass
class _Request:
    arrived_s: float
    n_prompt: int
    n_answer: int
    unread: int
    first_s: float = 0.0


class _Loop:
    """One benchmark. Times are seconds since its start; `steps` counts those that decode."""

    def __init__(self, asked: Sequence[tuple[int, int]], users: int, seconds: StepSeconds, scheduling: Scheduling):
        self.asked, self.seconds, self.scheduling = iter(asked), seconds, scheduling
        self.now_s, self.steps, self.polled_at, self.held_steps = 0.0, 0, 0, 0
        self.decoding: list[tuple[int, int, _Request]] = []  # by the step in which they end
        self.cached = 0.0  # tokens of all of them
        self.unseen: deque[_Request] = deque()  # sent, but the scheduler has not looked
        self.waiting: deque[_Request] = deque()
        self.first_s: list[float] = []
        self.token_s: list[float] = []
        self.busy_s = 0.0
        for _ in range(users):
            self._ask()

    def run(self) -> Observed:
        """Until every request has ended."""
        while self.decoding or self.waiting or self.unseen:
            self._look()
            if self._reads():
                self._read()
            elif self.decoding:
                self._decode(self._steps_until_change())
        count = len(self.first_s)
        decoded = self.busy_s / self.now_s
        return Observed(sum(self.first_s) / count, sum(self.token_s) / count, decoded)

    def _ask(self) -> None:
        length = next(self.asked, None)
        if length is not None:
            self.unseen.append(_Request(self.now_s, *length, unread=length[0]))

    def _look(self) -> None:
        """Takes over what has been sent, if it is time to."""
        if not self.decoding or self.steps - self.polled_at >= self.scheduling.poll_steps:
            self.waiting.extend(self.unseen)
            self.unseen.clear()
            self.polled_at = self.steps

    def _reads(self) -> bool:
        """Whether the next step reads prompts."""
        rules = self.scheduling
        if not self.waiting or (
            rules.max_requests is not None and len(self.decoding) >= rules.max_requests and not self._is_begun()
        ):
            return False
        if not self.decoding or self.held_steps >= rules.wait_steps:
            return True
        return self._is_worth_it()

    def _is_begun(self) -> bool:
        return self.waiting[0].unread < self.waiting[0].n_prompt

    def _is_worth_it(self) -> bool:
        rules = self.scheduling
        if len(self.waiting) < rules.groups:
            return False
        n_tokens = len(self.decoding)
        for each in self.waiting:
            n_tokens += each.unread
            if n_tokens >= rules.wait_share * rules.chunk_tokens:
                return True
        return False

    def _read(self) -> None:
        """One step with prompts, in the order in which they came."""
        rules, n_decoding = self.scheduling, len(self.decoding)
        room = rules.chunk_tokens * rules.groups - (n_decoding if rules.mixes_prompts else 0)
        places = (rules.max_requests or 10**9) - n_decoding
        n_tokens, done = 0, []
        while self.waiting and places > 0:
            each = self.waiting[0]
            if n_tokens and (room <= 0 or (each.unread > room and not rules.splits_prompts)):
                break
            taken = min(each.unread, max(room, 1)) if rules.splits_prompts else each.unread
            each.unread -= taken
            n_tokens, room = n_tokens + taken, room - taken
            if each.unread:
                break
            places -= 1
            done.append(self.waiting.popleft())
        self.held_steps = 0
        mixed = n_decoding if rules.mixes_prompts else 0
        took_s = self.seconds.reading(mixed, n_tokens)
        self.busy_s += n_decoding * took_s
        self.now_s += took_s
        if mixed:
            self.steps += 1
            self.cached += mixed
        for each in done:
            self._begin(each)
        self._end_those_due()
        self.polled_at = self.steps - self.scheduling.poll_steps  # it looks after each of these

    def _begin(self, request: _Request) -> None:
        request.first_s = self.now_s
        self.first_s.append(self.now_s - request.arrived_s)
        self.cached += request.n_prompt
        heappush(self.decoding, (self.steps + request.n_answer - 1, len(self.first_s), request))

    def _steps_until_change(self) -> int:
        rules = self.scheduling
        n_steps = self.decoding[0][0] - self.steps
        if self.unseen:
            n_steps = min(n_steps, self.polled_at + rules.poll_steps - self.steps)
        if self.waiting and (rules.max_requests is None or len(self.decoding) < rules.max_requests):
            held = min(n_steps, rules.wait_steps - self.held_steps)
            self.held_steps += max(held, 1)
            n_steps = held
        return max(n_steps, 1)

    def _decode(self, n_steps: int) -> None:
        n_decoding = len(self.decoding)
        took_s = self.seconds.decoding(n_decoding, self.cached, n_steps)
        self.busy_s += n_decoding * took_s
        self.now_s += took_s
        self.steps += n_steps
        self.cached += n_decoding * n_steps
        self._end_those_due()

    def _end_those_due(self) -> None:
        while self.decoding and self.decoding[0][0] <= self.steps:
            _, _, request = heappop(self.decoding)
            self.cached -= request.n_prompt + request.n_answer - 1
            self.token_s.append((self.now_s - request.first_s) / (request.n_answer - 1))
            self._ask()


def observe(
    asked: Sequence[tuple[int, int]], users: int, seconds: StepSeconds, scheduling: Scheduling
) -> Observed:
    """What *users* see who ask for *asked* (tokens of prompt and of answer), the next as soon as one has its answer."""
    return _Loop(asked, users, seconds, scheduling).run()
