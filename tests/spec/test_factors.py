"""What kernels reach, by factors: what is known of each before any measurement, and what a product of them comes to."""

import math
from itertools import product

import pytest

from simulator.spec import factors
from simulator.spec.backend import fitted_backend
from simulator.spec.factors import APIS, Factor, Place, family, generation, share, share_of
from simulator.spec.kernels import Kernels
from simulator.spec.library import RUNTIMES, names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime

FAMILIES = sorted({family(fmt.kernel, fmt.bits) for fmt in FORMATS.values()})
OF_WEIGHTS = (factors.vector, factors.further, factors.matrix)
OF_PLACE = (factors.core, factors.launch, factors.step, factors.link, factors.sequence, factors.fill, factors.submit)


def places():
    """Where shipped runtimes run on a device of each generation and class, as they do today and as they once did."""
    devices = [load_hardware(name) for name in names(shelf("hardware"))]
    kinds = {
        (each.kind, each.vendor, each.device_class, each.architecture and each.architecture.name): each
        for each in devices
    }
    for name, device in product(names(RUNTIMES), kinds.values()):
        runtime = load_runtime(name)
        for api in runtime.apis.get(device.vendor, ("",)) if device.kind == "gpu" else ("",):
            for found in (runtime.under(api), runtime.under(api, date="2023-01", flash_attention=False)):
                if runtime.apis and not found.refusal(device):
                    yield found.place(device)


PLACES = sorted(set(places()), key=repr)


def quantities(at):
    """The factors of each quantity at a place."""
    yield from (*(listed(at) for listed in OF_PLACE), factors.launch(at, True))
    yield from (listed(at, fmt) for listed in OF_WEIGHTS for fmt in FAMILIES)
    yield from (factors.bandwidth(at, fmt, is_expert) for fmt in FAMILIES for is_expert in (False, True))
    yield from (factors.cached(at, packed, state) for packed in (False, True) for state in (False, True))
    yield from (factors.attended(at, packed, state) for packed in (False, True) for state in (False, True))
    yield from (factors.matrix(at, fmt, True) for fmt in FAMILIES)
    yield from (factors.attention(at, packed) for packed in (False, True))


def test_every_factor_has_a_prior_and_a_name_of_its_own():
    """A median and a spread above 0; no factor counts twice in a quantity, and each means the same wherever it stands."""
    known = {}
    assert len(PLACES) > 100
    for at in PLACES:
        for listed in quantities(at):
            assert len({factor.name for factor in listed}) == len(listed) > 0, listed
            for factor in listed:
                assert factor.median > 0 < factor.spread, factor
                known.setdefault(factor.name, set()).add(factor)
    own = {name for name, meant in known.items() if len(meant) > 1}
    assert not own


def test_the_first_factor_is_in_the_unit_of_its_quantity():
    """Others say how a place differs: their medians are near 1, launches, steps and experts' kernels apart."""
    for at in PLACES:
        for listed in quantities(at):
            for factor in listed[1:]:
                if not factor.name.startswith(("launch/", "step/", "bandwidth/sockets", "matrix/experts/")):
                    assert 0.5 <= factor.median <= 2, factor


@pytest.mark.parametrize("value", [0.001, 0.5, 0.9, 1.0, 2.0, 1e6])
def test_no_product_is_a_share_above_all(value):
    """A share is its product where that is small, bends before 1 and never passes it; more is never less."""
    found = share([Factor("a", value)], {})
    assert found <= 1
    assert found <= value * (1 + 1e-12)
    assert found >= share_of(math.log(value * 0.99))
    if value <= 0.5:
        assert found == pytest.approx(value, rel=1e-6)


def test_a_product_of_one_is_a_share_of_0_966():
    """2 to the power of -1/20."""
    assert share_of(0.0) == pytest.approx(2 ** (-1 / 20))


def test_fitted_values_replace_priors():
    """By name; what was not fitted stays where its prior puts it: 0.5 * 3 for the first two, 0.5 * 2 without a fitted value."""
    listed = [Factor("a", 0.5), Factor("b", 2.0)]
    assert factors.product(listed, {"b": math.log(3.0), "c": 9.0}) == pytest.approx(1.5)
    assert factors.product(listed, {}) == pytest.approx(1.0)


def test_no_kernel_reaches_more_than_there_is():
    """With the shipped factors, of every place and format; what takes seconds takes some."""
    for at in PLACES:
        kernels = Kernels(at)
        for fmt in FORMATS.values():
            found = (
                kernels.bandwidth_share(fmt, True), kernels.bandwidth_share(fmt, False), kernels.vector_share(fmt),
                kernels.further_cost(fmt), kernels.matrix_share(fmt, False), kernels.attention_share(fmt),
                kernels.matrix_share(fmt, True), kernels.attended_share(fmt, False), kernels.attended_share(fmt, True),
                kernels.cache_share(fmt, True), kernels.cache_share(fmt, False),
            )  # fmt: skip
            assert all(0 < each <= 1 for each in found), (at, fmt.name)
        assert (
            min(kernels.launch_s, kernels.step_s, kernels.sequence_s, kernels.core_bytes_per_s, kernels.link_scale) > 0
        )
        assert kernels.fill_tokens > 0 <= kernels.submit_s


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("sm_61", "pascal"), ("sm_75", "turing"), ("sm_80", "sm_80"), ("sm_86", "ampere"), ("sm_89", "ada"), ("sm_90", "hopper"),
        ("sm_100", "blackwell-hbm"), ("sm_120", "blackwell"), ("gfx942", "cdna"), ("gfx1100", "rdna3"), ("gfx1151", "rdna35"),
        ("gfx1201", "rdna4"), ("", "unknown"), ("cortex-a76", "cortex-a76"),
    ],
)  # fmt: skip
def test_a_generation_is_what_makers_call_it(architecture, told):
    """What has no other name keeps its own."""
    assert generation(architecture) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("f16", "wide"), ("q8_0", "eight"), ("fp8", "eight"), ("q4_k", "q4k"), ("iq4_nl", "iq4"), ("iq2_xxs", "iq"), ("tq1_0", "ternary"),
        ("mxfp4", "mxfp4"), ("int4-g128", "grouped"),
    ],
)  # fmt: skip
def test_formats_that_are_unpacked_alike_are_a_family(name, told):
    """By the kernels that read them."""
    assert family(FORMATS[name].kernel, FORMATS[name].bits) == told


def test_a_format_of_some_bits_a_weight_is_taken_for_its_neighbour():
    """What a mix of so many bits consists of for the most part."""
    assert [family(f"{bits}bpw", bits) for bits in (2.7, 4.5, 6.5, 8.0)] == ["q3k", "q4k", "q6k", "eight"]


def test_every_fitted_factor_is_used():
    """The shipped file holds no factor that no place has any more."""
    used = {factor.name for at in PLACES for listed in quantities(at) for factor in listed}
    used |= {factor.name for at in PLACES for listed in quantities(several(at)) for factor in listed}
    assert set(factors.fitted()) <= used, sorted(set(factors.fitted()) - used)[:5]


def several(at):
    """The same place on a device with what sets devices apart turned round."""
    return Place(**{**vars(at), "is_measured": not at.is_measured, "n_sockets": 2})


def test_apis_are_those_that_runtimes_have():
    """Each is used by some runtime."""
    runtimes = [load_runtime(name) for name in names(RUNTIMES)]
    assert {api for each in runtimes for found in each.apis.values() for api in found} == set(APIS)


def test_backends_of_factors_that_are_gone_are_not_taken_for_others():
    """A dictionary that is made where another was has its place in memory, and other factors: with what was learned, too."""
    device, found = load_hardware("rtx-3060"), []
    place = load_runtime("llama.cpp").place(device)
    for n in range(20):
        values = {"launch/cuda": math.log(1e-6 * (n + 1))}
        found.append(fitted_backend(place, values, True, {}, (("own/launch", 0.0),)).kernels.launch_s)
        del values
    assert found == pytest.approx([found[0] * (n + 1) for n in range(20)])
