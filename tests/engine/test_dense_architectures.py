"""Further dense architectures: what their files say, in blocks, in windows and in batches, and what is refused of them."""

import math

import naive_dense
import numpy as np
import pytest
import tiny_dense
from reference import CLOSE, FLIPPED, WIDE, decode_together, errors

from simulator.engine import Engine
from simulator.engine.recipes.recipe import Rotation, Temperature, Yarn
from simulator.engine.recipes.table import ARCHITECTURES, recipe_of_file
from simulator.errors import InputError
from simulator.importers.gguf import load_gguf
from simulator.importers.gguf_header import read_header

BROAD = {"d_model": 128, "head_dim": 32, "d_ff": 192}  # heads as wide as a block of inputs
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}


def recipe_of(small):
    """The recipe of a small file."""
    return recipe_of_file(str(small.path), read_header(small.path).keys, load_gguf(small.path).model)


# ---- what recipes say ----


def test_yarn_spares_the_pairs_that_turn_often():
    """With base 10000 and 8 values pair i turns 10^(3 - i) times in 2000 pi positions; 90 and 1.5 turns lie past pairs 1 and 2."""
    yarn = Yarn(2000 * math.pi, fast=90, slow=1.5)
    assert yarn.kept(10_000, 8).tolist() == [1, 1, 0.5, 0]
    frequencies = Rotation(factor=4.0, yarn=yarn).frequencies(8)
    assert frequencies == pytest.approx([1, 0.1, 0.01 * (0.5 + 0.5 / 4), 0.001 / 4])


def test_queries_grow_with_every_full_length():
    """Of 8 positions, with a scale of 1/2: by ln 2 / 2 from the ninth on, by ln 3 / 2 from the seventeenth."""
    at = Temperature(0.5, 8).at(np.array([0, 7, 8, 15, 16]))
    assert at == pytest.approx([1, 1, 1 + math.log(2) / 2, 1 + math.log(2) / 2, 1 + math.log(3) / 2])


def test_long_contexts_have_factors_of_their_own(case):
    """Beyond the tokens that the model was first trained with."""
    rotation = recipe_of(case("phi3")).layers[0].rotation
    assert rotation.table_for(512) == "rope_factors_short"
    assert rotation.table_for(513) == "rope_factors_long"
    assert recipe_of(case("llama", rope_factors=True)).layers[0].rotation.table_for(10**6) == "rope_freqs"


@pytest.mark.parametrize(
    ("arch", "keys", "magnitude"),
    [
        ("llama", {}, 1 + math.log(4) / 10),
        ("llama", {"rope.scaling.yarn_log_multiplier": 1.0}, 1 + math.log(4) / 10),
        ("mistral3", {"rope.scaling.yarn_log_multiplier": 1.0}, 1.0),
        ("llama", {"rope.scaling.attn_factor": 2.0}, 2 * (1 + math.log(4) / 10)),
        ("llama", {"rope.scaling.factor": 1.0}, 1.0),
    ],
)
def test_yarn_raises_what_it_turns(case, arch, keys, magnitude):
    """By a tenth of the factor's logarithm, unless a multiplier that is read takes that back; and by the file's own factor."""
    rotation = recipe_of(case(arch, keys=YARN | keys)).layers[0].rotation
    assert rotation.magnitude == pytest.approx(magnitude)


def test_layers_that_do_not_turn_their_heads(case):
    """Every fourth; those that see everything where others do not; all of GPT-2's, and of a Granite that says so."""

    def turns(*arguments, **changes):
        return [layer.rotation is not None for layer in recipe_of(case(*arguments, **changes)).layers]

    assert turns("smollm3", n_layers=5) == [True, True, True, False, True]
    assert turns("cohere2", n_layers=5) == [True, True, True, False, True]
    assert turns("exaone4") == [True, True]
    assert turns("gpt2") == [False, False]
    assert turns("granite") == [True, True]
    assert turns("granite", keys={"rope.scaling.finetuned": False}) == [False, False]


def test_scales_come_from_the_keys(case):
    """Granite divides logits, Cohere multiplies them; older MiniCPM files leave out what its paper says: 12, 1.4 / sqrt(2), 64 / 256."""
    granite, cohere = recipe_of(case("granite")), recipe_of(case("command-r"))
    assert (granite.embedding_scale, granite.residual_scale, granite.logit_scale) == (6.0, 0.25, 0.5)
    assert granite.layers[0].attention_scale == 0.125
    assert cohere.logit_scale == 0.5
    silent = {"embedding_scale": 0.0, "residual_scale": 0.0, "logit_scale": 0.0}
    assert recipe_of(case("granite", keys=silent)).residual_scale == 1
    header = {
        "general.architecture": "minicpm",
        "minicpm.context_length": 64,
        "minicpm.attention.layer_norm_rms_epsilon": 1e-5,
    }
    minicpm = recipe_of_file("m.gguf", header, load_gguf(case("minicpm").path).model)
    assert minicpm.embedding_scale == 12
    assert minicpm.residual_scale == pytest.approx(1.4 / math.sqrt(2))
    assert minicpm.logit_scale == pytest.approx(64 / 256)


def test_caps_have_defaults(case):
    """Gemma 2's are 50 and 30 where a file gives none."""
    model = load_gguf(case("gemma2").path).model
    found = recipe_of_file(
        "m.gguf", {"general.architecture": "gemma2", "gemma2.attention.layer_norm_rms_epsilon": 1e-6}, model
    )
    assert (found.attention_cap, found.logit_cap) == (50, 30)
    assert (recipe_of(case("gemma2")).attention_cap, recipe_of(case("gemma2")).logit_cap) == (2, 3)


def test_alpha_raises_the_base(case):
    """Hunyuan: heads of 16 and an alpha of 2 raise it by 2^(16 / 14)."""
    raised = recipe_of(case("hunyuan-dense", keys={"rope.scaling.alpha": 2.0}))
    assert raised.layers[0].rotation.base == pytest.approx(10_000 * 2 ** (16 / 14))


# ---- whole steps ----


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("llama", {"keys": YARN}),
        ("llama", {"biases": ("attn_q", "attn_output", "attn_k", "attn_v", "ffn_gate", "ffn_up", "ffn_down")}),
        ("llama", {"biases": ("output",), "tied": True}),
        ("qwen2", {"biases": ("output",)}),
        ("olmo2", {"n_layers": 5, "window": 4, "keys": YARN}),
        ("gptneox", {"keys": {"use_parallel_residual": False}}),
        ("hunyuan-dense", {"keys": {"rope.scaling.alpha": 2.0}}),
        ("gemma2", {"n_layers": 46, "d_model": 32, "d_ff": 32}),
        ("starcoder2", {"d_model": 72, "head_dim": 16, "d_ff": 100, "vocab": 331}),  # nothing divides by 16
        ("glm4", {"rotated": 16}),
        ("stablelm", {"n_kv_heads": 1}),
    ],
)
def test_variants_in_float32(case, arch, changes):
    """What files may say beside what the small ones do."""
    small = case(arch, **changes)
    layers = changes.get("n_layers", 0)  # each adds its roundings, which differ from processor to processor
    assert errors(small.logits(), small.reference()).max() < CLOSE * (2 if layers > 40 else 1)


def test_long_factors_in_float32(case):
    """With room for more tokens than the model was first trained with, whatever a sequence has of them."""
    small = case("phi3", keys={"rope.scaling.original_context_length": 128})
    assert errors(small.logits(context=naive_dense.CONTEXT), small.reference()).max() < CLOSE


@pytest.mark.parametrize("arch", ["phi3", "gpt2", "starcoder2", "gemma2", "glm4", "falcon", "cohere2"])
@pytest.mark.parametrize("fmt", ["q8_0", "q4_k"])
def test_blocks_round_their_inputs_and_nothing_else(case, arch, fmt):
    """Matrices that are several in one, networks without a gate, and blocks side by side."""
    small = case(arch, fmt, n_layers=4, **(BROAD if fmt == "q8_0" else {}))
    found = errors(small.logits(), small.reference(round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


@pytest.mark.parametrize("arch", ["gemma2", "mistral3", "phi3", "gpt2", "cohere2", "starcoder2", "olmo"])
def test_a_token_does_not_depend_on_its_company(case, arch):
    """The same bits alone, among other sequences, in a prompt of several tokens at a time, and with another number of threads."""
    small = case(
        arch,
        "q8_0",
        n_layers=5,
        **BROAD,
        sequences=([5, 9, 2, 40, 7, 63, 0, 1, 1, 30], [8, 44, 21], [17, 2, 51, 3, 11]),
    )
    with small.engine(threads=1) as engine:
        together = decode_together(engine, small.sequences)
    for number, tokens in enumerate(small.sequences):
        with small.engine(threads=2, batch=1) as engine:
            alone = np.concatenate([engine.decode([token]).logits for token in tokens])
            engine.reset()
            prompted = engine.prompt(tokens).logits[-1]
        assert np.array_equal(together[number], alone)
        assert np.array_equal(prompted, alone[-1])


def test_caps_hold(case):
    """No logit of Gemma 2 is beyond 3 here, however large the last norm makes them."""
    small = case("gemma2", n_layers=3)
    assert np.abs(small.logits()).max() < 3


def test_half_of_the_inputs(case):
    """Of Gemma 2 and Granite the largest half of each matrix's inputs, as the reference keeps them."""
    for arch in ("gemma2", "granite"):
        small = case(arch, **WIDE)
        out = small.logits(sparsity="columns:0.5")
        assert errors(out, small.reference(top_k_inputs=0.5)).max() < CLOSE


# ---- what is refused ----


@pytest.mark.parametrize(("arch", "role"), [("phi3", "attn_qkv"), ("glm4", "ffn_up"), ("starcoder2", "ffn_up")])
def test_zeros_that_cannot_be_skipped(case, arch, role):
    """Of matrices that are several in one, and of networks without a gate."""
    small = case(arch, **WIDE)
    with pytest.raises(InputError, match=f"sparsity: the engine skips no inputs of {role}.*leave"):
        small.engine(sparsity="columns:0.5")


def test_positions_that_were_not_learned(case):
    """A context beyond GPT-2's table."""
    path = case("gpt2").path
    with pytest.raises(
        InputError, match=r"a context of 513 tokens is more than the 512 positions .* give a smaller one"
    ):
        Engine(path, threads=1, context=513)
    with Engine(path, threads=1, context=512) as engine:
        assert engine.decode([5]).read.embedding == 2 * 4 * 64  # the token's row and the position's


def test_baichuan_of_other_sizes(case):
    """Those of 13B have no rotation."""
    with pytest.raises(InputError, match=r"the engine runs Baichuan of 7B, known by its 32 layers; this has 2"):
        case("baichuan").engine()


def test_a_temperature_needs_a_length(case):
    """Of the context that the model was first trained with."""
    path = case("mistral3", keys={"rope.scaling.type": "linear"}).path
    header = {"general.architecture": "mistral3", "mistral3.attention.temperature_scale": 0.1}
    model = load_gguf(path).model.model_copy(update={"max_context": None})
    with pytest.raises(
        InputError, match="original_context_length is nothing, which the temperature of attention needs"
    ):
        recipe_of_file("m.gguf", header, model)


def test_all_of_these_run():
    """Every architecture of these small files."""
    assert set(tiny_dense.ARCHITECTURES) <= set(ARCHITECTURES)
