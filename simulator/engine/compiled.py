"""Functions as machine code: compiled once with the same options, and kept on disk for the next start.

What runs must not depend on whether it was compiled just now or loaded. Two things see to that. Every helper is inlined where it
is called: LLVM would otherwise keep two versions of it, one of its own and one optimised with its caller, and a process that
compiles runs the first, one that loads the second, where other products may be fused. And what is kept counts only if all that
made it is still the same: the sources, the options, the compiler and the processor.

An entry is one file for each function and processor, which names what it was made of and carries a digest of itself, so
that one that is stale, cut short or damaged is compiled anew and written over. Numba's own cache keeps an index beside
the code, which processes that compile at the same time spoil for each other, and trusts what it reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path

import llvmlite
import numba
from numba import njit
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from simulator.errors import printable

FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}  # leaves NaN and infinity alone
SIGNATURE = "void(int64, int64, int64)"  # of a kernel: task, thread, number of threads
# One set for all: a function that names none takes those of whichever caller was compiled first. Division follows IEEE 754, as
# a kernel has nobody to raise an error to.
OPTIONS = {"fastmath": FAST, "error_model": "numpy"}
SUFFIX = ".nbc"

_PACKAGE = Path(__file__).parent.parent
_SOURCES = ("engine/**/*.py", "probe/**/*.py", "spec/quant.py")  # all that the code of a kernel is written from
_DIGEST_BYTES = 32


def helper(function: Callable) -> Callable:
    """A function that kernels call: it becomes part of each of them."""
    return njit(forceinline=True, **OPTIONS)(function)


def entry(*, keeps_lock: bool = False) -> Callable[[Callable], Callable]:
    """A function that Python calls; others of its threads go on meanwhile, unless it *keeps_lock*."""

    def decorate(function: Callable) -> Callable:
        dispatcher = njit(nogil=not keeps_lock, **OPTIONS)(function)
        module = function.__module__.rpartition(".")[2]
        dispatcher._cache = _KernelCache(function, f"{module}-{function.__name__.strip('_')}")
        return dispatcher

    return decorate


def compile_kernel(function: Callable, name: str) -> int:
    """Address of a function (task, thread, n_threads) as a kernel, compiled once in a process.

    Args:
        function: in Python; what it closes over is part of the kernel.
        name: no other function's: the linker tells kernels apart by nothing else, and so does the cache.

    Raises ValueError where the name is another's.
    """
    with _lock:
        if name not in _kept:
            function.__qualname__ = name
            kernel = CFunc(function, normalize_signature(SIGNATURE), locals={}, options=dict(OPTIONS))
            kernel._cache = _KernelCache(function, name)
            kernel.compile()
            _kept[name] = kernel
        elif _written(_kept[name].__wrapped__) != _written(function):
            raise ValueError(f"there is another kernel {name} already")
        return _kept[name].address


_kept: dict[str, CFunc] = {}  # by name; keeps the code of the kernels alive
_lock = threading.Lock()


def _written(function: Callable) -> tuple:
    """What a function does: its code, and what it closes over."""
    return function.__code__, [cell.cell_contents for cell in function.__closure__ or ()]


@lru_cache(maxsize=1)
def source_digest() -> str:
    """A digest of everything that kernels, and what is packed for them, are written from: sources, and gguf's tables and rounding."""
    digest = hashlib.sha256(version("gguf").encode())
    for pattern in _SOURCES:
        for file in sorted(_PACKAGE.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class _KernelCache(_Cache):
    """Where the code of one function is kept; one that cannot be written is done without."""

    def __init__(self, function: Callable, name: str):
        self._function, self._name = function, name
        self._is_on = True

    @cached_property
    def _storage(self) -> CompileResultCacheImpl | None:
        """How numba turns code into bytes, and in which folder it keeps them; None where it can write to none."""
        try:
            return CompileResultCacheImpl(self._function)
        except RuntimeError:
            _say_once("no folder for them can be written; NUMBA_CACHE_DIR can name one")
            return None

    @property
    def cache_path(self) -> str | None:
        """The folder."""
        return self._storage and self._storage.locator.get_cache_path()

    def load_overload(self, signature, target_context):
        """The code for a signature; None where it has to be compiled, which is told."""
        found = self._load(signature, target_context)
        if found is None:
            _announce()
        return found

    def _load(self, signature, target_context):
        target_context.refresh()
        if not (self._is_on and self._storage):
            return None
        key = self._key(signature, target_context.codegen())
        try:
            found = self._file(key).read_bytes()
        except OSError:
            return None
        digest, content = found[:_DIGEST_BYTES], found[_DIGEST_BYTES:]
        if digest != self._digest(key, content):
            return None
        return self._storage.rebuild(target_context, pickle.loads(content))

    def save_overload(self, signature, result) -> None:
        """Keeps the code for a signature."""
        if not (self._is_on and self._storage and self._storage.check_cachable(result)):
            return
        key = self._key(signature, result.codegen)
        content = dumps(self._storage.reduce(result))
        try:
            write_or_leave_none(self._file(key), self._digest(key, content) + content)
        except OSError as error:
            _say_once(f"{printable(self.cache_path, 200)} cannot be written ({error.strerror or error})")

    def _key(self, signature, codegen) -> str:
        """What tells an entry from the others that there can be at a time."""
        return repr((self._name, signature, codegen.magic_tuple()))

    def _file(self, key: str) -> Path:
        number = hashlib.sha256(key.encode()).hexdigest()[:12]
        return Path(self.cache_path) / f"{self._name}-{sys.implementation.cache_tag}-{number}{SUFFIX}"

    def _digest(self, key: str, content: bytes) -> bytes:
        """Of an entry: its key, all that must be as it was when the entry was made, and the code."""
        versions = (numba.__version__, llvmlite.__version__, sys.version)
        sources = (source_digest(), self._storage.locator.get_source_stamp())
        made_of = repr((key, versions, sources, sorted(FAST), OPTIONS["error_model"]))
        return hashlib.sha256(made_of.encode() + content).digest()

    def enable(self) -> None:
        """Goes on keeping code."""
        self._is_on = True

    def disable(self) -> None:
        """Keeps nothing more."""
        self._is_on = False

    def flush(self) -> None:
        """Entries are written at once."""


def folder_of_code() -> str | None:
    """The folder that the code of this file's functions is kept in; None where none can be written."""
    return _KernelCache(folder_of_code, "folder").cache_path


def write_or_leave_none(file: Path, content: bytes) -> None:
    """Writes a file, or leaves none. There is no need to hide it until it is whole: readers check its digest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.unlink(missing_ok=True)
        file.write_bytes(content)
    except OSError:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise


_listeners: list[Callable[[], None]] = []


@contextlib.contextmanager
def when_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Calls *tell* once, before the first function that has to be compiled meanwhile; not at all where all is kept from before."""
    _listeners.append(tell)
    try:
        yield
    finally:
        _listeners[:] = [each for each in _listeners if each is not tell]


def _announce() -> None:
    while _listeners:
        _listeners.pop()()


_said: set[bool] = set()


def _say_once(reason: str) -> None:
    if not _said:
        _said.add(True)
        with contextlib.suppress(OSError):
            print(f"note: kernels are compiled at each start, which takes some seconds, as {reason}", file=sys.stderr)
