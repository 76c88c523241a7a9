"""Seconds that operations wait for storage: by hand, at both ends of memory, and monotone in what helps."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.from_storage import chances_of, pages_of, waits
from simulator.forecast.ops import Cost, Op
from simulator.forecast.paging import ExpertGroup, Pages
from simulator.spec.figure import Figure
from simulator.spec.layers.ffn import Experts
from simulator.spec.links import Link
from simulator.spec.quant import FORMATS
from simulator.spec.recorded import Recorded
from simulator.spec.routing import Trace, parse_routing
from simulator.spec.storage import KINDS, Storage, find_storage, usual_storage
from simulator.units import KI, MI

FFN = Experts(n_experts=8, n_active=2, d_expert=64)
UNIFORM = (parse_routing("uniform"),) * 3
DRIVE = Storage("drive", Figure(value=1, provenance="measured"), Figure(value=100, provenance="measured"), UNIFORM)
# Two layers with 1 MiB of attention each and 8 experts of 512 KiB, of which a token uses two.
ATTENTION = Op("layers 0-1", "attention", "attn_q", FORMATS["q8_0"], 2, Cost(weight_bytes=1 * MI))
EXPERTS = Op(
    "layers 0-1", "experts", "ffn_up_exps", FORMATS["q8_0"], 2, Cost(weight_bytes=1 * MI), touched=0.25, experts=FFN
)
OPS = (ATTENTION, EXPERTS)


def seconds(storage=DRIVE, room=0.0, threads=4, ops=OPS, new_tokens=1.0):
    """Likely, least and most seconds of the step."""
    found = waits(ops, storage, room, threads, new_tokens)
    return tuple(sum(op.count * getattr(each, name) for op, each in zip(ops, found, strict=True)) for name in
                 ("likely_s", "least_s", "most_s"))  # fmt: skip


def test_the_pages_of_a_step():
    """2 MiB always, and 8 experts of 1 MiB in both layers together, 2 of 8 of them in a step."""
    pages = pages_of(OPS, UNIFORM[0], 1.0)
    assert pages.always == 2 * MI
    assert pages.all_bytes == 10 * MI
    assert pages.used_bytes == 4 * MI


def test_all_missing_is_bytes_over_rate():
    """2 MiB and 2 MiB of experts, each of which is read with 256 KiB around it, a quarter of which is needed: 4.75 MiB by hand.

    One read of 128 KiB takes 100 us and 131 us at 1 GB/s: 567 MB/s, and several at a time the drive's 1 GB/s.
    """
    likely, _, most = seconds()
    assert likely == pytest.approx(4.75 * MI / 1e9)
    alone = 128 * KI / (100e-6 + 128 * KI / 1e9)
    assert most == pytest.approx(4.75 * MI / alone, rel=0.09)  # and what is not sure of the drive's rate
    assert seconds(threads=1)[0] == pytest.approx(4.75 * MI / alone)


def test_nothing_missing_costs_nothing():
    """Room for all of it is memory."""
    assert seconds(room=10 * MI) == (0, 0, 0)


def test_half_of_the_experts():
    """Room for what is always read and half of the experts: half of 2 MiB of them, read 1.375 times."""
    likely, least, _ = seconds(room=6 * MI)
    assert likely == pytest.approx(0.5 * 2 * MI * 1.375 / 1e9)
    assert least == pytest.approx(0.5 * 2 * MI / 1e9, rel=0.09)


def test_more_memory_and_a_faster_drive_never_cost_more():
    """Over rooms, over drives, and the three estimates lie in order."""
    rooms = np.linspace(0, 11 * MI, 200)
    likely, least, most = seconds(room=rooms)
    for each in (likely, least, most):
        assert (np.diff(each) <= 1e-12).all()
    assert (least <= likely).all()
    assert (likely <= most).all()
    fast = Storage("fast", Figure(value=5, provenance="measured"), DRIVE.latency_us, UNIFORM)
    assert (seconds(fast, rooms)[0] <= likely).all()
    near = Storage("near", DRIVE.gb_per_s, Figure(value=10, provenance="measured"), UNIFORM)
    assert (seconds(near, rooms, threads=1)[0] <= seconds(DRIVE, rooms, threads=1)[0]).all()


def test_a_batch_misses_what_its_tokens_use_together():
    """Two tokens use 8 (1 - 0.75^2) = 3.5 of 8 experts: with room for half of them all, half of that is missing."""
    one = Cost(weight_bytes=3.5 / 8 * 4 * MI)
    experts = Op("layers 0-1", "experts", "ffn_up_exps", FORMATS["q8_0"], 2, one, touched=3.5 / 8, experts=FFN)
    likely, _, _ = seconds(room=6 * MI, ops=(ATTENTION, experts), new_tokens=2.0)
    assert likely == pytest.approx(0.5 * 3.5 * MI * (1 + 0.5 * (1 - 3.5 / 8)) / 1e9)


def test_formats_that_are_copied_wait_for_nothing():
    """They lie in memory of the runtime's own."""
    found = waits(OPS, DRIVE, 0.0, 4, 1.0, kept=("q8_0",))
    assert all(each.likely_s == 0 for each in found)


def test_chances_by_routing():
    """Popularity in its order; a trace's own counts, averaged by rank; where nothing is said, all alike."""
    assert chances_of(parse_routing("uniform"), FFN) == (0.25,) * 8
    assert chances_of(parse_routing("same"), FFN) == (1, 1, 0, 0, 0, 0, 0, 0)
    zipf = chances_of(parse_routing("zipf:1"), FFN)
    assert sum(zipf) == pytest.approx(2)
    assert list(zipf) == sorted(zipf, reverse=True)
    trace = Trace("t", tokens=4, uses=((4, 2, 2, 0, 0, 0, 0, 0), (0, 0, 3, 5 - 2, 2)))
    assert chances_of(trace, FFN) == pytest.approx((7 / 8, 5 / 8, 4 / 8, 0, 0, 0, 0, 0))


def test_experts_without_weights_take_none_of_the_pages():
    """Eight experts with weights and eight without: a token's two are with weights half the time."""
    assert sum(chances_of(parse_routing("uniform"), FFN.model_copy(update={"n_zero": 8}))) == pytest.approx(1)


def link(name, gb_per_s, **others):
    """A drive as a device's file has it."""
    return Link.model_validate({"name": name, "gb_per_s": gb_per_s, **others})


OWN = (link("microsd", 0.085), link("nvme", 0.4, latency_us=70), link("nvme-gen3", 0.8, experimental=True))


def test_a_device_s_own_drive_comes_first():
    """By its name; what its file does not say is that of its kind; the usual one is the fastest that its maker supports."""
    assert find_storage("nvme-gen3", OWN).gb_per_s.value == 0.8
    assert find_storage("nvme-gen3", ()).gb_per_s.value == 3.5
    assert find_storage("NVMe", OWN).latency_us.value == 70
    assert find_storage("microsd", OWN).latency_us == KINDS["microsd"][1]
    assert usual_storage(OWN) == "nvme"
    assert usual_storage(()) == ""


def test_a_rate_is_a_drive():
    """GB/s, with the latency of an NVMe drive."""
    for text in ("3.5", "3.5 GB/s", " 3.5gb/s"):
        found = find_storage(text, OWN)
        assert (found.name, found.gb_per_s.value) == ("3.5 GB/s", 3.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("floppy", "storage 'floppy' is unknown, known: microsd, nvme, nvme-gen3"),
        ("nvm", "did you mean nvme"),
        ("0", "GB/s from 0.001 to 1,000 are needed"),
        ("1e9", "unknown"),
        ("swap", "name the drive that the file lies on"),
        ("zram", "what is swapped is written out"),
        ("", "unknown"),
    ],
)
def test_what_is_no_drive_is_told(text, told):
    """In a sentence with the remedy."""
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        find_storage(text, OWN)


def test_recorded_order_says_what_an_lru_cache_hits():
    """A text that stays with two experts for 100 tokens, then with the next two: room for a few keeps them, whatever their popularity.

    Four pairs of 8 experts are equally popular. A cache of the experts of 3 tokens holds at most 4 and misses 2 in 100 tokens.
    """
    chosen = np.repeat([[0, 1], [2, 3], [4, 5], [6, 7]], 100, axis=0)
    found = Recorded("r", "m", (0,), (8,), (2,), tuple(range(400)), 1, (chosen,))
    groups = (ExpertGroup(1.0, (0.25,) * 8),)
    assert Pages(0.0, groups, 1.0, found).lru(4.0).experts == pytest.approx(2 / 200, abs=1e-9)
    assert Pages(0.0, groups, 1.0).lru(4.0).experts == pytest.approx(
        0.5, abs=0.01
    )  # were they chosen anew with every token
    assert Pages(0.0, groups, 1.0, found).used_bytes == pytest.approx(2)
    # Four sequences from four places of the text use all eight in every step, of which smaller room keeps none.
    assert Pages(0.0, groups, 4.0, found).used_bytes == pytest.approx(8)
    assert Pages(0.0, groups, 4.0, found).lru(6.0).experts == 1
    # 30 sequences would have 13 steps: too few to tell of an order.
    assert Pages(0.0, groups, 30.0, found).used_bytes == pytest.approx(8 * (1 - 0.75**30))
