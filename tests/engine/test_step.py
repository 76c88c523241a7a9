"""Whole decode steps against the reference: every architecture and format, batches, windows, caches, sparse inputs."""

import threading
from contextlib import closing
from dataclasses import dataclass

import amount
import naive
import numpy as np
import pytest
import tiny

from simulator.engine import cpu, step
from simulator.engine.recipe import ARCHITECTURES
from simulator.engine.step import Engine
from simulator.engine.team import Team
from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.model import Model
from simulator.spec.sparsity import Sparsity

# Errors are the largest of any logit, relative to the standard deviation of all. Float32 leaves 2e-6.
CLOSE = 1e-5
# Where a value lies halfway between two int8 steps, float32 and float64 may round it apart: one step more in one input.
# What it changes, later tokens of that sequence read from the cache. Seen: 0.02; what a wrong weight does: 1.
FLIPPED = 0.05
SEQUENCES = ([5, 9, 2, 40, 7], [63, 0, 1, 1, 30, 31, 12, 13, 50], [17], [8, 44, 21, 9, 9, 60, 33, 2, 51, 3, 11, 26])
QUANTISED = [fmt for fmt in tiny.FORMATS if fmt not in ("f32", "f16", "bf16")]


@dataclass(frozen=True)
class Case:
    """A small file, and what is decoded with it."""

    path: object
    network: naive.Network
    sequences: tuple = SEQUENCES

    def reference(self, **options):
        """Logits of all positions of all sequences, one after the other."""
        return np.concatenate(naive.decode(self.network, self.sequences, **options))

    def engine(self, **options):
        """An engine with room for the sequences, whose cache is float32 unless told otherwise."""
        n_sequences, longest = len(self.sequences), max(map(len, self.sequences))
        return Engine(
            self.path, **({"threads": 2, "batch": n_sequences, "context": longest + 1, "cache": "f32"} | options)
        )

    def logits(self, routing=None, **options):
        """The same logits from the engine, all sequences that are not over together in a step."""
        with self.engine(**options) as engine:
            return np.concatenate(decode_together(engine, self.sequences, routing))


@pytest.fixture
def case(tmp_path):
    """Writes a file of an architecture and a format, and opens it for the reference."""

    def write(arch, fmt="f32", *, sequences=SEQUENCES, **changes):
        path = tiny.write(tmp_path / f"{arch}-{fmt}.gguf", arch, fmt, **changes)
        return Case(path, naive.load(path), sequences)

    return write


def decode_together(engine, sequences, routing=None):
    """Logits [tokens, vocab] of each sequence; routing(layer, sequence, position) gives experts."""
    found = [[] for _ in sequences]
    for position in range(max(map(len, sequences))):
        live = [number for number, tokens in enumerate(sequences) if position < len(tokens)]

        def choose(layer, _n, _n_experts, _n_active, live=live, position=position):
            return [routing(layer, number, position)[0] for number in live]

        step = engine.decode([sequences[number][position] for number in live], live, choose if routing else None)
        for number, logits in zip(live, step.logits, strict=True):
            found[number].append(logits)
    return [np.array(each) for each in found]


def errors(out, expected):
    """For each row of logits the largest error, relative to the standard deviation of all."""
    return np.abs(out - expected).max(axis=1) / expected.std()


def differing_experts(layer, sequence, position):
    """Three of eight experts, and the router's weights for them."""
    return [(layer + sequence + position + 2 * each) % 8 for each in range(3)], None


# ---- arithmetic ----

OWN = {"gemma3": {"n_layers": 7}, "deepseek": {"n_layers": 3}}  # a layer that sees everything; two kinds of layers
SUPPORTED = [arch for arch in tiny.ARCHITECTURES if arch in ARCHITECTURES]


def test_every_architecture_of_the_engine_is_decoded_here():
    """The small files leave none out."""
    assert set(ARCHITECTURES) == set(SUPPORTED)


@pytest.mark.parametrize("arch", SUPPORTED)
def test_architectures_in_float32(case, arch):
    """Sequences of 1 to 12 tokens decoded together are the reference, to float32's accuracy."""
    small = case(arch, **OWN.get(arch, {}))
    assert errors(small.logits(), small.reference()).max() < CLOSE


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("llama", {"n_experts": 8}),  # Mixtral
        ("llama", {"rope_factors": True, "rope_linear": 4.0}),
        ("gemma3", {"rope_linear": 8.0, "n_layers": 6, "tied": False}),
        ("llama", {"rotated": 8}),  # half of each head
        ("qwen3", {"value_dim": 48}),
        ("qwen2", {"n_heads": 6, "n_kv_heads": 1, "head_dim": 16, "tied": True}),
        ("llama", {"d_model": 72, "head_dim": 16, "d_ff": 100, "vocab": 331}),  # nothing divides by 16
        ("olmoe", {"n_experts": 60, "n_active": 8, "d_expert": 24}),
    ],
)
def test_variants_in_float32(case, arch, changes):
    """Scaled and partial rotations, tied heads, odd widths, many experts."""
    small = case(arch, **changes)
    assert errors(small.logits(), small.reference()).max() < CLOSE


@pytest.mark.parametrize(("arch", "routing"), [("llama", None), ("qwen3moe", differing_experts)])
@pytest.mark.parametrize("fmt", amount.among(tiny.FORMATS, tiny.KINDS))
def test_formats_round_their_inputs_and_nothing_else(case, fmt, arch, routing):
    """With inputs of blocks rounded to int8 in the reference too, most rows agree as closely as in float32.

    Against the reference without rounding, int8 inputs cost at most 3 % in two layers.
    """
    small = case(arch, fmt)
    out = small.logits(routing)
    found = errors(out, small.reference(routing=routing, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < (FLIPPED if fmt in QUANTISED else CLOSE)
    exact = small.reference(routing=routing)
    assert np.linalg.norm(out - exact) / np.linalg.norm(exact) < 0.03


@pytest.mark.parametrize(
    ("arch", "fmt", "formats"),
    [
        ("llama", "q4_k", {"attn_v": "q6_k", "ffn_down": "q6_k", "output": "q6_k"}),  # as q4_k_m has it
        ("llama", "q8_0", {"ffn_gate": "q4_0", "ffn_down": "f16", "attn_output": "bf16", "token_embd": "f32"}),
        ("llama", "f16", {"ffn_down": "q8_0", "attn_q": "q5_1", "attn_norm": "bf16", "output_norm": "f16"}),
        ("qwen2", "q8_0", {"bias": "f16", "attn_k": "f32"}),
        ("qwen2moe", "q4_0", {"ffn_gate_inp": "f16", "ffn_down_exps": "q8_0", "ffn_up_shexp": "q5_0"}),
    ],
)
def test_formats_may_be_mixed(case, arch, fmt, formats):
    """Every matrix takes its inputs as its own format wants them; vectors may be short floats too."""
    small = case(arch, fmt, formats=formats)
    routing = differing_experts if "moe" in arch else None
    found = errors(small.logits(routing), small.reference(routing=routing, round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


@pytest.mark.parametrize("path_name", [path.name for path in cpu.reachable()])
def test_every_path_decodes_the_same(case, path_name):
    """A network in q8_0 whose head is in q4_0, on each of the processor's paths."""
    small = case("qwen3", "q8_0", formats={"output": "q4_0"})
    found = errors(small.logits(path=path_name), small.reference(round_inputs=True))
    assert np.median(found) < CLOSE
    assert found.max() < FLIPPED


def test_the_experts_of_a_step_are_the_routers(case, monkeypatch):
    """In order of layer and token, best first."""
    own_choice, chosen = naive.own_choice, []

    def remember(*arguments):
        """The reference's choice, noted."""
        chosen.append(own_choice(*arguments))
        return chosen[-1]

    monkeypatch.setattr(naive, "own_choice", remember)
    small = case("qwen3moe", n_experts=16, sequences=[[3], [9], [27], [60]])
    small.reference()
    with small.engine() as engine:
        step = engine.decode([3, 9, 27, 60])
    assert np.concatenate(step.experts).tolist() == [experts.tolist() for experts, _ in chosen]
    assert step.distinct_experts == tuple(len(set(layer.ravel().tolist())) for layer in step.experts)


# ---- batches, prompts, threads ----


@pytest.mark.parametrize("fmt", ["f32", "q8_0"])
def test_a_batch_is_each_sequence_alone(case, fmt):
    """To the bit: nothing passes between sequences, and how many are decoded together changes no sum."""
    small = case("qwen2moe", fmt)
    together = small.logits()
    with small.engine(batch=1) as engine:
        alone = []
        for tokens in SEQUENCES:
            engine.reset()
            alone += decode_together(engine, [tokens])
    assert np.array_equal(together, np.concatenate(alone))


def test_any_place_in_the_batch_will_do(case):
    """Sequences 3 and 0 decoded in this order are what 0 and 1 would be, and 1 and 2 stay empty."""
    small = case("llama", sequences=[[5, 6, 7], [40, 41, 42]])
    with small.engine(batch=4) as engine:
        steps = [engine.decode([5 + at, 40 + at], [3, 0]).logits for at in range(3)]
        assert engine.lengths.tolist() == [3, 0, 0, 3]
    out = np.concatenate([np.array(steps)[:, 0], np.array(steps)[:, 1]])
    assert errors(out, small.reference()).max() < CLOSE


@pytest.mark.parametrize("arch", ["llama", "qwen3moe", "gemma3"])
@pytest.mark.parametrize("n_tokens", [1, 15, 16, 17, 40])
def test_a_prompt_is_its_tokens_one_by_one(case, arch, n_tokens):
    """16 at a time go through the weights together; the last step's logits, and what follows, are the same."""
    tokens = [(7 * at * at + 3) % 64 for at in range(n_tokens + 2)]
    small = case(arch, sequences=[tokens])
    expected = small.reference()
    with small.engine(batch=2) as engine:
        step = engine.prompt(tokens[:n_tokens], sequence=1)
        after = [engine.decode([token], [1]).logits[0] for token in tokens[n_tokens:]]
        assert engine.lengths.tolist() == [0, n_tokens + 2]
    n_last = len(step.logits)
    out = np.concatenate([step.logits, after])
    assert errors(out, expected[n_tokens - n_last :]).max() < CLOSE


def test_a_long_context_is_read_in_runs(case):
    """The last of 300 positions, past the 256 that one thread reads at a time."""
    tokens = [(11 * at * at + at) % 64 for at in range(300)]
    small = case("llama", sequences=[tokens], n_layers=1)
    with small.engine() as engine:
        out = engine.prompt(tokens).logits
    assert errors(out, small.reference()[-len(out) :]).max() < CLOSE


@pytest.mark.parametrize("n_together", [1, 7, 16])
def test_a_window_slides_over_its_ring(case, n_together):
    """50 tokens through layers that see 4: their slots are 32 (4 and 15 of a prompt, in panels of 16) and used again."""
    tokens = [(5 * at * at + at) % 64 for at in range(50)]
    small = case("gemma3", sequences=[tokens], n_layers=6)
    with small.engine() as engine:
        assert engine.network.layer_angles[0].capacity == 32
        out = [engine.prompt(tokens[at : at + n_together]).logits for at in range(0, 50, n_together)]
    assert errors(np.concatenate(out), small.reference()).max() < CLOSE


@pytest.mark.parametrize("arch", ["qwen2moe", "gemma3"])
def test_the_number_of_threads_changes_nothing(case, arch, monkeypatch):
    """1, 2, 3 and 5 threads, to the bit, whatever the number of cores."""
    monkeypatch.setattr(step, "threads_here", lambda wanted: wanted)
    small = case(arch, "q8_0")
    first, *others = (small.logits(threads=threads) for threads in (1, 2, 3, 5))
    assert all(np.array_equal(first, other) for other in others)


# ---- the cache ----


def test_a_float16_cache_rounds_keys_and_values(case):
    """As the reference rounds them, but for single ones halfway between; against no rounding 3e-4 on average."""
    small = case("qwen3")
    out = small.logits(cache="f16")
    found = errors(out, small.reference(round_cache=True))
    assert np.median(found) < CLOSE
    assert found.max() < 3e-4
    exact = small.reference()
    assert 1e-4 < np.linalg.norm(out - exact) / np.linalg.norm(exact) < 1e-3


def test_reset_forgets(case):
    """After it, the same tokens give the same logits again."""
    small = case("gemma3")
    with small.engine() as engine:
        first = decode_together(engine, SEQUENCES)
        engine.reset()
        assert not engine.lengths.any()
        second = decode_together(engine, SEQUENCES)
    assert all(np.array_equal(left, right) for left, right in zip(first, second, strict=True))


def test_a_pretended_depth_is_where_the_next_token_stands(case):
    """Of 40 tokens that were never there the new one reads zeros; it stands at position 40, and the cache is read so far."""
    small = case("llama")
    with small.engine(context=64) as engine:
        engine.pretend(40)
        step = engine.decode([1, 2])
        assert engine.lengths.tolist() == [41, 41, 40, 40]
    assert np.isfinite(step.logits).all()
    # 2 sequences of 2 layers of 2 heads: keys of 48 slots (three panels) and values of 41, 16 wide, 4 bytes.
    assert step.read.cache == 2 * 2 * 2 * (48 + 41) * 16 * 4


# ---- sparse inputs ----

WIDE = {"d_model": 128, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "d_ff": 192, "d_expert": 64}


@pytest.mark.parametrize(
    ("arch", "fmt", "changes"),
    [
        ("llama", "f32", {}),
        ("llama", "f16", {}),
        ("llama", "bf16", {}),
        ("gemma3", "f32", {"head_dim": 64}),
        ("qwen2moe", "f32", {"d_shared": 64}),
    ],
)
def test_half_of_the_inputs(case, arch, fmt, changes):
    """The largest half of each matrix's inputs, as the reference keeps them, in formats that round nothing."""
    small = case(arch, fmt, **(WIDE | changes))
    out = small.logits(sparsity="columns:0.5")
    assert errors(out, small.reference(top_k_inputs=0.5)).max() < CLOSE


@pytest.mark.parametrize("fmt", ["q8_0", "q4_0"])
def test_half_of_the_inputs_as_int8(case, fmt):
    """The kept ones are rounded; a rounding apart may keep another input, so that the odd row is off."""
    small = case("llama", fmt, **WIDE)
    out = small.logits(sparsity="columns:0.5")
    found = errors(out, small.reference(top_k_inputs=0.5, round_inputs=True))
    assert np.median(found) < CLOSE
    assert np.mean(found < CLOSE) > 0.7


def test_one_share_for_each_group(case):
    """qkv, out, up, gate and down have zeros of their own: where only down has some, the others are dense."""
    small = case("llama", **WIDE)
    shares = {"ffn_down": 0.25}
    linear = naive.linear
    dense, sparse = small.logits(), small.logits(sparsity="columns:0,0,0,0,0.75")

    def only_down(block, role, x, share=None):
        """The reference with zeros before one matrix."""
        return linear(block, role, x, shares.get(role))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naive, "linear", only_down)
        assert errors(sparse, small.reference()).max() < CLOSE
    assert errors(dense, small.reference()).max() < CLOSE


# ---- what cannot be done ----


@pytest.mark.parametrize(
    ("tokens", "sequences", "message"),
    [
        ([64], None, "token 64 is outside the vocabulary of 64"),
        ([-1], None, "token -1 is outside the vocabulary of 64"),
        ([1], [2], "sequence 2 is outside the batch of 2"),
        ([1], [-1], "sequence -1 is outside the batch of 2"),
        ([], None, "0 tokens for 0 sequences; 1 to 9 are possible"),
        ([1, 2, 3], [0, 1], "3 tokens for 2 sequences; 1 to 9 are possible"),
        ([1] * 10, [0] * 10, "10 tokens for 10 sequences; 1 to 9 are possible"),
    ],
)
def test_what_cannot_be_decoded_is_said(case, tokens, sequences, message):
    """In one sentence, and nothing has changed: the context is 9 tokens, so that many go through a step."""
    with case("llama").engine(batch=2, context=9) as engine:
        before = engine.decode([1, 2]).logits
        with pytest.raises(InputError) as raised:
            engine.decode(tokens, sequences)
        assert str(raised.value) == message
        assert engine.lengths.tolist() == [1, 1]
        engine.reset()
        assert np.array_equal(engine.decode([1, 2]).logits, before)


@pytest.mark.parametrize(
    ("tokens", "sequences", "wrong"), [([-1, 5], [0, 0], "token -1"), ([1, 5], [-1, 0], "sequence -1")]
)
def test_of_several_the_wrong_one_is_said(case, tokens, sequences, wrong):
    """Not the one beside it, which is right."""
    with case("llama").engine() as engine, pytest.raises(InputError, match=wrong):
        engine.decode(tokens, sequences)


@pytest.mark.parametrize(
    "experts",
    [
        [1, 2, 3, 4],
        [[0, 1]] * 4,
        [[0, 1, 1]] * 4,
        [[-1, 0, 1]] * 4,
        [[0, 1, 8]] * 4,
    ],
)
def test_a_routing_gives_different_experts_that_there_are(case, experts):
    """As many for each token as the model uses, each once."""
    with case("qwen3moe").engine() as engine, pytest.raises(InputError, match="routing"):
        engine.decode([1, 2, 3, 4], routing=lambda *_: np.array(experts))


def test_a_full_context_is_said(case):
    """Five tokens fit; a sixth does not, nor two where one has room, and other sequences go on."""
    with case("llama").engine(batch=2, context=5) as engine:
        engine.prompt([1, 2, 3, 4])
        for tokens in ([1, 2], [1, 2, 3]):
            with pytest.raises(InputError, match="the context of 5 tokens is full"):
                engine.decode(tokens, [0] * len(tokens))
        engine.decode([1], [0])
        with pytest.raises(InputError, match="the context of 5 tokens is full; give a larger one"):
            engine.decode([1], [0])
        engine.decode([1], [1])
        assert engine.lengths.tolist() == [5, 1]


def test_prompts_and_depths_have_bounds(case):
    """A prompt needs a token, a depth lies inside the context."""
    with case("llama").engine(context=8) as engine:
        with pytest.raises(InputError, match="a prompt needs at least one token"):
            engine.prompt([])
        for depth in (-1, 8):
            with pytest.raises(InputError, match=f"a depth of {depth} tokens is outside the context of 8"):
                engine.pretend(depth)


@pytest.mark.parametrize(
    ("fmt", "sizes", "options", "message"),
    [
        ("f32", {}, {"cache": "q8_0"}, "cache format 'q8_0' is not one of the engine's: f16 or f32"),
        ("f32", {}, {"path": "mmx"}, "CPU path 'mmx' is unknown"),
        ("f32", {}, {"sparsity": "columns:half"}, "a share of zeros between 0 and 1"),
        ("f32", {}, {"sparsity": "block-q-sparse:0.5,0.5"}, "give one share, or 5 for qkv, out, up, gate, down"),
        ("f32", WIDE, {"sparsity": "columns:0,0,0.5,0.5,0"}, "in down where those have any"),
        ("f32", WIDE, {"sparsity": "columns:0,0,0.5,0,0.5"}, "ffn_gate, ffn_up share their inputs"),
        ("f32", {"n_kv_heads": 1}, {"sparsity": "columns:0.5"}, "rows divide by 64; one has 16"),
        ("q5_0", WIDE, {"sparsity": "columns:0.5"}, "run with weights in q8_0, q4_0, f32, f16, bf16, not in q5_0"),
        ("q8_0", {"n_kv_heads": 4}, {}, "heads of width 16 are not run with an output matrix in q8_0"),
    ],
)
def test_options_that_make_no_engine(case, fmt, sizes, options, message):
    """Each is said in one sentence before anything is decoded, and leaves no threads behind."""
    small, before = case("llama", fmt, **sizes), threading.active_count()
    with pytest.raises(InputError, match=message):
        small.engine(**options)
    assert threading.active_count() == before


def test_a_granularity_is_refused(case):
    """The engine skips single columns: counting whole lines of 32 would not be what it reads."""
    lines = Sparsity(name="lines", qkv=0.5, granularity=32)
    with pytest.raises(InputError, match="sparsity lines: the engine skips single columns, granularity must be 1"):
        case("llama", **WIDE).engine(sparsity=lines)


# ---- one engine beside another, and after a surprise ----


def test_two_engines_at_once(case, tmp_path):
    """Steps taken in turn leave each as if it were alone."""
    first, second = case("llama"), case("qwen3moe", "q8_0")
    expected = first.logits(), second.logits()
    with first.engine() as left, closing(Team(3)) as team, second.engine(team=team) as right:
        found = [], []
        for at in range(5):
            live = [number for number, tokens in enumerate(SEQUENCES) if at < len(tokens)]
            for engine, out in zip((left, right), found, strict=True):
                out.append(engine.decode([SEQUENCES[number][at] for number in live], live).logits[0])
    for logits, out in zip(expected, found, strict=True):
        assert np.array_equal(np.array(out), logits[:5])


@pytest.mark.parametrize("is_done", [False, True])
def test_an_interrupted_step_can_be_taken_again(case, monkeypatch, is_done):
    """Interrupted before its work or right after, it did not happen: the same token then gives what it would have given."""
    small = case("gemma3", "q8_0")
    expected = small.logits()[: len(SEQUENCES[0])]
    with small.engine() as engine:
        run, found = engine.team.run, []

        def interrupted(tape):
            """The user's Ctrl-C."""
            if is_done:
                run(tape)
            raise KeyboardInterrupt

        for token in SEQUENCES[0]:
            monkeypatch.setattr(engine.team, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.decode([token])
            monkeypatch.undo()
            found.append(engine.decode([token]).logits[0])
    assert np.array_equal(np.array(found), expected)


def test_a_closed_engine_has_no_threads(case, monkeypatch):
    """Leaving the `with` ends them; closing again does no harm."""
    monkeypatch.setattr(step, "threads_here", lambda _: 3)  # however many there are
    with case("llama").engine() as engine:
        threads = engine.team._threads
        engine.decode([1])
        assert [thread.is_alive() for thread in threads] == [True, True]
    assert [thread.is_alive() for thread in threads] == [False, False]
    engine.close()


def test_more_threads_than_there_are_are_refused(case):
    """In Python as on the command line, before anything is loaded."""
    with pytest.raises(InputError, match=r"^threads 100000: .* machine"):
        case("llama").engine(threads=100_000)


@pytest.mark.parametrize("wrong", ["4", True, 0, 10**30])
def test_all_that_no_machine_can_run_is_refused_in_one_sentence(case, wrong):
    """A text, a truth, none and more than any has: what is possible here, whatever was given."""
    with pytest.raises(InputError, match=r"^threads \S+: .* machine"):
        case("llama").engine(threads=wrong)


def test_a_closed_engine_decodes_nothing(case):
    """It says so."""
    with case("llama").engine() as engine:
        pass
    with pytest.raises(InputError, match="closed"):
        engine.decode([1])


# ---- random weights ----

SMALL = {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 32}
DENSE = {"attention": SMALL, "ffn": {"kind": "gated", "d_ff": 512}}
SPARSE = {
    "attention": {**SMALL, "qk_norm": "head", "window": 8},
    "ffn": {
        "kind": "experts",
        "n_experts": 8,
        "n_active": 2,
        "d_expert": 256,
        "n_shared": 1,
        "d_shared": 256,
        "shared_gate": True,
    },
}


def model_of(**changes):
    """Two dense layers, and two with experts, a window and four norms, of width 256."""
    layers = [{**DENSE, "count": 2}, {**SPARSE, "count": 2, "norms": 4}]
    return Model.model_validate({"name": "small", "d_model": 256, "vocab": 512, "layers": layers, **changes})


@pytest.mark.parametrize("weights", [*tiny.FORMATS, "q4_k_m", "q5_k_m"])
def test_random_weights_give_sane_logits(weights):
    """Of every format and mix: finite, different for every token, and of order 1 after the last norm."""
    with Engine(model_of(), threads=2, batch=4, context=16, weights=weights) as engine:
        for _ in range(3):
            logits = engine.decode([1, 2, 3, 400]).logits
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std() < 3
    assert len(np.unique(logits[:, 0])) == 4


def test_random_weights_are_the_seeds(tmp_path):
    """The same seed gives the same logits, another one others; the number of threads has no part in it."""
    same, again, other = (
        first_logits(model_of(tied_head=True), seed=seed, threads=threads) for seed, threads in ((3, 1), (3, 2), (4, 2))
    )
    assert np.array_equal(same, again)
    assert not np.allclose(same, other)


def first_logits(model, **options):
    """Of token 7."""
    with Engine(model, context=16, weights="q8_0", **options) as engine:
        return engine.decode([7]).logits


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma-3-270m", "qwen2.5-0.5b"])
def test_shipped_models_decode_in_shapes_of_their_own(name):
    """Their layers, two of them, with a small vocabulary: finite logits of order 1."""
    model = load_model(name).model
    layers = [model.stack[0].model_dump(), model.stack[-1].model_dump()]
    few = Model.model_validate(model.model_dump() | {"vocab": 1000, "layers": layers})
    with Engine(few, threads=2, context=32, weights="q8_0") as engine:
        logits = engine.prompt(range(20)).logits
    assert np.isfinite(logits).all()
    assert 0.3 < logits.std() < 3
