"""Activation sparsity and computation density: what is skipped, what it averages to, what is refused."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.density import with_density
from simulator.forecast.scenario import scenario
from simulator.spec.density import Density, parse_density
from simulator.spec.model import Loaded, Model
from simulator.spec.sparsity import LAW, Sparsity, optimal_sparsity, parse_sparsity, q_sparse_loss


def test_a_column_is_skipped_when_no_token_needs_it():
    """Zeros 0.9: one token reads a tenth, eight read 1 - 0.9^8."""
    sparsity = Sparsity(down=0.9)
    assert sparsity.read_share("ffn_down", 1) == pytest.approx(0.1)
    assert sparsity.read_share("ffn_down_exps", 8) == pytest.approx(1 - 0.9**8)
    assert sparsity.read_share("ffn_up", 1) == 1
    assert sparsity.read_share("output", 1) == 1


def test_families_leave_out_what_they_leave_out():
    """CATS and ReLU keep the gate dense, TurboSparse none of the feed-forward, Q-Sparse nothing."""
    assert (parse_sparsity("cats:0.5").gate, parse_sparsity("cats:0.5").down) == (0, 0.5)
    assert (parse_sparsity("turbosparse:0.85").gate, parse_sparsity("turbosparse:0.85").qkv) == (0.85, 0)
    assert parse_sparsity("q-sparse:0.4").qkv == 0.4
    five = parse_sparsity("q-sparse:0.514,0.5,0.5,0.5,0.8")
    assert (five.qkv, five.out, five.up, five.gate, five.down) == (0.514, 0.5, 0.5, 0.5, 0.8)


@pytest.mark.parametrize(
    "text", ["q-sparse", "q-sparse:", "q-sparse:x", "q-sparse:50", "q-sparse:1", "q-sparse:0.1,0.2", "foo:0.5", ""]
)
def test_bad_sparsities_are_refused(text):
    """A typo, a percentage, a wrong number of shares."""
    with pytest.raises(InputError, match="sparsity"):
        parse_sparsity(text)


def test_what_nobody_published_is_called_unsupported():
    """Q-Sparse at 99 % is refused with the published limits and the way to ask what-if."""
    with pytest.raises(InputError, match=r"unsupported: .* 80% zeros in a tensor and 58\.2% overall; .* columns:0\.99"):
        parse_sparsity("q-sparse:0.99")
    assert parse_sparsity("columns:0.99").down == 0.99


def test_the_law_is_flat_around_its_minimum():
    """f(0), f(0.4558) and f(0.5024) as worked from the printed constants, at one active weight and E taken off."""
    f = [float(q_sparse_loss(1.0, s) - LAW["E"]) for s in (0.0, 0.4558, 0.5024)]
    assert f == pytest.approx([1.9969, 1.9590, 1.9582], abs=2e-4)
    assert optimal_sparsity() == pytest.approx(0.502, abs=0.002)


def test_a_fixed_density_is_a_single_speed(tiny_dense, plain_device, perfect):
    """Every token reads half of the layers: all percentiles agree, between the dense speed and twice that."""
    base = scenario(Loaded(tiny_dense), plain_device, weights="f16", runtime=perfect)
    found = with_density(base.at(1, 100), parse_density("fixed:0.5"))
    dense = float(base.at(1, 100).tokens_per_s)
    assert found.percentiles[10] == pytest.approx(found.percentiles[90])
    assert found.tokens_per_s == pytest.approx(found.percentiles[50])
    assert dense < found.tokens_per_s < 2 * dense


def test_a_spread_of_densities_is_a_spread_of_speeds(tiny_dense, plain_device, perfect):
    """Beta(2, 5): mean share 2/7 within 0.01; slow, median and fast steps differ, and a batch reads the union."""
    base = scenario(Loaded(tiny_dense), plain_device, weights="f16", runtime=perfect)
    one = with_density(base.at(1, 100), parse_density("beta:2,5"))
    assert one.mean_share == pytest.approx(2 / 7, abs=0.01)
    assert one.percentiles[10] < one.percentiles[50] < one.percentiles[90]
    eight = with_density(base.at(8, 100), parse_density("beta:2,5"))
    assert eight.mean_share == pytest.approx(1 - (1 - 2 / 7) ** 8, abs=0.02)


def test_density_falls_with_context_and_rises_with_rarity():
    """A share of 0.4 at depth 1024 is 0.4 / sqrt(16) at 16384 with exponent 1/2; rarity spreads it by its slope."""
    profile = Density(kind="fixed", value=0.4, context_exponent=0.5)
    assert profile.shares(1024) == pytest.approx(np.full(200 * 21, 0.4))
    assert profile.shares(16384).mean() == pytest.approx(0.1)
    rare = Density(kind="fixed", value=0.4, rarity_slope=0.2).shares(1024)
    assert rare.mean() == pytest.approx(0.4)
    assert (rare.min(), rare.max()) == (pytest.approx(0.4 - 0.1 * 20 / 21), pytest.approx(0.4 + 0.1 * 20 / 21))


def test_density_files(tmp_path):
    """A column of shares, or the fields of a profile."""
    (tmp_path / "d.csv").write_text("active_share\n0.2\n0.4\n")
    assert parse_density(str(tmp_path / "d.csv")).samples == (0.2, 0.4)
    (tmp_path / "d.yaml").write_text("kind: beta\nalpha: 2\nbeta: 5\nrarity_slope: 0.1\n")
    assert parse_density(str(tmp_path / "d.yaml")).rarity_slope == 0.1


@pytest.mark.parametrize("text", ["fixed", "fixed:0", "fixed:2", "beta:1", "beta:0,1", "gauss:1,2", ""])
def test_bad_densities_are_refused(text):
    """Shares beyond 0..1, missing numbers, unknown kinds."""
    with pytest.raises(InputError):
        parse_density(text)


def test_overall_sparsity_is_the_average_by_weights():
    """A model whose down-projection holds a third of the weights and is all that is sparse: a third of its zeros."""
    model = Model.model_validate(
        {"name": "m", "d_model": 8, "vocab": 2, "layers": [{"ffn": {"kind": "gated", "d_ff": 8}}]}
    )
    counts = {tensor.role: tensor.params for _, _, tensors in model.shapes for tensor in tensors}
    assert Sparsity(down=0.6).overall(counts) == pytest.approx(0.2)
