"""The kernels that only multiply and add: their sums come out as they must, so nothing of the work was left out."""

import numpy as np
import pytest

from simulator.engine import cpu
from simulator.engine.team import Team
from simulator.probe.compute import peak_probe

TURNS = 1000  # of a run's loop
PATHS = {path.name: path for path in cpu.reachable()}


@pytest.fixture(scope="module", params=(1, 3))
def team(request):
    """Teams of one thread, and of more threads than there may be cores."""
    members = Team(request.param)
    yield members
    members.close()


def places_of(room, n_threads):
    """Each thread's two factors and its sums: uint8 [threads, vectors, 64]."""
    start = -room.ctypes.data % 64
    return room[start : start + 2048 * n_threads].reshape(n_threads, 32, 64)


def n_sums(probe, n_threads, per_lane):
    """Vectors of 16 sums that a thread keeps, from what it says it computes: 2 * *per_lane* operations a lane and turn."""
    return int(probe.flops / TURNS / n_threads / (2 * per_lane * 16))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_every_float_sum_grows_by_each_product(team, path):
    """start + 3000 * w * x in each of its 16 lanes, and there are as many sums as operations are counted."""
    probe = peak_probe("p", "f32", team, path)
    count = n_sums(probe, team.n_threads, 1)
    whole = np.linspace(1e-3, 2e-3, 16 * (2 + count), dtype=np.float32).reshape(-1, 16)
    found = places_of(probe.run(3), team.n_threads).view(np.float32)
    for mine in found:
        assert np.array_equal(mine[:2], whole[:2])
        assert mine[2 : 2 + count] == pytest.approx(whole[2:] + 3 * TURNS * whole[0] * whole[1], rel=2e-3)
        assert not mine[2 + count :].any()


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_every_integer_sum_grows_by_four_products(team, path):
    """Bytes of 1 times bytes of 1: four more in each lane and turn, from 0x01010101 on."""
    probe = peak_probe("p", "int8", team, path)
    count = n_sums(probe, team.n_threads, 4)
    found = places_of(probe.run(2), team.n_threads).view(np.int32)
    for mine in found:
        assert (mine[2 : 2 + count] == 0x01010101 + 4 * 2 * TURNS).all()
        assert not mine[2 + count :].any()


@pytest.mark.parametrize("kind", ["f32", "int8"])
def test_sums_stay_finite_and_go_on(team, kind):
    """A hundred thousand turns more: float sums neither overflow nor vanish, which some processors handle slowly."""
    probe = peak_probe("p", kind, team, cpu.choose())
    probe.run(1)
    found = places_of(probe.run(100), team.n_threads)[:, 2]
    if kind == "f32":
        sums = found.view(np.float32)
        assert np.isfinite(sums).all()
        assert (sums > 0.05).all()
        assert (sums < 1).all()
    else:
        assert (found.view(np.int32) == 0x01010101 + 4 * 101 * TURNS).all()


def test_an_int8_sum_counts_four_times_a_float_one():
    """A lane multiplies one float, or four int8; both count all threads."""
    path = cpu.choose()
    one, two = Team(1), Team(2)
    floats, integers = (peak_probe("p", kind, one, path).flops for kind in ("f32", "int8"))
    assert integers == 4 * floats
    assert peak_probe("p", "f32", two, path).flops == 2 * floats
    assert floats % (16 * 2 * TURNS) == 0
    one.close()
    two.close()
