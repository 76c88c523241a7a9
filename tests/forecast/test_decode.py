"""The operations of a decode step: hand-worked bytes, conservation, what is read and what is not."""

import numpy as np
import pytest

from simulator.forecast.decode import cache_bytes_held, decode_ops, streamed_weight_bytes
from simulator.forecast.ops import total
from simulator.importers.open import load_model
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model, weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.routing import Worst
from simulator.spec.sparsity import Sparsity
from simulator.spec.workload import Workload

F16 = parse_weights("f16")


def by_part(ops):
    """Cost by part."""
    return {part: total(op for op in ops if op.part == part) for part in {op.part for op in ops}}


def test_a_dense_step_reads_every_matrix_once_and_no_embedding(tiny_dense):
    """q, o: 256x256; k, v: 128x256; three of 512x256; two layers; head 1000x256; norms 2x256 a layer and one; f16."""
    layer = 2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256
    cost = total(decode_ops(tiny_dense, Workload(F16)))
    assert cost.weight_bytes == 2 * (2 * (layer + 2 * 256) + 1000 * 256 + 256)
    assert weight_bytes(tiny_dense, F16) == cost.weight_bytes + 2 * 1000 * 256  # the embedding rests in memory


def test_the_cache_is_read_to_its_depth_and_written_once(tiny_dense):
    """At context 9 the new token sees 10: 2 (K, V) * 2 heads * 64 * 2 bytes * 10 tokens * 2 layers; one is written."""
    cache = by_part(decode_ops(tiny_dense, Workload(F16, context=9)))["cache"]
    assert cache.cache_read_bytes == 2 * 2 * 64 * 2 * 10 * 2
    assert cache.cache_write_bytes == 2 * 2 * 64 * 2 * 2
    assert cache.flops == 2 * (2 * 4 * 128 * 10)  # 4 heads, key and value of 64, a multiply-add each


def test_a_batch_shares_the_weights_of_a_dense_model(tiny_dense):
    """Two sequences read the same weights as one, twice the cache, and twice the arithmetic."""
    one, two = (total(decode_ops(tiny_dense, Workload(F16, batch=batch))) for batch in (1, 2))
    assert two.weight_bytes == one.weight_bytes
    assert two.cache_read_bytes == 2 * one.cache_read_bytes
    assert two.flops == 2 * one.flops


def test_only_routed_experts_are_read(tiny_moe):
    """One token: 2 of 8 experts of 3 x 128 x 256; two tokens: 8 (1 - (6/8)^2) = 3.5; the shared one always."""
    expert = 3 * 128 * 256 * 2
    for batch, distinct in ((1, 2), (2, 3.5)):
        parts = by_part(decode_ops(tiny_moe, Workload(F16, batch=batch)))
        assert parts["experts"].weight_bytes == pytest.approx(distinct * expert)
        assert parts["shared"].weight_bytes == 3 * 64 * 256 * 2
        assert parts["router"].weight_bytes == 8 * 256 * 2
        assert parts["experts"].flops == pytest.approx(2 * 2 * 3 * 128 * 256 * batch)


def test_a_tied_head_streams_the_embedding(tiny_moe):
    """One matrix in memory, looked up at the input and streamed at the output."""
    head = by_part(decode_ops(tiny_moe, Workload(F16)))["head"]
    assert head.weight_bytes == 2 * 1000 * 256
    assert streamed_weight_bytes(tiny_moe, Workload(F16)) == weight_bytes(tiny_moe, F16)


@pytest.mark.parametrize(
    "name", ["qwen3-30b-a3b", "gpt-oss-20b", "deepseek-v3", "llama-4-maverick", "qwen3-next-80b-a3b"]
)
@pytest.mark.parametrize("weights", ["f16", "q4_k_m", "fp8"])
def test_a_batch_that_needs_everything_reads_the_whole_model(name, weights):
    """With every expert touched a step reads all weights but the embedding table: nothing is lost or counted twice."""
    model = load_model(name).model
    load = Workload(parse_weights(weights), batch=4096, routing=Worst())
    embedding = model.vocab * model.d_model
    read = total(decode_ops(model, load)).weight_bytes
    fmt = load.weights.choose(model.slot(0, None, model.shapes[0][2][0]))
    assert read == pytest.approx(weight_bytes(model, load.weights) - fmt.nbytes(model.vocab, model.d_model), rel=1e-12)
    assert model.active_params("with_both_embeddings") - model.active_params("without_input_embedding") == embedding


def test_one_token_reads_the_active_parameters():
    """Bytes of a f16 step at batch 1 are 2 x the active count without the input embedding (Mixtral: 12.75 B)."""
    model = load_model("mixtral-8x7b").model
    read = total(decode_ops(model, Workload(F16))).weight_bytes
    assert read == pytest.approx(2 * model.active_params("without_input_embedding"), rel=1e-12)
    assert read / 2 == pytest.approx(12.75e9, rel=0.001)


def test_a_grid_equals_its_points():
    """Arrays of batch and context give what the single points give."""
    model = load_model("gpt-oss-20b").model
    batch, context = np.array([[1], [7]]), np.array([[3, 5000, 131072]])
    grid = total(decode_ops(model, Workload(F16, batch=batch, context=context)))
    for row in range(2):
        for column in range(3):
            point = total(decode_ops(model, Workload(F16, batch=int(batch[row, 0]), context=int(context[0, column]))))
            for field in ("flops", "weight_bytes", "cache_read_bytes", "cache_write_bytes"):
                value = np.broadcast_to(getattr(grid, field), (2, 3))[row, column]
                assert value == pytest.approx(getattr(point, field), rel=1e-12), field


def test_a_prompt_is_one_pass_over_the_weights(tiny_dense):
    """64 tokens of one sequence read the weights once, compute 64 times, write 64 cache entries; one needs logits."""
    one, prompt = (by_part(decode_ops(tiny_dense, Workload(F16, context=0, tokens=tokens))) for tokens in (1, 64))
    assert prompt["ffn"].weight_bytes == one["ffn"].weight_bytes
    assert prompt["ffn"].flops == 64 * one["ffn"].flops
    assert prompt["head"].flops == one["head"].flops
    assert prompt["cache"].cache_write_bytes == 64 * one["cache"].cache_write_bytes
    # Token number i sees i + 1 tokens: on average 32.5.
    assert prompt["cache"].flops == pytest.approx(64 * 32.5 * one["cache"].flops)


def test_recurrent_state_is_read_and_written_at_any_depth():
    """36 of Qwen3-Next's 48 layers move 2 x 2.2 MB a sequence and do not care how long it is."""
    model = load_model("qwen3-next-80b-a3b").model
    state = 4 * (32 * 128 * 128 + 8192 * 3)
    short, long = (
        [op for op in decode_ops(model, Workload(F16, context=context)) if op.name == "recurrent state"]
        for context in (10, 100_000)
    )
    assert short == long
    assert short[0].count == 36
    assert short[0].cost.cache_read_bytes == short[0].cost.cache_write_bytes == state


def test_an_encoder_occupies_memory_but_is_not_read():
    """A decoder step of Switch-Base reads neither encoder nor the cross-attention's key and value projections."""
    model = load_model("switch-base").model
    load = Workload(F16, batch=10_000, routing=Worst())
    resting = sum(
        len(indices) * tensor.params
        for _, indices, tensors in model.shapes
        for tensor in tensors
        if tensor.is_idle and tensor.role != "token_embd"
    )
    assert resting > 0.4 * model.total_params
    read = total(decode_ops(model, load)).weight_bytes / 2
    embedding = 0 if model.tied_head else model.vocab * model.d_model
    assert read == pytest.approx(model.total_params - resting - embedding)


def test_sparsity_skips_columns_that_no_token_needs(tiny_dense):
    """Half the inputs zero: one token reads 1/2 of the columns, two tokens 3/4, and compute 1/2 each."""
    sparsity = Sparsity(qkv=0.5, out=0.5, up=0.5, gate=0.5, down=0.5)
    dense = by_part(decode_ops(tiny_dense, Workload(F16)))["ffn"]
    for batch, share in ((1, 0.5), (2, 0.75)):
        sparse = by_part(decode_ops(tiny_dense, Workload(F16, batch=batch, sparsity=sparsity)))["ffn"]
        assert sparse.weight_bytes == pytest.approx(share * dense.weight_bytes)
        assert sparse.flops == pytest.approx(0.5 * batch * dense.flops)
    head = by_part(decode_ops(tiny_dense, Workload(F16, sparsity=sparsity)))["head"]
    assert head.weight_bytes == 2 * 1000 * 256


def test_coarse_reads_skip_less(tiny_dense):
    """Columns that only go in fours are skipped when all four are zero: 1 - (1/2)^4 is read."""
    sparsity = Sparsity(up=0.5, gate=0.5, down=0.5, granularity=4)
    sparse = by_part(decode_ops(tiny_dense, Workload(F16, sparsity=sparsity)))["ffn"]
    dense = by_part(decode_ops(tiny_dense, Workload(F16)))["ffn"]
    assert sparse.weight_bytes == pytest.approx((1 - 0.5**4) * dense.weight_bytes)


def test_layers_in_different_formats_become_different_operations():
    """Q4_K_M stores ffn_down of 16 of Llama-3-8B's 32 layers in Q6_K: two operations, 32 layers in all."""
    ops = [
        op
        for op in decode_ops(load_model("llama-3-8b").model, Workload(parse_weights("q4_k_m")))
        if op.name == "ffn_down"
    ]
    assert {(op.format.name, op.count) for op in ops} == {("q4_k", 16), ("q6_k", 16)}


def test_rows_that_do_not_divide_are_an_error(tiny_dense):
    """The tensor is named: a width of 100 has no mxfp4 blocks."""
    odd = Model.model_validate(
        {"name": "odd", "d_model": 100, "vocab": 10, "layers": [{"ffn": {"kind": "plain", "d_ff": 64}}]}
    )
    with pytest.raises(ValueError, match="ffn_up: a row of 100 elements does not divide into nvfp4 blocks of 64"):
        decode_ops(odd, Workload(parse_weights("nvfp4")))


def test_memory_grows_with_batch_and_depth(tiny_dense):
    """What is held after the step: batch x (context + 1) tokens of 2 layers x 256 values, in q8_0 34 bytes for 32."""
    load = Workload(F16, batch=3, context=9, cache=FORMATS["q8_0"])
    assert cache_bytes_held(tiny_dense, load) == 3 * 10 * 2 * 256 * 34 / 32


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch", 0),
        ("context", -1),
        ("batch", float("nan")),
        ("batch", 1.5),
        ("batch", [1, 2.5]),
        ("context", "a"),
        ("tokens", 0),
        ("threads", 0),
    ],
)
def test_impossible_workloads_are_refused(field, value):
    """A batch of nothing, a negative depth, no threads, half a sequence, alone or in a list."""
    with pytest.raises(ValueError, match=f"{field} must be"):
        Workload(F16, **{field: value})


def test_grids_that_do_not_broadcast_are_refused():
    """Two batches and three contexts in a row are no grid."""
    with pytest.raises(ValueError, match=r"must broadcast together, their shapes are \(2,\) and \(3,\)"):
        Workload(F16, batch=np.array([1, 2]), context=np.array([1, 2, 3]))
