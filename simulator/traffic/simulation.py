"""A server and its requests as a discrete-event simulation on simpy: requests arrive, the server takes one step after the other.

Between two events (a request comes or ends, a prompt is read, a page is missing) steps differ only by the tokens that caches grow by, so
they are taken together; `one_by_one` takes each by itself, to the same end.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from simulator.forecast.scheduler import Scheduler
from simulator.progress import Progress
from simulator.spec.serving import Scheduling
from simulator.traffic.budget import budget_of
from simulator.traffic.cache import Cache, Room
from simulator.traffic.demand import Demand
from simulator.traffic.ticks import StepTicks

TOLD_EVERY = 512  # stretches
MOST_NOTES = 4096


@dataclass(slots=True)
class Request:
    """One request on its way. Times are ticks; what is not yet is -1."""

    number: int
    asked: int
    n_prompt: int
    n_answer: int
    prefix: str = ""
    n_shared: int = 0  # tokens with which its prompt begins as others do
    unread: int = 0
    begun: bool = False
    let_in: int = -1  # when the first of its tokens was read
    first: int = -1
    ended: int = -1
    given: int = 0  # tokens of its answer
    hit: int = 0  # tokens of the prompt that the cache had, when it was begun
    kept: int = 0  # tokens whose pages are those of a beginning that it uses
    uses_prefix: bool = False
    ends: int = 0  # step with which it has its answer
    pages: int = 0  # that are its own
    put_back: int = 0  # how often
    is_out: bool = False  # put back, and nothing is read of it again
    epoch: int = 0  # counts those who decode, so that a request that was put back is not taken for another

    @property
    def n_tokens(self) -> int:
        """Tokens that have to be in the cache before its next one comes."""
        return self.n_prompt + self.given


@dataclass
class Tally:
    """What is summed up over time, in ticks, and how it went."""

    reading: int = 0
    decoding: int = 0
    batch: int = 0  # times requests that run
    cache: int = 0  # times pages
    no_page: int = 0  # while somebody waits for the cache
    no_place: int = 0  # while somebody waits for one of the server's places
    peak_batch: int = 0
    put_back: int = 0
    out: list[int] = field(default_factory=list)  # when requests were put back
    again: list[int] = field(default_factory=list)  # when they were let in again
    n_steps: int = 0
    now: tuple[int, int, int] = (0, 0, 0)  # since which tick: how many run, pages
    line: list[tuple[int, int, int]] = field(default_factory=list)  # the same over time, as often as a picture needs it
    notes: int = 0
    every: int = 1  # of the notes one so often is in the line

    def note(self, tick: int, n_running: int, n_pages: int) -> None:
        """How it is from now on."""
        since, run, pages = self.now
        self.batch += run * (tick - since)
        self.cache += pages * (tick - since)
        self.peak_batch = max(self.peak_batch, n_running)
        self.now = (tick, n_running, n_pages)
        if self.notes % self.every == 0:
            self.line.append(self.now)
            if len(self.line) > MOST_NOTES:
                self.line, self.every = self.line[::2], 2 * self.every
        self.notes += 1


class Server(Scheduler):
    """The server, a process; `arrivals` is the other one."""

    def __init__(
        self,
        env: Any,
        demand: Demand,
        ticks: StepTicks,
        room: Room,
        rules: Scheduling,
        reserves: bool,
        progress: Progress,
    ):
        super().__init__(rules)
        self.env, self.ticks, self.cache, self.reserves, self.progress = (
            env,
            ticks,
            Cache(room, not reserves),
            reserves,
            progress,
        )
        self.requests = [_request(demand, number) for number in range(len(demand))]
        self.coming = deque(self.requests)
        self.decoding: list[tuple[int, int, int, Request]] = []  # the step in which each ends, its number and epoch
        self.running: OrderedDict[int, Request] = OrderedDict()  # those that decode, in the order in which they began
        self.cached, self.n_ended, self.tally = 0, 0, Tally()
        self.budget = budget_of(demand, room, rules)
        self.has_users, self.one_by_one, self.is_waiting = demand.asked is None, False, False
        for _ in range(demand.users):
            self._ask()
        self.process = env.process(self.serve())
        if not self.has_users:
            env.process(self.arrivals())

    def arrivals(self) -> Iterator[Any]:
        """Tells the server whenever a request comes that changes what it does next."""
        for request in self.requests:
            if request.asked > self.env.now:
                yield self.env.timeout(request.asked - self.env.now)
            if self.is_waiting and self.coming and self.coming[0].asked <= self.env.now:
                self.is_waiting = False
                self.process.interrupt()

    def serve(self) -> Iterator[Any]:
        """Until every request has ended."""
        while self.n_ended < len(self.requests):
            while self.coming and 0 <= self.coming[0].asked <= self.env.now:
                self.sent.append(self.coming.popleft())
            self.budget.spend(self.n_ended, self.tally.put_back)
            self._tell()
            self.look()
            if self.reads():
                yield from self._read()
            elif self.running:
                yield from self._decode()
            elif self.waiting:  # what was begun has no room to go on
                self._put_back()
            else:
                self._note()
                yield from self._wait(self.coming[0].asked - self.env.now)
        self._note()

    def _ask(self) -> None:
        if self.has_users and self.coming:
            request = self.coming.popleft()
            request.asked = self.env.now
            self.sent.append(request)

    def _wait(self, ticks: int) -> Iterator[Any]:
        """So long, or until somebody comes."""
        from simpy import Interrupt

        self.is_waiting = True
        with suppress(Interrupt):
            yield self.env.timeout(ticks)
        self.is_waiting = False

    # Which prompts have room: `Scheduler` asks.

    def has_room(self, request: Request) -> bool:
        """Whether there are pages for what the next step would read of a request, beside those that decode in it need."""
        self.look_up(request)
        return self._has(request, self._pages_for(request, self.wanted(request, self.room)))

    def hold(self, request: Request, n_tokens: int) -> bool:
        """Takes them."""
        n_pages = self._pages_for(request, n_tokens)
        if not self._has(request, n_pages):
            return False
        if not request.begun and request.kept:
            self.cache.use(request.prefix)
            request.uses_prefix = True
        self.cache.take(n_pages)
        request.pages += n_pages
        return True

    def _has(self, request: Request, n_pages: int) -> bool:
        beside = self.cache.growth(self.n_decoding, self.steps, 1) if self.n_beside else 0
        claimed = 0 if request.begun or not request.kept else self.cache.unused(request.prefix)
        return self.cache.has(n_pages + claimed + beside)

    def look_up(self, request: Request) -> None:
        """Of a prompt that nothing was read of, what of it the cache has."""
        if request.begun:
            return
        room, prefix = self.cache.room, self.cache.prefixes.get(request.prefix)
        request.kept = 0
        if prefix is not None:
            n_pages = min(request.n_shared // room.page_tokens, prefix.pages)
            whole = room.pages_of(request.n_prompt + request.n_answer) - n_pages
            # With nobody who could leave, a beginning that is longer than what is shared of it may be in the way.
            if self.running or self.cache.has(whole + self.cache.unused(request.prefix)):
                request.kept = n_pages * room.page_tokens
        # Of a prompt that is all there the last token is read again.
        request.unread = max(1, request.n_tokens - request.kept)
        request.hit = request.n_tokens - request.unread

    def _pages_for(self, request: Request, n_tokens: int) -> int:
        """Pages that a request needs more of its own for so many more tokens of its prompt."""
        room = self.cache.room
        shared = request.kept // room.page_tokens
        if self.reserves:
            return 0 if request.begun else room.pages_of(request.n_prompt + request.n_answer) - shared
        read = request.n_tokens - request.unread + n_tokens
        return room.pages_of(read) - shared - request.pages

    # Steps.

    def _read(self) -> Iterator[Any]:
        beside = self.n_beside
        taken = self.take()
        for each, _ in taken:
            each.let_in = self.env.now if each.let_in < 0 else each.let_in
            if each.is_out:
                self.tally.again.append(self.env.now)
                each.is_out = False
        parts = [(n_tokens, each.n_tokens - each.unread - n_tokens) for each, n_tokens in taken]
        ticks = self.ticks.reading(beside, self.cached, parts)
        self.tally.reading += ticks
        self.cache.take(self.cache.growth(beside, self.steps, 1) if beside else 0)
        self._note(len(taken))
        yield self.env.timeout(ticks)
        self.tally.n_steps += 1
        self.cached += beside
        self.has_read()
        for each, _ in taken:
            if not each.unread:
                self._begin(each)
        self._end()

    def _decode(self) -> Iterator[Any]:
        n = self.n_decoding
        while not self.cache.has(self.cache.growth(n, self.steps, 1)):
            self._put_back()
            n = self.n_decoding
        if not n:
            return
        self._note()
        piece = self.ticks.piece(n, self.cached)
        n_steps = 1 if self.one_by_one else self._alike(n, piece.end)
        ticks = piece.together(n, self.cached, n_steps)
        begun = self.env.now
        # One that comes changes them where it may be let in, or where the scheduler has to look for it in time.
        if n_steps > 1 and (not self.waiting or self.rules.poll_steps > 1 or self.has_place()):
            yield from self._wait(ticks)
            if self.env.now < begun + ticks:
                n_steps = self._steps_within(piece, n, self.env.now - begun, n_steps)
                ticks = piece.together(n, self.cached, n_steps)
                yield self.env.timeout(begun + ticks - self.env.now)
        else:
            yield self.env.timeout(ticks)
        self.tally.decoding += ticks
        if self.waiting and not self.has_place():
            is_for_place = not (self.waiting[0].begun or self.is_open)
            self.tally.no_place += ticks * is_for_place
            self.tally.no_page += ticks * (not is_for_place)
        self.tally.n_steps += n_steps
        self.cache.take(self.cache.growth(n, self.steps, n_steps))
        self.has_decoded(n_steps)
        self.cached += n * n_steps
        self._end()

    def _alike(self, n: int, end: int) -> int:
        """Steps until something else than a request that comes changes what they are."""
        if self.waiting and self.rules.wait_steps and self.cache.is_growing:
            return 1  # for what is held back there may be no room after any of them
        n_steps = self.steps_alike(self._next_end() - self.steps)
        n_steps = min(n_steps, max(1, -(-(end - self.cached) // n)))
        # One step that takes the pages of a beginning may change what of a prompt has to be read.
        return max(1, self.cache.steps_with_room(n, self.steps, n_steps))

    def _steps_within(self, piece: Any, n: int, ticks: int, most: int) -> int:
        """The fewest steps that take so long or longer."""
        low, high = 1, most
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if piece.together(n, self.cached, middle) >= ticks else (middle + 1, high)
        return low

    def _next_end(self) -> int:
        while self.decoding[0][2] != self.decoding[0][3].epoch:
            heappop(self.decoding)
        return self.decoding[0][0]

    def _begin(self, request: Request) -> None:
        """Its prompt is read, and the first token comes with that."""
        request.given += 1
        if request.first < 0:
            request.first = self.env.now
        self._share(request)
        if request.given == request.n_answer:
            self._leave(request)
            return
        in_cache = request.n_tokens - 1
        request.epoch += 1
        self.n_decoding += 1
        self.running[request.number] = request
        self.cached += in_cache
        self.cache.grows(in_cache, self.steps)
        request.ends = self.steps + request.n_answer - request.given
        heappush(self.decoding, (request.ends, request.number, request.epoch, request))

    def _share(self, request: Request) -> None:
        """What its prompt begins with is there for others from now on."""
        page_tokens, prefix = self.cache.room.page_tokens, self.cache.prefixes.get(request.prefix)
        n_pages, n_kept = request.n_shared // page_tokens, request.kept // page_tokens
        if n_pages <= n_kept or (prefix and (prefix.pages != n_kept or not request.uses_prefix)):
            return  # all of it is there, or somebody else was faster: both keep their own
        if prefix is None:
            self.cache.keep(request.prefix, n_pages)
        else:
            prefix.pages = n_pages
        request.pages -= n_pages - n_kept
        request.kept, request.uses_prefix = n_pages * page_tokens, True

    def _end(self) -> None:
        """Those that have all their tokens leave."""
        while self.decoding and self.decoding[0][0] <= self.steps:
            _, _, epoch, request = heappop(self.decoding)
            if epoch == request.epoch:
                self._stop(request, request.n_answer)
                self._leave(request)

    def _stop(self, request: Request, given: int) -> None:
        """It decodes no more, with so many tokens of its answer given."""
        in_cache = request.n_prompt + given - 1
        del self.running[request.number]
        self.n_decoding -= 1
        self.cached -= in_cache
        request.given = given
        request.epoch += 1
        self.cache.grows(in_cache, self.steps, -1)
        if not self.reserves:
            request.pages = self.cache.room.pages_of(in_cache) - request.kept // self.cache.room.page_tokens

    def _leave(self, request: Request) -> None:
        request.ended = self.env.now
        self._give_pages(request)
        self.n_ended += 1
        self._ask()

    def _tell(self) -> None:
        """How far it has come."""
        if self.budget.spent % TOLD_EVERY == 0:
            self.progress(self.n_ended / len(self.requests), f"{self.n_ended:,} of {len(self.requests):,} requests")

    def _give_pages(self, request: Request) -> None:
        self.cache.give_back(request.pages)
        request.pages = 0
        if request.uses_prefix:
            self.cache.leave(request.prefix)
        request.uses_prefix, request.kept = False, 0

    def _put_back(self) -> None:
        """Of those that have pages the one that came last gives them up, and is read again from its beginning.

        That is the first that waits where some of its prompt was read: behind it nobody has pages.
        """
        if not (self.waiting and self.waiting[0].begun):
            last = self.running[next(reversed(self.running))]
            self._stop(last, last.n_answer - (last.ends - self.steps))
            self.waiting.appendleft(last)
        request = self.waiting[0]
        self._give_pages(request)
        request.begun, request.unread = False, request.n_tokens
        request.put_back, request.is_out = request.put_back + 1, True
        self.tally.put_back += 1
        self.tally.out.append(self.env.now)

    def _note(self, n_reading: int = 0) -> None:
        # One of whose prompt some is read has its place also while no step reads of it.
        n_reading = n_reading or (len(self.waiting) > 0 and self.waiting[0].begun)
        self.tally.note(self.env.now, self.n_decoding + n_reading, self.cache.used)


def _request(demand: Demand, number: int) -> Request:
    prefix, n_shared = demand.prefixes[number] if demand.prefixes else ("", 0)
    asked = demand.asked[number] if demand.asked else -1
    prompt, answer = demand.prompts[number], demand.answers[number]
    return Request(number, asked, prompt, answer, prefix, n_shared, unread=prompt)
