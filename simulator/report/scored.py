"""How far forecasts can be trusted, for somebody at a terminal: the table of the README, errors by group, and what was left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp

from simulator.importers.records import Skipped
from simulator.judge.baselines import Compared, compared
from simulator.judge.groups import BY, Group, device_kind, groups_by, of_usable, unusable, weak
from simulator.judge.score import Score
from simulator.judge.scored import Scored
from simulator.judge.serving import ServingScore
from simulator.judge.serving import What as ServingWhat
from simulator.judge.speculation import SpeculationScore
from simulator.judge.split import WHATS, SplitScore, What
from simulator.report.prompt_score import print_prompts
from simulator.report.score import ROW_CELLS, ROWS_LEFT, ROWS_SPARED
from simulator.report.screen import print_line, print_section
from simulator.report.serving_score import print_servers, told_servers
from simulator.report.speculation_score import TITLE as DRAFTS
from simulator.report.speculation_score import print_speculations, told_speculations
from simulator.report.split_score import SKEWED, TITLE, print_split, told_split
from simulator.report.table import print_table
from simulator.units import counted, format_number

MAX_REASONS = 25  # that are printed; JSON has all
MAX_NAMES = 12  # in one reason
MAX_ABOVE = 20  # rows above the ceiling that are listed
HEAD = (
    "", "forecast", "median error", "nine in ten within", "bias", "80 % holds", "95 % holds", "half-width",
    "bandwidth over bytes", "one efficiency",
)  # fmt: skip
GROUP_HEAD = (
    "rows",
    "median error",
    "nine in ten within",
    "bias",
    "80 % holds",
    "95 % holds",
    "half-width",
    "above ceiling",
)
ESTIMATES = (
    "bandwidth over bytes: datasheet bandwidth over the bytes that a step reads; one efficiency: the same times the share that other "
    "devices of the class reach; both as median error, nine in ten within, on the same rows"
)
END_TO_END = "end_to_end: the forecast is of decoding alone, so it should be too fast"
# What is said of many names alike: the part before the name, and the part behind it.
_NAMED = re.compile(
    r"(?P<what>no (?:model|hardware|runtime) file is called|a cache in|weights|runtime) (?P<name>\S.*?)"
    r"(?P<rest>| is not forecast| are unknown and their size is not stated)$"
)
_REMEDY = re.compile(r"; (?:take|give) .*")  # of somebody who would run it


@dataclass(frozen=True)
class Told:
    """What is printed besides the tables."""

    source: str  # the file, or what the shipped set is called
    basis: str  # by which parameters rows are forecast
    n_worst: int = 10
    all_rows: bool = False


def headline_table(found: Scored) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the README's table: usable rows, forecasts beside both simple estimates; servers; split weights; drafts."""
    rows = [_headline_row(each) for each in compared(found.decode)]
    rows += [_prompt_row("reading prompts", found.prompts)] if found.prompts.rows else []
    if found.served.rows:
        rows.append(_served_row("servers, time per token", found.served, "token"))
        rows.append(_served_row("servers, time to the first token", found.served, "first"))
    if found.simulated.rows:
        rows.append(_served_row("request by request, time per token", found.simulated, "token"))
        rows.append(_served_row("request by request, to the first", found.simulated, "first"))
    split = found.split.where(lambda row: row.is_split)
    rows += [_split_row(f"{TITLE}, {what}s", split, what) for what in WHATS if split.rows]
    rows += [_split_row(f"{TITLE}, {SKEWED}", split, "skewed")] if split.rows else []
    if found.speculated.rows:
        rows.append(_drafts_row(found.speculated))
    return list(HEAD), rows


def _drafts_row(found: SpeculationScore) -> list[str]:
    """Errors are those of speed-ups; the interval is that of the rate with drafts."""
    n = len(found.rows) + len(found.skipped)
    errors = (f"{found.median_abs_error:.1%}", f"{found.p90_abs_error:.0%}", f"{exp(found.bias) - 1:+.0%}")
    return [DRAFTS, f"{len(found.rows):,} of {n:,}", *errors, f"{found.held:.0%}", *[""] * (len(HEAD) - 6)]


def _split_row(label: str, found: SplitScore, what: What) -> list[str]:
    """Prompts have no interval, and neither has a simple estimate."""
    errors = (
        f"{found.median_abs_error(what):.1%}",
        f"{found.p90_abs_error(what):.0%}",
        f"{exp(found.bias(what)) - 1:+.0%}",
    )
    held = f"{found.held:.0%}" if what == "decode" else ""
    return [label, f"{len(found.rows):,}", *errors, held, *[""] * (len(HEAD) - 6)]


def _prompt_row(label: str, found: Score) -> list[str]:
    """Prompts have no simple estimate."""
    n = len(found.rows) + len(found.skipped)
    share = f"{len(found.rows):,} of {n:,}" if found.skipped else f"{len(found.rows):,}"
    return [label, share, *_errors(found), *[""] * 2]


def _served_row(label: str, found: ServingScore, what: ServingWhat) -> list[str]:
    """Servers have no interval, and no simple estimate. Their bias is told of rates, as in all other rows."""
    n = len(found.rows) + len(found.skipped)
    share = f"{len(found.rows):,} of {n:,}" if found.skipped else f"{len(found.rows):,}"
    bias = exp(-found.bias(what)) - 1
    return [
        label,
        share,
        f"{found.median_abs_error(what):.1%}",
        f"{found.p90_abs_error(what):.0%}",
        f"{bias:+.0%}",
        *[""] * (len(HEAD) - 5),
    ]


def _headline_row(each: Compared) -> list[str]:
    label, found = each.group.label, each.group.score
    share = f"{len(found.rows):,} of {each.group.n:,}" if found.skipped else f"{len(found.rows):,}"
    if not found.rows:
        return [label, share, *[""] * (len(HEAD) - 2)]
    simple = (
        f"{other.median_abs_error:.0%}, {other.p90_abs_error:.0%}" if len(other.rows) == len(found.rows) else ""
        for other in (each.datasheet, each.efficiency)
    )
    return [label, share, *_errors(found), *simple]


def _errors(found: Score) -> list[str]:
    return [
        f"{found.median_abs_error:.1%}", f"{found.p90_abs_error:.0%}", f"{exp(found.bias) - 1:+.0%}", f"{found.held:.0%}",
        f"{found.held_wide:.0%}", f"±{found.half_width:.0%}",
    ]  # fmt: skip


def short_table(found: Scored) -> tuple[list[str], list[list[str]]]:
    """The same in fewer columns and rows, which the README has room for: of decoding, prompts and servers."""
    head, rows = headline_table(replace(found, speculated=SpeculationScore(())))
    places = [place for place, name in enumerate(HEAD) if name not in ("bias", "half-width")]
    short = [
        [cells[place].split(",")[0] if place >= len(HEAD) - 2 else cells[place] for place in places] for cells in rows
    ]
    return [head[place] for place in places], short


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as README and docs hold it, its numbers to the right."""
    marks = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))


def print_scored(found: Scored, told: Told) -> None:
    """The headline, errors by group, rows, and what could not be forecast."""
    usable = of_usable(found.decode)
    print_line(f"{told.source}: {_counts(found)}; {told.basis}")
    print()
    _print_headline(found, usable)
    for label, of in BY:
        _print_groups(label, groups_by(usable, of))
    _print_groups("reading prompts", groups_by(found.prompts, device_kind))
    print_prompts(found.prompts, told.n_worst)
    print_servers(found.served, told.n_worst)
    if found.simulated.rows:
        print_line("The same servers, gone through request by request:")
        print_servers(found.simulated, 0)
    print_split(found.split, told.n_worst)
    print_speculations(found.speculated, told.n_worst)
    _print_rows(usable, told)
    _print_unusable(found.decode)
    for label, lines in _sections(found, usable):
        print_section(label, lines)


def _print_headline(found: Scored, usable: Score) -> None:
    head, rows = headline_table(found)
    if not rows:
        return
    print_table(head, rows, left=("",), spared=HEAD[-2:])
    if usable.rows:
        print_line(ESTIMATES)
    print()


def _counts(found: Scored) -> str:
    usable, n_served = of_usable(found.decode), len(found.served.rows) + len(found.served.skipped)
    n, n_usable = (len(each.rows) + len(each.skipped) for each in (found.decode, usable))
    told = []
    if n:
        share = f" ({len(usable.rows) / n_usable:.1%})" if n_usable else ""
        told.append(
            f"{counted(n, 'measurement')}, {n_usable:,} usable, {len(usable.rows):,} of them can be forecast{share}"
        )
    if n_served:
        told.append(f"{counted(n_served, 'server')} under load, {len(found.served.rows):,} can be forecast")
    n_split = len(found.split.rows) + len(found.split.skipped)
    if n_split:
        told.append(f"{counted(n_split, 'row')} of a GPU and RAM, {len(found.split.rows):,} can be forecast")
    n_prompts = len(found.prompts.rows) + len(found.prompts.skipped)
    if n_prompts:
        told.append(f"{counted(n_prompts, 'prompt')}, {len(found.prompts.rows):,} can be forecast")
    n_drafts = len(found.speculated.rows) + len(found.speculated.skipped)
    if n_drafts:
        told.append(
            f"{counted(n_drafts, 'pair')} with drafts and without, {len(found.speculated.rows):,} can be forecast"
        )
    return "; ".join(told)


def group_table(label: str, groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of errors by group."""
    rows = [
        [group.label, f"{len(group.score.rows):,}", *_errors(group.score), f"{group.score.n_above_ceiling:,}"]
        for group in groups
    ]
    return [label, *GROUP_HEAD], rows


def _print_groups(label: str, groups: Sequence[Group]) -> None:
    if len(groups) > 1:
        print_table(*group_table(label, groups), left=(label,), spared=GROUP_HEAD[-3:])
        print()


def _print_rows(found: Score, told: Told) -> None:
    rows = found.rows if told.all_rows else found.worst(told.n_worst)
    if not rows:
        return
    if not told.all_rows and len(rows) < len(found.rows):
        print_line(f"The {counted(len(rows), 'row')} furthest off (--worst N, --rows for all):")
    shown = list(ROW_CELLS)
    print_table(shown, [[ROW_CELLS[name](row) for name in shown] for row in rows], left=ROWS_LEFT, spared=ROWS_SPARED)
    print()


def _print_unusable(found: Score) -> None:
    groups = unusable(found)
    if not groups:
        return
    rows = []
    for group in groups:
        score = group.score
        errors = (
            [
                f"{score.median_abs_error:.1%}",
                f"{score.p90_abs_error:.0%}",
                f"{exp(score.bias) - 1:+.0%}",
                f"{score.held:.0%}",
            ]
            if score.rows
            else [""] * 4
        )
        rows.append([group.label, f"{group.n:,}", f"{len(score.rows):,}", *errors])
    head = ["not usable", "rows", "forecast", "median error", "nine in ten within", "bias", "80 % holds"]
    print_table(head, rows, left=("not usable",), spared=head[-2:])
    if any(group.label == "end_to_end" for group in groups):
        print_line(END_TO_END)
    print()


def _sections(found: Scored, usable: Score) -> Iterator[tuple[str, list[str]]]:
    yield "Ceiling", list(_above(usable)) if usable.rows else []
    yield "Weak", list(_weak(usable))
    yield "Skipped", told_reasons(usable.skipped)
    yield "Servers", [*told_servers(found.served), *told_reasons(found.served.skipped)]
    yield "Split", [*told_split(found.split), *told_reasons(found.split.skipped)]
    yield "Prompts", told_reasons(found.prompts.skipped)
    yield "Drafts", [*told_speculations(found.speculated), *told_reasons(found.speculated.skipped)]
    others = found.decode.where(lambda each: not each.origin.is_usable)
    yield "Unusable", told_reasons(others.skipped)


def _weak(found: Score) -> Iterator[str]:
    """Devices and models whose forecasts are far off."""
    for group in weak(found):
        errors = f"median error {group.score.median_abs_error:.0%}, bias {exp(group.score.bias) - 1:+.0%}"
        yield f"{group.label}: {errors}, {counted(len(group.score.rows), 'row')}"


def _above(found: Score) -> Iterator[str]:
    """Rows that were measured above what a datasheet allows."""
    above = [row for row in found.rows if row.is_above_ceiling]
    if not above:
        yield "no usable row was measured above it"
        return
    yield f"{counted(len(above), 'usable row')} measured above it, which cannot be: a wrong figure, here or there"
    for row in sorted(above, key=lambda row: row.ceiling / row.tokens_per_s_measured)[:MAX_ABOVE]:
        over = row.tokens_per_s_measured / row.ceiling - 1
        rates = (
            f"{format_number(row.tokens_per_s_measured)} measured, ceiling {format_number(row.ceiling)} ({over:+.0%})"
        )
        yield f"{row.id}: {row.model} {row.weights} on {row.label}, batch {row.batch:,}: {rates}"
    if len(above) > MAX_ABOVE:
        yield f"{len(above) - MAX_ABOVE:,} more (--json FILE has all)"


def told_reasons(skipped: Sequence[Skipped]) -> list[str]:
    """Why so many rows cannot be forecast, most first: names for which one thing holds are listed behind it."""
    names: dict[str, Counter[str]] = {}
    for each in skipped:
        told = _REMEDY.sub("", each.reason)
        match = _NAMED.match(told)
        reason = f"{match['what']} ...{match['rest']}" if match else told
        names.setdefault(reason, Counter())[match["name"] if match else ""] += 1
    ordered = sorted(names.items(), key=lambda pair: -pair[1].total())
    lines = [_told_reason(reason, counts) for reason, counts in ordered[:MAX_REASONS]]
    rest = sum(counts.total() for _, counts in ordered[MAX_REASONS:])
    return [*lines, f"{rest:,} more for {len(ordered) - MAX_REASONS:,} other reasons"] if rest else lines


def _told_reason(reason: str, counts: Counter[str]) -> str:
    n = counted(counts.total(), "row")
    if set(counts) == {""}:
        return f"{n}: {reason}"
    listed = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(MAX_NAMES))
    more = f" and {len(counts) - MAX_NAMES:,} more" if len(counts) > MAX_NAMES else ""
    return f"{n}: {reason.replace(' ...', ' ' + listed + more)}"
