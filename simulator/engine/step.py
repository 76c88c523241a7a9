"""The engine: a model in memory that decodes one token of every sequence at a time, and says what it read for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from simulator.engine import cpu
from simulator.engine.assembly.tape import Assembly
from simulator.engine.cache_formats import cache_format
from simulator.engine.embedding import embedding_tape
from simulator.engine.network import COMPONENTS, Limits, Network
from simulator.engine.opened import check_kinds, open_source
from simulator.engine.routing import Routing
from simulator.engine.slow_layers import SlowLayers
from simulator.engine.team import Tape, Team, idle_tape
from simulator.engine.weights import Loaded, Progress, load
from simulator.errors import InputError
from simulator.machine.threads import threads_here
from simulator.spec.arguments import expect_method, integers, whole
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import Model
from simulator.spec.quant import Weights
from simulator.spec.sparsity import Sparsity, parse_sparsity
from simulator.spec.workload import MAX_BATCH, MAX_CONTEXT
from simulator.units import counted

PROMPT_ROWS = 16  # tokens of a prompt that go through the weights together, unless told otherwise
MOST_TOGETHER = 4096
DEFAULT_CONTEXT = 4096
MAX_SEED = 2**63 - 1
_EMPTY_RUNS = 10

Chosen = tuple[np.ndarray, ...]  # of each layer with experts, those of all tokens: int64 [tokens * active]


@dataclass(frozen=True)
class Read:
    """Bytes that one step read, by component, as the kernels counted them."""

    attention: int
    ffn: int
    router: int
    experts: int
    shared: int
    head: int
    cache: int
    state: int  # of layers with one: read, and written back
    embedding: int  # rows looked up
    vectors: int  # norms and biases

    @property
    def weights(self) -> int:
        """All but what is kept of past tokens."""
        return self.total - self.cache - self.state

    @property
    def total(self) -> int:
        """Everything."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Step:
    """What one step put out."""

    logits: np.ndarray  # float32 [tokens, vocab]
    count_read: Callable[[], Read]  # what it counted, put together for whoever asks: a step has no time for it
    experts: tuple[np.ndarray, ...]  # of each layer with experts, those chosen: int64 [tokens, active]
    seconds: dict[str, float] | None = None  # by part of the model, where a clock was given

    @cached_property
    def read(self) -> Read:
        """Bytes that it read."""
        return self.count_read()

    @cached_property
    def distinct_experts(self) -> tuple[int, ...]:
        """How many different experts each layer touched."""
        return tuple(len(np.unique(chosen)) for chosen in self.experts)


class Engine:
    """A model ready to decode.

    Args:
        model: a GGUF file, whose weights are read; or a model of any other kind (a shipped name, a YAML ...), whose
            weights are drawn at random.
        threads: how many; None is one for each core, as far as a quota of this process goes. More are refused.
        batch: sequences that can be decoded together.
        context: tokens that each sequence can have.
        weights: format of random weights.
        cache: "f16", "f32", "q8_0" or "q4_0".
        convert: a format that tensors of a file are turned into where their own has no kernel.
        sparsity: the zero inputs of the linear layers, such as "q-sparse:0.5": only the largest inputs are kept, and the
            weights of the others are not read.
        path: name of a CPU path; None is the best one.
        seed: of random weights.
        ubatch: tokens that go through the weights together, such as those of a prompt; at least as many as sequences.
        slow: layers that are read as from a slower memory.
        experts_in: a folder on a disk, where experts are kept in a file and read from a map of it as they are chosen.
        progress: called with (bytes loaded, bytes in all).
        team: threads of somebody else's to work with, in place of threads of its own.

    Raises InputError if the model cannot be run, or does not fit.
    """

    def __init__(
        self,
        model: str | Path | Model,
        *,
        threads: int | None = None,
        batch: int = 1,
        context: int | None = None,
        weights: str | Weights = "q8_0",
        cache: str = "f16",
        convert: str | None = None,
        sparsity: str | Sparsity | None = None,
        path: str | None = None,
        seed: int = 0,
        ubatch: int = PROMPT_ROWS,
        slow: SlowLayers | None = None,
        experts_in: str | Path | None = None,
        progress: Progress | None = None,
        team: Team | None = None,
    ):
        texts = {"cache": cache, "convert": convert, "path": path}
        check_kinds(model, weights, texts, sparsity, progress, team=team, slow=slow, experts_in=experts_in)
        context = context if context is None else whole("context", context, 1, MAX_CONTEXT)
        batch, seed = whole("batch", batch, 1, MAX_BATCH), whole("seed", seed, 0, MAX_SEED)
        ubatch = whole("ubatch", ubatch, 1, MOST_TOGETHER)
        cache_format(cache)
        self.cpu = cpu.choose(path)
        self.n_threads = team.n_threads if team else threads_here(threads)
        self.model, self.recipe, self.source = open_source(model, weights, seed, convert)
        longest = self.model.max_context or DEFAULT_CONTEXT
        self.context = context or min(longest, DEFAULT_CONTEXT)
        if self.context > (self.model.learned_positions or self.context):
            raise InputError(
                f"{self.model.name}: a context of {counted(self.context, 'token')} is more than the {self.model.learned_positions:,} "
                "positions that the model has learned; give a smaller one"
            )
        zeros = parse_sparsity(sparsity) if isinstance(sparsity, str) else sparsity
        if zeros and zeros.granularity != 1:
            raise InputError(f"sparsity {zeros.name}: the engine skips single columns, granularity must be 1")
        self.team, self._is_own_team = team or Team(self.n_threads), team is None
        start = time.perf_counter()
        try:
            self.loaded: Loaded = load(self.source, self.team, self.cpu, progress, _by_column(zeros), experts_in)
            self.load_seconds = time.perf_counter() - start
            rows = max(batch, min(ubatch, self.context))
            limits = Limits(rows, batch, self.context)
            self.network = Network(
                self.model, self.recipe, self.loaded, limits, self.n_threads, cache, is_sparse=zeros is not None
            )
            self.assembly = Assembly(self.network, self.cpu.name, zeros, slow)
            self.tape = self.assembly.tape
        except BaseException:
            self.close()
            raise
        self._is_closed = False
        self.lengths, self._longest = np.zeros((2, batch), np.int64)  # tokens each sequence has, and has had
        self._embedding = self.loaded.matrices[-1, "token_embd"]
        self._layers_table = self.loaded.matrices.get((-1, "per_layer_token_embd"))
        self._embedding_tape = embedding_tape(self.network, self._embedding, self.cpu.name, self._layers_table)
        self._has_experts = bool(self.model.experts)
        self._positions_table = self.loaded.matrices.get((-1, "position_embd"))

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads."""
        self._is_closed = True
        if self._is_own_team:
            self.team.close()

    # ---- decoding ----

    def decode(
        self,
        tokens: Sequence[int] | np.ndarray,
        sequences: Sequence[int] | np.ndarray | None = None,
        routing: Routing | Chosen | None = None,
        clock: Callable[[], float] | None = None,
        *,
        head: bool = True,
    ) -> Step:
        """One more token for each of some sequences, which goes through the whole network.

        Args:
            tokens: int [n], one for each sequence.
            sequences: int [n], numbers of the sequences; None is the first n. A sequence may stand several times, for
                tokens one after the other.
            routing: chooses experts in the router's stead; or what `choose` found.
            clock: times each part of the model on its own, which makes the whole step slower.
            head: whether logits are wanted; without them the step ends with the last layer.
        """
        tokens = integers("tokens", tokens)
        sequences = np.arange(tokens.size) if sequences is None else integers("sequences", sequences)
        self._check(tokens, sequences)
        if clock is not None:
            expect_method("clock", clock, ("__call__",), "a function that tells the seconds, or None")
        positions = self._positions(sequences)
        network, n = self.network, len(tokens)
        self.assembly.place(sequences, positions)
        network.buffers["ids"][:n] = tokens
        self.team.run(self._embedding_tape)
        if self.recipe.embedding_scale != 1.0:
            network.buffers["x"][:n] *= np.float32(self.recipe.embedding_scale)
        if self._positions_table:
            network.buffers["x"][:n] += self._positions_table.rows_of(positions)
        self._route(routing, n)
        tape = self.tape if head else self.assembly.tape_without_head
        seconds = self._run_by_part(clock) if clock else self.team.run(tape)
        self.lengths[sequences] = positions + 1  # of a sequence that stands several times, the last one counts
        self._longest[sequences] = np.maximum(self._longest[sequences], positions + 1)
        logits = network.buffers["logits"][: n if head else 0].copy()
        counted = network.buffers["read"].copy()
        return Step(logits, lambda: self._read(counted, n), self._chosen(n), seconds)

    def prompt(
        self,
        tokens: Sequence[int] | np.ndarray,
        sequence: int = 0,
        routing: Routing | None = None,
        seen: Callable[[Step], None] | None = None,
    ) -> Step:
        """Tokens of one sequence one after the other, several at a time; returns the step that holds the last.

        Args:
            routing: chooses experts in the router's stead.
            seen: is called with every step.
        """
        tokens = integers("tokens", tokens)
        if not tokens.size:
            raise InputError("a prompt needs at least one token")
        if tokens.ndim != 1:
            raise InputError(f"a prompt is one row of tokens, got an array of shape {tokens.shape}")
        step = None
        for start in range(0, len(tokens), self.network.limits.rows):
            part = tokens[start : start + self.network.limits.rows]
            is_last = start + len(part) == len(tokens)
            step = self.decode(part, np.full(len(part), sequence), routing, head=is_last)
            if seen is not None:
                seen(step)
        return step

    @property
    def most_together(self) -> int:
        """Tokens that one step can have."""
        return self.network.limits.rows

    def take_back(self, n_tokens: int, sequence: int = 0) -> None:
        """Forgets the last tokens of a sequence, as if they had never been decoded: drafted ones that were wrong.

        InputError where there are fewer, or where what a sliding window sees has been overwritten since.
        """
        n_tokens = whole("n_tokens", n_tokens, 0, MAX_CONTEXT)
        _check_range(np.array([sequence]), self.network.limits.sequences, "sequence {} is outside the batch of {:,}")
        if n_tokens > self.lengths[sequence]:
            raise InputError(
                f"{counted(n_tokens, 'token')} of a sequence of {self.lengths[sequence]:,} cannot be taken back"
            )
        if n_tokens:
            self.assembly.check_taken_back(int(self._longest[sequence] - self.lengths[sequence]) + n_tokens)
        self.lengths[sequence] -= n_tokens

    def reset(self) -> None:
        """Forgets all sequences."""
        self.lengths[:] = self._longest[:] = 0

    def pretend(self, n_tokens: int) -> None:
        """Makes every sequence *n_tokens* long, with whatever the cache holds: for timing at a depth, not for text."""
        if not 0 <= whole("n_tokens", n_tokens, -MAX_CONTEXT, MAX_CONTEXT) < self.context:
            raise InputError(f"a depth of {counted(n_tokens, 'token')} is outside the context of {self.context}")
        self.lengths[:] = self._longest[:] = n_tokens

    def fill_cache(self) -> None:
        """Puts something into every slot of the cache, so that memory stands behind it: for timing at a depth."""
        self.assembly.fill()

    def forget_experts(self) -> None:
        """Has the system let go of experts that are kept on a disk, so that the next step reads those it needs from there."""
        if self.loaded.mapped:
            self.loaded.mapped.forget()

    # ---- parts of a step ----

    @cached_property
    def _phases(self) -> tuple[tuple[str, Tape], ...]:
        """The tape cut into its phases, with the part of the model that each belongs to."""
        return tuple((phase[0].part, Tape([phase])) for phase in self.tape.phases)

    def _run_by_part(self, clock: Callable[[], float]) -> dict[str, float]:
        """Seconds by part, without what it takes to start a tape."""
        empty, seconds = idle_tape(1), dict.fromkeys((part for part, _ in self._phases), 0.0)
        start = clock()
        for _ in range(_EMPTY_RUNS):
            self.team.run(empty)
        idle = (clock() - start) / _EMPTY_RUNS
        for part, tape in self._phases:
            start = clock()
            self.team.run(tape)
            seconds[part] += max(0.0, clock() - start - idle)
        return seconds

    def _check(self, tokens: np.ndarray, sequences: np.ndarray) -> None:
        if self._is_closed:
            raise InputError("the engine is closed, open another one")
        limits = self.network.limits
        if tokens.ndim != 1 or tokens.shape != sequences.shape or not 1 <= len(tokens) <= limits.rows:
            raise InputError(
                f"{counted(tokens.size, 'token')} for {counted(sequences.size, 'sequence')}; 1 to {limits.rows} are possible"
            )
        _check_range(tokens, self.model.vocab, "token {} is outside the vocabulary of {:,}")
        _check_range(sequences, limits.sequences, "sequence {} is outside the batch of {:,}")

    def _positions(self, sequences: np.ndarray) -> np.ndarray:
        """Where each token comes to stand: after its sequence's last one, and after those before it in this step."""
        positions = self.lengths[sequences]
        if len(sequences) > 1:
            earlier = (sequences[None, :] == sequences[:, None]) & np.tri(len(sequences), k=-1, dtype=bool)
            positions += earlier.sum(axis=1)
        if positions.max() >= self.context:
            raise InputError(f"the context of {counted(self.context, 'token')} is full; give a larger one")
        return positions

    def choose(self, routing: Routing, n: int) -> Chosen:
        """The experts that a routing picks for *n* tokens, for `decode`; InputError if they are not such as the model uses."""
        chosen = []
        for index, ffn in self.network.expert_layers():
            found = np.asarray(routing(index, n, ffn.n_experts, ffn.n_active), np.int64)
            _check_routing(found, n, ffn)
            chosen.append(found.reshape(-1))
        return tuple(chosen)

    def _route(self, routing: Routing | Chosen | None, n: int) -> None:
        if not self._has_experts:
            return
        buffers = self.network.buffers
        buffers["forced"][0] = routing is not None
        if routing is None:
            return
        if not isinstance(routing, tuple):
            expect_method("routing", routing, ("__call__",), "a function, what choose found, or None")
        chosen = routing if isinstance(routing, tuple) else self.choose(routing, n)
        layers = list(self.network.expert_layers())
        if len(chosen) != len(layers):
            raise InputError(f"routing: {len(chosen)} layers were chosen for, the model has {len(layers)} with experts")
        for (index, ffn), experts in zip(layers, chosen, strict=True):
            if experts.shape != (n * ffn.n_active,) or not 0 <= experts.min() <= experts.max() < ffn.n_experts:
                raise InputError(
                    f"routing: {n * ffn.n_active} of the model's {ffn.n_experts:,} experts are needed in layer {index}; "
                    "take what choose finds"
                )
            buffers["chosen"][index][: len(experts)] = experts

    def _chosen(self, n: int) -> tuple[np.ndarray, ...]:
        if not self._has_experts:
            return ()
        return tuple(
            self.network.buffers["chosen"][index][: n * ffn.n_active].reshape(n, -1).copy()
            for index, ffn in self.network.expert_layers()
        )

    def _read(self, counted: np.ndarray, n: int) -> Read:
        """What a step of n tokens read; *counted*: int64 [components, threads, 8]."""
        found = {name: int(value) for name, value in zip(COMPONENTS, counted.sum(axis=(1, 2)), strict=True)}
        tables = [table for table in (self._embedding, self._positions_table, self._layers_table) if table]
        rows = n * sum(table.layout.row_bytes(table.columns) for table in tables)
        return Read(**found, embedding=rows, vectors=self.loaded.vector_bytes)


def _check_range(numbers: np.ndarray, end: int, message: str) -> None:
    wrong = numbers[(numbers < 0) | (numbers >= end)]
    if len(wrong):
        raise InputError(message.format(wrong[0], end))


def _check_routing(chosen: np.ndarray, n: int, ffn: Experts) -> None:
    """InputError unless each of n tokens has as many different experts as the model uses."""
    if chosen.shape != (n, ffn.n_active):
        raise InputError(f"routing: experts of shape {chosen.shape} were chosen, ({n}, {ffn.n_active}) is needed")
    _check_range(chosen.reshape(-1), ffn.n_experts, "routing: expert {} is none of the model's {:,}")
    if (np.diff(np.sort(chosen, axis=1), axis=1) == 0).any():
        raise InputError(f"routing: a token has an expert twice, {ffn.n_active} different ones are needed")


def _by_column(zeros: Sparsity | None) -> Callable[[str], bool]:
    """Which roles have zero inputs to skip."""
    return lambda role: bool(zeros and zeros.zeros(role))
