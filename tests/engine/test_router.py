"""The router's kernel: choices, shares and groups are those of the reference."""

import equations
import numpy as np
import pytest

from simulator.engine.kernels.table import kernel, task
from simulator.engine.team import Entry, Tape


@pytest.mark.parametrize("renormalise", [True, False])
def test_routes_are_those_of_the_reference(renormalise, team, draw):
    """Choices, shares and groups of 7 tokens among 5 experts, ties included: every slot stands once, with its expert."""
    logits = draw.choice(np.array([-3, 0, 0.5, 0.5, 2, 40], np.float32), (7, 5))
    held = route(team, logits, 3, renormalise=renormalise, scale=2.5)
    for row, chosen, shares in zip(logits.astype(np.float64), held["chosen"], held["weights"], strict=True):
        experts, weights = equations.route(row, 3, renormalise=renormalise, scale=2.5)
        assert chosen.tolist() == experts.tolist()
        assert shares == pytest.approx(weights, rel=1e-5)
    assert_grouped(held)


def test_a_choice_made_beforehand_is_weighed_by_the_router(team, draw):
    """Experts 4, 0 and 2 for everyone: their shares of the softmax, the largest first or not."""
    logits = draw.standard_normal((7, 5)).astype(np.float32)
    held = route(team, logits, 3, renormalise=False, scale=1.0, forced=[4, 0, 2])
    shares = np.array([equations.softmax(row.astype(np.float64)) for row in logits])
    assert held["weights"] == pytest.approx(shares[:, [4, 0, 2]], rel=1e-5)
    assert held["chosen"].tolist() == [[4, 0, 2]] * 7
    assert_grouped(held)


@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize(("n_bands", "n_used"), [(1, 1), (4, 2)])
@pytest.mark.parametrize("renormalise", [True, False])
def test_a_bias_takes_part_in_the_choice_and_not_in_the_shares(sigmoid, n_bands, n_used, renormalise, team, draw):
    """Shares of 7 tokens among 12 experts, chosen with a bias, of the two bands whose two best add up to most or of all."""
    logits = draw.standard_normal((7, 12)).astype(np.float32)
    balance = draw.standard_normal(12).astype(np.float32)
    form = {"sigmoid": sigmoid, "balance": balance, "n_bands": n_bands, "n_bands_used": n_used}
    held = route(team, logits.copy(), 3, renormalise=renormalise, scale=2.5, **form)
    for row, chosen, weights in zip(logits.astype(np.float64), held["chosen"], held["weights"], strict=True):
        shares = equations.sigmoid(row) if sigmoid else equations.softmax(row)
        experts = equations.choose_experts(shares + balance, 3, n_bands, n_used)
        expected = shares[experts] / (np.sum(shares[experts]) if renormalise else 1)
        assert chosen.tolist() == experts.tolist()
        assert weights == pytest.approx(2.5 * expected, rel=1e-5)
    assert_grouped(held)


def test_bands_worked_by_hand(team):
    """Sigmoids rise with logits. Of the pairs (9, -9), (3, 2), (1, 1) the second is worth most, then the third: 9 is not chosen."""
    logits = np.array([[9, -9, 3, 2, 1, 1]], np.float32)
    form = {"sigmoid": True, "balance": None, "n_bands": 3, "n_bands_used": 2}
    assert route(team, logits, 3, renormalise=True, scale=1.0, **form)["chosen"].tolist() == [[2, 3, 4]]


def test_shares_next_to_nothing_are_divided_by_no_less_than_llama_cpp_does(team):
    """Two sigmoids of -20, 2.06e-9 each: over 2**-14, the smallest normal half, not over their sum."""
    logits = np.full((1, 3), -20, np.float32)
    form = {"sigmoid": True, "balance": None, "n_bands": 1, "n_bands_used": 1}
    held = route(team, logits, 2, renormalise=True, scale=1.0, **form)
    assert held["weights"][0] == pytest.approx([2.0611537e-9 * 2**14] * 2, rel=1e-5)


def test_shares_of_a_choice_made_beforehand_are_sigmoids(team):
    """Of logits 0 and ln 3: a half and three quarters."""
    logits = np.array([[0, 7, np.log(3)]], np.float32)
    form = {"sigmoid": True, "balance": np.array([0, 9, 0], np.float32), "n_bands": 1, "n_bands_used": 1}
    held = route(team, logits, 2, renormalise=False, scale=1.0, forced=[0, 2], **form)
    assert held["weights"][0] == pytest.approx([0.5, 0.75], rel=1e-6)


def route(team, logits, n_active, *, renormalise, scale, forced=None, balance=None, **form):
    """The buffers after the route kernel; a *form* makes it choose by shares."""
    rows, n_experts = logits.shape
    held = {
        "state": np.array([rows], np.int64),
        "logits": logits,
        "forced": np.array([forced is not None], np.int64),
        "groups": np.zeros(1 + 3 * n_experts, np.int64),
        "tokens": np.zeros(rows * n_active, np.int64),
        "slots": np.zeros(rows * n_active, np.int64),
        "weights": np.zeros((rows, n_active), np.float32),
        "chosen": np.tile(np.array(forced or [0] * n_active, np.int64), (rows, 1)),
        "counts": np.zeros(n_experts, np.int64),
    }
    if form:
        held["scores"] = np.zeros(2 * n_experts, np.float32)
    if balance is not None:
        held["balance"] = balance
    fields = {name: array.ctypes.data for name, array in held.items()} | form
    fields |= {"n_experts": n_experts, "n_active": n_active, "renormalise": renormalise}
    fields["scale"] = int(np.float32(scale).view(np.int32))
    team.run(Tape([[Entry(kernel("route"), task("R", **fields))]]))
    return held


def assert_grouped(held):
    """Groups are the chosen experts, each with the slots that chose it and the tokens those belong to."""
    chosen = held["chosen"]
    n_groups, slots = held["groups"][0], []
    assert sorted(held["groups"][1 : 1 + 3 * n_groups : 3]) == np.unique(chosen).tolist()
    for expert, first, count in held["groups"][1 : 1 + 3 * n_groups].reshape(-1, 3):
        own = held["slots"][first : first + count]
        assert (chosen.reshape(-1)[own] == expert).all()
        assert np.array_equal(held["tokens"][first : first + count], own // chosen.shape[1])
        slots += own.tolist()
    assert sorted(slots) == list(range(chosen.size))
