"""Files of weights: damaged, incomplete, foreign or split ones, and tensors that there is no kernel for."""

import struct

import gguf
import naive
import numpy as np
import pytest
from damage import NAN, WORDS, overwrite, place_of, refused, start

from simulator.engine.file_source import FileSource
from simulator.engine.formats.table import LAYOUTS
from simulator.errors import InputError
from simulator.importers.gguf_header import read_header

pytestmark = pytest.mark.usefixtures("compiled")


# ---- files that are not whole ----


def test_a_file_that_was_not_fetched_whole(small):
    """Half of it is there, or all but 32 bytes: the header says how much there should be."""
    whole = small(vocab=WORDS).read_bytes()
    for size in (len(whole) // 2, len(whole) - 32):
        path = small()
        path.write_bytes(whole[:size])
        assert refused(path) == (
            f"m.gguf holds {size / 1e6:.2f} MB of {len(whole) / 1e6:.2f} MB: enough to forecast from its header, not to run; "
            "fetch the rest of it"
        )


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (10, "m.gguf: 10 bytes, too few for a GGUF file"),
        (2000, "m.gguf: the file ends inside its header (at byte 2,000): damaged or not fully downloaded"),
    ],
)
def test_a_header_that_was_not_fetched_whole(small, size, message):
    """A file that ends before its weights begin."""
    path = small()
    path.write_bytes(path.read_bytes()[:size])
    assert refused(path) == message


def test_a_file_of_another_kind(small):
    """An older format of the same family starts with other letters."""
    assert refused(overwrite(small(), 0, b"GGML")) == (
        "m.gguf: not a GGUF file, which starts with the letters GGUF; fetch or convert it anew"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("token_embd", "m.gguf: tensor token_embd.weight is missing: damaged, or not a llama model"),
        ("blk.0.attn_k", "m.gguf: tensor blk.0.attn_k is missing, a llama model needs it"),
        ("blk.1.ffn_down", "m.gguf: tensor blk.1.ffn_down.weight is missing: damaged, or not a llama model"),
    ],
)
def test_a_missing_matrix_is_named(small, name, message):
    """With its block where it has one."""
    assert refused(small(leave_out=(f"{name}.weight",))) == message


@pytest.mark.parametrize("name", ["output_norm", "blk.0.attn_norm", "blk.1.ffn_norm"])
def test_a_missing_norm_is_no_model(small, name):
    """It could be an architecture without it, so it is said what the engine runs instead."""
    with pytest.raises(InputError, match="the engine does not run"):
        start(small(leave_out=(f"{name}.weight",)))


def test_more_layers_than_there_are(small):
    """The third of two blocks."""
    message = "m.gguf: block 2 has no tensors: a part is missing, or the file is damaged"
    assert refused(small(keys={"block_count": 3})) == message


@pytest.mark.parametrize(
    ("name", "dimension", "size", "message"),
    [
        ("token_embd", 1, 2**30, "vocab: at most 10,000,000 is possible, got 1073741824"),
        ("token_embd", 1, 2**60, "damaged header: tensor 'token_embd.weight' has the shape (64, 1152921504606846976)"),
        (
            "blk.0.ffn_up",
            1,
            2**33,
            "tensor blk.0.ffn_up.weight has 8,589,934,592 rows of 64, 96 rows of 64 were expected",
        ),
        ("blk.0.ffn_up", 0, 96, "tensor blk.0.ffn_up.weight has 96 rows of 96, 96 rows of 64 were expected"),
        ("blk.0.ffn_up", 0, 65, "tensor 'blk.0.ffn_up.weight': rows of 65 do not divide into q8_0 blocks"),
    ],
)
def test_sizes_that_cannot_be(small, name, dimension, size, message):
    """A header that claims them is refused before anything is made room for."""
    path = small()
    raw, name = path.read_bytes(), f"{name}.weight".encode()
    written = struct.pack("<Q", len(name)) + name
    at = raw.index(written) + len(written) + 4 + 8 * dimension
    assert refused(overwrite(path, at, struct.pack("<Q", size))).startswith(f"m.gguf: {message}")


def test_experts_of_other_shapes(small):
    """As many rows in all, but twice as many in each of half the experts: those of other numbers would lie outside."""
    path = small("qwen2moe", "f32", n_experts=8)
    raw, name = path.read_bytes(), b"blk.0.ffn_gate_exps.weight"
    at = raw.index(name) + len(name) + 4 + 8
    n_rows, n_experts = struct.unpack_from("<QQ", raw, at)
    message = refused(overwrite(path, at, struct.pack("<QQ", 2 * n_rows, n_experts // 2)))
    assert message == f"m.gguf: tensor blk.0.ffn_gate_exps has 4 experts of {2 * n_rows} rows, 8 of {n_rows} are needed"


def test_counts_that_cannot_be(small):
    """Of tensors or of keys: the first words of the header."""
    n_tensors, n_keys = struct.unpack_from("<QQ", small().read_bytes(), 8)
    many = struct.pack("<Q", 2**62)
    message = "m.gguf: damaged header: {:,} tensors and {:,} keys"
    assert refused(overwrite(small(), 8, many)) == message.format(2**62, n_keys)
    assert refused(overwrite(small(), 16, many)) == message.format(n_tensors, 2**62)


# ---- what there is no kernel for ----


@pytest.fixture
def no_iq4_nl(monkeypatch):
    """As if there were no kernel for it: there is one for each format that the package gguf reads."""
    monkeypatch.delitem(LAYOUTS, "iq4_nl")


@pytest.mark.usefixtures("no_iq4_nl")
def test_a_format_without_a_kernel_names_the_way_out(small):
    """The tensor, its format, and --convert."""
    message = refused(small(formats={"ffn_down": "iq4_nl"}))
    assert message.startswith(
        "m.gguf: tensor blk.0.ffn_down.weight is stored in iq4_nl, which the engine has no kernel for; "
        "--convert q8_0 turns such tensors into q8_0 while loading (kernels: f32, "
    )


@pytest.mark.usefixtures("no_iq4_nl")
@pytest.mark.parametrize(("convert", "limit"), [("q8_0", 0.03), ("f16", 1e-3), ("f32", 1e-5)])
def test_converted_tensors_are_close_to_their_own(small, convert, limit):
    """Rounding to q8_0 costs less than 3 % of the logits' spread, to f16 one in a thousand, to f32 nothing."""
    path = small("qwen2moe", "f32", formats={"ffn_down_exps": "iq4_nl", "attn_q": "iq4_nl"})
    logits = start(path, convert=convert, cache="f32")[0]
    (expected,) = naive.decode(naive.load(path), [[1]])
    assert np.abs(logits - expected[0]).max() / expected.std() < limit


@pytest.mark.usefixtures("no_iq4_nl")
def test_what_has_a_kernel_is_not_converted(small, tmp_path):
    """--convert touches only what could not be run otherwise."""
    path = small(fmt="q4_0", formats={"ffn_down": "iq4_nl"})
    source = FileSource(path, read_header(path).tensors, "q8_0")
    formats = {tensor.role: tensor.format for tensor in source.tensors}
    assert formats["ffn_down"] == "q8_0"
    assert formats["attn_q"] == "q4_0"
    assert formats["ffn_norm"] == "f32"


@pytest.mark.parametrize(
    ("arch", "keys", "message"),
    [
        ("llama", {"general.architecture": "mystery"}, "architecture 'mystery' is unknown"),
        ("llama", {"general.architecture": 7}, "general.architecture is missing"),
        ("llama", {"rope.scaling.type": "spiral"}, "llama.rope.scaling.type is 'spiral'"),
        (
            "llama",
            {"attn_logit_softcapping": 50.0},
            "llama.attn_logit_softcapping is 50.0, which the engine does not compute",
        ),
        (
            "gemma3",
            {"final_logit_softcapping": 30.0},
            "gemma3.final_logit_softcapping is 30.0, which the engine does not",
        ),
        ("llama", {"attention.clamp_kqv": 8.0}, "llama.attention.clamp_kqv is 8.0, which the engine does not compute"),
        ("llama", {"logit_scale": 0.0625}, "llama.logit_scale is 0.0625, which the engine does not compute"),
        ("llama", {"rope.freq_base": "x"}, "llama.rope.freq_base is 'x', a number is needed"),
        (
            "llama",
            {"attention.layer_norm_rms_epsilon": -1.0},
            "attention.layer_norm_rms_epsilon is -1.0, a number is needed",
        ),
    ],
)
def test_arithmetic_that_the_engine_does_not_have(small, arch, keys, message):
    """The key and its value, before a single weight is read."""
    assert refused(small(arch, keys=keys, vocab=64)).startswith("m.gguf: ")
    assert message in refused(small(arch, keys=keys, vocab=64))


# ---- vectors that do not belong, or do not fit ----

ODD = {
    "a name without a number": {"blk.foo": 64},
    "a name with half a number": {"blk.1a.norm": 64},
    "a norm that is too short": {"blk.0.post_attention_norm.weight": 3},
    "a bias that is too short": {"blk.0.attn_k.bias": 3},
    "a bias that is not added": {"blk.0.ffn_up.bias": 96},
    "a norm that is not used": {"blk.0.attn_sub_norm.weight": 64},
    "a table that is too short": {"rope_freqs.weight": 3},
}


@pytest.mark.parametrize("case", ODD)
def test_a_vector_that_the_engine_would_misuse_is_named(small, case):
    """A vector that is not used, or is not as long as what it meets, is refused: the logits would be another network's."""
    ((name, size),) = ODD[case].items()
    path = small(fmt="f32", extra={name: np.full(size, 0.5, np.float32)})
    assert name.removesuffix(".weight") in refused(path)


def test_a_norm_under_another_name_is_no_norm(small):
    """Two vectors of the right size, of which one is not the attention's."""
    path = small(leave_out=("blk.0.attn_norm.weight",), extra={"blk.0.foo_norm.weight": np.ones(64, np.float32)})
    assert "blk.0" in refused(path)


def test_a_single_expert_is_run(small):
    """Its router chooses it every time: a dense network."""
    path = small(fmt="f32", n_experts=1, n_active=1)
    (expected,) = naive.decode(naive.load(path), [[1]])
    assert start(path, cache="f32")[0] == pytest.approx(expected[0], abs=1e-5)


@pytest.mark.parametrize("kind", [np.float64, np.int32])
def test_what_cannot_be_converted_is_named(small, kind):
    """A vector of 7 in a format without a kernel."""
    assert "foo" in refused(small(extra={"foo": np.ones(7, kind)}), convert="q8_0")


# ---- split files ----


def test_parts_are_one_file(small, tmp_path):
    """Three parts of up to eight tensors, opened by any of them, are the file that was not split, to the bit."""
    whole = start(small())
    small(split=8)
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) == 3
    assert np.array_equal(start(parts[0]), whole)
    assert np.array_equal(start(parts[2]), whole)


def test_a_part_that_is_missing_or_short(small, tmp_path):
    """Each is named."""
    small(split=8)
    first, _, third = sorted(tmp_path.glob("m-*.gguf"))
    third.write_bytes(third.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"m-00003-of-00003.gguf holds .* not to run; fetch the rest of it"):
        start(first)
    third.unlink()
    with pytest.raises(InputError, match=r"m-00001-of-00003.gguf: part m-00003-of-00003.gguf is missing \(1 of 3\)"):
        start(first)


def test_damage_in_a_part_is_found(small, tmp_path):
    """Offsets are those of the tensor's own part."""
    small(split=8)
    first, second, _ = sorted(tmp_path.glob("m-*.gguf"))
    names = [tensor.name for tensor in gguf.GGUFReader(second).tensors]
    name = next(name for name in names if "ffn_up" in name)
    overwrite(second, place_of(second, name) + 34 * 10, NAN)
    with pytest.raises(InputError, match=f"tensor {name.removesuffix('.weight')} has 1 scales"):
        start(first)
