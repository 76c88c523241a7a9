"""Speculative decoding from bytes: what a step verifies and drafts, what must hold at the ends, and where it pays."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.forecast.drafting import Drafter, block_of
from simulator.forecast.scenario import scenario
from simulator.forecast.speculation import Speculating, speculate
from simulator.importers.open import load_model
from simulator.spec.hardware import Hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded, weight_bytes
from simulator.spec.runtime import Runtime
from simulator.spec.speculation import Speculation, expected_tokens, parse_speculation

F16 = parse_weights("f16")
HEAD, NORM = 2 * 1000 * 256, 2 * 256
LAYER = 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256) + 2 * NORM  # query, key, value, output, network
JOIN = 2 * 256 * 512  # eh_proj: twice the width to the width


def device(**changes):
    """A CPU of 4 cores with 1 GB/s and no peak."""
    memory = [{"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1, "datasheet_gb_per_s": 2}]
    data = {"name": "d", "class": "sbc", "kind": "cpu", "cores": 4, "memory": memory}
    return Hardware.model_validate({**data, **changes})


def software(**drafting):
    """Software that loses nothing."""
    fields = {"name": "perfect", "backends": {"default": {}}, "weights": ["f16"], "drafting": drafting}
    return Runtime.model_validate(fields)


def base_of(model, runtime=None, **changes):
    """A scenario of a model in f16 on that device."""
    return scenario(Loaded(model), device(**changes), weights=F16, runtime=runtime or software())


def with_block(model):
    """The same with one block that predicts further tokens."""
    return model.model_copy(update={"mtp_blocks": 1})


def test_a_verified_token_costs_its_activations_and_its_cache(tiny_dense):
    """Weights are read once; four tokens in place of one: four times the activations, three more keys and values read and written."""
    found = speculate(base_of(tiny_dense), Speculation("ngram", 3, 0.5), 1, 7)
    plain, verified = found.plain.cost, found.verification.cost
    entry = 2 * 2 * 64 * 2 * 2  # keys and values of two heads of 64 in f16, two layers
    assert verified.weight_bytes == plain.weight_bytes
    assert verified.activation_bytes == pytest.approx(4 * plain.activation_bytes)
    assert verified.cache_read_bytes - plain.cache_read_bytes == 3 * entry
    assert verified.cache_write_bytes == 4 * entry == 4 * plain.cache_write_bytes
    assert found.draft_s == 0
    seconds = (verified.streamed_bytes + verified.activation_bytes) / 1e9
    assert found.seconds_per_step == pytest.approx(seconds)
    assert found.tokens_per_s(0.5) == pytest.approx((1 + 0.5 + 0.25 + 0.125) / seconds)


def test_a_prompt_makes_logits_of_its_last_token_and_a_draft_of_all(tiny_dense):
    """The head multiplies as many rows as there are logits: 1 of a prompt of 4, all of 4 that are verified."""
    base = base_of(tiny_dense)
    flops = {}
    for verifies in (False, True):
        load = replace(base.load, tokens=4, verifies=verifies)
        ops = replace(base, load=load).at(1, 0).ops
        flops[verifies] = sum(timed.op.cost.flops for timed in ops if timed.op.part == "head")
    assert flops == {False: 2 * 1000 * 256, True: 4 * 2 * 1000 * 256}


def test_no_drafts_are_plain_decoding(tiny_dense):
    """With 0 drafted tokens nothing differs."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 0, 0.9), 2, 100)
    assert found.tokens_per_s(0.9) == pytest.approx(float(found.plain.tokens_per_s))
    assert found.memory_bytes == pytest.approx(float(found.plain.memory_bytes))
    assert found.break_even == 0


def test_nothing_kept_is_slower_by_the_draft_and_the_wider_step(tiny_dense):
    """A token a step, for which it drafts and verifies as much as ever."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 3, 0.0), 1, 100)
    plain_s = float(found.plain.seconds_per_step)
    assert found.draft_s > 0
    assert found.verify_s > plain_s
    assert 1 / found.tokens_per_s(0) == pytest.approx(plain_s + (found.verify_s - plain_s) + found.draft_s)
    assert found.speedup(0) < 1


def test_all_kept_of_free_drafts_are_so_many_over_the_wider_step(tiny_dense):
    """k + 1 tokens of each sequence."""
    found = speculate(base_of(tiny_dense), Speculation("ngram", 3, 1.0), 5, 100)
    assert found.tokens_per_s(1) == pytest.approx(5 * 4 / found.verify_s)


def test_a_block_reads_its_layer_its_joining_matrix_and_the_head(tiny_dense):
    """Drafting three tokens after a step of four: one pass over four tokens, two over one (no runtime of its own)."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 3, 0.5), 1, 0)
    first, rest = found.passes
    assert (first.count, rest.count) == (1, 2)
    assert first.point.load.tokens == 4
    assert first.point.cost.weight_bytes == LAYER + JOIN + 2 * NORM + HEAD + NORM == rest.point.cost.weight_bytes
    heads = [timed.op.cost.flops for timed in first.point.ops if timed.op.part == "head"]
    assert heads == [2 * 1000 * 256]  # only of the last of the four
    assert found.draft_s == pytest.approx(
        float(first.point.seconds_given_memory) + 2 * float(rest.point.seconds_given_memory)
    )


def test_a_block_of_its_own_context_reads_what_was_verified_first(tiny_dense):
    """One pass over four tokens without logits, then three; and the host chooses three tokens more: 3 x 1000 x 5 ns."""
    runtime = software(is_apart=True, sampling_ns=5)
    found = speculate(base_of(with_block(tiny_dense), runtime), Speculation("mtp", 3, 0.5), 1, 0)
    first, rest = found.passes
    assert (first.count, rest.count) == (1, 3)
    moved = 4 * (1000 + 256) + HEAD  # inputs and outputs of the head of one token
    assert first.seconds == pytest.approx(float(first.point.seconds_given_memory) - moved / 1e9)
    assert found.choose_s == pytest.approx(3 * 1000 * 5e-9)
    assert found.seconds_per_step == pytest.approx(found.verify_s + first.seconds + rest.seconds + found.choose_s)


def test_memory_holds_the_block_but_not_its_head_again(tiny_dense):
    """Layer, joining matrix and norms, and a cache of one layer; the embedding and the head are the model's own."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 2, 0.5), 1, 99)
    entry = 2 * 2 * 64 * 2
    more = LAYER + JOIN + 2 * NORM + NORM + 100 * entry
    assert found.memory_bytes - float(found.verification.memory_bytes) == pytest.approx(more)


def test_a_draft_has_weights_and_a_cache_of_its_own(tiny_dense):
    """The same model as its own draft takes all of its weights again."""
    base = base_of(tiny_dense)
    asked = Speculating.of(base, Speculation("ngram", 2, 0.5))
    found = replace(asked, drafter=Drafter(tiny_dense, F16)).at(1, 99)
    entry = 2 * 2 * 64 * 2 * 2
    more = weight_bytes(tiny_dense, F16) + 100 * entry
    assert found.memory_bytes - float(found.verification.memory_bytes) == pytest.approx(more)
    assert found.draft_s == pytest.approx(sum(float(each.point.seconds_given_memory) for each in found.passes))


def test_what_fits_alone_may_not_fit_with_its_drafts(tiny_dense):
    """A device whose memory has room for the model and a bit: no rate, and plain decoding is the best."""
    needed = float(base_of(with_block(tiny_dense)).at(1, 0).memory_bytes)
    memory = [{"name": "DRAM", "capacity_gib": (needed + 1e5) / 2**30, "reserved_gib": 1e-6, "gb_per_s": 1}]
    base = base_of(with_block(tiny_dense), memory=memory)
    found = speculate(base, Speculation("mtp", 3, 0.9), 1, 0)
    assert found.plain.fits
    assert not found.fits
    (outcome,) = found.outcomes
    assert outcome.tokens_per_s != outcome.tokens_per_s  # NaN
    assert outcome.best_tokens == 0
    assert outcome.best_tokens_per_s == pytest.approx(float(found.plain.tokens_per_s))


def test_break_even_is_where_both_are_as_fast(tiny_dense):
    """At that acceptance the rates are equal; just below, drafts lose."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 4), 1, 50)
    assert 0 < found.break_even < 1
    assert found.tokens_per_s(found.break_even) == pytest.approx(float(found.plain.tokens_per_s))
    assert found.speedup(found.break_even - 0.01) < 1


def test_where_arithmetic_limits_drafts_never_pay(tiny_dense):
    """At 1 MFLOP/s four tokens take four times as long: no acceptance makes up for the draft."""
    base = base_of(with_block(tiny_dense), peaks_tflops={"f32": 1e-6})
    found = speculate(base, Speculation("mtp", 3), 8, 50)
    assert found.break_even is None
    assert found.best(0.9) == (0, pytest.approx(float(found.plain.tokens_per_s)))


def test_more_kept_want_more_drafted(tiny_dense):
    """Where tokens cost little, the best number grows with acceptance, and is the best of all that are tried."""
    found = speculate(base_of(with_block(tiny_dense)), Speculation("mtp", 2), 1, 50)
    numbers = [found.best(acceptance)[0] for acceptance in (0.3, 0.6, 0.9)]
    assert numbers == sorted(numbers)
    tokens, rate = found.best(0.9)
    rates = [found.whole.at(1, 50, each).tokens_per_s(0.9) for each in range(17)]
    assert rate == pytest.approx(max(rates))
    assert rates[tokens] == max(rates)


def test_a_union_of_experts_shrinks_the_gain(tiny_moe):
    """Four tokens of 2 of 8 experts touch 8 (1 - (3/4)^4) = 5.47; if they shared them, 2."""
    found = speculate(base_of(tiny_moe), Speculation("ngram", 3, 0.8), 1, 50)
    assert float(found.verification.distinct_experts) == pytest.approx(8 * (1 - 0.75**4))
    same = found.tokens_per_s_same_experts(0.8)
    assert same > found.tokens_per_s(0.8)
    shared = found.whole.verified(found.plain, 3, shares_experts=True)
    assert float(shared.distinct_experts) == pytest.approx(2)
    assert same == pytest.approx(expected_tokens(0.8, 3) / float(shared.seconds_given_memory))


def test_dense_models_have_no_second_bound(tiny_dense):
    """Without experts there is nothing to share."""
    assert speculate(base_of(tiny_dense), Speculation("ngram", 3, 0.8)).tokens_per_s_same_experts(0.8) is None


def test_a_rate_is_worth_no_less_than_a_lower_one(tiny_moe):
    """More acceptance is never slower, at any number of drafted tokens, in any batch."""
    asked = Speculating.of(base_of(with_block(tiny_moe)), Speculation("mtp", 1))
    points = {}

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 16), st.sampled_from([1, 3, 32]), st.floats(0, 1), st.floats(0, 1))
    def holds(tokens, batch, one, other):
        point = points.setdefault((tokens, batch), asked.at(batch, 64, tokens))
        low, high = sorted((one, other))
        assert point.tokens_per_s(low) <= point.tokens_per_s(high) * (1 + 1e-12)

    holds()


def test_states_are_kept_after_each_verified_token():
    """Qwen3.8-27B: 48 matrices of 128 x 128 for each of 48 heads and what its convolutions need, 149.6 MiB a token in f32.

    As llama.cpp shows: 150 MiB with each further drafted token (qwen38-mtp, RTX 5090), 150 to 449 MiB with two (Apple M4).
    """
    base = scenario("qwen3.8-27b", "rtx-5090", weights="q4_k_m", runtime="llama.cpp")
    asked = Speculating.of(base, Speculation("mtp", 1, 0.8))
    one, two, three = (asked.at(1, 0, tokens) for tokens in (1, 2, 3))
    state = 4 * 48 * (48 * 128 * 128 + (2 * 16 * 128 + 48 * 128) * 3)
    assert state / 2**20 == pytest.approx(149.6, abs=0.1)
    entry = 16 * 2 * 4 * 256 * 2  # keys and values of the layers with attention, padded to 256 tokens
    assert two.memory_bytes - one.memory_bytes == pytest.approx(state, abs=256 * entry)
    written = [each.verification.cost.cache_write_bytes for each in (one, two, three)]
    assert written[2] - written[1] == written[1] - written[0] == pytest.approx(state + entry)


# What files or checkpoints with the block have beyond the model, by the models' notes; with an embedding and a head of its own or not.
COUNTED = {
    "qwen3.8-27b": (27.32e9, False, 0.003),
    "glm-4.5-air": (110.47e9, True, 0.001),
    "glm-4.7-flash": (31.22e9, True, 0.002),
    "nemotron-3-super-120b-a12b": (123.6e9, False, 0.01),
    "ernie-4.5-21b-a3b": (21.95e9, False, 0.02),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_block_has_as_many_weights_as_was_published(name):
    """Its shape is the last layer's with the joining matrix; ERNIE's is dense as the first, Nemotron's of two halves."""
    model = load_model(name).model
    block, _ = block_of(model, F16)
    counts = {tensor.role: tensor.params * len(indices) for _, indices, tensors in block.shapes for tensor in tensors}
    total = sum(tensor.params * len(indices) for _, indices, tensors in block.shapes for tensor in tensors)
    with_block, has_tables, within = COUNTED[name]
    own = total if has_tables else total - counts["token_embd"] - counts.get("output", 0)
    assert own == pytest.approx(with_block - model.total_params, rel=within)


def test_deepseeks_block_has_14_billion_with_its_tables():
    """README of DeepSeek-V3: 14B of multi-token prediction, of which 11.5B are its own."""
    block, _ = block_of(load_model("deepseek-v3").model, parse_weights("fp8"))
    assert sum(tensor.params * len(indices) for _, indices, tensors in block.shapes for tensor in tensors) == (
        pytest.approx(14e9, rel=0.05)
    )


def test_halves_of_layers_make_one_block():
    """Nemotron 3 Super has an attention or a network in a layer: a block has one of each."""
    block, weights = block_of(load_model("nemotron-3-super-120b-a12b").model, parse_weights("bf16"))
    attention, network = block.stack
    assert attention.attention.kind == "grouped_query"
    assert network.ffn.kind == "experts"
    assert weights.name == "bf16"


def test_a_model_without_blocks_is_refused_by_name(tiny_dense):
    """Known to have none, or not known to have any."""
    none = tiny_dense.model_copy(update={"mtp_blocks": 0})
    for model, told in ((none, "has no blocks"), (tiny_dense, "is not known to have blocks")):
        with pytest.raises(InputError, match=f"tiny-dense {told} that predict further tokens; take ngram or --draft"):
            speculate(base_of(model), Speculation("mtp", 3, 0.5))


def test_other_vocabularies_are_told():
    """llama.cpp takes 128 tokens of difference, as among Qwen2.5; Llama's draft for a Qwen it refuses, and so do we."""
    base = scenario("qwen2.5-32b", "rtx-3090", weights="q4_k_m", runtime="llama.cpp")
    near = Speculating.of(base, Speculation("draft", 4, 0.6, "qwen2.5-0.5b")).assumptions()
    assert any("a draft must have the same ones" in line for line in near)
    with pytest.raises(InputError, match="refuses a draft whose vocabulary is more than 128 tokens larger or smaller"):
        Speculating.of(base, Speculation("draft", 4, 0.6, "llama-3.2-1b"))


def test_only_a_whole_scenario_and_single_points_are_taken(tiny_dense):
    """What a caller in Python may get wrong."""
    base = base_of(tiny_dense)
    with pytest.raises(InputError, match="base must be a Scenario"):
        speculate(tiny_dense, Speculation("ngram", 3, 0.5))
    with pytest.raises(InputError, match="speculation must be a Speculation"):
        speculate(base, "ngram:3@0.5")
    with pytest.raises(InputError, match="batch must be a whole number"):
        speculate(base, Speculation("ngram", 3, 0.5), [1, 2])


def test_texts_have_an_outcome_each():
    """A rate each where none is given, in the order in which they are known; faster where more is kept."""
    base = scenario("qwen3.5-27b", "rtx-4090", weights="q4_k_m", runtime="llama.cpp")
    found = speculate(base, Speculation("mtp", 3))
    assert [each.text.name for each in found.outcomes] == ["code", "own answers", "factual", "prose"]
    rates = [each.tokens_per_s for each in found.outcomes]
    assert rates == sorted(rates, reverse=True)
    assert all(each.tokens_per_s_low < each.tokens_per_s < each.tokens_per_s_high for each in found.outcomes)


def test_what_measurements_say_against_it_is_told():
    """Where drafts were seen to gain little: on Apple's GPUs with llama.cpp, not on others, nor of n-grams."""

    def told(device, asked, runtime="llama.cpp"):
        base = scenario("qwen3.5-27b", device, weights="q4_k_m" if runtime == "llama.cpp" else None, runtime=runtime)
        return any("Metal" in each for each in Speculating.of(base, parse_speculation(asked)).assumptions())

    assert told("m4-pro", "mtp:2@0.7")
    assert not told("m4-pro", "ngram:2@0.7")
    assert not told("m4-pro", "mtp:2@0.7", "mlx")
    assert not told("rtx-4090", "mtp:2@0.7")


def test_many_drafted_tokens_are_no_prompt():
    """A step that verifies 31 or 32 tokens waits for the kernels as one of 30 does; so does a drafter that passes them."""
    base = scenario("qwen3.8-27b", "rtx-3090", weights="q4_k_m")
    found = [speculate(base, parse_speculation(f"mtp:{n}@0.8")) for n in (30, 31, 64)]
    assert len({float(each.verification.step_overhead_s) for each in found}) == 1
    assert len({float(each.passes[0].point.step_overhead_s) for each in found}) == 1


def test_the_last_stage_holds_the_block_and_drafts():
    """Of 8 stages of 61 layers the last has 7, the fullest 8: room for a layer, so 8 blocks are counted less than 8 times."""
    base = scenario("deepseek-v3", "8xh200", runtime="vllm", parallel="pipeline8")
    found, alone = (
        speculate(each, parse_speculation("mtp:1@0.8"), 32)
        for each in (base, scenario("deepseek-v3", "8xh200", runtime="vllm"))
    )
    (_, held, _), (_, held_alone, _) = found.held[0], alone.held[0]
    assert 0 < held - float(found.plain.memory_bytes) < 8 * (held_alone - float(alone.plain.memory_bytes))
    assert not any(timed.op.message for each in found.passes for timed in each.point.ops)
    assert int(found.passes[0].point.load.batch) == 4  # sequences in a stage at once
