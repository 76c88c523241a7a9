"""Weights on their way into memory: damaged, incomplete and foreign files, split ones, random ones."""

import struct
import tracemalloc

import gguf
import naive
import numpy as np
import pytest
import tiny

from simulator.engine import cpu, pack, weights
from simulator.engine.formats import LAYOUTS
from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.engine.weights import DrawnSource, FileSource, load
from simulator.errors import InputError
from simulator.importers.gguf_header import read_header
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.quant import FORMATS, uniform

WORDS = 20_000  # of a vocabulary whose matrices are nearly all of the file
NAN, INFINITY, MINUS_INFINITY = b"\x00\x7e", b"\x00\x7c", b"\x00\xfc"  # float16


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """What an engine compiles first is none of its own memory."""
    Team(1).close()
    pack.check_kernel()


@pytest.fixture
def small(tmp_path):
    """Writes a small file."""

    def write(arch="llama", fmt="q8_0", **changes):
        return tiny.write(tmp_path / "m.gguf", arch, fmt, **changes)

    return write


def start(path, **options):
    """An engine of the file, and its first logits."""
    with Engine(path, **({"threads": 2, "context": 8} | options)) as engine:
        return engine.decode([1]).logits


def refused(path, **options) -> str:
    """What is said of a file: one sentence, for which next to nothing was allocated."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as raised:
            Engine(path, **({"threads": 1, "context": 8} | options))
        assert tracemalloc.get_traced_memory()[1] < 2**19
    finally:
        tracemalloc.stop()
    message = str(raised.value)
    assert "\n" not in message
    return message.replace(f"{path}", "m.gguf", 1)


def place_of(path, name):
    """Where a tensor's data starts in its file."""
    return next(int(tensor.data_offset) for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)


def overwrite(path, at, data):
    """Other bytes at one place of a file."""
    raw = bytearray(path.read_bytes())
    raw[at : at + len(data)] = data
    path.write_bytes(raw)
    return path


# ---- files that are not whole ----


def test_a_file_that_was_not_fetched_whole(small):
    """Half of it is there, or all but 32 bytes: the header says how much there should be."""
    whole = small(vocab=WORDS).read_bytes()
    for size in (len(whole) // 2, len(whole) - 32):
        path = small()
        path.write_bytes(whole[:size])
        assert refused(path) == (
            f"m.gguf: m.gguf holds {size / 1e6:.2f} MB of {len(whole) / 1e6:.2f} MB: enough to forecast from its header, "
            "not to run; fetch the rest of it"
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
    assert refused(overwrite(small(), 0, b"GGML")) == "m.gguf: not a GGUF file, which starts with the letters GGUF"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("token_embd", "m.gguf: tensor token_embd.weight is missing: damaged, or not a llama model"),
        ("blk.0.attn_k", "m.gguf: tensor blk.0.attn_k is missing, a llama model needs it"),
        ("blk.1.ffn_down", "m.gguf: tensor blk.*.ffn_down.weight is missing: damaged, or not a llama model"),
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


def test_counts_that_cannot_be(small):
    """Of tensors or of keys: the first words of the header."""
    n_tensors, n_keys = struct.unpack_from("<QQ", small().read_bytes(), 8)
    many = struct.pack("<Q", 2**62)
    message = "m.gguf: damaged header: {:,} tensors and {:,} keys"
    assert refused(overwrite(small(), 8, many)) == message.format(2**62, n_keys)
    assert refused(overwrite(small(), 16, many)) == message.format(n_tensors, 2**62)


# ---- numbers that are none ----


@pytest.mark.parametrize(
    ("fmt", "name", "at", "data"),
    [
        ("q8_0", "token_embd", 34 * 2 * 9_999 + 34, NAN),  # the second block of row 9,999
        ("q8_0", "token_embd", 0, INFINITY),
        ("q8_0", "output", 34 * 2 * WORDS - 34, MINUS_INFINITY),  # the last of all
        ("q4_0", "token_embd", 18 * 777, NAN),
        ("q4_1", "token_embd", 20 * 777 + 2, INFINITY),  # a minimum
        ("q5_0", "token_embd", 22 * 777, b"\xff\xff"),
        ("q5_1", "token_embd", 24 * 777 + 2, NAN),
    ],
)
def test_a_scale_that_is_no_number(small, fmt, name, at, data):
    """One among 40,000 blocks is found, and the tensor named."""
    path = small(fmt=fmt, vocab=WORDS)
    overwrite(path, place_of(path, f"{name}.weight") + at, data)
    assert refused(path) == (
        f"m.gguf: tensor {name} has 1 scales that are infinite or not numbers: the file is damaged, fetch it again"
    )


@pytest.mark.parametrize(
    ("fmt", "at"), [("q4_k", 144 * 100), ("q4_k", 144 * 511 + 2), ("q5_k", 176 * 100 + 2), ("q6_k", 210 * 100 + 208)]
)
def test_a_scale_of_a_large_block_that_is_no_number(small, fmt, at):
    """Where ggml's blocks of 256 have theirs; experts are looked through as any matrix."""
    path = small("qwen3moe", fmt)
    overwrite(path, place_of(path, "blk.1.ffn_up_exps.weight") + at, NAN)
    assert "tensor blk.1.ffn_up_exps has 1 scales" in refused(path)


@pytest.mark.parametrize(
    ("fmt", "own", "name", "at", "data"),
    [
        ("f32", {}, "blk.1.ffn_up", 4 * 5000, struct.pack("<f", np.nan)),
        ("f32", {}, "output_norm", 4 * 63, struct.pack("<f", -np.inf)),
        ("f16", {}, "blk.0.attn_q", 2 * 77, NAN),
        ("bf16", {}, "blk.0.attn_q", 2 * 77, b"\x80\x7f"),
        ("q8_0", {"ffn_norm": "bf16"}, "blk.1.ffn_norm", 2 * 33, b"\xc0\xff"),
        ("q8_0", {"attn_norm": "f16"}, "blk.0.attn_norm", 0, INFINITY),
    ],
)
def test_an_element_that_is_no_number(small, fmt, own, name, at, data):
    """In a matrix of floats, and in vectors of any of them; there are two here."""
    path = small(fmt=fmt, formats=own)
    overwrite(path, place_of(path, f"{name}.weight") + at, data)
    message = (
        f"m.gguf: tensor {name} has %s elements that are infinite or not numbers: the file is damaged, fetch it again"
    )
    assert refused(path) == message % 1
    size = len(data)
    before = at - size if at else at + size
    overwrite(path, place_of(path, f"{name}.weight") + before, data)
    assert refused(path) == message % 2


def test_the_largest_numbers_are_numbers(small):
    """65504 as a scale and 3e38 in a vector are unlikely, but no damage."""
    path = small()
    overwrite(path, place_of(path, "blk.0.ffn_up.weight"), b"\xff\x7b")
    overwrite(path, place_of(path, "blk.0.ffn_norm.weight"), struct.pack("<f", 3e38))
    start(path)


# ---- what there is no kernel for ----


def test_a_format_without_a_kernel_names_the_way_out(small):
    """The tensor, its format, and --convert."""
    message = refused(small(formats={"ffn_down": "iq4_nl"}))
    assert message.startswith(
        "m.gguf: tensor blk.0.ffn_down.weight is stored in iq4_nl, which the engine has no kernel for; "
        "--convert q8_0 turns such tensors into q8_0 while loading (kernels: f32, "
    )


@pytest.mark.parametrize(("convert", "limit"), [("q8_0", 0.03), ("f16", 1e-3), ("f32", 1e-5)])
def test_converted_tensors_are_close_to_their_own(small, convert, limit):
    """Rounding to q8_0 costs less than 3 % of the logits' spread, to f16 one in a thousand, to f32 nothing."""
    path = small("qwen2moe", "f32", formats={"ffn_down_exps": "iq4_nl", "attn_q": "iq4_nl"})
    logits = start(path, convert=convert, cache="f32")[0]
    (expected,) = naive.decode(naive.load(path), [[1]])
    assert np.abs(logits - expected[0]).max() / expected.std() < limit


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
        ("olmo2", {}, "the engine does not run architecture 'olmo2', only llama, deepseek, qwen2, qwen3, "),
        ("llama", {"general.architecture": "mamba"}, "architecture 'mamba' is unknown"),
        ("llama", {"general.architecture": 7}, "general.architecture is missing"),
        ("llama", {"rope.scaling.type": "yarn"}, "llama.rope.scaling.type is 'yarn'; the engine runs linear or none"),
        ("qwen3", {"rope.scaling.type": "longrope"}, "qwen3.rope.scaling.type is 'longrope'; the engine runs linear"),
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


# ---- memory ----


def test_weights_that_do_not_fit(small, monkeypatch):
    """What is needed and what there is, before anything is read."""
    path = small(vocab=WORDS)
    held = 2 * WORDS * 68 + 2 * (2 * 64 + 2 * 32 + 3 * 96) * 68 + 5 * 64 * 4
    monkeypatch.setattr(weights, "available_bytes", lambda: held - 1)
    assert refused(path) == "m.gguf: its weights need 2.79 MB of memory, 2.79 MB are available"
    monkeypatch.setattr(weights, "available_bytes", lambda: held)
    start(path)
    monkeypatch.setattr(weights, "available_bytes", lambda: None)
    start(path)


def test_random_weights_that_do_not_fit(monkeypatch):
    """A model of 70 billion weights is not drawn to find out."""
    monkeypatch.setattr(weights, "available_bytes", lambda: 16 * 2**30)
    tracemalloc.start()
    with pytest.raises(
        InputError, match=r"llama-3-70b, random weights: its weights need 75.0 GB of memory, 17.2 GB are"
    ):
        Engine("llama-3-70b", threads=1, weights="q8_0")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_cache_that_does_not_fit(small, monkeypatch):
    """10 million tokens in two layers of two heads of 16: 2.56 GB in float16, where there are 2 GB."""
    path = small(fmt="f32", context=10_000_000)
    monkeypatch.setattr(weights, "available_bytes", lambda: 2 * 10**9)
    with pytest.raises(InputError, match=r"2\.5[67] GB"):
        Engine(path, threads=1, context=10_000_000).close()


def test_available_memory_is_a_number_of_bytes():
    """Where the system tells, it is less than a machine can have and more than nothing."""
    found = weights.available_bytes()
    assert found is None or 2**20 < found < 2**50


def test_progress_is_told_in_bytes(small):
    """After every tensor, up to all of them."""
    told = []
    path = small()
    start(path, progress=lambda done, total: told.append((done, total)))
    total = sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors)
    assert [total for _, total in told] == [total] * 21
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == total


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


# ---- random weights ----

LAYER = {
    "attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, "qkv_bias": True},
    "ffn": {"kind": "experts", "n_experts": 4, "n_active": 2, "d_expert": 512, "n_shared": 1, "d_shared": 256},
}
SHAPES = {"name": "small", "d_model": 256, "vocab": 300, "layers": [{**LAYER, "count": 2}]}


def drawn(fmt, seed=0):
    """Tensors of a small model by layer and role: what they are, and their bytes."""
    source = DrawnSource(Model.model_validate(SHAPES), parse_weights(fmt), seed)
    return {(tensor.layer, tensor.role): (tensor, source.raw(tensor)) for tensor in source.tensors}


@pytest.mark.parametrize("fmt", LAYOUTS)
def test_random_weights_have_a_size_that_keeps_their_inputs(fmt):
    """Standard deviation columns ** -0.5 within a factor of 1.5, no number that is none, in every format.

    The mean is 0, but that of q4_0 and q5_0, whose quants reach from -8 to 7 and from -16 to 15.
    """
    for tensor, raw in drawn(fmt).values():
        assert raw.nbytes == tensor.nbytes
        if tensor.is_vector:
            continue
        kind = gguf.GGMLQuantizationType[tensor.format.upper()]
        raw = raw.view(np.float32) if tensor.format == "f32" else raw
        values = gguf.quants.dequantize(raw, kind).astype(np.float64)
        assert np.isfinite(values).all()
        spread = values.std() * tensor.columns**0.5
        assert 1 / 1.5 < spread < 1.5, tensor.role
        assert abs(values.mean()) < 0.15 * values.std(), tensor.role


@pytest.mark.parametrize("fmt", ["iq4_nl", "mxfp4", "q3_k_m", "fp8", "2.70bpw", "ternary", "f64"])
def test_formats_that_cannot_be_drawn_are_named(fmt):
    """Those of which the engine has no kernel, by the name of the mix or the format."""
    with pytest.raises(InputError, match=fmt.removesuffix("_m")):
        Engine(Model.model_validate(SHAPES), threads=1, context=8, weights=fmt).close()


def test_rows_that_do_not_divide_into_blocks_are_named():
    """192 columns into blocks of 256."""
    narrow = Model.model_validate(SHAPES | {"d_model": 192})
    with pytest.raises(InputError, match="192"):
        Engine(narrow, threads=1, context=8, weights=uniform(FORMATS["q4_k"])).close()


@pytest.mark.parametrize("fmt", ["f32", "q8_0", "q4_k"])
def test_random_weights_are_the_same_for_a_seed(fmt):
    """To the byte; another seed, layer or role has others."""
    one, again, other = drawn(fmt), drawn(fmt), drawn(fmt, seed=1)
    matrices = {key: raw.tobytes() for key, (tensor, raw) in one.items() if not tensor.is_vector}
    assert all(again[key][1].tobytes() == raw for key, raw in matrices.items())
    assert all(other[key][1].tobytes() != raw for key, raw in matrices.items())
    assert len({raw[:4096] for raw in matrices.values()}) == len(matrices)


def test_random_vectors_do_nothing():
    """Norms are 1 and biases 0, so that only the matrices are random."""
    vectors = {role: raw.view(np.float32) for (_, role), (tensor, raw) in drawn("q8_0").items() if tensor.is_vector}
    assert {role: set(values.ravel().tolist()) for role, values in vectors.items()} == {
        "attn_norm": {1.0}, "ffn_norm": {1.0}, "output_norm": {1.0},
        "attn_q.bias": {0.0}, "attn_k.bias": {0.0}, "attn_v.bias": {0.0},
    }  # fmt: skip


@pytest.mark.parametrize("name", [path.name for path in cpu.reachable()])
def test_packed_rows_are_the_sources(name):
    """The embedding's rows come back as the source has them, on paths that store signed and on those that do not."""
    source = DrawnSource(Model.model_validate(SHAPES), parse_weights("q8_0"))
    team = Team(2)
    loaded = load(source, team, cpu.choose(name))
    team.close()
    embedding = next(tensor for tensor in source.tensors if tensor.role == "token_embd")
    expected = gguf.quants.dequantize(source.raw(embedding), gguf.GGMLQuantizationType.Q8_0)
    for row in (0, 1, 17, 299):
        assert np.array_equal(loaded.matrices[-1, "token_embd"].rows_of([row])[0], expected[row])
