"""What changes of one machine buy, for somebody at a terminal: the machine as it is, changes in a table, and what to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.forecast.energy import UNTOLD, Tariff
from simulator.forecast.planning.changed import BOUGHT, FASTER, Changed
from simulator.forecast.planning.changes import Changes
from simulator.forecast.planning.choice import Choice
from simulator.report import screen
from simulator.report.plan import (
    LEFT,
    MOST_LEFT_OUT,
    SPARED,
    assumed,
    goal_line,
    joules_cell,
    memory_cell,
    price_cell,
    price_of_tokens_cell,
    spent_of,
    split_words,
    told_chance,
    told_interval,
)
from simulator.report.plan_commands import Called, print_change_commands, print_commands
from simulator.report.table import print_table
from simulator.spec.speculation import NGRAM
from simulator.units import format_number, format_price, format_seconds

MOST_CHANGES = 14


def print_changes(found: Changes, called: Called, tariff: Tariff = UNTOLD, rows: int = MOST_CHANGES) -> None:
    """What a machine gives as it is, and what changes of it buy; *tariff*: of the machine as it is."""
    before, loaded = found.before, found.before.base.loaded
    screen.print_line(
        f"{loaded.model.title or loaded.model.name} on {before.base.hardware.full_title}: {goal_line(found.goal)}"
    )
    screen.print_line(before_line(before))
    if before.reaches:
        screen.print_line("changes are told by what they buy beyond")
    print()
    shown = found.changes[:rows]
    if shown:
        _print_changes(shown, before, tariff)
        print()
    for label, lines in _change_sections(found, len(shown), tariff):
        screen.print_section(label, lines)
    if before.reaches or found.best is None:
        print_commands(before, called)
    else:
        print_change_commands(found.best, called)


def before_line(before: Choice) -> str:
    """What the machine gives without a change."""
    words = " ".join(filter(None, (before.base.load.weights.name, split_words(before))))
    if not before.fits:
        return f"as it is, with {words}: {'; '.join(before.misses())}"
    left = f"{memory_cell(before.memory_left_bytes, before.memory_limit_bytes)} are free"
    interval = told_interval(before.interval_each, before.point.is_upper_bound)
    rate = f"{format_number(before.tokens_per_s_each)} tokens/s each ({interval})"
    if before.goal.at_least is None and before.goal.ttft is None:
        return f"as it is, with {words}: {rate}; {left}"
    verdict = "reaches it already" if before.reaches else "; ".join(before.misses())
    return f"as it is, with {words}: {verdict}; {rate}, chance {told_chance(before.chance)}; {left}"


def change_words(change: Changed) -> str:
    """What to do, in a few words."""
    return " and ".join(change.words)


def _print_changes(shown: Sequence[Changed], before: Choice, tariff: Tariff) -> None:
    rows = [_change_row(each, before, tariff) for each in shown]
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    print_table(names, [[row[name] or "-" for name in names] for row in rows], left=LEFT, spared=SPARED)


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
        "memory left": memory_cell(change.memory_left_bytes, change.memory_limit_bytes),
        "price": price_cell(change.choice),
        "J/token": joules_cell(spent),
        "per million": price_of_tokens_cell(spent),
    }


def _change_sections(found: Changes, n_shown: int, tariff: Tariff) -> Iterator[tuple[str, list[str]]]:
    if len(found.changes) > n_shown:
        yield "More", [f"{len(found.changes) - n_shown} further changes: --rows or --json shows them"]
    best = found.best
    if best is None:
        yield "None", [f"no change that is known here makes it {'faster' if found.before.fits else 'fit'}"]
    elif not best.reaches and not found.before.reaches:
        yield "None", [f"no change reaches that, nor two together; the best: {change_words(best)}{_told_price(best)}"]
    yield "Left out", [f"{words}: {why}" for words, why in list(found.refused.items())[:MOST_LEFT_OUT]]
    if not tariff.is_empty:
        yield "Energy", spent_of(found.before, tariff)
    yield "Assumed", list(remarks_on_changes(found, tariff))


def _told_price(change: Changed) -> str:
    """What is lacking of a budget alone."""
    choice = change.choice
    if change.shortfall > 1 or choice.is_within_budget:
        return ""
    if choice.price is None:
        return ", which is fast enough, but its price is not known: --prices tells"
    return f", which is fast enough, but {format_price(choice.price - choice.goal.budget)} over the budget"


def remarks_on_changes(found: Changes, tariff: Tariff) -> Iterator[str]:
    """What was assumed, and what is not forecast."""
    kinds = {kind for each in found.changes for kind in each.kinds}
    yield from found.before.base.remarks
    if FASTER in kinds:
        yield "faster memory: as if all of its figures were a quarter higher, as of DDR5-6000 beside DDR5-4800"
    if found.before.price is not None and not kinds.isdisjoint((FASTER, "ram")):
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
    if any(each.setup.speculation and each.setup.speculation.kind == NGRAM for each in found.changes):
        yield "ngram: where answers repeat their prompt, as edits of code do"
    if "context" in kinds and (found.goal.at_least or found.goal.ttft):
        yield "a shorter context is less than is asked for: it comes after what reaches all of it"
    yield from assumed(found.goal, found.before.base.loaded.model, has_choices=True)
