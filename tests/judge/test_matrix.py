"""The decodes that a machine is judged by: which there are, and that they fit its memory."""

from itertools import groupby

import pytest

from simulator.judge.case_forecast import other_kind
from simulator.judge.matrix import Case, dense, lack_of_memory, make_matrix, needed_bytes
from simulator.judge.measure import loaded_together
from simulator.machine.host import Host
from simulator.units import MI


def test_the_matrix_covers_what_it_says():
    """At least 60 cases of different names; batches to 32, three formats, sparsity, skew, depths, fewer threads, a small model."""
    cases = make_matrix(Host(n_threads=4), 4, 32 * MI)
    assert len({case.id for case in cases}) == len(cases) >= 60
    assert {case.batch for case in cases} == {1, 2, 4, 8, 16, 32}
    assert {case.weights for case in cases} == {"q8_0", "q4_0", "bf16"}
    assert {case.threads for case in cases} == {1, 2, 4}
    assert {case.routing for case in cases} == {"uniform", "zipf:1.2"}
    assert {case.sparsity for case in cases} == {None, "q-sparse:0.5"}
    assert max(case.context for case in cases) == 8192
    sizes = {case.model.name: case.model.total_params for case in cases}
    assert sizes["small"] < 32 * MI / 4
    assert sizes["dense"] > 4 * 32 * MI


def test_the_matrix_has_other_steps_than_decoding():
    """Also the quick one: chunks of prompts, five drafted tokens, experts on a disk, half of the layers in a slower memory."""
    for quick in (False, True):
        cases = [case for case in make_matrix(Host(n_threads=2), 2, 32 * MI, quick) if not case.is_plain]
        assert {other_kind(case) for case in cases} == {
            "prompts in chunks",
            "drafted tokens",
            "experts on a disk",
            "layers in a slower memory",
        }
        assert {case.tokens for case in cases if case.verifies} == {5}
        assert all(case.slow_layers == max(1, len(case.model.stack) // 2) for case in cases if case.slow_layers)
        assert all(case.model.experts for case in cases if case.on_disk)


def together_bytes(cases):
    """Most of what is in memory at once, by hand: the weights, and for each of the largest batch the tokens of the deepest cache."""
    bits = {"q8_0": 8.5, "q4_0": 4.5, "bf16": 16}
    largest = 0
    for _, group in groupby(cases, key=loaded_together):
        members = list(group)
        first = members[0]
        kv = sum(2 * layer.attention.n_kv_heads * layer.attention.head_dim for layer in first.model.stack)
        tokens = max(case.batch for case in members) * max(case.context for case in members)
        largest = max(largest, first.model.total_params * bits[first.weights] / 8 + 2 * kv * tokens)
    return largest


@pytest.mark.parametrize(("free_mb", "cache_mb"), [(600, 2), (1400, 32), (1400, 384), (23_000, 32), (380_000, 384)])
def test_the_matrix_suits_the_free_memory(free_mb, cache_mb):
    """Whatever the caches, weights and cache of what is loaded together take half of the free memory, and few cases are left out."""
    host = Host(n_threads=1, available_bytes=free_mb * MI)
    cases = make_matrix(host, 1, cache_mb * MI)
    kept = [case for case in cases if not lack_of_memory(case, host)]
    assert together_bytes(kept) <= free_mb * MI / 2
    assert len(kept) >= len(cases) - 2
    assert all(case.threads == 1 for case in cases)


def test_a_usual_machine_needs_less_than_a_gigabyte():
    """192 MiB of weights in q8_0, twice as much in bf16, 300 MB of cache at the deepest: whatever memory there is."""
    cases = make_matrix(Host(n_threads=2, available_bytes=10**12), 2, 32 * MI)
    assert together_bytes(cases) < 600e6


def test_a_case_that_does_not_fit_says_why():
    """Weights of 34 bytes for 32, and in each layer 1792 bytes (7 keys and values of 64 halves) for all of 4 x 8192 tokens."""
    host = Host(n_threads=1, available_bytes=10**9)
    model = dense(700 * MI)
    case = Case(model, "q8_0", batch=4, context=8192)
    cache = len(model.stack) * 1792 * 4 * 8192
    assert needed_bytes(case) == pytest.approx(model.total_params * 34 / 32 + cache, rel=1e-2)
    assert lack_of_memory(case, host) == f"takes {needed_bytes(case) / 1e9:.2f} GB of memory, at most 500 MB are for it"
    assert lack_of_memory(Case(dense(100 * MI), "q8_0"), host) == ""
