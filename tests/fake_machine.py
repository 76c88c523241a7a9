"""A machine that takes time by a formula, and a clock that only its work advances: for profiling as a whole, in no time."""

from types import SimpleNamespace

import numpy as np

from simulator.probe import attention, columns, device, groups, items, overheads, passes, reference
from simulator.probe.clock import Probe, Sample
from simulator.units import MI

COMPUTE = 20e9  # operations a second of each thread
DRAWING = 1e9  # bytes of random weights a second


class FakeMachine:
    """Its memory gives *memory* bytes a second, its last cache of *cache* bytes ten times as much, a core's own of a MiB more still.

    Caches are such as keep what was used last: of a working set of up to twice their size the part that still hits shrinks to none.
    """

    def __init__(self, cache, memory=4e9, n_threads=2, slow_threads=False):
        self.cache, self.memory, self.n_threads = cache, memory, n_threads
        self.now, self.most_bytes, self.slow_threads = 0.0, 0, slow_threads

    def clock(self):
        """Seconds that the work has taken."""
        return self.now

    def read_s(self, nbytes, working_set, count):
        """Seconds of reading so many bytes of a working set with some threads."""
        levels = ((MI * count, 100e9 * count), (self.cache, max(10 * self.memory, 20e9 * count)))
        share = min(1.0, 2 * count / self.n_threads) if self.slow_threads else 1.0
        a_byte = 1 / (self.memory * share)
        for capacity, rate in levels[::-1]:
            hits = min(1.0, max(0.0, 2 - working_set / capacity))
            a_byte = hits / rate + (1 - hits) * a_byte
        return 5e-6 + nbytes * a_byte

    def probe(self, name, seconds, nbytes=0.0, flops=0.0):
        """Work that takes so long."""

        def run(repeats):
            self.now += repeats * seconds

        return Probe(name, run, nbytes, flops)

    # ---- in place of the real ones ----

    def team(self, count):
        """Threads that do nothing."""
        return SimpleNamespace(n_threads=count, close=lambda: None)

    def memory_of(self, most):
        """Memory that takes no place, and is counted."""

        def first(nbytes):
            assert nbytes <= most
            self.most_bytes = max(self.most_bytes, nbytes)
            return SimpleNamespace(nbytes=nbytes, __getitem__=None)

        return SimpleNamespace(first=first, give_back=lambda _beyond: None)

    def stream(self, name, _kind, team, _memory, nbytes):
        """Reading a working set."""
        return self.probe(name, self.read_s(nbytes, nbytes, team.n_threads), nbytes)

    def passing(self, name, _kind, team, ring, nbytes):
        """Reading a part of the memory."""
        return self.probe(name, self.read_s(nbytes, ring.memory.nbytes, team.n_threads), nbytes)

    def random(self, name, team, memory, block, nbytes):
        """Blocks, a quarter as fast."""
        return self.probe(name, 4 * self.read_s(nbytes, memory.nbytes, team.n_threads), nbytes)

    def peak(self, name, _kind, team, _path):
        """Operations alone."""
        return self.probe(name, 1e-3, flops=1e-3 * COMPUTE * team.n_threads)

    def kernel(self, name, _fmt, n_tokens, team, nbytes, working_set):
        """The larger of reading and computing."""
        flops = 2.0 * nbytes * n_tokens
        seconds = max(self.read_s(nbytes, working_set, team.n_threads), flops / (COMPUTE * team.n_threads))
        return self.probe(name, seconds, nbytes, flops)

    def kernel_in_cache(self, name, fmt, n_tokens, team, _path, weights, _where):
        """The same weights again and again."""
        return self.kernel(name, fmt, n_tokens, team, weights.nbytes, weights.nbytes)

    def kernel_in_memory(self, name, fmt, n_tokens, team, _path, ring, nbytes, _where):
        """A part of the memory."""
        return self.kernel(name, fmt, n_tokens, team, nbytes, ring.memory.nbytes)

    def engine(self, model, team, batch, context, **_options):
        """An engine that takes time to draw its weights and to decode."""
        nbytes = model.total_params * 34 / 32
        self.now += nbytes / DRAWING
        return FakeEngine(self, nbytes, team, batch)

    def storage(self, _folder, nbytes, rounds, clock, deadline):
        """A disk of 100 MB a second."""
        seconds = []
        self.now += 1.0
        while len(seconds) < rounds and not (seconds and deadline.is_over):
            self.now += nbytes / 100e6
            seconds.append(nbytes / 100e6)
        return Sample(tuple(seconds), bytes=nbytes), "as made up"

    def take_the_place(self, patch):
        """Of everything that profiling runs."""
        for name, mine, modules in (
            ("Team", self.team, (device,)),
            ("Memory", self.memory_of, (device,)),
            ("Ring", lambda memory: SimpleNamespace(memory=Sized(memory.nbytes)), (device,)),
            ("check_room", lambda *_: None, (device,)),
            ("measure_storage", self.storage, (device,)),
            ("stream_probe", self.stream, (device, groups, passes, attention)),
            ("passing_probe", self.passing, (device, groups, passes, attention)),
            ("random_probe", self.random, (groups,)),
            ("peak_probe", self.peak, (groups,)),
            ("kernel_probe", self.kernel_in_cache, (groups,)),
            ("passing_kernel_probe", self.kernel_in_memory, (groups,)),
            ("Engine", self.engine, (reference, items, overheads, columns, attention)),
            ("idle_tape", lambda _n: SimpleNamespace(phases=()), (overheads,)),
        ):
            for module in modules:
                patch.setattr(module, name, mine)


class Sized:
    """What stands for bytes: only how many there are counts."""

    def __init__(self, nbytes):
        self.nbytes = nbytes

    def __getitem__(self, part):
        return Sized(min(part.stop, self.nbytes))


class FakeEngine:
    """Decodes by the formula: all its weights once, as many operations as there are tokens, and a microsecond for each phase."""

    PARTS = ("vectors", "store", "cache", "merge", "ffn", "route", "select")

    def __init__(self, machine, nbytes, team, batch):
        self.machine, self.nbytes, self.team, self.batch, self.depth = machine, nbytes, team, batch, 0
        self.tape = SimpleNamespace(phases=self.PARTS)
        self.assembly = SimpleNamespace(place=lambda *_: None)
        team.run = self.run

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def run(self, tape):
        """A tape."""
        self.machine.now += 1e-6 * len(tape.phases)

    def pretend(self, depth):
        """Makes the cache so deep."""
        self.depth = depth

    def fill_cache(self):
        """Takes as long as writing it does."""
        self.machine.now += self.batch * 4160 * 1024 / 1e9

    def decode(self, tokens, _sequences=None, clock=None):
        """A step; with a clock, by part."""
        n, machine = len(tokens), self.machine
        cache_bytes = n * self.depth * 1024
        flops = 2 * self.nbytes * n
        count = self.team.n_threads
        weights_s = max(machine.read_s(self.nbytes, self.nbytes, count), flops / (COMPUTE * count))
        cache_s = machine.read_s(cache_bytes, max(cache_bytes, 1), count)
        machine.now += weights_s + cache_s + 1e-4
        seconds = dict.fromkeys(self.PARTS, 1e-6) | {"cache": cache_s, "ffn": weights_s}
        return SimpleNamespace(
            seconds=seconds, read=SimpleNamespace(cache=cache_bytes, ffn=self.nbytes / 2), n=np.size(tokens)
        )
