"""Machine code that is kept: the same results to the bit, made anew where anything has changed, and done without where it must be."""

import errno
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import tiny
import tiny_blocks
from every_kernel import shared_functions
from numba.core.caching import CompileResultCacheImpl
from numba.core.dispatcher import Dispatcher
from places import ROOT

import simulator.engine
from simulator.engine import compiled
from simulator.engine.compiled import FAST, compile_kernel, helper, source_digest
from simulator.engine.kernels import table
from simulator.engine.simd import floats_at, integers_at
from simulator.engine.team import Entry, Tape, Team

WIDE = {"d_model": 128, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "d_ff": 192}  # rows that sparse inputs can have
KINDS = {"pack", *table._MAKERS, *table._PLAIN}  # of kernels that steps and loading run
OF_EACH_KIND = ("deepseek2", "gemma2", "gemma4", "gpt2", "nemotron_h", "qwen35")  # between them they need all of these


# ---- compiled or loaded ----


def run_every_kernel(folder, *arguments):
    """What kernels of every kind wrote and how often each was loaded, by a process of its own with a cache in the folder."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "engine" / "every_kernel.py"), str(folder), *arguments],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_compiled_and_loaded_kernels_agree_to_the_bit(tmp_path, request):
    """Everything that steps write, with experts and with sparse inputs; with --thorough in all formats on all paths, and the probes."""
    tiny.write(tmp_path / "experts.gguf", "qwen2moe", "q8_0")
    tiny.write(tmp_path / "columns.gguf", "llama", "q4_0", n_layers=1, **WIDE)
    for arch in OF_EACH_KIND:
        more = {"n_experts": 8} if arch == "gemma4" else {}
        tiny.write(tmp_path / f"arch-{arch}.gguf", arch, "f32", n_layers=4, **more)
    arguments = ["all"] if request.config.getoption("--thorough", default=False) else []
    for fmt in tiny.FORMATS if arguments else ():
        tiny.write(
            tmp_path / f"format-{fmt}.gguf", "llama", fmt, n_layers=1, **({} if fmt in tiny_blocks.FORMATS else WIDE)
        )
    first, second = (run_every_kernel(tmp_path, *arguments) for _ in range(2))
    assert {name.split("-")[0] for name in first["loaded"]} >= KINDS
    assert set(first["loaded"].values()) == {0}
    assert set(second["loaded"].values()) == {1}
    assert first["found"] == second["found"]
    assert first["shared"] == []


# ---- one function ----


@helper
def polynomial(x, n):
    """Sums of products, too many for a compiler to repeat them at each call of its own accord."""
    total = np.float32(0)
    for k in range(n):
        for i in range(n):
            total += x[i] * x[k] + x[(i + k) % n] * np.float32(0.1)
            if total > np.float32(1e6):
                total = total / x[i] - x[k] * x[k]
            elif total < np.float32(-1e6):
                total = total * x[k] - x[i] / x[k]
    return total


def sums(task, thread, n_threads):
    """out[0], out[1], out[2] = the polynomial of 4, 3 and 2 of 4 numbers"""
    t = integers_at(task, 2)
    x, out = floats_at(t[0], 4), floats_at(t[1], 3)
    out[0] = polynomial(x, 4)
    out[1] = polynomial(x, 3)
    out[2] = polynomial(x, 2)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for machine code, and a process that has compiled nothing and said nothing."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled, "_kept", {})
    monkeypatch.setattr(compiled, "_said", set())
    return tmp_path


def made(name="sums"):
    """Whether the kernel had to be compiled; as if in a process of its own. It computes what it should."""
    compiled._kept.clear()
    x, out = np.array([1, 2, 3, 4], np.float32), np.zeros(3, np.float32)
    task = np.array([x.ctypes.data, out.ctypes.data], np.int64)
    team = Team(1)
    team.run(Tape([[Entry(compile_kernel(sums, name), task)]]))
    team.close()
    # n = 2: (x0 + x1)**2 + 0.1 * n * (x0 + x1); the others in the same way
    assert out.tolist() == pytest.approx([100 + 4, 36 + 1.8, 9 + 0.6], rel=1e-6)
    return not compiled._kept[name].cache_hits


def entries(folder):
    """Every file of the cache."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_kernel_is_one_function(cache):
    """A helper that stood beside it would exist twice, optimised in two ways."""
    made()
    assert shared_functions(compiled._kept["sums"]) == []


def test_all_functions_have_options_of_their_own():
    """What names none takes those of its first caller: every helper and entry of the engine names all."""
    names = [each.name for each in pkgutil.walk_packages(simulator.engine.__path__, "simulator.engine.")]
    assert "simulator.engine.kernels.attention" in names
    modules = [importlib.import_module(name) for name in names]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, Dispatcher)}
    assert len(found) > 30
    for function in found:
        options = function.targetoptions
        assert (options["fastmath"], options["error_model"]) == (FAST, "numpy"), function
        assert options.get("forceinline", False) != isinstance(function._cache, compiled._KernelCache), function


def test_a_kernel_has_a_name_of_its_own(cache):
    """The linker knows kernels by their names alone; asked for again, the same one is given."""

    def writes(number):
        def write(task, thread, n_threads):
            integers_at(task, 1)[0] = number

        return write

    assert compile_kernel(writes(1), "one") == compile_kernel(writes(1), "one")
    with pytest.raises(ValueError, match="there is another kernel one already"):
        compile_kernel(writes(2), "one")


# ---- entries ----


def test_an_entry_is_loaded_and_belongs_to_one_kernel(cache):
    """Compiled once under each name, then loaded; each in a file of its own, as processes that share one spoil it for each other."""
    assert [made("one"), made("two"), made("one"), made("two")] == [True, True, False, False]
    assert [path.name.split("-")[0] for path in entries(cache)] == ["one", "two"]


def flipped(content):
    """One bit in the middle changed, in the machine code itself."""
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda content: content[:20], lambda content: content[:-1], flipped, lambda _: os.urandom(5000)],
    ids=["empty", "begun", "cut short", "one bit", "random"],
)
def test_a_damaged_entry_is_compiled_anew(cache, capsys, damage):
    """And written over, without a word."""
    made()
    (file,) = entries(cache)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert made()
    assert entries(cache) == [file]
    assert not made()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name",
    [
        "engine/simd.py",
        "engine/kernels/tile_product.py",
        "engine/team.py",
        "engine/kernels/attention.py",
        "engine/kernels/__init__.py",
        "probe/read.py",
        "spec/quant.py",
    ],
)
def test_a_change_of_a_source_changes_what_every_entry_is_made_of(tmp_path, monkeypatch, name):
    """One more comment in any file that kernels are written from, or that helpers stand in."""
    copy = tmp_path / "simulator"
    shutil.copytree(ROOT / "simulator", copy, ignore=shutil.ignore_patterns("__pycache__", "library", "report"))
    monkeypatch.setattr(compiled, "_PACKAGE", copy)
    assert source_digest.__wrapped__() == source_digest()
    source = copy / name
    source.write_text(source.read_text() + "#")
    assert source_digest.__wrapped__() != source_digest()


def test_another_gguf_changes_what_every_entry_is_made_of(monkeypatch):
    """Kernels hold its codebooks, and packed experts what it rounded."""
    monkeypatch.setattr(compiled, "version", {"gguf": "99"}.__getitem__)
    assert source_digest.__wrapped__() != source_digest()


@pytest.mark.parametrize("changed", ["source_digest", "versions", "FAST"])
def test_an_entry_made_of_something_else_is_stale(cache, monkeypatch, changed):
    """Other sources, another numba or other options: compiled anew into the same file, so that nothing piles up."""
    made()
    before = entries(cache)
    if changed == "source_digest":
        monkeypatch.setattr(compiled, "source_digest", lambda: "another")
    elif changed == "versions":
        monkeypatch.setattr(numba, "__version__", "99")
    else:
        monkeypatch.setattr(compiled, "FAST", FAST - {"afn"})
    assert made()
    assert entries(cache) == before
    assert not made()


# ---- where nothing can be kept ----


def test_a_full_disk_is_done_without(cache, capsys, monkeypatch):
    """Kernels are compiled at each start, which is said once; nothing that was begun stays."""

    def write(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write)
    assert [made("one"), made("two"), made("one")] == [True] * 3
    assert entries(cache) == []
    (folder,) = cache.iterdir()
    assert capsys.readouterr().err == (
        f"note: kernels are compiled at each start, which takes some seconds, as {folder} cannot be written (No space left on device)\n"
    )


_FULL = """
mount -t tmpfs -o size=16k tmpfs {folder} || exit 9
head -c 16384 /dev/zero > {folder}/zeros
exec {python} -c "
from simulator.engine import team
print(team.idle_tape(1).table.shape)"
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="a small file system of its own needs unshare")
def test_a_full_file_system_is_done_without(tmp_path):
    """A real one: the work is done, and one note on standard error says what it costs."""
    script = _FULL.format(folder=tmp_path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or done.returncode == 9:
        pytest.skip("file systems cannot be made here")
    assert (done.returncode, done.stdout) == (0, "(1, 3)\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("note: kernels are compiled at each start, which takes some seconds, as ")
    assert line.endswith("cannot be written (No space left on device)")


def test_where_no_folder_can_be_written_nothing_is_kept(cache, capsys, monkeypatch):
    """A package of another user's and no home: neither the folder named, nor beside the sources, nor the user's own."""
    (cache / "file").touch()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(cache / "file" / "folder"))
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", CompileResultCacheImpl._locator_classes[:1])
    assert [made("one"), made("two")] == [True, True]
    assert capsys.readouterr().err == (
        "note: kernels are compiled at each start, which takes some seconds, as no folder for them can be written; "
        "NUMBA_CACHE_DIR can name one\n"
    )
