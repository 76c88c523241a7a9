"""The arrays that factors are fitted with give the seconds that forecasts have, and their derivatives are right."""

from functools import cache
from itertools import groupby

import numpy as np
import pytest

from simulator.calibration.fitting import Problem
from simulator.calibration.judging import Judging
from simulator.calibration.observations import OF_OPERATION, observe
from simulator.calibration.timing import Steps
from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.forecast.request import Request, forecast_request
from simulator.importers.measurements import load_measurements
from simulator.importers.prompts import load_prompts
from simulator.judge.folds import device_group
from simulator.spec.factors import fitted
from simulator.spec.library import MEASURED, PROMPTS

MOST_ROWS = 40
PROMPTS_OF = ("potato-001", "xiongjie-004", "mistralrs-001", "ik354-006", "mistralrscpu-040", "ds4-001")


@cache
def steps():
    """Shipped rows of as many kinds as there are: one for each runtime, API and generation, experts, batch and cache."""

    def kind(each):
        batch = min(each.batch, 2)
        architecture = each.hardware.architecture
        name = architecture.name if architecture else ""
        return each.runtime, each.api, name, bool(each.loaded.model.experts), batch, each.cache, each.hardware.count > 1

    usable = [each for each in load_measurements(MEASURED).published if each.origin.is_usable]
    one_each = [next(rows) for _, rows in groupby(sorted(usable, key=lambda each: repr(kind(each))), key=kind)]
    every = max(1, len(one_each) // MOST_ROWS)
    latent = [each for each in usable if each.loaded.model.name.startswith("deepseek-v")][:2]
    return Steps(observe([*one_each[::every], *latent, *prompts()]))


def prompts():
    """Prompts on CPUs and GPUs, in one pass and in several, with and without experts, latents and layers that are passed over."""
    known = {each.id: each for each in load_prompts(PROMPTS).published}
    return [known[name] for name in PROMPTS_OF]


def prior_and_fitted():
    """Logarithms of the factors' values: as they are shipped."""
    return np.array([fitted().get(each.name, np.log(each.median)) for each in steps().factors])


def moved():
    """The same, each somewhere else within half of its prior's spread."""
    drawn = np.random.default_rng(1)
    return prior_and_fitted() + np.array([each.spread for each in steps().factors]) * drawn.uniform(
        -0.5, 0.5, len(steps().factors)
    )


def least():
    """The same, where a further token costs no more than its products do."""
    return np.array(
        [value - 2.0 * each.name.startswith("further/") for value, each in zip(moved(), steps().factors, strict=True)]
    )


@pytest.mark.parametrize("values_of", [prior_and_fitted, moved, least])
def test_arrays_give_the_seconds_of_forecasts(values_of):
    """Of every row, to nine digits: with the shipped factors and with others."""
    values = values_of()
    seconds, _ = steps().timed(values)
    known = dict(zip((each.name for each in steps().factors), values.tolist(), strict=True))
    assert len(seconds) >= 25
    read = {each.id: each for each in prompts()}
    for each, found in zip(steps().observed, seconds, strict=True):
        published = each.published
        base = scenario_of(published, None, runtime_of(published).with_factors(known))
        if each.is_prompt:
            made = read[published.id]
            asked = Request(published.context + made.prompt_tokens, 1, published.context, made.micro_batch)
            expected = forecast_request(base, asked).seconds_to_first
        else:
            expected = float(base.at(published.batch, published.context).seconds_per_step)
        assert found == pytest.approx(expected, rel=1e-9), published.id


def test_rows_rest_on_every_quantity():
    """Of kernels on CPUs and GPUs, with experts, several sequences and several devices: none is left untried."""
    tried = {
        name
        for each in steps().observed
        for part in each.parts
        for name, listed in zip(OF_OPERATION, part.listed, strict=True)
        if listed
    }
    assert tried == set(OF_OPERATION)
    assert any(each.link_s > 0 for each in steps().observed)
    assert any(each.core_s > 0 for each in steps().observed)
    assert any(each.batch > 1 for each in steps().observed)
    assert any(each.n_submitted > 0 for each in steps().observed)
    assert any(each.n_steps > 1 for each in steps().observed)


@pytest.mark.parametrize("values_of", [moved, least])
def test_derivatives_are_those_of_the_seconds(values_of):
    """By central differences along every factor: of ln(seconds) by ln(factor)."""
    values, step = values_of(), 1e-5
    slopes = steps().timed(values)[1].toarray()
    for place, factor in enumerate(steps().factors):
        along = np.zeros(len(values))
        along[place] = step
        ahead, behind = (np.log(steps().timed(values + sign * along)[0]) for sign in (1, -1))
        assert slopes[:, place] == pytest.approx((ahead - behind) / (2 * step), abs=2e-6), factor.name


def test_a_fit_finds_what_measurements_say():
    """Of seconds that some factors give, from the priors: forecasts come near, and what nothing rests on stays at its prior."""
    known = Problem(steps())
    start, _ = known.prior
    truth = steps().timed(moved())[0]
    made_up = Steps(steps().observed)
    made_up.__dict__["seconds"] = truth  # a cached property, which a frozen value keeps there
    problem = Problem(made_up)
    values = problem.fit(np.ones(len(truth)))
    before, after = (np.abs(np.log(made_up.timed(each)[0] / truth)) for each in (start, values))
    assert np.median(after) < 0.5 * np.median(before)
    assert problem.fit(np.zeros(len(truth))) == pytest.approx(start, abs=1e-6)


def test_a_long_series_does_not_outweigh_others():
    """n rows of one model on one device count as the root of n."""
    observed = steps().observed
    alone = Problem(Steps(observed[:1])).weights.sum()
    four = Problem(Steps([observed[0]] * 4)).weights.sum()
    assert (alone, four) == (pytest.approx(1), pytest.approx(2))


def test_rows_beside_have_pairs_of_folds_too():
    """A device and a model that were both fitted on, in rows of their own; what never was needs none."""
    observed = steps().observed
    alone = Judging(Problem(steps()))
    pairs = {(device, model) for device in alone.devices.values() for model in alone.models.values()}
    device, model = min(pairs - set(alone.pairs))
    names = {each.device: alone.devices[device_group(each.device)] for each in observed}
    name = next(name for name, fold in names.items() if fold == device)
    other = next(name for name, fold in alone.models.items() if fold == model)
    beside = Judging(Problem(steps()), [(name, other), (name, "a model of nobody"), ("a device of nobody", other)])
    assert set(beside.pairs) - set(alone.pairs) == {(device, model)}
