"""What is to be timed on machines of all sorts: it suits them, and fits."""

import pytest
from readings import HOSTS, PI5, SERVER, readings_of

from simulator.engine.formats.table import LAYOUTS
from simulator.machine.host import Cache, Host
from simulator.probe.plan import QUICK_SECONDS, SECONDS, kernel_threads, make_plan, room_for
from simulator.units import GI, KI, MI


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", HOSTS)
def test_a_plan_suits_its_machine(name, quick):
    """Sizes grow to the largest; everything fits, in memory and into each other; the last count of threads is all of them."""
    host = HOSTS[name]
    plan = make_plan(host, QUICK_SECONDS if quick else SECONDS)
    assert list(plan.sizes) == sorted(set(plan.sizes))
    assert plan.sizes[0] == 16 * KI
    assert plan.sizes[-1] == plan.buffer_bytes
    assert all(size % 512 == 0 for size in plan.sizes)
    assert 128 * KI <= plan.cached_bytes <= plan.buffer_bytes
    assert plan.shared_bytes <= plan.buffer_bytes
    assert list(plan.threads) == sorted(set(plan.threads))
    assert plan.threads[0] == 1
    assert room_for(plan) <= (host.available_bytes or 512 * MI)


def test_the_plan_of_a_raspberry_pi_5():
    """All counts of 4 threads; four times 2 MiB are less than the least, 64 MiB; 0.4 of an L2 of 512 KiB, half a MiB of the L3."""
    plan = make_plan(PI5)
    assert plan.threads == (1, 2, 3, 4)
    assert (plan.buffer_bytes, plan.cached_bytes, plan.shared_bytes) == (64 * MI, int(0.4 * 512 * KI), 512 * KI)
    assert len(plan.sizes) == 25  # 16 KiB to 64 MiB in half octaves
    assert set(plan.formats) <= set(LAYOUTS)  # all of which there are kernels for
    assert len(set(plan.formats)) == len(plan.formats) == 12
    assert kernel_threads(plan) == (1, 2, 4)


def test_the_plan_of_a_server():
    """Powers of two, half of them and all; a little more than twice 384 MiB of L3; 32 MiB at most in the shared cache."""
    plan = make_plan(SERVER)
    assert plan.threads == (1, 2, 4, 8, 16, 32, 48, 64, 96)
    assert plan.buffer_bytes == 844 * MI  # 2.2 * 384 in whole matrices of 4 MiB
    assert plan.shared_bytes == 32 * MI
    assert kernel_threads(plan) == (1, 48, 96)


@pytest.mark.parametrize(
    ("threads", "counts"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 3)), (4, (1, 2, 4)), (5, (1, 2, 5)), (6, (1, 3, 6)), (24, (1, 12, 24))],
)
def test_kernels_are_timed_with_one_thread_half_of_them_and_all(threads, counts):
    """Also where half of them is no power of two."""
    assert kernel_threads(make_plan(HOSTS["unknown"], threads=threads)) == counts


def test_a_machine_of_one_core_is_measured_once():
    """Nothing is done for one thread and again for all."""
    plan = make_plan(HOSTS["one core"])
    assert plan.threads == kernel_threads(plan) == (1,)
    assert len(readings_of(HOSTS["one core"]).samples) < len(readings_of(HOSTS["unknown"]).samples)


@pytest.mark.parametrize(("quota", "threads"), [(2.5, 2), (0.3, 1), (100.0, 8), (None, 8)])
def test_a_quota_limits_the_threads(quota, threads):
    """Whole ones, and one at least."""
    host = Host(n_threads=8, cpu_quota=quota)
    assert make_plan(host).threads[-1] == threads
    assert make_plan(host, threads=3).threads[-1] == 3


def test_little_memory_makes_small_sets():
    """A sixteenth of what is free: 6 MiB of 100, so 4; where nothing is known of it, as of 512 MiB; 4 MiB at least; 4 GiB at most."""
    sets = {free: make_plan(Host(n_threads=1, available_bytes=free)).buffer_bytes for free in (100 * MI, None, MI)}
    assert sets == {100 * MI: 4 * MI, None: 32 * MI, MI: 4 * MI}
    huge = Host(n_threads=1, caches=(Cache("L3", 2 * GI, 1),), available_bytes=500 * GI)
    assert make_plan(huge).buffer_bytes == 4 * GI


def test_kernels_in_cache_have_sixteen_rows_at_least():
    """An L2 of 128 KiB, as some small cores have: 0.4 of it would not hold 16 rows of float32."""
    host = Host(n_threads=4, caches=(Cache("L2", 128 * KI, 4),), available_bytes=GI)
    assert make_plan(host).cached_bytes == 128 * KI


def test_a_quick_plan_leaves_things_out():
    """Fewer formats, one pass, a third of the time."""
    quick, plan = make_plan(PI5, QUICK_SECONDS), make_plan(PI5)
    assert set(quick.formats) < set(plan.formats)
    assert quick.passes < plan.passes
    assert quick.budget_s == plan.budget_s / 3 == 20
    assert quick.sizes == plan.sizes
