"""roofcast: how many tokens per second a language model decodes on a machine, and what holds it back.

    >>> from simulator import scenario
    >>> pi = scenario("qwen3-30b-a3b", "pi5-16gb", weights="2.70bpw")
    >>> forecast = pi.at(batch=1, context=1024)
    >>> print(f"{forecast.tokens_per_s:.1f} tokens/s, limited by {forecast.bound}")
    5.4 tokens/s, limited by compute

`batch` and `context` may be arrays that broadcast: then every result is an array over the grid. What does not fit in
memory has no speed: there `fits` is False, `bound` is does_not_fit, and rates are NaN. InputError, in a sentence, is all
that a wrong argument raises.
"""

from importlib import import_module

__version__ = "0.1.0"

# What is public, by the module it lives in. Modules load when they are first asked for, so that a command starts with
# no more than it needs.
_PUBLIC = {
    "engine.step": ("Engine",),
    "errors": ("InputError",),
    "spec.hardware": ("Hardware",),
    "spec.machine": ("load_hardware",),
    "importers.open": ("load_model",),
    "spec.model": ("Loaded", "Model"),
    "forecast.prediction": ("Prediction",),
    "spec.runtime": ("Runtime", "load_runtime"),
    "forecast.capacity": ("largest_batch", "largest_context"),
    "forecast.density": ("with_density",),
    "forecast.energy": ("Tariff", "prompt_spending", "spending"),
    "forecast.planning.changes": ("plan_changes",),
    "forecast.planning.goal": ("Goal",),
    "forecast.planning.plan": ("plan",),
    "forecast.request": ("Request", "forecast_request"),
    "forecast.scenario": ("Scenario", "scenario", "sweep"),
    "forecast.speculation": ("speculate",),
    "spec.speculation": ("Speculation", "parse_draft", "parse_speculation"),
    "spec.workload": ("Workload",),
    "sweeping.axes": ("load_sweep",),
    "sweeping.planning": ("plan_from",),
    "sweeping.reading": ("open_sweep",),
    "sweeping.run": ("run_sweep",),
    "traffic.demand": ("at_random", "by_users", "of_trace"),
    "traffic.largest": ("largest_concurrency", "largest_rate"),
    "traffic.outcome": ("ServiceGoal", "parse_goal"),
    "traffic.serve": ("serve",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"simulator.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
