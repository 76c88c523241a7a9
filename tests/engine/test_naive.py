"""The reference against a network worked by hand and against what must hold whatever the weights are."""

import math
from types import SimpleNamespace

import equations
import gguf
import naive
import numpy as np
import pytest
import tiny

LN3 = math.log(3)
TOKENS = [[5, 9, 2, 40, 7, 7, 13], [63], [1, 2, 3]]


def plain(array):
    """A tensor that is kept as it is."""
    return SimpleNamespace(data=np.array(array, dtype=np.float32), tensor_type=gguf.GGMLQuantizationType.F32)


def open_tiny(path, arch, fmt="f32", **changes):
    """A small random network, through a file."""
    return naive.load(tiny.write(path / f"{arch}.gguf", arch, fmt, **changes))


# ---- whole networks ----


def worked_network():
    """One layer of width 2 with one head, in which every intermediate value is short."""
    keys = {"block_count": 1, "embedding_length": 2, "attention.head_count": 1, "attention.layer_norm_rms_epsilon": 0}
    block = {
        "attn_norm": [1, 1], "attn_q": [[0, 0], [0, 0]], "attn_k": [[1, 1], [1, 1]], "attn_v": [[1, 0], [0, 2]],
        "attn_output": [[1, 2], [1, -1]], "ffn_norm": [5, 5], "ffn_gate": [[2 * LN3 / 15, LN3 / 15]],
        "ffn_up": [[1 / 3, 1 / 3]], "ffn_down": [[5 / LN3], [3 / LN3]],
    }  # fmt: skip
    tensors = {f"blk.0.{role}.weight": plain(values) for role, values in block.items()}
    tensors |= {"token_embd.weight": plain([[2, 2], [-3, 3]]), "output_norm.weight": plain([13, 13])}
    tensors |= {"output.weight": plain([[1, 0], [0, 1], [1, -1]])}
    named = {f"llama.{name}": value for name, value in keys.items()}
    return naive.Network({"general.architecture": "llama", **named}, tensors)


def test_a_network_worked_by_hand():
    """Queries of 0 score all alike, so attention reads the mean of the values.

    Token 0: (2, 2), normed (1, 1), value (1, 2), attention (5, -1), so (7, 1), normed times 5 (7, 1), gate ln 3, up 8/3,
    inner 2 ln 3, down (10, 6), so (17, 7), whose root mean square is 13.
    Token 1: (-3, 3), normed (-1, 1), value (-1, 2), mean (0, 2), attention (4, -2), so (1, 1), normed times 5 (5, 5), gate
    ln 3, up 10/3, inner 2.5 ln 3, down (12.5, 7.5), so (13.5, 8.5), whose mean square is 127.25.
    """
    (logits,) = naive.decode(worked_network(), [[0, 1]])
    assert logits[0] == pytest.approx([17, 7, 10], rel=1e-6)
    assert logits[1] == pytest.approx(13 / math.sqrt(127.25) * np.array([13.5, 8.5, 5]), rel=1e-6)


def test_sparse_inputs_worked_by_hand():
    """Half of the inputs of each matrix of that layer: of equal ones the first, so attention sees (1, 0).

    Token 0: value (1, 0), attention (1, 1), so (3, 3), normed times 5 (5, 5), of it (5, 0): gate 2/3 ln 3, up 5/3. The one
    inner value stays. The output matrix sees everything unless it is told to.
    """
    gate = 2 / 3 * LN3
    inner = gate / (1 + math.exp(-gate)) * 5 / 3
    hidden = np.array([3 + 5 / LN3 * inner, 3 + 3 / LN3 * inner])
    normed = 13 * hidden / math.sqrt(np.mean(hidden**2))
    (logits,) = naive.decode(worked_network(), [[0]], top_k_inputs=0.5)
    assert logits[0] == pytest.approx([normed[0], normed[1], normed[0] - normed[1]], rel=1e-6)
    (logits,) = naive.decode(worked_network(), [[0]], top_k_inputs=0.5, head_top_k_inputs=0.5)
    assert logits[0] == pytest.approx([normed[0], 0, normed[0]], rel=1e-6)


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_a_batch_is_each_sequence_alone(tmp_path, arch):
    """Nothing passes between sequences, and logits are of order 1."""
    network = open_tiny(tmp_path, arch)
    together = naive.decode(network, TOKENS)
    for tokens, logits in zip(TOKENS, together, strict=True):
        assert np.array_equal(naive.decode(network, [tokens])[0], logits)
        assert logits.shape == (len(tokens), 64)
        assert 0.3 < logits.std() < 3


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_later_tokens_change_nothing_before_them(tmp_path, arch):
    """The first positions of a longer sequence are the shorter one."""
    network = open_tiny(tmp_path, arch)
    longer, shorter = naive.decode(network, [TOKENS[0], TOKENS[0][:4]])
    assert np.array_equal(longer[:4], shorter)


def test_all_inputs_kept_is_dense(tmp_path):
    """A share of 1 changes nothing, a smaller one does."""
    network = open_tiny(tmp_path, "qwen2moe")
    dense, full, half = (naive.decode(network, TOKENS, top_k_inputs=share)[0] for share in (None, 1.0, 0.5))
    assert np.array_equal(dense, full)
    assert not np.allclose(dense, half)


def test_routing_may_be_given(tmp_path):
    """Mixtral with all tokens on one expert is the dense network with that expert's matrices."""
    network = open_tiny(tmp_path, "llama", n_experts=4)
    tensors = {}
    for name in network.tensors:
        values = network.weight(name)
        tensors[name.replace("_exps", "")] = plain(values[3] if "_exps" in name else values)
    dense = {name: tensor for name, tensor in tensors.items() if "ffn_gate_inp" not in name}
    forced = naive.decode(network, TOKENS, routing=lambda *_: ([3], [1.0]))
    for expected, logits in zip(naive.decode(naive.Network(network.keys, dense), TOKENS), forced, strict=True):
        assert logits == pytest.approx(expected)


def test_routing_is_asked_once_for_every_layer_and_token(tmp_path):
    """Layer, sequence and position, of layers with experts only: the first of three here has none."""
    asked = []

    def choose(layer, sequence, position):
        """Remember who asked; nobody gets an expert."""
        asked.append((layer, sequence, position))
        return [], []

    naive.decode(open_tiny(tmp_path, "deepseek", n_layers=3), [[4, 5], [6]], routing=choose)
    assert sorted(asked) == [(layer, *token) for layer in (1, 2) for token in ((0, 0), (0, 1), (1, 0))]


def test_a_shared_expert_is_gated_only_where_there_is_a_gate(tmp_path):
    """Without routed experts a block adds its shared one, in qwen2moe half of it at a gate of sigmoid(0)."""
    block = open_tiny(tmp_path, "qwen2moe", n_layers=1).block(0)
    network = SimpleNamespace(family=naive.FAMILIES["qwen2moe"])
    x = np.ones(64)
    ungated = {name: tensor for name, tensor in block.items() if name != "ffn_gate_inp_shexp.weight"}
    whole = naive.mix_experts(network, ungated, x, ([], []), None)
    half = naive.mix_experts(network, block | {"ffn_gate_inp_shexp.weight": np.zeros(64)}, x, ([], []), None)
    assert half == pytest.approx(whole / 2)


def test_gemma_sees_everything_in_every_sixth_layer(tmp_path):
    """Five layers see 4 positions and turn with base 10000; the sixth sees all, with the file's base and its scaling."""
    network = open_tiny(tmp_path, "gemma3", n_layers=7, rope_linear=8.0)
    assert [network.window(layer) for layer in range(7)] == [4, 4, 4, 4, 4, None, 4]
    assert network.rotation(4) == {"base": 10000.0, "adjacent": False}
    scaled = {"factors": None, "linear": 8.0, "magnitude": 1.0}
    assert network.rotation(5) == {"base": 1000000.0, "adjacent": False, **scaled}


def test_only_the_first_dimensions_may_turn(tmp_path):
    """Half of each head of 16: the rest stays, and what turns does so as a head of 8."""
    whole, part = (open_tiny(tmp_path, "llama", rotated=turned) for turned in (16, 8))
    assert (whole.n_rotated, part.n_rotated) == (16, 8)
    vectors = np.arange(32.0).reshape(2, 1, 16)
    out = naive.turn(vectors, part.n_rotated, part.rotation(0))
    assert np.array_equal(out[:, :, 8:], vectors[:, :, 8:])
    assert np.array_equal(out[1, 0, :8], equations.rope(vectors[1, 0, :8], 1, 10000, adjacent=True))


@pytest.mark.parametrize(("fmt", "is_rounded"), [("f32", False), ("bf16", False), ("q8_0", True)])
def test_inputs_are_rounded_for_blocks_only(tmp_path, fmt, is_rounded):
    """Of matrices in the file's blocks; by less than 5 % here."""
    network = open_tiny(tmp_path, "qwen2moe", fmt)
    (exact,), (out,) = naive.decode(network, [[1, 2]]), naive.decode(network, [[1, 2]], round_inputs=True)
    assert np.array_equal(exact, out) is not is_rounded
    assert np.linalg.norm(out - exact) < 0.05 * np.linalg.norm(exact)


def test_the_cache_is_rounded_where_it_is_read(tmp_path):
    """Keys and values in float16 cost a few parts in 10,000, also of the first token, which reads its own."""
    network = open_tiny(tmp_path, "llama")
    (exact,), (out,) = naive.decode(network, [[1, 2]]), naive.decode(network, [[1, 2]], round_cache="f16")
    assert (out != exact).any(axis=1).all()
    assert np.linalg.norm(out - exact) < 1e-3 * np.linalg.norm(exact)


def test_what_is_not_known_is_refused(tmp_path):
    """Another architecture, a kind of scaling without its equations, heads that are turned in part."""
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ValueError, match="mamba"):
        naive.load(tmp_path / "other.gguf")
    network = worked_network()
    for key, value in (("llama.rope.scaling.type", "dynamic"), ("llama.rope.dimension_count", 1)):
        with pytest.raises(ValueError, match="not known here"):
            naive.decode(naive.Network(network.keys | {key: value}, network.tensors), [[0]])


# ---- the small files ----


@pytest.mark.parametrize("fmt", tiny.FORMATS)
def test_small_files_have_weights_of_the_right_size(tmp_path, fmt):
    """Matrices are in the format asked for, with 0 on average and a spread near 1/sqrt(columns)."""
    network = open_tiny(tmp_path, "qwen2moe", fmt)
    matrices = {name: tensor for name, tensor in network.tensors.items() if len(tensor.shape) > 1}
    for name, tensor in matrices.items():
        values = network.weight(name)
        assert tensor.tensor_type.name.lower() == ("f32" if "ffn_gate_inp" in name else fmt)
        assert 0.85 < values.std() * math.sqrt(values.shape[-1]) < 1.15
        assert abs(values.mean()) < 0.1 * values.std()
    assert 0.3 < naive.decode(network, [[1, 2]])[0].std() < 3


def test_small_files_may_be_odd_and_mixed(tmp_path):
    """Three heads of 32, a width of 96, one role in a format of its own."""
    sizes = {"d_model": 96, "n_heads": 3, "n_kv_heads": 1, "head_dim": 32, "d_ff": 160}
    network = open_tiny(tmp_path, "llama", "q4_0", formats={"attn_v": "q8_0"}, tied=True, vocab=1000, **sizes)
    assert network.tensors["blk.0.attn_v.weight"].tensor_type.name == "Q8_0"
    assert network.weight("blk.0.ffn_down.weight").shape == (96, 160)
    assert naive.decode(network, [[999]])[0].shape == (1, 1000)


def test_small_files_are_the_same_each_time(tmp_path):
    """The seed decides, and nothing else."""
    same, again, other = (
        tiny.write(tmp_path / name, "gemma3", "q6_k", seed=seed).read_bytes()
        for name, seed in (("same", 3), ("again", 3), ("other", 4))
    )
    assert same == again
    assert same != other
