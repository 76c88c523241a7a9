"""A plan for somebody at a terminal: the choices in a table, what misses the goal, and what to run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from simulator.forecast.energy import UNTOLD, Spending, Tariff, spending
from simulator.forecast.layouts import layout_of
from simulator.forecast.planning.chance import DISTRIBUTION
from simulator.forecast.planning.changed import BOUGHT, Changed
from simulator.forecast.planning.changes import Changes
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.goal import Goal
from simulator.forecast.planning.plan import Plan
from simulator.forecast.scenario import Scenario, has_four_bits
from simulator.forecast.software import cache_of
from simulator.report import screen, splits
from simulator.report.check import check_command, no_command
from simulator.report.spending import amount_cell, cost_cell, spent_lines
from simulator.report.table import print_table
from simulator.spec.hardware import Hardware
from simulator.spec.machine import AS_ASKED
from simulator.spec.prices import list_prices_of
from simulator.spec.quant import parse_cache_format
from simulator.spec.routing import Uniform
from simulator.spec.runtime import default_runtime
from simulator.units import counted, format_count, format_gib, format_number, format_seconds

NOTHING: Mapping[str, str] = MappingProxyType({})
MOST_ROWS = 24
MOST_CHANGES = 14
MOST_LISTED = 8  # machines whose list prices are told
MOST_COUNTED = 16  # choices whose most users are counted, which takes many forecasts
MOST_LEFT_OUT = 4
_LEFT = ("machine", "weights", "runtime", "cache", "split", "change")
_SPARED = ("per million", "J/token", "memory left", "most users", "split")


def goal_line(goal: Goal) -> str:
    """What is wanted, in words."""
    rate = f"at least {format_number(goal.at_least)} tokens/s" if goal.at_least else "as fast as can be"
    users = f" for each of {counted(goal.users, 'user')}" if goal.users > 1 else ""
    first = f", the first token of a prompt as long within {format_seconds(goal.ttft)}" if goal.ttft else ""
    budget = f", for at most {format_number(goal.budget)}" if goal.budget else ""
    sure = f", with a chance of {goal.chance:.0%}" if goal.chance != 0.5 else ""
    return f"{rate}{users} at context {goal.context:,}{first}{budget}{sure}"


def print_plan(
    found: Plan, argument: str, tariff: Tariff, named: Mapping[str, str] = NOTHING, rows: int = MOST_ROWS
) -> None:
    """All of it; *argument*: what the user calls the model, *named*: and machines, by their labels."""
    screen.print_line(f"{found.loaded.model.title or found.loaded.model.name}: {goal_line(found.goal)}")
    print()
    shown = found.choices[:rows]
    if shown:
        _print_choices(shown, tariff)
        print()
    for label, lines in _sections(found, len(shown)):
        screen.print_section(label, lines)
    if found.best and found.best.fits:
        screen.print_section("Energy", _spent_of(found.best, tariff))
    _print_commands(found.best, argument, named)


def _print_choices(shown: Sequence[Choice], tariff: Tariff) -> None:
    cells = {name: [cell(each, tariff) for each in shown] for name, cell in _CELLS.items()}
    if len(shown) <= MOST_COUNTED:
        cells["most users"] = [_users(each) for each in shown]
    for name, (value, usual) in _UNUSUAL.items():
        is_told = any(value(each) != usual(each) for each in shown)
        cells[name] = [value(each) for each in shown] if is_told else []
    names = [name for name, column in cells.items() if any(column)]
    rows = [[cells[name][number] or "-" for name in names] for number in range(len(shown))]
    print_table(names, rows, left=_LEFT, spared=_SPARED)


def _users(choice: Choice) -> str:
    """How many get the rate that is asked for, with the ends of the interval."""
    found = choice.users
    if found is None:
        return ""
    low = "" if found.low is None else f"{found.low:,} - "
    return f"{found.most:,} ({low}{found.high:,})"


def _spent_of(choice: Choice, tariff: Tariff) -> list[str]:
    """What its tokens take, those of prompts apart, with the watts and where they are from: as `simulate` has it."""
    found = list(filter(None, spent_lines(choice.base, choice.point, tariff)))
    return [f"{_told(choice)}:", *found] if found else []


def _joules(found: Spending | None) -> str:
    return amount_cell(found.joules_per_token) if found else ""


def _cost(found: Spending | None) -> str:
    return cost_cell(found) if found else ""


def _price(choice: Choice) -> str:
    return "" if choice.price is None else format_number(choice.price)


def _interval(choice: Choice, _tariff: Tariff) -> str:
    return told_interval(choice.interval_each, choice.point.is_upper_bound)


def told_interval(interval: tuple[float, float], is_upper_bound: bool) -> str:
    """Its ends; of an upper bound, which has none, that it is one."""
    return "at most that" if is_upper_bound else " - ".join(map(format_number, interval))


def told_chance(chance: float | None) -> str:
    """In whole percent, and never certain."""
    if chance is None:
        return "not known"
    return "> 99 %" if chance > 0.995 else "< 1 %" if chance < 0.005 else f"{100 * chance:.0f} %"


def split_words(choice: Choice) -> str:
    """How it lies on its machine: options, or how devices share it; empty for one device that holds all."""
    words = splits.options_of(choice.base)
    layout = choice.base.hardware.layout
    shared = str(layout) if layout.n_devices > 1 else ""
    return " ".join(filter(None, (shared, splits.written(words) if words else "")))


_CELLS: dict[str, Callable[[Choice, Tariff], str]] = {
    "machine": lambda choice, _: machine_words(choice.base.hardware),
    "weights": lambda choice, _: choice.base.load.weights.name,
    "runtime": lambda *_: "",
    "cache": lambda *_: "",
    "split": lambda choice, _: split_words(choice),
    "each": lambda choice, _: format_number(choice.tokens_per_s_each),
    "80 % interval": _interval,
    "chance": lambda choice, _: told_chance(choice.chance) if choice.goal.at_least or choice.goal.ttft else "",
    "first token": lambda choice, _: format_seconds(choice.seconds_to_first) if choice.seconds_to_first else "",
    "memory left": lambda choice, _: format_gib(choice.memory_left_bytes),
    "most users": lambda *_: "",
    "price": lambda choice, _: _price(choice),
    "J/token": lambda choice, tariff: _joules(spending(choice.point, tariff)),
    "per million": lambda choice, tariff: _cost(spending(choice.point, tariff)),
}


# What is told where it is another than people would have there: its value, and theirs.
_UNUSUAL: dict[str, tuple[Callable[[Choice], str], Callable[[Choice], str]]] = {
    "runtime": (lambda choice: choice.base.runtime.name, lambda choice: default_runtime(choice.base.hardware)),
    "cache": (lambda choice: choice.base.load.cache.name, lambda choice: _usual_cache(choice.base)),
}


def _usual_cache(base: Scenario) -> str:
    return parse_cache_format(cache_of(base.loaded, base.runtime, base.hardware)).name


def machine_words(hardware: Hardware, named: Mapping[str, str] = NOTHING) -> str:
    """A machine as the command line takes it, with memory of another size than its file has; *named*: as the user calls it."""
    part = hardware.host or hardware
    size = part.main_memory.capacity_gib
    gib = f" --ram {size.value:g}" if size and size.how == AS_ASKED else ""
    return f"{named.get(hardware.label, hardware.label)}{gib}"


def _sections(found: Plan, n_shown: int) -> Iterator[tuple[str, list[str]]]:
    if len(found.choices) > n_shown:
        yield "More", [f"{len(found.choices) - n_shown} further choices: --rows or --json shows them"]
    if not found.choices:
        yield "None", [_none_line(found)]
        best = found.best
        yield "Best", [f"{_told(best)}: {'; '.join(best.misses())}"] if best else []
    cheaper = found.next_cheaper
    if cheaper:
        price = format_number(cheaper.price) if cheaper.price is not None else ""
        yield "Cheaper", [f"{_told(cheaper)} for {price}: {'; '.join(cheaper.misses())}"]
    shown = [each for each in (*found.choices[:n_shown], cheaper, *found.nearest) if each]
    others = [each for each in found.nearest if each is not found.best and each is not cheaper]
    yield "Misses", [f"{_told(each)}: {'; '.join(each.misses())}" for each in others]
    yield "Listed", list(_listed(found.choices or found.nearest))
    yield "Left out", list(_left_out(found.left_out))
    yield "Assumed", [*_few_bits(shown), *_assumed(found.goal, bool(found.choices))]


def _listed(choices: Sequence[Choice]) -> Iterator[str]:
    """What makers listed these machines at, where nobody gave a price."""
    if any(choice.price is not None for choice in choices):
        return
    machines = {each.base.hardware.label: each.base.hardware for each in choices}
    told = [f"{name} at {told}" for name, each in machines.items() if (told := _list_price(each))]
    if told:
        more = f", and {len(told) - MOST_LISTED:,} more" if len(told) > MOST_LISTED else ""
        yield f"{', '.join(told[:MOST_LISTED])}{more}: what makers asked then, a card without a machine; --prices takes yours"


def _list_price(hardware: Hardware) -> str:
    return " and ".join(
        f"{f'{part.count} x ' if part.count > 1 else ''}{price.value:,.10g} {price.currency} ({price.date})"
        for part, price in list_prices_of(hardware)
    )


def _none_line(found: Plan) -> str:
    """That no machine does, and what."""
    goal = found.goal
    if goal.at_least or goal.ttft or goal.budget:
        reaches, reach = "reaches that", "reach that"
    else:
        reaches, reach = f"holds {held_words(goal)}", f"hold {held_words(goal)}"
    return (
        f"the machine does not {reach}" if found.n_machines == 1 else f"none of {found.n_machines:,} machines {reaches}"
    )


def held_words(goal: Goal) -> str:
    """What memory has to hold."""
    return "the model" if goal.users == 1 else f"the model and the caches of {goal.users:,} users"


def _left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    """Machines by the reason for which they were not looked at; of very many the first few, and how many more."""
    by_reason: dict[str, list[str]] = {}
    for name, why in reasons.items():
        by_reason.setdefault(why.removeprefix(f"{name}: "), []).append(name)
    for why, names in list(by_reason.items())[:MOST_LEFT_OUT]:
        more = f" and {len(names) - MOST_LEFT_OUT:,} more" if len(names) > MOST_LEFT_OUT else ""
        yield f"{', '.join(names[:MOST_LEFT_OUT])}{more}: {why}"
    if len(by_reason) > MOST_LEFT_OUT:
        yield f"{sum(map(len, list(by_reason.values())[MOST_LEFT_OUT:])):,} further machines for other reasons"


def _few_bits(told: Sequence[Choice]) -> Iterator[str]:
    """What is not forecast of formats of fewer than 4 bits."""
    names = dict.fromkeys(each.base.load.weights.name for each in told if each.fits and not has_four_bits(each.base))
    if names:
        yield f"{', '.join(names)}: fewer than 4 bits lose more of what the model knows, which is not forecast"


def _assumed(goal: Goal, has_choices: bool) -> Iterator[str]:
    if has_choices and (goal.at_least or goal.ttft):
        yield f"chance: {DISTRIBUTION}"
    if goal.ttft:
        several = ", of one user while the others wait" if goal.users > 1 else ""
        yield f"first token: a prompt of {goal.context:,} tokens on a machine that does nothing else{several}"
    if goal.users > 1:
        yield f"{goal.users:,} users decode at once, and no prompts come between: roofcast simulate --each counts likewise"


def _told(choice: Choice) -> str:
    return f"{machine_words(choice.base.hardware)} with {choice.base.load.weights.name}"


def _print_commands(best: Choice | None, argument: str, named: Mapping[str, str]) -> None:
    if best is None or not best.fits:
        return
    screen.print_commands("Do it", [simulate_command(best, argument, named), run_command(best)])
    screen.print_section("", [no_command(best.base, [best.point])])


def simulate_command(choice: Choice, argument: str, named: Mapping[str, str] = NOTHING) -> str:
    """The command that forecasts it again."""
    base, goal = choice.base, choice.goal
    words = ["roofcast", "simulate", argument, *machine_words(base.hardware, named).split(" ")]
    if base.loaded.weights is None or base.load.weights != base.loaded.weights:
        words += ["--weights", base.load.weights.name]
    words += ["--batch", str(goal.users), "--context", format_count(goal.context).replace(",", "")]
    if base.load.cache.name != base.runtime.cache:
        words += ["--cache", base.load.cache.name]
    if base.load.routing.name != Uniform().name:
        words += ["--routing", base.load.routing.name]
    return shlex.join([*words, "--runtime", base.runtime.name, *_placed_words(choice)])


def _placed_words(choice: Choice) -> Iterator[str]:
    """How it lies on its machine, where that is another than it would have for the goal's users and context."""
    base, goal = choice.base, choice.goal
    hardware, n_devices = base.hardware, base.hardware.layout.n_devices
    if base.placed_for != (goal.users, goal.context) and base.runtime.uses_host == "computes":
        yield from splits.options_of(base) or ()
    if n_devices > 1 and hardware.layout != layout_of(None, n_devices, base.runtime, base.loaded.model):
        yield from ("--parallel", str(hardware.layout))
    if hardware.reads_from is not None:
        yield from ("--storage", hardware.reads_from.name)


def run_command(choice: Choice) -> str:
    """The runtime's own command that measures it; empty where it has none."""
    return check_command(choice.base, [choice.point])


# ---- changes of one machine ----


def print_changes(
    found: Changes, argument: str, tariff: Tariff = UNTOLD, named: Mapping[str, str] = NOTHING, rows: int = MOST_CHANGES
) -> None:
    """What a machine gives as it is, and what changes of it buy; *tariff*: of the machine as it is."""
    before, loaded = found.before, found.before.base.loaded
    screen.print_line(
        f"{loaded.model.title or loaded.model.name} on {before.base.hardware.full_title}: {goal_line(found.goal)}"
    )
    screen.print_line(before_line(before))
    print()
    shown = found.changes[:rows]
    if shown:
        _print_changes(shown, before, tariff)
        print()
    for label, lines in _change_sections(found, len(shown), tariff):
        screen.print_section(label, lines)
    _print_commands(before if before.reaches or not found.best else found.best.choice, argument, named)


def before_line(before: Choice) -> str:
    """What the machine gives without a change."""
    words = " ".join(filter(None, (before.base.load.weights.name, split_words(before))))
    if not before.fits:
        return f"as it is, with {words}: {'; '.join(before.misses())}"
    interval = told_interval(before.interval_each, before.point.is_upper_bound)
    rate = f"{format_number(before.tokens_per_s_each)} tokens/s each ({interval})"
    if before.goal.at_least is None and before.goal.ttft is None:
        return f"as it is, with {words}: {rate}"
    verdict = "reaches it" if before.reaches else "; ".join(before.misses())
    return f"as it is, with {words}: {verdict}; {rate}, chance {told_chance(before.chance)}"


def change_words(change: Changed) -> str:
    """What to do, in a few words."""
    return " and ".join(change.words)


def _print_changes(shown: Sequence[Changed], before: Choice, tariff: Tariff) -> None:
    rows = [_change_row(each, before, tariff) for each in shown]
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    print_table(names, [[row[name] or "-" for name in names] for row in rows], left=_LEFT, spared=_SPARED)


def _change_row(change: Changed, before: Choice, tariff: Tariff) -> dict[str, str]:
    """Cells by column; a column that is empty in all rows is left out."""
    goal, first = before.goal, change.reading.seconds_to_first
    spent = None if tariff.is_empty else change.spending(tariff)
    return {
        "change": change_words(change),
        "each": format_number(change.tokens_per_s_each),
        "80 % interval": told_interval(change.interval_each, change.is_upper_bound),
        "gain": f"{change.gain(before):.2f} x" if before.fits else "fits",
        "chance": told_chance(change.chance) if goal.at_least or goal.ttft else "",
        "first token": format_seconds(first) if first else "",
        "memory left": format_gib(change.choice.memory_left_bytes),
        "price": _price(change.choice),
        "J/token": _joules(spent),
        "per million": _cost(spent),
    }


def _change_sections(found: Changes, n_shown: int, tariff: Tariff) -> Iterator[tuple[str, list[str]]]:
    if len(found.changes) > n_shown:
        yield "More", [f"{len(found.changes) - n_shown} further changes: --rows or --json shows them"]
    best = found.best
    if found.before.reaches:
        yield "Enough", ["it reaches that already: changes are told by what they buy beyond"]
    elif best is None:
        yield "None", [f"no change that is known here makes it {'faster' if found.before.fits else 'fit'}"]
    elif not best.reaches:
        yield "None", [f"no change reaches that, nor two together; the best: {change_words(best)}"]
    yield "Left out", [f"{words}: {why}" for words, why in list(found.refused.items())[:MOST_LEFT_OUT]]
    if not tariff.is_empty:
        yield "Energy", _spent_of(found.before, tariff)
    yield "Assumed", list(_assumed_of_changes(found, tariff))


def _assumed_of_changes(found: Changes, tariff: Tariff) -> Iterator[str]:
    kinds = {kind for each in found.changes for kind in each.kinds}
    if "memory" in kinds:
        yield "faster memory: as if all of its figures were a quarter higher, as of DDR5-6000 beside DDR5-4800"
    if found.before.price is not None and not kinds.isdisjoint(("memory", "ram")):
        within = ", so none of it counts as within the budget" if found.goal.budget is not None else ""
        yield f"price: of the whole machine with the change; what memory costs is not known{within}"
    if (tariff.price_per_hour or tariff.watts) and not kinds.isdisjoint(BOUGHT):
        yield "--price-per-hour and --watts are of the machine as it is: with what is bought they are not known"
    if "drafts" in kinds and not tariff.is_empty:
        yield "energy with drafts: a token that is verified draws what a sequence does"
    if "weights" in kinds or "cache" in kinds:
        yield "fewer bits lose something of what the model knows, which is not forecast"
    if "drafts" in kinds:
        yield "drafts: the mean over published kinds of text; the interval goes from the worst drafted to the best"
    yield from _assumed(found.goal, has_choices=True)
