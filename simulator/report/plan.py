"""A plan for somebody at a terminal: the choices in a table, what misses the goal, and what to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from simulator.forecast.energy import UNTOLD, Spending, Tariff, spending
from simulator.forecast.layouts import layout_of
from simulator.forecast.planning.chance import DISTRIBUTION
from simulator.forecast.planning.choice import Choice
from simulator.forecast.planning.goal import Goal
from simulator.forecast.planning.plan import Plan
from simulator.forecast.scenario import Scenario, has_four_bits
from simulator.report import screen, splits
from simulator.report.plan_commands import Called, machine_words, print_commands, serves_several, usual_cache
from simulator.report.remarks import beyond_context
from simulator.report.spending import amount_cell, cost_cell, spent_lines
from simulator.report.table import print_table
from simulator.report.users import SPLIT_TOLD
from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.prices import list_prices_of
from simulator.spec.runtime import default_runtime
from simulator.units import counted, format_gib, format_number, format_price, format_seconds

MOST_ROWS = 24
MOST_LISTED = 8  # machines whose list prices are told
MOST_COUNTED = 16  # choices whose most users are counted, which takes many forecasts
MOST_LEFT_OUT = 4
LEFT = ("machine", "weights", "runtime", "cache", "split", "change")  # columns of texts
SPARED = ("per million", "J/token", "memory left", "most users", "split")


def goal_line(goal: Goal) -> str:
    """What is wanted, in words."""
    rate = f"at least {format_number(goal.at_least)} tokens/s" if goal.at_least else "as fast as can be"
    users = f" for each of {counted(goal.users, 'user')}" if goal.users > 1 else ""
    first = f", the first token of a prompt as long within {format_seconds(goal.ttft)}" if goal.ttft else ""
    budget = f", for at most {format_price(goal.budget)}" if goal.budget else ""
    sure = f", with a chance of {goal.chance:.0%}" if goal.chance != 0.5 else ""
    return f"{rate}{users} at context {goal.context:,}{first}{budget}{sure}"


def print_plan(found: Plan, called: Called, tariff: Tariff, rows: int = MOST_ROWS) -> None:
    """All of it."""
    screen.print_line(f"{found.loaded.model.title or found.loaded.model.name}: {goal_line(found.goal)}")
    print()
    shown = found.choices[:rows]
    if shown:
        _print_choices(shown, tariff)
        print()
    for label, lines in _sections(found, len(shown), tariff):
        screen.print_section(label, lines)
    if found.best and found.best.fits:
        screen.print_section("Energy", spent_of(found.best, tariff))
        screen.print_section("Users", list(_told_users(found.best)))
    print_commands(found.best, called)


def _print_choices(shown: Sequence[Choice], tariff: Tariff) -> None:
    cells = {name: [cell(each, tariff) for each in shown] for name, cell in _CELLS.items()}
    if len(shown) <= MOST_COUNTED:
        cells["most users"] = [_users(each) for each in shown]
    for name, (value, usual) in _UNUSUAL.items():
        is_told = any(value(each) != usual(each) for each in shown)
        cells[name] = [value(each) for each in shown] if is_told else []
    names = [name for name, column in cells.items() if any(column)]
    rows = [[cells[name][number] or "-" for name in names] for number in range(len(shown))]
    print_table(names, rows, left=LEFT, spared=SPARED)


def _users(choice: Choice) -> str:
    """How many get the rate that is asked for, with the ends of the interval."""
    found = choice.users
    if found is None:
        return ""
    low = "" if found.low is None else f"{found.low:,} - "
    return f"{found.most:,} ({low}{found.high:,})"


def spent_of(choice: Choice, tariff: Tariff) -> list[str]:
    """What its tokens take with the users that are asked for and with as many as get the rate, and those of prompts: as in `simulate`."""
    points = [choice.point, *([choice.point_of_most] if choice.point_of_most else [])]
    found = list(filter(None, spent_lines(choice.base, points, tariff)))
    return [f"{_told(choice)}:", *found] if found else []


def _told_users(choice: Choice) -> Iterator[str]:
    """What their number is of, and what tells how many a server carries."""
    if serves_several(choice):
        split = SPLIT_TOLD[choice.users.split]
        yield (
            f"{choice.users.most:,} in a steady batch of equal contexts{split}; with arrivals and prompts over time: roofcast serve, "
            "below"
        )


def joules_cell(found: Spending | None) -> str:
    """What a token takes; empty where nothing is known."""
    return amount_cell(found.joules_per_token) if found else ""


def price_of_tokens_cell(found: Spending | None) -> str:
    """What a million tokens cost; empty where nothing is known."""
    return cost_cell(found) if found else ""


def price_cell(choice: Choice) -> str:
    """What a machine costs; empty where nobody told it."""
    return "" if choice.price is None else format_price(choice.price)


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


def memory_cell(left_bytes: float, limit_bytes: float) -> str:
    """What is left of how much, the unit once where it is the same."""
    left, limit = format_gib(left_bytes), format_gib(limit_bytes)
    number, _, unit = left.partition(" ")
    return f"{number if limit.endswith(f' {unit}') else left} of {limit}"


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
    "memory left": lambda choice, _: memory_cell(choice.memory_left_bytes, choice.memory_limit_bytes),
    "most users": lambda *_: "",
    "price": lambda choice, _: price_cell(choice),
    "J/token": lambda choice, tariff: joules_cell(spending(choice.point, tariff)),
    "per million": lambda choice, tariff: price_of_tokens_cell(spending(choice.point, tariff)),
}


# What is told where it is another than people would have there: its value, and theirs.
_UNUSUAL: dict[str, tuple[Callable[[Choice], str], Callable[[Choice], str]]] = {
    "runtime": (lambda choice: choice.base.runtime.name, lambda choice: default_runtime(choice.base.hardware)),
    "cache": (lambda choice: choice.base.load.cache.name, lambda choice: usual_cache(choice.base)),
}


def _sections(found: Plan, n_shown: int, tariff: Tariff) -> Iterator[tuple[str, list[str]]]:
    if len(found.choices) > n_shown:
        yield "More", [f"{len(found.choices) - n_shown} further choices: --rows or --json shows them"]
    if not found.choices:
        yield "None", [_none_line(found)]
        best = found.best
        yield "Best", [f"{_told(best)}: {'; '.join(best.misses())}"] if best else []
    cheaper = found.next_cheaper
    if cheaper:
        price = format_price(cheaper.price) if cheaper.price is not None else ""
        yield "Cheaper", [f"{_told(cheaper)} for {price}: {'; '.join(cheaper.misses())}"]
    others = [each for each in found.nearest if each is not found.best and each is not cheaper]
    yield "Misses", [f"{_told(each)}: {'; '.join(each.misses())}" for each in others]
    yield "Listed", list(_listed(found.choices or found.nearest))
    yield "No price", [_unpriced_line(found)] if found.unpriced else []
    yield "Left out", list(left_out({**found.left_out, **found.formats_left_out}))
    yield "Assumed", remarks(found, n_shown, tariff)


def _listed(choices: Sequence[Choice]) -> Iterator[str]:
    """What makers listed these machines at, where nobody gave a price."""
    machines = {each.base.hardware.label: each.base.hardware for each in choices if each.price is None}
    told = [f"{name} at {told}" for name, each in machines.items() if (told := _list_price(each))]
    if told:
        more = f", and {len(told) - MOST_LISTED:,} more" if len(told) > MOST_LISTED else ""
        yield f"{', '.join(told[:MOST_LISTED])}{more}: what makers asked then for the device alone; --prices takes yours"


def _list_price(hardware: Hardware) -> str:
    return " and ".join(
        f"{f'{part.count} x ' if part.count > 1 else ''}{format_price(price.value)} {price.currency} ({price.date})"
        for part, price in list_prices_of(hardware)
    )


def _none_line(found: Plan) -> str:
    """That no machine does, and what."""
    goal = found.goal
    if len(found.left_out) == found.n_machines:
        reaches, reach = "could be looked at", "let itself be looked at"
    elif goal.at_least or goal.ttft or goal.budget:
        reaches, reach = "reaches that", "reach that"
    else:
        reaches, reach = f"holds {held_words(goal)}", f"hold {held_words(goal)}"
    return (
        f"the machine does not {reach}" if found.n_machines == 1 else f"none of {found.n_machines:,} machines {reaches}"
    )


def held_words(goal: Goal) -> str:
    """What memory has to hold."""
    return "the model" if goal.users == 1 else f"the model and the caches of {goal.users:,} users"


def _unpriced_line(found: Plan) -> str:
    names = found.unpriced
    more = f" and {len(names) - MOST_LEFT_OUT:,} more" if len(names) > MOST_LEFT_OUT else ""
    return f"{', '.join(names[:MOST_LEFT_OUT])}{more}: whether that is within the budget is not known; --prices tells"


def left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    """Machines by the reason for which they were not looked at; of very many the first few, and how many more."""
    by_reason: dict[str, list[str]] = {}
    for name, why in reasons.items():
        by_reason.setdefault(why.removeprefix(f"{name}: "), []).append(name)
    for why, names in list(by_reason.items())[:MOST_LEFT_OUT]:
        more = f" and {len(names) - MOST_LEFT_OUT:,} more" if len(names) > MOST_LEFT_OUT else ""
        yield f"{', '.join(names[:MOST_LEFT_OUT])}{more}: {why}"
    if len(by_reason) > MOST_LEFT_OUT:
        yield f"{sum(map(len, list(by_reason.values())[MOST_LEFT_OUT:])):,} further machines for other reasons"


def remarks(found: Plan, n_shown: int | None = None, tariff: Tariff = UNTOLD) -> list[str]:
    """What was assumed, and what is not forecast, of the first choices and what misses the goal; None: of all."""
    told = [each for each in (*found.choices[:n_shown], found.next_cheaper, *found.nearest) if each]
    on_formats = dict.fromkeys(chain(*(each.base.remarks for each in told)))
    return [
        *on_formats,
        *_alike(told, tariff),
        *_few_bits(told),
        *_shared(told),
        *assumed(found.goal, found.loaded.model, bool(found.choices)),
    ]


def _alike(told: Sequence[Choice], tariff: Tariff) -> Iterator[str]:
    """That what one machine draws, or costs an hour, is taken for that of several."""
    is_given = tariff.watts is not None or tariff.price_per_hour is not None
    if is_given and len({each.base.hardware.label for each in told}) > 1:
        given = {"--watts": tariff.watts, "--price-per-hour": tariff.price_per_hour}
        yield f"{' and '.join(name for name, value in given.items() if value is not None)}: the same of every machine"


def _few_bits(told: Sequence[Choice]) -> Iterator[str]:
    """What is not forecast of formats of fewer than 4 bits."""
    names = dict.fromkeys(each.base.load.weights.name for each in told if each.fits and not has_four_bits(each.base))
    if names:
        yield f"{', '.join(names)}: fewer than 4 bits lose more of what the model knows, which is not forecast"


def _shared(told: Sequence[Choice]) -> Iterator[str]:
    """How devices share the model where the runtime would do it otherwise by itself."""
    yield from dict.fromkeys(filter(None, (_shared_unasked(each.base) for each in told)))


def _shared_unasked(base: Scenario) -> str:
    layout, runtime = base.hardware.layout, base.runtime
    usual = layout_of(None, layout.n_devices, runtime, base.loaded.model)
    if layout.tensor == 1 or layout == usual:
        return ""
    flag = runtime.exchange.flags_for(layout)
    how = f" ({flag})" if flag else ""
    return f"{layout}: each matrix on all devices{how}, where {runtime.name} by itself has {usual}; simulate says what that rests on"


def assumed(goal: Goal, model: Model, has_choices: bool) -> Iterator[str]:
    """What was taken for granted, in sentences without a full stop."""
    yield from beyond_context(model, goal.context)
    if has_choices and (goal.at_least or goal.ttft):
        yield f"chance: {DISTRIBUTION}"
    if goal.ttft:
        several = ", of one user while the others wait" if goal.users > 1 else ""
        yield f"first token: a prompt of {counted(goal.context, 'token')} on a machine that does nothing else{several}"
    if goal.users > 1:
        yield f"{goal.users:,} users decode at once, and no prompts come between: roofcast simulate --each counts likewise"


def _told(choice: Choice) -> str:
    return f"{machine_words(choice.base.hardware)} with {choice.base.load.weights.name}"
