"""Weights that are not in this machine's memory: experts in a file on a disk, layers behind a slower link."""

import time
from pathlib import Path

import numpy as np
import pytest
import tiny

from simulator.engine import cpu, mapped_experts, memory
from simulator.engine.slow_layers import SlowLayers
from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.spec.model import Model

TOKENS = ([5, 9, 2], [40, 7, 1], [63, 0, 30])


def logits_of(file, **options):
    """Three steps of three sequences."""
    with Engine(file, **({"threads": 2, "batch": 3, "context": 16} | options)) as engine:
        return np.array([engine.decode(tokens).logits for tokens in TOKENS])


@pytest.fixture
def mixture(tmp_path):
    """A file with experts, a shared one among them, and a folder."""
    folder = tmp_path / "experts"
    folder.mkdir()
    return tiny.write(tmp_path / "m.gguf", "qwen2moe", "q4_k"), folder


# ---- experts on a disk ----


def test_matrices_of_heads_are_no_experts(tmp_path):
    """A file has one for each head, too, but every step reads all of them: the file has 3 matrices of each layer with experts."""
    path = tiny.write(tmp_path / "m.gguf", "deepseek2", "f32")
    with Engine(path, threads=1, context=8, experts_in=tmp_path) as engine:
        roles = {tensor.role for tensor in engine.loaded.mapped.places}
        assert engine.loaded.matrices[0, "attn_k_b"].copies > 1
    assert roles == {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}


def test_experts_in_a_file_are_the_same_experts(mixture):
    """To the bit; the file has the bytes of 2 layers of 3 matrices of 8 experts, 256 x 256 in q4_k, and is made once."""
    path, folder = mixture
    expected = logits_of(path)
    assert np.array_equal(logits_of(path, experts_in=folder), expected)
    (file,) = folder.iterdir()
    assert file.stat().st_size == 2 * 3 * 8 * 256 * 144
    before = file.stat()
    assert np.array_equal(logits_of(path, experts_in=str(folder)), expected)
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_other_weights_have_a_file_of_their_own(mixture):
    """Paths share one if both take signed weights or neither does, and another model's experts are others."""
    path, folder = mixture
    logits_of(path, experts_in=folder)
    logits_of(path, experts_in=folder, path="portable")
    packed = {cpu.choose().signed, cpu.PATHS["portable"].signed}
    assert len(list(folder.iterdir())) == len(packed)
    logits_of(tiny.write(path.with_name("n.gguf"), "qwen2moe", "q4_k", seed=1), experts_in=folder)
    assert len(list(folder.iterdir())) == len(packed) + 1


@pytest.mark.parametrize("changed", ["file", "roofcast"])
def test_a_file_that_is_superseded_is_removed(mixture, monkeypatch, changed):
    """Of weights that have changed since, or packed by another roofcast; how much that gives back is told, and others' files stay."""
    path, folder = mixture
    logits_of(path, experts_in=folder)
    (before,) = folder.iterdir()
    (folder / "experts-of-mine.panels").write_bytes(b"mine")
    nbytes = before.stat().st_size
    if changed == "file":
        tiny.write(path, "qwen2moe", "q4_k", seed=1)
    else:
        monkeypatch.setattr(mapped_experts, "source_digest", lambda: "another")
    with Engine(path, threads=1, context=8, experts_in=folder) as engine:
        assert engine.loaded.mapped.removed_bytes == engine.loaded.mapped.nbytes == nbytes
    assert np.array_equal(logits_of(path, experts_in=folder), logits_of(path))
    assert {each.name for each in folder.iterdir()} == {engine.loaded.mapped.path.name, "experts-of-mine.panels"}
    assert not before.exists()


def test_a_file_cut_short_is_made_anew(mixture):
    """As if it had not been there."""
    path, folder = mixture
    expected = logits_of(path, experts_in=folder)
    (file,) = folder.iterdir()
    with file.open("r+b") as opened:
        opened.truncate(1000)
    assert np.array_equal(logits_of(path, experts_in=folder), expected)


def test_experts_need_not_fit_in_memory(mixture, monkeypatch):
    """Where 1 MB can be had, the weights, 2.48 MB, do not fit; with their 1.77 MB of experts on the disk they do."""
    path, folder = mixture
    expected = logits_of(path)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"its weights need .* of memory, 1\.00 MB are available"):
        logits_of(path)
    assert np.array_equal(logits_of(path, experts_in=folder), expected)


def mapped_bytes(file):
    """Bytes of a mapped file that this process has in memory, as the kernel counts them."""
    lines = iter(Path("/proc/self/smaps").read_text(encoding="ascii").splitlines())
    for line in lines:
        if line.endswith(str(file)):
            return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("Rss:"))
    raise AssertionError(f"{file} is not mapped")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="tells what is mapped on Linux")
def test_only_chosen_experts_are_read(tmp_path):
    """2 of 16 experts in each of 2 layers, of three matrices of 512 x 512 bytes and scales: a step holds an eighth of the file and
    what lies in the same 64 KiB."""
    attention = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 32}
    ffn = {"kind": "experts", "n_experts": 16, "n_active": 2, "d_expert": 512}
    layers = [{"count": 2, "attention": attention, "ffn": ffn}]
    model = Model.model_validate({"name": "mixed", "d_model": 512, "vocab": 64, "layers": layers})
    one = 512 * 512 * 34 // 32
    with Engine(model, threads=2, context=16, experts_in=tmp_path) as engine:
        (file,) = tmp_path.iterdir()
        assert file.stat().st_size == 2 * 3 * 16 * one
        assert engine.loaded.nbytes < 5e6  # the rest
        for chosen in ([0, 1], [14, 9]):
            engine.forget_experts()
            assert mapped_bytes(file) == 0
            step = engine.decode([1], routing=lambda *_, chosen=chosen: np.array([chosen]))
            assert step.read.experts == 2 * 3 * 2 * one
            held = mapped_bytes(file)
            assert 2 * 3 * 2 * one <= held < 2 * 3 * 2 * (one + 2 * 2**16)


def test_a_folder_that_cannot_hold_them_is_refused(mixture, tmp_path, monkeypatch):
    """One that is not there, one without room, and sparse inputs, whose panels are other ones."""
    path, folder = mixture
    with pytest.raises(InputError, match=r"experts in .*: experts-.* cannot be kept there \(No such file"):
        logits_of(path, experts_in=tmp_path / "none")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"they take 1\.77 MB, 1\.00 kB are free there"):
        logits_of(path, experts_in=folder)
    assert list(folder.iterdir()) == []


def test_a_model_without_experts_has_none_to_keep(tmp_path):
    """Said before a file is made."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "q8_0")
    folder = tmp_path / "experts"
    folder.mkdir()
    with pytest.raises(InputError, match="has no experts to keep in"):
        logits_of(path, experts_in=folder)
    assert list(folder.iterdir()) == []


# ---- layers in a slower memory ----


@pytest.mark.parametrize("threads", [1, 2])
def test_slow_layers_take_the_time_of_their_bytes(tmp_path, threads):
    """One layer's weights and cache at 20 MB/s: a step takes at least that, and its logits are what they were."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32")
    layer = 4 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64)  # q, o; k, v; gate, up, down
    cache = 2 * (16 + 1) * 16 * 2  # two heads: a panel of keys, and the values of one token, halves
    plain = logits_of(path)
    assert np.array_equal(logits_of(path, slow=SlowLayers(1, 2e7)), plain)
    for count in (1, 2):
        with Engine(path, threads=threads, context=16, slow=SlowLayers(count, 2e7)) as engine:
            start = time.perf_counter()
            engine.decode([1])
            assert time.perf_counter() - start >= count * (layer + cache) / 2e7


def test_more_slow_layers_than_there_are_are_refused(tmp_path):
    """And a rate that no memory has."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "f32")
    with pytest.raises(InputError, match=r"slow layers: .* has 2, 3 were asked for"):
        Engine(path, threads=1, slow=SlowLayers(3, 1e9))
    with pytest.raises(InputError, match="a rate between 1 MB/s and 10 TB/s"):
        SlowLayers(1, 0.0)


# ---- steps without a head ----


def test_a_step_without_head_reads_none(tmp_path):
    """Its tokens are in the cache all the same: what comes after them is the same to the bit."""
    path = tiny.write(tmp_path / "m.gguf", "llama", "q8_0")
    with Engine(path, threads=2, context=32) as engine:
        engine.decode([5, 9, 2], [0, 0, 0])
        expected = engine.decode([7]).logits
        engine.reset()
        step = engine.decode([5, 9, 2], [0, 0, 0], head=False)
        assert step.logits.shape == (0, 64)
        assert step.read.head == 0
        assert step.read.ffn > 0
        assert np.array_equal(engine.decode([7]).logits, expected)


@pytest.mark.parametrize("ubatch", [1, 7, 40, 64])
def test_a_prompt_goes_through_in_chunks_of_any_size(tmp_path, ubatch):
    """40 tokens in steps of so many; only the last step has logits, and they are the same to the bit."""
    path = tiny.write(tmp_path / "m.gguf", "gemma3", "q8_0", n_layers=6)
    tokens = [(5 * at * at + at) % 64 for at in range(40)]
    with Engine(path, threads=1, context=64) as engine:
        expected = engine.prompt(tokens).logits[-1]
    with Engine(path, threads=2, context=64, ubatch=ubatch) as engine:
        step = engine.prompt(tokens)
        assert engine.lengths[0] == 40
    assert len(step.logits) == (40 - 1) % ubatch + 1
    assert np.array_equal(step.logits[-1], expected)
