"""`python -m simulator.calibration.serving`: fits what servers take beside operations to published times to the first token.

The fit is judged by rows of devices and models that it has not seen: `measured/serving_left_out.json` keeps what each pair is judged by.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from simulator.forecast.closed_loop import observe
from simulator.forecast.server_steps import StepParts, step_parts
from simulator.forecast.serving import lengths, limited
from simulator.importers.serving import ServedPublished, load_serving
from simulator.judge.left_out import runtime_for
from simulator.judge.score import Fitted
from simulator.judge.serving import server_of
from simulator.judge.serving_left_out import LEFT_OUT, PARAMETERS, SCALE, pair_name, with_values
from simulator.spec.library import RUNTIMES as LIBRARY
from simulator.spec.library import SERVED
from simulator.spec.serving import Scheduling, Serving, Traffic

MARK = "What follows is written by `python -m simulator.calibration.serving`."
# Before any measurement: the median, and the standard deviation of the logarithm. An operation of a plain graph is one or two calls of
# PyTorch from Python, at some 10 us each; a layer of experts some tens; a request goes through HTTP and a tokenizer.
PRIORS = {"request_ms": (10.0, 0.7), "eager_us": (20.0, 0.8), "eager_experts_us": (500.0, 0.8), SCALE: (1.0, 0.5)}
RUNTIMES = ("sglang", "tensorrt-llm", "vllm")
OWN_SPREAD = 0.2  # of one runtime's beside those of all
STEPS = (0.6, 0.3, 0.3, 0.15)  # of logarithms, one size after the other
MOST_OFF = 0.7  # of ln(forecast / measured), beyond which a row pulls no harder
PRIOR_WEIGHT = 0.005  # of a parameter one standard deviation off, beside the mean of what rows are off
MOST_CASES = 40  # of a runtime in one fit
MOST_USERS = 64


@dataclass(frozen=True)
class Case:
    """Rows with equal settings."""

    runtime: str
    device: str
    model: str
    series: tuple
    serving: Serving
    traffic: Traffic
    rules: Scheduling
    parts: StepParts
    measured_s: tuple[float, ...]

    @cached_property
    def asked(self) -> list[tuple[int, int]]:
        """Lengths of its requests."""
        return lengths(self.traffic)

    def off(self, values: Mapping[str, float]) -> np.ndarray:
        """ln(forecast / measured) of the time to the first token, of each row."""
        serving = with_values(self.serving, values)
        seconds = self.parts.seconds(serving, self.rules.graph_tokens)
        seen = observe(self.asked, self.traffic.concurrency, seconds, self.rules)
        return np.log((seen.first_s + serving.request_s) / np.array(self.measured_s))


def main() -> int:
    """Fits, prints and writes."""
    measured = load_serving(SERVED).published
    cases = list(cases_of(measured))
    whole = _fit_all(cases)
    for name in RUNTIMES:
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in whole[name].items()))
        n_rows = sum(len(each.measured_s) for each in cases if each.runtime == name)
        _write(whole[name], LIBRARY / f"{name}.yaml", f"to {n_rows} times to the first token of measured/serving.csv")
    _print_errors("all", [each.off(whole[each.runtime]) for each in cases])
    # Each row by factors of kernels that do not rest on it either, as `score` forecasts it.
    cases = list(cases_of(measured, runtime_for))
    pairs = sorted({(each.device, each.model) for each in cases})
    found = {pair_name(*pair): _fit_without(cases, *pair) for pair in pairs}
    text = ",\n".join(f' "{pair}": {json.dumps(values)}' for pair, values in found.items())
    LEFT_OUT.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    _print_errors("left out", [each.off(found[pair_name(each.device, each.model)][each.runtime]) for each in cases])
    return 0


def _write(values: Mapping[str, float], path: Path, how: str) -> None:
    """Into a runtime's file, after the line that says so."""
    before, mark, after = path.read_text(encoding="utf-8").partition(f"  # {MARK}\n")
    if not mark:
        raise SystemExit(f"{path}: has no line that says: {MARK}")
    rest = after.splitlines(keepends=True)
    while rest and rest[0].startswith("  "):
        rest.pop(0)
    given = f'provenance: fitted, source: served, how: "{how}"'
    lines = [f"  {name}: {{value: {values[name]:g}, {given}}}\n" for name in PARAMETERS]
    scales = {name.partition("/")[2]: value for name, value in values.items() if name.startswith(SCALE)}
    lines += ["  prompt_scales:\n"] * bool(scales)
    lines += [f"    {fmt}: {{value: {value:g}, {given}}}\n" for fmt, value in scales.items()]
    path.write_text("".join((before, mark, *lines, *rest)), encoding="utf-8")


def _print_errors(label: str, off: Sequence[np.ndarray]) -> None:
    errors = np.abs(np.expm1(np.concatenate(off)))
    print(f"{label}: median {np.median(errors):.1%}, nine in ten within {np.percentile(errors, 90):.0%}")


def cases_of(
    measured: Iterable[ServedPublished], fitted: Fitted = lambda runtime, _device, _model: runtime
) -> Iterable[Case]:
    """All rows of servers that speculate nothing, those with equal settings together; *fitted*: as `score_file` takes it."""
    servers: dict[tuple, list[ServedPublished]] = defaultdict(list)
    for each in measured:
        if not each.n_drafts:
            key = (id(each.loaded), each.hardware.name, each.runtime.name, each.weights, each.cache, each.layout)
            servers[key].append(each)
    for rows in servers.values():
        first = rows[0]
        runtime = fitted(first.runtime, first.hardware.name, first.loaded.model.name)
        server = server_of(replace(first, runtime=runtime))
        groups: dict[tuple, dict[Traffic, list[float]]] = defaultdict(lambda: defaultdict(list))
        for each in rows:
            groups[each.traffic.input_tokens, each.traffic.least_share][each.traffic].append(each.seconds_to_first)
        for group in groups.values():
            ruled = {traffic: rules for traffic in group if (rules := limited(server, traffic))}
            series = (first.hardware.name, first.loaded.model.name, first.weights, first.layout)
            for traffic, parts in step_parts(server, ruled).items():
                yield Case(
                    first.runtime.name, first.hardware.name, first.loaded.model.name, series, first.runtime.serving,
                    traffic, ruled[traffic], parts, tuple(group[traffic]),
                )  # fmt: skip


def _fit_without(cases: Sequence[Case], device: str, model: str) -> dict[str, dict[str, float]]:
    """What the runtimes that ran a model on a device take, by rows of other models on other devices."""
    judged = {each.runtime for each in cases if (each.device, each.model) == (device, model)}
    return _fit_all([each for each in cases if each.device != device and each.model != model], judged)


def _fit_all(cases: Sequence[Case], wanted: Collection[str] = RUNTIMES) -> dict[str, dict[str, float]]:
    """What each of the *wanted* runtimes takes: the more like all of them, the less is known of it."""
    chosen = [each for each in cases if each.traffic.concurrency <= MOST_USERS]
    by_runtime = {name: _spread([each for each in chosen if each.runtime == name]) for name in RUNTIMES}
    everything = [each for some in by_runtime.values() for each in some]
    common = _fit(everything, PRIORS)
    own = {name: (common[name], OWN_SPREAD) for name in PARAMETERS} | {SCALE: PRIORS[SCALE]}
    found = {name: _fit(by_runtime[name], own) for name in RUNTIMES if name in wanted}
    return {name: {key: float(f"{value:.3g}") for key, value in values.items()} for name, values in found.items()}


def _spread(cases: Sequence[Case]) -> list[Case]:
    return list(cases[:: -(-len(cases) // MOST_CASES)]) if cases else []


def _fit(cases: Sequence[Case], priors: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The values by which *cases* are off least, and that stray least from what was known: one by one, in ever smaller steps."""
    models = defaultdict(set)
    for each in cases:
        models[each.parts.weights].add(each.model)
    # A format that a single model has would be fitted to whatever else is odd of that one.
    names = [*PARAMETERS, *(f"{SCALE}/{fmt}" for fmt, some in sorted(models.items()) if len(some) > 1)]
    prior = {name: priors[SCALE if name.startswith(SCALE) else name] for name in names}
    weights = _weights(cases)

    def cost(logs: Mapping[str, float]) -> float:
        values = {name: float(np.exp(log)) for name, log in logs.items()}
        off = [float(np.mean(np.minimum(np.abs(each.off(values)), MOST_OFF))) for each in cases]
        strayed = sum(((logs[name] - np.log(median)) / spread) ** 2 for name, (median, spread) in prior.items())
        return (float(np.average(off, weights=weights)) if cases else 0.0) + PRIOR_WEIGHT * strayed

    best = {name: float(np.log(median)) for name, (median, _) in prior.items()}
    least = cost(best)
    for size in STEPS if cases else ():
        for name in names:
            for step in (size, -size):
                while (found := cost(tried := best | {name: best[name] + step})) < least - 1e-5:
                    best, least = tried, found
    return {name: float(np.exp(log)) for name, log in best.items()}


def _weights(cases: Sequence[Case]) -> list[float]:
    """A series of n cases of one model on one device counts as sqrt(n)."""
    counts = Counter(each.series for each in cases)
    return [counts[each.series] ** -0.5 for each in cases]


if __name__ == "__main__":
    sys.exit(main())
