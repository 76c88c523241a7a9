"""A hardware file of another machine, or measured otherwise: nothing is put together with it."""

from dataclasses import replace

import pytest
from readings import HOSTS, PI5, described

from simulator.errors import InputError
from simulator.probe.describe import identity
from simulator.probe.merge import merge, refuse_stranger

OTHERS = [
    ({"kind": "gpu"}, "kind gpu, here it is cpu"),
    ({"vendor": "intel"}, "vendor intel, here it is arm"),
    ({"cores": 8}, "cores 8, here it is 4"),
    ({"description": "4 cores; 4 x 32 KiB L1 data; 8.0 GiB LPDDR4X"},
     "4 cores; 4 x 32 KiB L1 data; 8.0 GiB LPDDR4X; here: 4 cores; 4 x 64 KiB L1 data, 4 x 512 KiB L2, 1 x 2 MiB L3; 8.0 GiB LPDDR4X"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), OTHERS)
def test_another_machine_is_refused(change, what):
    """With what differs, before and after measuring."""
    old, sentence = described() | change, f"mine.yaml: describes another machine ({what}); give -o another file name"
    for new in (described(), identity(PI5, 4)):
        with pytest.raises(InputError) as told:
            refuse_stranger(old, new, "mine.yaml")
        assert str(told.value) == sentence
    with pytest.raises(InputError) as told:
        merge(old, described(), "mine.yaml")
    assert str(told.value) == sentence


@pytest.mark.parametrize(
    ("then", "said"), [(3, "3 threads, not 4: give --threads 3"), (1, "1 thread, not 4: give --threads 1")]
)
def test_other_threads_are_no_other_machine(then, said):
    """Their figures cannot be pooled all the same; how to go on is said. A machine that differs, too, is said first."""
    with pytest.raises(InputError) as told:
        refuse_stranger(described() | {"threads": then}, identity(PI5, 4), "mine.yaml")
    assert str(told.value) == f"mine.yaml: was measured with {said}, or another -o"
    with pytest.raises(InputError, match=r"another machine \(cores 8"):
        refuse_stranger(described() | {"threads": then, "cores": 8}, identity(PI5, 4), "mine.yaml")


def test_what_is_not_known_here_is_told_so():
    """A file of a Pi on a machine that says nothing of itself."""
    with pytest.raises(InputError, match=r"\(vendor arm, here it is unknown\)"):
        refuse_stranger(described(), identity(HOSTS["unknown"], 4), "mine.yaml")
    old = {"description": "4 cores; caches", "runs": [{}]}
    with pytest.raises(InputError, match=r"\(4 cores; caches; here: unknown\)"):
        refuse_stranger(old, {}, "mine.yaml")


def test_the_same_machine_may_be_described_otherwise():
    """By a maker in capitals, by somebody's own words before it was ever measured, with more memory, or not at all."""
    refuse_stranger({"vendor": "ARM"}, identity(PI5, 4), "mine.yaml")
    refuse_stranger({"description": "my Pi", "threads": 4}, identity(PI5, 4), "mine.yaml")
    refuse_stranger(described(), identity(replace(PI5, memory_bytes=2**34), 4), "mine.yaml")
    refuse_stranger({"name": "empty"}, identity(PI5, 4), "mine.yaml")
    refuse_stranger({}, {}, "mine.yaml")
