"""`python -m simulator.calibration`: fits the factors of all runtimes to the shipped measurements, and judges the fit."""

from __future__ import annotations

import argparse
import json
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
from simulator.judge.left_out import FOLDS
from simulator.report.progress import progress_bar
from simulator.spec.factors import FITTED
from simulator.spec.library import MEASURED

SAME = 2e-3  # factors that differ by less are the same: another processor adds up in another order


def main(arguments: list[str] | None = None) -> int:
    """Writes the fitted factors, or with --check compares them with those that are shipped; 1 where they differ."""
    parser = argparse.ArgumentParser(prog="python -m simulator.calibration", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the shipped factors come out")
    options = parser.parse_args(arguments)
    measured = [each for each in load_measurements(MEASURED).published if each.origin.is_usable]
    with progress_bar("Fitting") as show:
        steps = Steps(observe(measured, show))
    problem = Problem(steps)
    values = problem.fit(np.ones(len(steps.observed)))
    found = told(steps.factors, values, steps.observed)
    if options.check:
        return _check({name: each.value for name, each in found.items()})
    judging = Judging(problem)
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


def _check(found: dict[str, float]) -> int:
    shipped = {name: each["value"] for name, each in json.loads(FITTED.read_text())["factors"].items()}
    missing = sorted(shipped.keys() ^ found.keys())
    differing = [name for name in shipped.keys() & found.keys() if abs(math.log(found[name] / shipped[name])) > SAME]
    for name in missing:
        print(f"{name}: {'shipped, not found' if name in shipped else 'found, not shipped'}")
    for name in sorted(differing):
        print(f"{name}: {found[name]:g} found, {shipped[name]:g} shipped")
    if missing or differing:
        print(
            "the shipped factors are not those that the measurements give: python -m simulator.calibration writes them"
        )
        return 1
    print(f"all {len(shipped)} factors come out as they are shipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
