"""What to run for a plan: the command that forecasts a choice again, and the runtime's own that measures it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from simulator.forecast.layouts import layout_of
from simulator.forecast.planning.changed import FASTER, Changed
from simulator.forecast.planning.choice import Choice
from simulator.forecast.scenario import Scenario
from simulator.forecast.software import cache_of
from simulator.report import screen, splits
from simulator.report.check import check_command, no_command
from simulator.spec.hardware import Hardware
from simulator.spec.machine import AS_ASKED
from simulator.spec.names import with_count
from simulator.spec.quant import parse_cache_format
from simulator.spec.routing import Uniform
from simulator.spec.serving import MAX_USERS
from simulator.spec.speculation import DRAFT, Speculation
from simulator.units import format_count

ANSWER = 256  # tokens, as `serve` has it where nobody says
UNNAMED = "no command forecasts it: a device file of your own says how fast the memory is then (docs/own-device.md)"


@dataclass(frozen=True)
class Called:
    """What the user calls a model and the rest, which may be files of their own; what is not told goes by its name.

    Args:
        machines: by what their files call whole machines, or their labels, and by the names of their parts.
    """

    model: str
    machines: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    routing: str | None = None

    def machine(self, hardware: Hardware) -> list[str]:
        """As the command line takes it, with memory of another size than its file has."""
        part = hardware.host or hardware
        size = part.main_memory.capacity_gib
        gib = ["--ram", f"{size.value:.12g}"] if size and size.how == AS_ASKED else []
        named = self.machines.get(hardware.machine_name) or self.machines.get(hardware.label)
        return [named or self._of_parts(hardware), *gib]

    def _of_parts(self, hardware: Hardware) -> str:
        parts = {part.name: 0 for part in hardware.parts}
        for part in hardware.parts:
            parts[part.name] += part.count
        return "+".join(with_count(count, self.machines.get(name, name)) for name, count in parts.items())


def machine_words(hardware: Hardware) -> str:
    """A machine by its name, with memory of another size than its file has."""
    name = hardware.machine_name
    return " ".join(Called("", {name: name} if name != hardware.label else {}).machine(hardware))


def simulate_command(choice: Choice, called: Called, speculation: Speculation | None = None) -> str:
    """The command that forecasts it again, with drafts where there are any."""
    base, goal = choice.base, choice.goal
    words = ["roofcast", "simulate", called.model, *called.machine(base.hardware), *_formats(base)]
    words += ["--batch", str(goal.users), "--context", _count(goal.context), *_software(base, called)]
    words += _placed(base, (goal.users, goal.context))
    if speculation is not None:
        words += ["--draft" if speculation.kind == DRAFT else "--speculate", speculation.name]
    return shlex.join(words)


def serve_command(choice: Choice, called: Called) -> str:
    """The command that simulates as many users as get the rate of the goal, each with a cache as deep as the goal's at most."""
    base, goal = choice.base_of_most, choice.goal
    answer = min(ANSWER, max(2, goal.context // 2))
    words = ["roofcast", "serve", called.model, *called.machine(base.hardware), *_formats(base)]
    words += [
        "--concurrency",
        str(min(choice.users.most, MAX_USERS)),
        "--prompt",
        _count(max(1, goal.context - answer)),
    ]
    words += ["--generate", _count(answer)] if answer != ANSWER else []
    first = f"ttft={goal.ttft:.4g}s," if goal.ttft else ""
    words += ["--goal", f"{first}tpot={1000 / goal.at_least:.4g}ms"]
    return shlex.join([*words, *_software(base, called), *_placed(base, (1, goal.context))])


def serves_several(choice: Choice) -> bool:
    """Whether several users at once get the rate that is asked for, if one is."""
    return choice.fits and choice.users is not None and choice.users.most > 1


def plan_command(base: Scenario, tpot_s: float, context: int, called: Called) -> str:
    """The command that counts the users of a steady batch on a server that is simulated; empty of what `plan` has no options for."""
    if base.hardware.reads_from is not None or base.load.sparsity:
        return ""
    words = ["roofcast", "plan", called.model, "--on", *called.machine(base.hardware), *_formats(base)]
    words += ["--at-least", f"{1 / tpot_s:.4g}", "--context", _count(context), *_software(base, called), *_layout(base)]
    return shlex.join([*words, *(splits.options_of(base) or () if base.runtime.uses_host == "computes" else ())])


def changes_command(before: Choice, called: Called) -> str:
    """The command that tells what changes of a machine buy."""
    base, goal = before.base, before.goal
    words = ["roofcast", "plan", called.model, "--on", *called.machine(base.hardware), *_formats(base)]
    words += ["--at-least", f"{goal.at_least:.12g}"] if goal.at_least else []
    words += ["--users", str(goal.users), "--context", _count(goal.context), *_software(base, called), "--change"]
    return shlex.join(words)


def _count(number: int) -> str:
    return format_count(number).replace(",", "")


def _formats(base: Scenario) -> Iterator[str]:
    """Of weights and cache, where they are others than somebody has who names none."""
    if base.loaded.weights is None or base.load.weights != base.loaded.weights:
        yield from ("--weights", base.load.weights.name)
    if base.load.cache.name != usual_cache(base):
        yield from ("--cache", base.load.cache.name)


def _software(base: Scenario, called: Called) -> Iterator[str]:
    """The runtime, and what else it was told."""
    load = base.load
    yield from ("--runtime", called.runtime or base.runtime.name)
    if load.routing.name != Uniform().name:
        yield from ("--routing", called.routing or load.routing.name)
    if load.sparsity is not None:
        yield from ("--sparsity", load.sparsity.name)
    if load.threads is not None:
        yield from ("--threads", str(load.threads))


def usual_cache(base: Scenario) -> str:
    """The format of the cache where nobody names one."""
    return parse_cache_format(cache_of(base.loaded, base.runtime, base.hardware)).name


def _placed(base: Scenario, smallest: tuple[int, int]) -> Iterator[str]:
    """How it lies on its machine, where that is another than it would have for such a batch and context."""
    hardware = base.hardware
    if base.placed_for != smallest and base.runtime.uses_host == "computes":
        yield from splits.options_of(base) or ()
    yield from _layout(base)
    if hardware.reads_from is not None:
        yield from ("--storage", hardware.reads_from.name)


def _layout(base: Scenario) -> Iterator[str]:
    """How its devices share it, where that is not what the runtime does by itself."""
    layout = base.hardware.layout
    if layout.n_devices > 1 and layout != layout_of(None, layout.n_devices, base.runtime, base.loaded.model):
        yield from ("--parallel", str(layout))


def print_commands(best: Choice | None, called: Called) -> None:
    """Of a choice that fits."""
    if best is None or not best.fits:
        return
    serve = serve_command(best, called) if serves_several(best) else ""
    screen.print_commands("Do it", [simulate_command(best, called), run_command(best), serve])
    screen.print_section("", [no_command(best.base, [best.point])])


def run_command(choice: Choice) -> str:
    """The runtime's own command that measures it; empty where it has none."""
    return check_command(choice.base, [choice.point])


# ---- of a change ----


def change_command(change: Changed, called: Called) -> str:
    """The command that forecasts a machine with a change; empty of faster memory, for which there is none."""
    if FASTER in change.kinds:
        return ""
    return simulate_command(change.choice, called, change.setup.speculation)


def change_run_command(change: Changed) -> str:
    """The runtime's own command that measures it; empty of drafts, which no benchmark of a runtime makes of real text."""
    return "" if change.setup.speculation else run_command(change.choice)


def print_change_commands(change: Changed, called: Called) -> None:
    """Of a change; where there is no command, why."""
    commands = list(filter(None, [change_command(change, called), change_run_command(change)]))
    reasons = list(_without_command(change))
    screen.print_commands("Do it", commands)
    screen.print_section("" if commands else "Do it", reasons)


def _without_command(change: Changed) -> Iterator[str]:
    base, speculation = change.choice.base, change.setup.speculation
    if FASTER in change.kinds:
        yield UNNAMED
    if speculation is None:
        yield no_command(base, [change.choice.point])
        return
    software, flags = base.runtime.title or base.runtime.name, base.runtime.drafting.told(speculation)
    yield f"no command of {software} measures drafts: its benchmark has no text that they could be right about"
    yield f"drafts: add {flags} to what serves it" if flags else ""
