"""What is asked of a server, and when: at random, by so many users who each wait for their answer, or as a trace has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.errors import InputError, printable
from simulator.importers.records import Record
from simulator.spec.arguments import between, expect, expect_path, whole
from simulator.spec.serving import MAX_USERS
from simulator.spec.textfiles import missing_told, parse_csv, read_text
from simulator.spec.workload import MAX_CONTEXT, expect_context
from simulator.traffic.ticks import TICKS_PER_S

MAX_REQUESTS = 1_000_000
USUAL_REQUESTS = 2_000
ROUNDS = 10  # of each user, where more than the usual requests are needed for that
FEWEST_ROUNDS = 2  # of each user, where more come to more than
MANY_REQUESTS = 20_000
LEAST_RATE, MOST_RATE = 1e-6, 1e6  # requests per second
MAX_SECONDS = 1e8  # three years, from the first request to the last
MAX_TIME = 1e11  # seconds since 1970 are fewer for three thousand years, milliseconds since then are more
MAX_NUMBER = 1e20
MAX_SEED = 2**63 - 1
COLUMNS = ("time", "prompt", "generate")


@dataclass(frozen=True)
class Demand:
    """Requests in the order in which they come. Without `asked` times, *users* ask: all at first, and each again with its answer."""

    prompts: tuple[int, ...]  # tokens
    answers: tuple[int, ...]
    asked: tuple[int, ...] | None = None  # ticks of a clock, ascending
    users: int = 0
    prefixes: tuple[tuple[str, int], ...] | None = (
        None  # whose beginning a prompt shares, and so many of its tokens; "": nobody's
    )
    rate_asked: float | None = (
        None  # requests per second in the mean, of which those that came are a draw; None: of no draw
    )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def longest(self) -> int:
        """Tokens of prompt and answer of the longest request."""
        return max(map(sum, zip(self.prompts, self.answers, strict=True)))

    @property
    def rate(self) -> float | None:
        """Requests per second; None where users wait for their answers, or all ask at once."""
        if not self.asked or not self.asked[-1]:
            return None
        # A trace begins with its first request: it has a gap fewer than requests.
        n_gaps = len(self) - (self.asked[0] == 0)
        return n_gaps * TICKS_PER_S / self.asked[-1]

    @property
    def load(self) -> float | None:
        """The rate by which it is known: that which was asked for, or without one that of the requests."""
        return self.rate_asked or self.rate

    def faster(self, times: float) -> Demand:
        """The same requests, coming so many times as fast."""
        times = between("times", times, 1e-12, 1e12)
        if self.asked is None:
            raise InputError("demand must be of requests that come by themselves, not of users who wait for answers")
        return Demand(self.prompts, self.answers, tuple(int(each / times) for each in self.asked), 0, self.prefixes,
                      self.rate_asked and times * self.rate_asked)  # fmt: skip

    def at_once(self, n: int) -> Demand:
        """So many, all at the beginning: the first of them, or all in turn until there are enough."""

        n = whole("n", n, 1, MAX_REQUESTS)

        def in_turn(values: tuple) -> tuple:
            return (values * -(-n // len(values)))[:n]

        prefixes = self.prefixes and in_turn(self.prefixes)
        return Demand(in_turn(self.prompts), in_turn(self.answers), (0,) * n, 0, prefixes)


def at_random(
    rate: float, prompt: int, generate: int, *, requests: int | None = None, prefix: int = 0, seed: int = 0
) -> Demand:
    """Requests that come independently of each other (a Poisson process), *rate* of them per second in the mean.

    Args:
        prefix: tokens with which every prompt begins alike.
        seed: the same one gives the same times.
    """
    rate = between("rate", rate, LEAST_RATE, MOST_RATE)
    n = whole("requests", USUAL_REQUESTS if requests is None else requests, 1, MAX_REQUESTS)
    gaps = np.random.default_rng(whole("seed", seed, 0, MAX_SEED)).exponential(1.0, n)
    times = np.cumsum(gaps) / rate
    if times[-1] > MAX_SECONDS:
        raise InputError(
            f"requests must be fewer: {n:,} at {rate:g} per second take {times[-1]:.3g} seconds, at most {MAX_SECONDS:.0e} are simulated"
        )
    asked = tuple(int(each * TICKS_PER_S) for each in times.tolist())
    return Demand(*_lengths(n, prompt, generate), asked, prefixes=_shared(n, prompt, prefix), rate_asked=rate)


def by_users(users: int, prompt: int, generate: int, *, requests: int | None = None, prefix: int = 0) -> Demand:
    """So many *users* who ask at once, and each again as soon as it has its answer.

    Args:
        requests: of all of them, more than users; None: 2,000, or ten of each, or two of each where ten come to more than 20,000.
        prefix: tokens with which every prompt begins alike.
    """
    users = whole("users", users, 1, MAX_USERS)
    if requests is not None and whole("requests", requests, 1, MAX_REQUESTS) <= users:
        raise InputError(
            f"requests must be more than the {users:,} users, whose first ones come all at once and are left out of the times; "
            f"got {requests:,}"
        )
    n = usual_requests(users) if requests is None else requests
    return Demand(*_lengths(n, prompt, generate), users=users, prefixes=_shared(n, prompt, prefix))


def usual_requests(users: int) -> int:
    """How many are simulated of so many users where nobody says it."""
    return max(USUAL_REQUESTS, min(ROUNDS * users, max(MANY_REQUESTS, FEWEST_ROUNDS * users)))


def of_lengths(pairs: Sequence[tuple[int, int]], users: int) -> Demand:
    """The same with a length of its own for each prompt and answer."""
    return Demand(*map(tuple, zip(*pairs, strict=True)), users=users)


def of_trace(path: str | Path) -> Demand:
    """A CSV with a row for each request: `time` in seconds, tokens of `prompt` and `generate`; perhaps `prefix` and `prefix_tokens`.

    Rows that share a `prefix`, a name, begin with the same `prefix_tokens`. InputError says what is missing or wrong, by line.
    """
    expect_path("trace", path)
    path = Path(path)
    columns, rows = parse_csv(read_text(path), path, MAX_REQUESTS)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise InputError(f"{path}: {missing_told(columns, missing)}: a trace has {', '.join(COLUMNS)}, "
                         "and where prompts begin alike prefix and prefix_tokens")  # fmt: skip
    found = [_traced(Record(f"{path}:{line}", "", row)) for line, row in rows]
    if not found:
        raise InputError(f"{path}: no request is in it: give each a row of {', '.join(COLUMNS)}, such as 0.5,1024,256")
    found.sort(key=lambda each: each[0])
    first, last = found[0][0], found[-1][0]
    if last - first > MAX_SECONDS:
        raise InputError(
            f"{path}: the last request comes {last - first:,.0f} seconds after the first, at most {MAX_SECONDS:,.0f} are simulated: "
            "is time in seconds?"
        )
    asked = tuple(round((time - first) * TICKS_PER_S) for time, *_ in found)
    prefixes = tuple((name, n) for *_, name, n in found)
    return Demand(tuple(each[1] for each in found), tuple(each[2] for each in found), asked, 0,
                  prefixes if any(n for _, n in prefixes) else None)  # fmt: skip


def _traced(record: Record) -> tuple[float, int, int, str, int]:
    prompt, generate = record.count("prompt", 1, MAX_CONTEXT), record.count("generate", 1, MAX_CONTEXT)
    if prompt + generate > MAX_CONTEXT:
        raise InputError(
            f"{record.where}: prompt {prompt:,} and generate {generate:,} are more than the {MAX_CONTEXT:,} tokens of any context"
        )
    prefix = record.text("prefix")
    shared = record.count("prefix_tokens", 0, MAX_CONTEXT, default=0)
    if shared > prompt:
        raise InputError(
            f"{record.where}: prefix_tokens is {shared:,}, the whole prompt has {prompt:,} tokens; correct the row"
        )
    if shared and not prefix:
        raise InputError(
            f"{record.where}: prefix_tokens is {shared:,} and prefix is missing: name what they are shared with"
        )
    if prefix and not record.text("prefix_tokens"):
        raise InputError(
            f"{record.where}: prefix is {printable(prefix, 30)} and prefix_tokens is missing: say how many tokens it has, 0 for none"
        )
    time = record.number("time", 0, MAX_NUMBER)
    if time > MAX_TIME:
        raise InputError(
            f"{record.where}: time is {time:,.0f}: are those milliseconds? seconds are needed, from any moment on"
        )
    return time, prompt, generate, prefix, shared


def _lengths(n: int, prompt: int, generate: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    prompt, generate = whole("prompt", prompt, 1, MAX_CONTEXT), whole("generate", generate, 1, MAX_CONTEXT)
    expect_context(prompt, generate)
    return (prompt,) * n, (generate,) * n


def _shared(n: int, prompt: int, prefix: int) -> tuple[tuple[str, int], ...] | None:
    if whole("prefix", prefix, 0, MAX_CONTEXT) > prompt:
        raise InputError(f"prefix must be at most the prompt's {prompt:,} tokens, got {prefix:,}")
    return (("all", prefix),) * n if prefix else None


def expect_demand(demand: Demand) -> None:
    """InputError for anything but a Demand."""
    expect("demand", demand, Demand, "a Demand, as at_random, by_users or of_trace make one")
