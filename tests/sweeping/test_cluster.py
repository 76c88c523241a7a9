"""What becomes of parts that a cluster does: bytes as of a part done here, and a sentence where the cluster cannot go on."""

import pickle
from collections import Counter

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("distributed")

import distributed

from simulator.errors import InputError
from simulator.sweeping import cluster
from simulator.sweeping.axes import load_sweep
from simulator.sweeping.cluster import finished_there, part_of_job
from simulator.sweeping.folder import SweepFolder, code_digest
from simulator.sweeping.helpers import write_here

ASKED = {"models": "llama-3-8b", "devices": ["pi5-16gb", "h100-sxm"], "formats": ["q4_k_m", "fp8"], "batches": "1..4"}


class Future:
    """What came of a part."""

    def __init__(self, outcome):
        self.outcome = outcome

    def result(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_a_worker_sends_what_is_written_here(tmp_path):
    """The same bytes, and the same tally."""
    place = SweepFolder.of(tmp_path / "out", load_sweep(ASKED))
    tally, content = part_of_job(pickle.dumps(place), code_digest(), 0)
    with place.held():
        assert write_here(place, 0) == (0, tally)
    assert place.path(0).read_bytes() == content


def test_a_worker_of_another_build_is_refused(tmp_path):
    """Its rows might differ."""
    place = SweepFolder.of(tmp_path / "out", load_sweep(ASKED))
    with pytest.raises(
        InputError, match=r"^a worker of the cluster has another build of roofcast: install the same on all"
    ):
        part_of_job(pickle.dumps(place), "other", 0)


def test_a_part_is_tried_again_but_not_for_ever():
    """Where its workers die, so many times; then it is the part that ends them."""
    killed, lost = Future(distributed.KilledWorker("part", None, 3)), Counter()
    for _ in range(cluster.TRIALS - 1):
        assert cluster._result(killed, 5, lost) is None
    with pytest.raises(InputError, match=r"^part 5 ended every worker of the cluster that it was given to"):
        cluster._result(killed, 5, lost)
    assert cluster._result(Future(({}, b"rows")), 5, lost) == ({}, b"rows")


def test_a_worker_without_roofcast_is_told():
    """By the name of what it lacks."""
    lacking = Future(ModuleNotFoundError("No module named 'simulator'", name="simulator"))
    with pytest.raises(InputError, match=r"^a worker of the cluster lacks simulator: pip install '\.\[sweep\]' there"):
        cluster._result(lacking, 0, Counter())


@pytest.mark.parametrize(
    "error", [distributed.client.FutureCancelledError("part", "lost"), TimeoutError(), ConnectionResetError()]
)
def test_a_scheduler_that_is_lost_is_told(error):
    """Whichever way it comes up."""
    with pytest.raises(InputError, match=r"^the cluster's scheduler no longer answers; run the same again to go on"):  # noqa: SIM117
        with cluster._lost_in_words():
            raise error


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "tcp://", "ftp://a:1"])
def test_a_scheduler_that_is_not_there_is_told(address, tmp_path, monkeypatch):
    """In one sentence, however wrong its address."""
    monkeypatch.setattr(cluster, "ANSWER_S", 0.2)
    place = SweepFolder.of(tmp_path / "out", load_sweep(ASKED))
    with pytest.raises(InputError, match=rf"^--scheduler {address}: no Dask scheduler answers there \("):
        list(finished_there(place, [0], address))
