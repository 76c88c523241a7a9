"""What published work says of activation sparsity, and forecasts must reproduce.

Claims are numbered, each with its source. A number without a source in its sentence is worked by hand from the numbers beside it.
"""

import pytest
from claimed import shipped

from simulator import scenario
from simulator.errors import InputError
from simulator.spec.sparsity import (
    PUBLISHED_OPTIMUM,
    PUBLISHED_OPTIMUM_TERNARY,
    optimal_sparsity,
    parse_sparsity,
    q_sparse_loss,
    total_over_active,
)


@pytest.mark.parametrize(
    ("written", "percent", "active"),
    [("q-sparse:0.514,0.5,0.5,0.5,0.8", 58.2, 2.9), ("q-sparse:0.42,0.4,0.4,0.4,0.604", 45.7, 3.8)],
)
def test_overall_sparsity_is_the_average_by_weight_count(written, percent, active):
    """Claim 34: Q-Sparse's tuples on Mistral-7B make 58.2 and 45.7 %, 2.9 and 3.8 of 7.0B active (arXiv 2407.10969v3, Table 2)."""
    counts = {}
    for _, indices, tensors in shipped("mistral-7b").shapes:
        for tensor in tensors:
            counts[tensor.role] = counts.get(tensor.role, 0) + len(indices) * tensor.params
    overall = parse_sparsity(written).overall(counts)
    assert 100 * overall == pytest.approx(percent, abs=0.1)
    assert 7.0 * (1 - overall) == pytest.approx(active, abs=0.05)


def test_the_printed_law_and_the_published_optimum_differ():
    """Claim 35: the printed constants are lowest at S = 0.50, not 0.4558, in a flat basin (arXiv 2407.10969v3, s3.6)."""
    assert optimal_sparsity() == pytest.approx(0.50, abs=0.005)
    assert PUBLISHED_OPTIMUM == 0.4558
    assert total_over_active(PUBLISHED_OPTIMUM) == pytest.approx(1.84, abs=0.005)
    assert total_over_active(PUBLISHED_OPTIMUM_TERNARY) == pytest.approx(2.58, abs=0.005)
    # f(S) = A(S) (1-S)^a at S = 0, the published optimum and the printed law's, worked by hand.
    loss = q_sparse_loss(1.0, [0, PUBLISHED_OPTIMUM, 0.5024]) - 1.86
    assert list(loss) == pytest.approx([1.9969, 1.9590, 1.9582], abs=0.0001)


def test_q_sparse_at_99_per_cent_is_unsupported():
    """Claim 36: 99 % sparsity is in no version of Q-Sparse, whose sparsest model has 58.2 % overall (arXiv 2407.10969v3, Table 2)."""
    with pytest.raises(InputError, match=r"unsupported.*58\.2%"):
        parse_sparsity("q-sparse:0.99")


@pytest.mark.parametrize(("zeros", "ideal", "measured", "reached"), [(0.4, 1.67, 1.53, 0.92), (0.5, 2.0, 1.8, 0.90)])
def test_teal_reaches_nine_tenths_of_the_traffic_it_saves(zeros, ideal, measured, reached):
    """Claim 37: TEAL's 40 and 50 % save 1.67x and 2.0x traffic; 1.53x and 1.8x were measured (arXiv 2408.14690 and its repository)."""
    dense, sparse = (
        scenario("llama-3-8b", "a100-80gb-sxm", weights="f16", runtime="roofline", sparsity=sparsity).at(1, 128)
        for sparsity in (None, f"teal:{zeros}")
    )
    layers = [
        sum(timed.op.count * timed.op.cost.weight_bytes for timed in point.ops if timed.op.part in ("attention", "ffn"))
        for point in (dense, sparse)
    ]
    assert layers[0] / layers[1] == pytest.approx(ideal, abs=0.005)
    assert measured / ideal == pytest.approx(reached, abs=0.005)
    # The head stays dense, so the whole model gains less than its layers, and more than was measured.
    assert measured <= sparse.tokens_per_s / dense.tokens_per_s < ideal


def test_sparsity_of_one_part_is_bounded_by_the_rest():
    """Claim 38: CATS at 50 % measured about 15 % less latency; skipping half of up and down saves at most 27 % (arXiv 2404.08763)."""
    dense, sparse = (
        scenario("mistral-7b", "a100-80gb-sxm", weights="f16", runtime="roofline", sparsity=sparsity).at(1, 128)
        for sparsity in (None, "cats:0.5")
    )
    # Mistral-7B: up and down have 117.44M of a layer's 218.1M weights, 3.758B of the 7.11B that a token reads.
    assert sparse.cost.weight_bytes / dense.cost.weight_bytes == pytest.approx(1 - 0.5 * 3.758 / 7.111, abs=0.001)
    saved = 1 - float(sparse.seconds_per_step / dense.seconds_per_step)
    assert 0.15 < saved < 0.5 * 117.44 / 218.1


def test_turbosparse_reads_few_per_cent_of_the_experts():
    """Claim 39: 2 of 8 experts and 15 % of their neurons are 3.75 % of Mixtral's expert weights (TurboSparse, 2406.05955, s6.2)."""
    point = scenario("mixtral-8x7b", "h200", weights="f16", runtime="roofline", sparsity="turbosparse:0.85").at(1, 128)
    all_experts = 32 * 8 * 3 * 4096 * 14336 * 2  # layers, experts, matrices, bytes
    assert point.bytes["experts"] / all_experts == pytest.approx(0.0375)
