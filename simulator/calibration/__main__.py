"""`python -m simulator.calibration`: fits the factors of all runtimes to the shipped measurements, and judges the fit."""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

from simulator.calibration.fitting import Problem
from simulator.calibration.judging import Judging
from simulator.calibration.observations import observe
from simulator.calibration.results import as_text, told, write_folds
from simulator.calibration.spread import spreads
from simulator.calibration.timing import Steps
from simulator.importers.measurements import load_measurements
from simulator.importers.prompts import load_prompts
from simulator.importers.serving import load_serving
from simulator.judge.left_out import FOLDS
from simulator.report.progress import progress_bar
from simulator.spec.factors import FITTED, fitted
from simulator.spec.library import MEASURED, PROMPTS, SERVED

SAME = 0.01  # forecasts that differ by less are the same: another processor adds up in another order


def main(arguments: list[str] | None = None) -> int:
    """Writes the fitted factors, or with --check compares them with those that are shipped; 1 where they differ."""
    parser = argparse.ArgumentParser(prog="python -m simulator.calibration", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the shipped factors come out")
    options = parser.parse_args(arguments)
    decodes = [each for each in load_measurements(MEASURED).published if each.origin.is_usable and not each.split]
    measured = [*decodes, *load_prompts(PROMPTS).published]
    with progress_bar("Fitting") as show:
        steps = Steps(observe(measured, show))
    problem = Problem(steps)
    values = problem.fit(np.ones(len(steps.observed)))
    found = told(steps.factors, values, steps.observed)
    if options.check:
        return _check(steps, {name: math.log(each.value) for name, each in found.items()})
    judging = Judging(problem, _judged())
    with progress_bar("Fitting") as show:
        by_pair = judging.fit(values, show)
    names = [factor.name for factor in steps.factors]
    pairs = {f"{device} {model}": number for number, (device, model) in enumerate(judging.pairs)}
    write_folds(FOLDS, names, by_pair, {"devices": judging.devices, "models": judging.models, "pairs": pairs})
    errors = judging.errors(by_pair)
    made_from = f"{len(steps.observed):,} measurements on {len({each.device for each in steps.observed})} devices"
    FITTED.write_text(as_text(found, spreads(steps.observed, errors), made_from))
    off = np.abs(np.expm1(errors))
    print(f"{made_from}: left out, median error {np.median(off):.1%}, nine in ten within {np.percentile(off, 90):.0%}")
    return 0


def _judged() -> list[tuple[str, str]]:
    """Device and model of every row that `roofcast score` forecasts."""
    rows = [*load_measurements(MEASURED, with_unusable=True).published, *load_serving(SERVED).published]
    found = {(each.hardware.name, each.loaded.model.name) for each in rows if each.hardware is not None}
    return sorted(found)


def _check(steps: Steps, found: dict[str, float]) -> int:
    """Whether the shipped factors give the forecasts that those give which were found just now; 0 where they do, else 1."""
    shipped = fitted()
    missing = sorted(shipped.keys() ^ found.keys())
    for name in missing:
        print(f"{name}: {'shipped, not found' if name in shipped else 'found, not shipped'}")
    if not missing:
        ours, theirs = (
            steps.timed(np.array([each[factor.name] for factor in steps.factors]))[0] for each in (found, shipped)
        )
        furthest = float(np.max(np.abs(np.log(ours / theirs))))
        print(f"{len(shipped):,} factors; forecasts differ by {furthest:.2%} at most from those by the shipped ones")
        if furthest <= SAME:
            return 0
    print("the shipped factors are not those that the measurements give: python -m simulator.calibration writes them")
    return 1


if __name__ == "__main__":
    sys.exit(main())
