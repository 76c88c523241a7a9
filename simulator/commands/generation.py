"""What the command `generate` runs: the engine on a prompt or on random weights, its text as it comes, and what it took."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.commands.recording import check_recording, write_record
from simulator.engine.compiled import when_compiling
from simulator.engine.generate import Generation, generate
from simulator.engine.mapped_experts import ExpertMap
from simulator.engine.routing import choose_experts
from simulator.engine.speculate import generate_drafted, parse_draft
from simulator.engine.step import MOST_TOGETHER, Engine
from simulator.engine.text.tokenizer import Tokenizer
from simulator.engine.text.vocabulary import load_tokenizer
from simulator.errors import InputError, plain_text
from simulator.importers.open import load_model
from simulator.interrupts import end_interrupted, noticed
from simulator.machine.threads import threads_here
from simulator.probe.read import reading_speed
from simulator.report.generated import Generated, generated_record, print_generated
from simulator.report.progress import progress_bar
from simulator.report.record import write_json
from simulator.report.screen import is_screen, print_line
from simulator.units import counted, format_bytes

MAX_TOKENS = 1_000_000
N_LOOKS = 3  # at the memory's speed, right after generating
COMPILING_S = 2.0  # a start that takes longer is explained
COMPILING = "compiling, only once"  # short: it stands beside the bar
COMPILING_LINE = "compiling kernels, once on this processor, up to a minute"  # where there is no bar


@dataclass(frozen=True)
class Request:
    """What the command was asked for."""

    model: str
    prompt: str | None
    n_tokens: int
    threads: int | None
    context: int | None
    temperature: float
    seed: int
    chat: bool
    weights: str | None
    cache: str
    ubatch: int
    speculate: str | None
    experts_in: str | None
    convert: str | None
    routing: str
    record_routing: str | None
    json: str | None

    def __post_init__(self):
        if not 1 <= self.n_tokens <= MAX_TOKENS:
            raise InputError(f"--tokens {self.n_tokens:,}: between 1 and {MAX_TOKENS:,} are possible")
        threads_here(self.threads, "--threads")
        if self.context is not None and not 1 <= self.context <= MAX_TOKENS:
            raise InputError(f"--context {self.context:,}: between 1 and {MAX_TOKENS:,} are possible")
        if not 0 <= self.temperature <= 100:
            raise InputError(f"--temperature {self.temperature:g}: between 0 and 100 is possible")
        if self.experts_in is not None and not Path(self.experts_in).is_dir():
            raise InputError(f"--experts-in {self.experts_in}: this is no folder, give one that there is")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: a number of at least 0 is needed")
        if not 1 <= self.ubatch <= MOST_TOGETHER:
            raise InputError(f"--ubatch {self.ubatch:,}: between 1 and {MOST_TOGETHER:,} are possible")
        if self.speculate is not None:
            self._check_speculation()

    def _check_speculation(self) -> None:
        drafter = parse_draft(self.speculate)
        if self.temperature > 0:
            raise InputError(
                f"--speculate {self.speculate}: drafts are verified by the likeliest token, leave --temperature out"
            )
        if self.routing.strip() != "own":
            raise InputError(f"--speculate {self.speculate}: the tokens must be the model's own, leave --routing out")
        if drafter.n_tokens >= self.ubatch:
            raise InputError(
                f"--speculate {self.speculate}: {drafter.n_tokens + 1} tokens go through the weights together, "
                f"--ubatch {self.ubatch} has no room for them, give it more or draft fewer"
            )


def run(request: Request) -> None:
    """Generates, prints, and writes JSON where that is asked for."""
    started = time.perf_counter()
    tokenizer = _tokenizer(request)
    check_recording(
        request.record_routing, request.routing, request.speculate, request.model, has_own_weights=tokenizer is not None
    )
    prompt = _prompt(tokenizer, request)
    context = request.context or len(prompt) + request.n_tokens
    if len(prompt) >= context:
        raise InputError(f"--context {context:,}: the prompt alone has {counted(len(prompt), 'token')}")
    with _engine(request, context) as engine:
        loaded = time.perf_counter()
        found = Generation(chosen=[] if request.record_routing else None)
        steps = _steps(engine, prompt, tokenizer, request, found)
        interrupted = _stream(steps, tokenizer, quiet=request.json == "-" or tokenizer is None)
        speeds = [] if interrupted else _reading_speeds(engine)
        if request.record_routing:
            write_record(request.record_routing, engine, prompt, found)
        _report(Generated(engine, tokenizer, found, speeds, loaded - started, interrupted), request.json)
    if interrupted:
        end_interrupted()


def _steps(
    engine: Engine, prompt: list[int], tokenizer: Tokenizer | None, request: Request, found: Generation
) -> Iterator[int]:
    """The tokens as they come, with drafts where they are asked for."""
    ends = tokenizer.end_tokens if tokenizer else frozenset()
    if request.speculate is not None:
        drafter = parse_draft(request.speculate)
        return generate_drafted(engine, prompt, request.n_tokens, drafter, end_tokens=ends, into=found)
    return generate(
        engine,
        prompt,
        request.n_tokens,
        temperature=request.temperature,
        seed=request.seed,
        end_tokens=ends,
        routing=choose_experts(request.routing, engine.model, request.seed),
        into=found,
    )


def _report(generated: Generated, json: str | None) -> None:
    """JSON where it is asked for, and lines unless JSON takes the standard output."""
    if json is not None:
        write_json(generated_record(generated), json)
    if json != "-":
        print_generated(generated)


def _tokenizer(request: Request) -> Tokenizer | None:
    """That of a GGUF file, None where weights are drawn; InputError where the request does not suit the one or the other."""
    loaded = load_model(request.model)
    if loaded.path is None:
        _refuse_words(request)
        return None
    tokenizer = load_tokenizer(loaded.path)
    _check_vocabulary(loaded.path, loaded.model.vocab, tokenizer)
    if request.weights:
        raise InputError(f"--weights {request.weights}: {request.model} has weights of its own, leave it out")
    return tokenizer


def _refuse_words(request: Request) -> None:
    """InputError where a model has random weights and is to read a text."""
    option = "--prompt" if request.prompt is not None else "--chat" if request.chat else None
    if option:
        raise InputError(
            f"{option}: {request.model} gets random weights, which know no words; give a GGUF file, or leave {option} out"
        )


def _reading_speeds(engine: Engine) -> list[float]:
    look = reading_speed(engine)
    return [look() for _ in range(N_LOOKS)]


def _check_vocabulary(path: Path, rows: int, tokenizer: Tokenizer) -> None:
    if rows != tokenizer.vocab:
        raise InputError(
            f"{path}: {counted(tokenizer.vocab, 'token')} for {counted(rows, 'row')} of the embedding: damaged"
        )


def _prompt(tokenizer: Tokenizer | None, request: Request) -> list[int]:
    if tokenizer is None:
        return [1]
    text = request.prompt or ""
    tokens = tokenizer.encode_chat(text) if request.chat else tokenizer.encode(text)
    if not tokens:
        tokens = [tokenizer.bos if tokenizer.bos is not None else min(tokenizer.end_tokens, default=0)]
    return tokens


@contextmanager
def _engine(request: Request, context: int) -> Iterator[Engine]:
    """The engine, with a bar on the terminal while it loads."""
    with _loading() as progress:
        engine = Engine(
            request.model,
            threads=request.threads,
            context=context,
            weights=request.weights or "q8_0",
            cache=request.cache,
            ubatch=request.ubatch,
            experts_in=request.experts_in,
            convert=request.convert,
            seed=request.seed,
            progress=progress,
        )
    for note in (*engine.recipe.notes, *_of_experts(engine.loaded.mapped)):
        print_line(f"note: {note}", stream=sys.stderr)
    with engine:
        yield engine


def _of_experts(mapped: ExpertMap | None) -> Iterator[str]:
    """Where experts take room on a disk."""
    if mapped:
        yield f"experts are kept in {mapped.path} ({format_bytes(mapped.nbytes)}), which a later start reads as it is"
        if mapped.removed_bytes:
            yield f"one that was made of an earlier file, or by another roofcast, is removed ({format_bytes(mapped.removed_bytes)})"


@contextmanager
def _loading() -> Iterator[Callable[[int, int], None]]:
    """Takes bytes done and bytes in all, for a bar on a terminal; it, or a line elsewhere, says what takes so long the first time."""
    share, notices = 0.0, []

    def later(tell: Callable[[], None]) -> None:
        notices.append(threading.Timer(COMPILING_S, tell))
        notices[-1].daemon = True
        notices[-1].start()

    def told_without_bar() -> None:
        if not is_screen(sys.stderr):
            later(lambda: print_line(COMPILING_LINE, stream=sys.stderr))

    with progress_bar("loading") as progress, when_compiling(told_without_bar):

        def told(done: int, total: int) -> None:
            nonlocal share
            share = done / total if total else 1.0
            progress(share, "")

        later(lambda: progress(share, COMPILING))
        try:
            yield told
        finally:
            for notice in notices:
                notice.cancel()


def _stream(steps: Iterator[int], tokenizer: Tokenizer | None, quiet: bool) -> bool:
    """Prints text as it comes; returns whether it was interrupted."""
    stream = tokenizer.stream() if tokenizer else None
    shown = plain_text if sys.stdout.isatty() else str  # a terminal would obey what a model says, a file keeps it
    with noticed() as is_interrupted:
        for token in steps:
            if not quiet:
                print(shown(stream.feed(token)), end="", flush=True)
            if is_interrupted():
                break
        if not quiet:
            print(shown(stream.end()))
        return is_interrupted()
