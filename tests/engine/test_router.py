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


def route(team, logits, n_active, *, renormalise, scale, forced=None):
    """The buffers after the route kernel."""
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
    fields = {name: array.ctypes.data for name, array in held.items()}
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
