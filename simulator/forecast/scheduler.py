"""The rules by which a server decides what its next step does, for whoever goes through steps: `closed_loop.py` and `traffic/`."""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import Any, Protocol

from simulator.spec.serving import Scheduling


class Asked(Protocol):
    """A request as the rules see it."""

    unread: int  # tokens of its prompt that no step has read
    begun: bool  # whether some have been read


class Scheduler:
    """What was sent and what waits, and how many steps there were; whoever uses it keeps the time, and those that decode.

    A cache that can be full is none of these rules: a class with one says in `look_up`, `has_room` and `hold` what it has and has room for.
    """

    def __init__(self, rules: Scheduling):
        self.rules = rules
        self.steps, self.looked_at, self.held_steps = 0, 0, 0  # that decode; of which prompts are held back
        self.n_decoding = 0
        self.sent: deque[Any] = deque()  # at which the scheduler has not looked
        self.waiting: deque[Any] = deque()

    def look(self) -> None:
        """What was sent waits from now on, if it is time to look; of steps that were taken together it had looked between them, too."""
        passed = self.steps - self.looked_at
        self.looked_at += passed - passed % self.rules.poll_steps
        if not self.n_decoding or (passed and self.looked_at == self.steps):
            self.waiting.extend(self.sent)
            self.sent.clear()
            self.looked_at = self.steps

    def has_place(self) -> bool:
        """Whether the first that waits may be among those that run, and its cache has room."""
        if not self.waiting:
            return False
        return (self.waiting[0].begun or self.is_open) and self.has_room(self.waiting[0])

    @property
    def is_open(self) -> bool:
        """Whether it takes one more request."""
        return self.rules.max_requests is None or self.n_decoding < self.rules.max_requests

    def look_up(self, _request: Any) -> None:
        """Finds out what of a prompt need not be read."""

    def has_room(self, _request: Any) -> bool:
        """Whether the cache has room for what the next step would read of a request."""
        return True

    def hold(self, _request: Any, _n_tokens: int) -> bool:
        """Takes room in the cache for so many more tokens of a request; False where there is none."""
        return True

    def reads(self) -> bool:
        """Whether the next step reads prompts."""
        if not self.has_place():
            return False
        return not self.n_decoding or self.held_steps >= self.rules.wait_steps or self._are_enough()

    def _are_enough(self) -> bool:
        """Whether so much waits that none of it is held back any longer."""
        if len(self.waiting) < self.rules.groups:
            return False
        # Each has a token at least, so that it ends after as many as a step has room for, however many wait.
        n_tokens = accumulate((each.unread for each in self.waiting), initial=self.n_decoding)
        return any(found >= self.rules.wait_share * self.rules.chunk_tokens for found in n_tokens)

    @property
    def n_beside(self) -> int:
        """Requests that decode in a step that reads prompts."""
        return self.n_decoding if self.rules.mixes_prompts else 0

    @property
    def room(self) -> int:
        """Tokens of prompts for which a step has room."""
        return self.rules.chunk_tokens * self.rules.groups - self.n_beside

    def wanted(self, request: Asked, room: int) -> int:
        """Tokens of a prompt that a step with so much room reads, if it reads any of it."""
        return min(request.unread, max(room, 1)) if self.rules.splits_prompts else request.unread

    def take(self) -> list[tuple[Any, int]]:
        """Of prompts the tokens that the next step reads, in the order in which they came; those read to their end wait no more."""
        room, most = self.room, self.rules.max_requests
        places = len(self.waiting) if most is None else max(most - self.n_decoding, 1)
        taken: list[tuple[Any, int]] = []
        while self.waiting and places:
            first = self.waiting[0]
            self.look_up(first)
            if taken and (room < 1 or (first.unread > room and not self.rules.splits_prompts)):
                break
            n_tokens = self.wanted(first, room)
            if not self.hold(first, n_tokens):
                break
            first.unread -= n_tokens
            first.begun = True
            room -= n_tokens
            taken.append((first, n_tokens))
            if first.unread:
                break
            self.waiting.popleft()
            places -= 1
        return taken

    def has_read(self) -> None:
        """A step that read prompts is over, in which those beside got a token, too."""
        self.held_steps = 0
        self.steps += self.n_beside > 0
        self.looked_at = self.steps - self.rules.poll_steps  # it looks after each of these

    def steps_alike(self, most: int) -> int:
        """So many steps without prompts pass until the scheduler does something else; at most *most*."""
        if self.sent:
            most = min(most, self.looked_at + self.rules.poll_steps - self.steps)
        if self.has_place():  # and is held back
            most = min(most, self.rules.wait_steps - self.held_steps)
        return most

    def has_decoded(self, n_steps: int) -> None:
        """So many steps without prompts are over."""
        self.held_steps += n_steps if self.rules.wait_steps and self.has_place() else 0
        self.steps += n_steps
