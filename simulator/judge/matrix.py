"""The decodes that a machine is judged by: models of its size, every batch, formats, depths, routings and thread counts; prompts in
chunks, drafted tokens, experts on a disk, layers in a slower memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from simulator.machine.host import Host
from simulator.probe.sized import sized_model
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, weight_bytes
from simulator.units import MI, format_bytes

# Weights of the large models, in q8_0: no cache holds a part of them worth naming.
LEAST_LARGE, TIMES_CACHE = 192 * MI, 6
QUICK_LARGE = 48 * MI
SMALL_SHARE = 1 / 6  # of the last cache: the small model's weights
MEMORY_SHARE = 1 / 6  # of the free memory: bf16 needs twice the bytes, and loading some more
ROOM_SHARE = 1 / 2  # of the free memory: weights and cache of a case; looking at the machine and loading take some more
BATCHES = (1, 2, 4, 8, 16, 32)
SHALLOW = 128  # tokens in the cache where the depth does not matter
DENSE, MIXED = "dense", "moe-48x6"  # names of the models that are compared batch by batch
SLOW_GB_PER_S = 4.0  # of the memory that half of the layers are put into: slower than that of any machine here
MAX_CONTEXT = 2**20  # of the models: more than any case has


@dataclass(frozen=True)
class Case:
    """One decode that is timed and forecast."""

    model: Model = field(repr=False)
    weights: str
    batch: int = 1
    context: int = SHALLOW
    threads: int = 1
    routing: str = "uniform"
    sparsity: str | None = None
    tokens: int = 1  # of each sequence in a step
    verifies: bool = False  # whether these are drafted ones, each of which wants logits; else of a prompt
    on_disk: bool = False  # experts: none of them in memory when a step begins
    slow_layers: int = 0  # the first ones, read at SLOW_GB_PER_S

    @property
    def is_plain(self) -> bool:
        """Whether it is decoding, a token of each sequence, with all weights in memory."""
        return (self.tokens, self.on_disk, self.slow_layers) == (1, False, 0)

    @property
    def wants_logits(self) -> bool:
        """Whether the step ends with the head: of a chunk of a prompt nobody wants logits."""
        return self.tokens == 1 or self.verifies

    @property
    def ubatch(self) -> int:
        """Tokens that go through the weights together."""
        return self.batch * self.tokens

    @property
    def id(self) -> str:
        """A name that no other case of the matrix has."""
        parts = [self.model.name, self.weights, f"b{self.batch}", f"c{self.context}", f"t{self.threads}"]
        if self.model.experts:
            parts.append(self.routing)
        parts += [self.sparsity] if self.sparsity else []
        return " ".join([*parts, *self.particulars])

    @property
    def particulars(self) -> tuple[str, ...]:
        """What makes it something else than plain decoding, in few letters."""
        others = {
            f"{self.tokens} {'drafted' if self.verifies else 'of a prompt'}": self.tokens > 1,
            "experts on disk": self.on_disk,
            f"{self.slow_layers} slow layers": self.slow_layers,
        }
        return tuple(name for name, is_so in others.items() if is_so)


def make_matrix(host: Host, threads: int, cache_bytes: float, quick: bool = False) -> tuple[Case, ...]:
    """The cases for a machine, those that share a loaded model next to each other.

    *cache_bytes*: of the last cache. The quick matrix is a part of the full one, on smaller models.
    """
    room = _free(host) * MEMORY_SHARE
    large = QUICK_LARGE if quick else int(min(max(LEAST_LARGE, TIMES_CACHE * cache_bytes), room))
    models = (dense(large), moe(large), few_experts(large), small(int(max(MI, cache_bytes * SMALL_SHARE))))
    return tuple(_quick_cases(models, threads) if quick else _cases(models, threads))


def needed_bytes(case: Case) -> int:
    """Weights, and a cache of halves for every sequence at its depth."""
    width = sum(layer.attention.cache_width for layer in case.model.stack)
    return int(weight_bytes(case.model, parse_weights(case.weights))) + 2 * width * case.batch * case.context


def lack_of_memory(case: Case, host: Host) -> str:
    """Why a case cannot be run on a machine; empty where it can."""
    needed, room = needed_bytes(case), int(_free(host) * ROOM_SHARE)
    if needed <= room:
        return ""
    return f"takes {format_bytes(needed)} of memory, at most {format_bytes(room)} are for it"


def _free(host: Host) -> int:
    return host.available_bytes or 1024 * MI


def _cases(models: tuple[Model, Model, Model, Model], threads: int) -> Iterator[Case]:
    plain, mixed, few, little = models
    yield from _batches(Case(plain, "q8_0", threads=threads), BATCHES)
    yield from _depths(Case(plain, "q8_0", threads=threads), ((1, 2048), (8, 2048), (1, 8192), (4, 8192)))
    yield from _batches(Case(plain, "q4_0", threads=threads), BATCHES)
    yield from _batches(Case(plain, "bf16", threads=threads), (1, 2, 4, 16))
    yield from _batches(Case(mixed, "q8_0", threads=threads), BATCHES)
    yield from _batches(Case(mixed, "q8_0", threads=threads, routing="zipf:1.2"), (2, 8, 32))
    yield from _depths(Case(mixed, "q8_0", threads=threads), ((1, 4096), (8, 4096)))
    yield from _batches(Case(mixed, "q4_0", threads=threads), BATCHES)
    yield from _batches(Case(mixed, "q4_0", threads=threads, routing="zipf:1.2"), (4, 16))
    yield from _batches(Case(mixed, "bf16", threads=threads), (1, 8))
    yield from _batches(Case(few, "q4_0", threads=threads), (1, 2, 4, 8, 32))
    yield from _batches(Case(little, "q8_0", threads=threads), BATCHES)
    yield from _depths(Case(little, "q8_0", threads=threads), ((1, 1024), (8, 1024)))
    yield from _batches(Case(little, "q4_0", threads=threads), (1, 4, 16))
    yield from _batches(Case(little, "bf16", threads=threads), (1, 4))
    yield from _sparse_cases(plain, mixed, threads)
    yield from _other_steps(plain, mixed, threads)
    for fewer in _fewer(threads):
        yield from _batches(Case(plain, "q8_0", threads=fewer), (1, 4, 16))
        yield from _batches(Case(plain, "q4_0", threads=fewer), (1, 8))
        yield from _batches(Case(mixed, "q4_0", threads=fewer), (1, 8))
        yield from _batches(Case(little, "q8_0", threads=fewer), (1, 8))


def _sparse_cases(plain: Model, mixed: Model, threads: int) -> Iterator[Case]:
    yield from _batches(Case(plain, "q8_0", threads=threads, sparsity="q-sparse:0.5"), (1, 2, 4, 8))
    yield from _batches(Case(plain, "q4_0", threads=threads, sparsity="q-sparse:0.5"), (1, 4))
    yield Case(mixed, "q8_0", threads=threads, sparsity="q-sparse:0.5")


def _other_steps(plain: Model, mixed: Model, threads: int) -> Iterator[Case]:
    """Chunks of prompts, drafted tokens to verify, experts on a disk, half of the layers in a slower memory."""
    for tokens in (32, 128):
        yield Case(plain, "q8_0", threads=threads, tokens=tokens)
    yield Case(plain, "q4_0", threads=threads, tokens=128)
    yield Case(mixed, "q8_0", threads=threads, tokens=64)
    yield from _batches(Case(plain, "q4_0", threads=threads, tokens=5, verifies=True), (1, 4))
    yield Case(mixed, "q8_0", threads=threads, tokens=5, verifies=True)
    yield from _batches(Case(mixed, "q8_0", threads=threads, on_disk=True), (1, 4))
    yield from _batches(Case(plain, "q8_0", threads=threads, slow_layers=_half(plain)), (1, 8))


def _half(model: Model) -> int:
    """Half of its layers, at least one."""
    return max(1, len(model.stack) // 2)


def _quick_cases(models: tuple[Model, Model, Model, Model], threads: int) -> Iterator[Case]:
    plain, mixed, _, little = models
    yield from _batches(Case(plain, "q8_0", threads=threads), (1, 8))
    yield from _batches(Case(plain, "q4_0", threads=threads), (1, 8))
    yield from _batches(Case(mixed, "q8_0", threads=threads), (1, 4, 16))
    yield Case(mixed, "q8_0", batch=4, threads=threads, routing="zipf:1.2")
    yield Case(little, "q8_0", threads=threads)
    yield Case(plain, "q8_0", threads=threads, sparsity="q-sparse:0.5")
    yield Case(plain, "q8_0", threads=threads, tokens=64)
    yield Case(plain, "q4_0", threads=threads, tokens=5, verifies=True)
    yield Case(mixed, "q8_0", threads=threads, on_disk=True)
    yield Case(plain, "q8_0", threads=threads, slow_layers=_half(plain))
    for fewer in _fewer(threads):
        yield Case(plain, "q8_0", threads=fewer)


def _fewer(threads: int) -> tuple[int, ...]:
    """Counts below all threads."""
    return tuple(dict.fromkeys(count for count in (1, threads // 2) if 0 < count < threads))


def _batches(case: Case, batches: tuple[int, ...]) -> Iterator[Case]:
    for batch in batches:
        yield replace(case, batch=batch)


def _depths(case: Case, points: tuple[tuple[int, int], ...]) -> Iterator[Case]:
    for batch, context in points:
        yield replace(case, batch=batch, context=context)


# ---- models: as many layers of one shape as make up a size in q8_0 ----


def dense(nbytes: int) -> Model:
    """Layers such as those of a model of a billion weights: width 1792, 28 heads of which 7 have keys, hidden 4864."""
    return _sized(DENSE, nbytes, 1792, _attention(28, 7), {"kind": "gated", "d_ff": 4864})


def moe(nbytes: int) -> Model:
    """48 experts of width 640, of which each token uses 6."""
    return _sized(MIXED, nbytes, 1152, _attention(18, 6), _experts(48, 6, 640))


def few_experts(nbytes: int) -> Model:
    """8 experts of width 1920, of which each token uses 2, as in Mixtral."""
    return _sized("moe-8x2", nbytes, 1024, _attention(16, 4), _experts(8, 2, 1920))


def small(nbytes: int) -> Model:
    """A dense model that the last cache holds."""
    return _sized("small", nbytes, 320, _attention(5, 1), {"kind": "gated", "d_ff": 832}, vocab=512)


def _attention(n_heads: int, n_kv_heads: int) -> dict:
    return {"kind": "grouped_query", "n_heads": n_heads, "n_kv_heads": n_kv_heads, "head_dim": 64}


def _experts(n_experts: int, n_active: int, width: int) -> dict:
    return {"kind": "experts", "n_experts": n_experts, "n_active": n_active, "d_expert": width}


def _sized(name: str, nbytes: int, d_model: int, attention: dict, ffn: dict, vocab: int = 8192) -> Model:
    return sized_model(name, nbytes, d_model, {"attention": attention, "ffn": ffn}, vocab, MAX_CONTEXT)
