"""What is timed on a GPU: sizes that fit, products that it has units for, and less of all with --quick."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gpus import CARD, Library

from simulator.errors import InputError
from simulator.probe.clock import Probe
from simulator.probe.cuda import probes as cuda
from simulator.probe.cuda.describe import SIZES, product_name, stream_name
from simulator.probe.cuda.probes import gpu_probes
from simulator.units import GI, MI


def test_the_largest_working_set_leaves_most_memory_free():
    """A quarter of what is free at most, and never more than 4 GiB."""
    largest = {free: cuda.largest_size(replace(CARD, free_bytes=free)) for free in (78 * GI, 15 * GI, 1 * GI)}
    assert largest == {78 * GI: 4 * GI, 15 * GI: 2 * GI, GI: 256 * MI}


def test_too_little_memory_is_refused_before_anything_is_allocated():
    """256 MiB free allow 64 MiB, which a cache of 48 MiB would hold in part."""
    message = (
        "NVIDIA H100 80GB HBM3: 0.2 GiB of its memory are free, too little to measure it: end other programs on it"
    )
    with pytest.raises(InputError) as caught:
        gpu_probes(replace(CARD, free_bytes=256 * MI), quick=False)
    assert str(caught.value) == message


def test_matrices_and_pinned_memory_fit():
    """Three matrices of float32 take a quarter of what is free at most; pinned memory an eighth of the host's."""
    sides = [cuda.product_side(replace(CARD, free_bytes=free), False) for free in (78 * GI, 3 * GI, GI)]
    assert sides == [8192, 8192, 4096]
    assert cuda.product_side(CARD, quick=True) == 4096
    assert cuda.product_side(replace(CARD, n_multiprocessors=20), quick=False) == 4096
    pinned = [cuda.pinned_bytes(4 * GI, free) for free in (None, 64 * GI, 800 * MI, 0)]
    assert pinned == [256 * MI, 256 * MI, 100 * MI, MI]
    assert cuda.pinned_bytes(MI // 2, None) == MI // 2


@pytest.fixture
def matrices(monkeypatch):
    """Matrices that take no memory, and a GPU that need not be waited for."""
    import numba

    made_up = SimpleNamespace(__cuda_array_interface__={"data": (16, False)})
    monkeypatch.setattr(cuda, "filled", lambda _nbytes: made_up)
    module = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setitem(sys.modules, "numba.cuda", module)
    monkeypatch.setattr(numba, "cuda", module, raising=False)


@pytest.mark.parametrize(
    ("capability", "names"),
    [((6, 1), []), ((7, 0), ["f16"]), ((7, 5), ["f16", "int8"]), ((9, 0), ["tf32", "f16", "bf16", "int8"])],
)
def test_products_are_timed_in_the_formats_that_a_gpu_has_tensor_cores_for(matrices, capability, names):
    """None on Pascal, float16 since Volta, int8 since Turing, all since Ampere; a product is 2 n^3 operations."""
    probes = cuda.product_probes(replace(CARD, compute_capability=capability), Library(), quick=True)
    assert [probe.name for probe in probes] == [product_name(name) for name in names]
    assert {probe.flops for probe in probes} <= {2 * 4096**3}


def test_without_a_cublas_that_works_products_are_left_out(matrices):
    """Missing, not made for this driver, or not able to multiply."""
    assert cuda.product_probes(CARD, None, quick=True) == []
    assert cuda.product_probes(CARD, Library(cublasCreate_v2=1), quick=True) == []
    assert cuda.product_probes(CARD, Library(cublasGemmEx=15), quick=True) == []


def test_a_quick_run_times_every_other_size():
    """The largest among them, and copies and triads at that one only."""
    probes = {}

    def note(work, kind, size):
        probes.setdefault(kind, []).append(size)
        return Probe(stream_name(kind, size), lambda _repeats: None)

    for quick in (True, False):
        probes.clear()
        with pytest.MonkeyPatch.context() as patch:
            import numba

            module = SimpleNamespace(select_device=lambda _index: None, config=SimpleNamespace(ENABLE_CUDASIM=True))
            patch.setitem(sys.modules, "numba.cuda", module)
            patch.setattr(numba, "cuda", module, raising=False)
            for name, found in (("_Work", None), ("multiply_add_probe", Probe("m", print)), ("launch_probes", [])):
                patch.setattr(cuda, name, lambda *_, found=found: found)
            patch.setattr(cuda, "stream_probe", note)
            gpu_probes(replace(CARD, is_integrated=True), quick)
        sizes = [size // MI for size in probes["read"]]
        assert sizes == [0, 1, 4, 16, 64, 256, 1024, 4096] if quick else len(sizes) == 15
        assert probes["copy"] == probes["triad"] == ([4 * GI] if quick else list(SIZES))
