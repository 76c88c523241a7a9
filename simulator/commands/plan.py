"""The command `plan`: which machines, formats and splits reach a goal, and what a change of a machine buys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.line import options
from simulator.commands.line.called import called
from simulator.commands.line.money import money_options, tariff_of
from simulator.commands.line.parser import argument, flag, option, subcommand
from simulator.commands.line.split import is_fit_asked, split_asked, split_options
from simulator.commands.line.values import (
    gibibytes,
    number,
    parse_names,
    percentage,
    seconds,
    single_count,
    whole_number,
)
from simulator.errors import InputError, printable
from simulator.forecast.energy import Tariff
from simulator.forecast.planning.changes import Changes, plan_changes
from simulator.forecast.planning.goal import Goal
from simulator.forecast.planning.plan import ANY, Plan, plan
from simulator.forecast.scenario import DEFAULT_CONTEXT
from simulator.spec.library import is_file
from simulator.spec.machine import load_hardware
from simulator.spec.prices import parse_priced, parse_prices
from simulator.spec.quant import parse_cache_format

if TYPE_CHECKING:
    from simulator.report.plan_commands import Called

MOST_SHOWN = 10_000
NOT_OF_ROWS = (
    "ttft", "threads", "ram", "gpu_layers", "cpu_moe", "n_cpu_moe", "n_cpu_ffn", "override_tensor", "fit", "tensor_split",
    "parallel",
)  # fmt: skip


@subcommand("plan")
@argument(
    "model",
    "Name (roofcast list models), YAML, GGUF or config.json. [with --from: the sweep's only one]",
    required=False,
)
@option(
    "--at-least",
    type=number,
    metavar="TOKENS/S",
    help="Tokens per second that each user has to get. [default: it does not matter]",
)
@option("--users", type=whole_number, metavar="INTEGER", default=1, help="Sequences that decode at once.")
@option("--context", type=single_count, metavar="TOKENS", help="Tokens in the cache of each: 1024, 8k. [default: 1024]")
@option(
    "--ttft",
    type=seconds,
    metavar="SECONDS",
    help="The first token of a prompt as long as the context within: 2s, 500ms.",
)
@options.on_devices
@flag(
    "--any", help="All shipped devices, and small numbers of cards, each in the format that loses least of the model."
)
@option("--from", "folder", metavar="OUT/", help="Choose among the rows of a sweep, instead of forecasting.")
@flag("--change", help="Keep the machine, and rank what changes of it buy.")
@option("--chance", type=percentage, metavar="PERCENT", help="With which it has to be reached. [default: as forecast]")
@option("--budget", type=number, metavar="AMOUNT", help="What it may cost, in the currency of the prices.")
@option(
    "--prices",
    metavar="FILE.csv",
    help="Of devices: a CSV with the columns hardware and price, or rtx-3090=700,pi5-16gb=120; --on rtx-3090=700 does, too.",
)
@option("--weights", help="Formats to choose from: q4_k_m,q8_0, fp8, int4. [default: what people use]")
@option("--cache", help="Format of the cache: f16, q8_0, fp8. [default: the runtime's]")
@options.runtime
@options.threads
@option("--routing", help="How a batch picks experts, as in simulate. [default: uniform]")
@option("--ram", type=gibibytes, metavar="GIB", help="Memory of the host, or of a CPU. [default: as its file has it]")
@split_options
@option(
    "--parallel", help="How several equal cards share it: layer, tensor. [default: as the runtime does, or the faster]"
)
@money_options
@option("--rows", type=whole_number, metavar="INTEGER", help="Choices that are shown. [default: 24]")
@options.json_file
def command(
    model: str | None,
    on: tuple[str, ...],
    folder: str | None,
    any: bool,
    change: bool,
    rows: int | None,
    json: str | None,
    prices: str | None,
    weights: str | None,
    **given: Any,  # the goal, what it costs, and cache, runtime, threads, routing, ram as `scenario` takes them
) -> None:
    """Say which machines run MODEL as fast as it has to be, and what a change of one buys."""
    texts = {"on": on, "from": folder, "prices": prices, "weights": weights, "json": json}
    options.refuse_empty(texts | {name: given[name] for name in ("cache", "runtime", "routing", "parallel")})
    machines, priced = _with_prices(options.device_names(on))
    if folder is not None:
        _refuse_of_rows(any, change, given)
    elif model is None:
        raise InputError("plan: name a model, as in roofcast plan qwen3-30b-a3b --any, or a sweep's folder with --from")
    else:
        _check_machines(machines, any, change, given["ram"])
    if rows is not None and not 1 <= rows <= MOST_SHOWN:
        raise InputError(f"--rows {rows:,}: between 1 and {MOST_SHOWN:,} can be shown")
    tariff, placement = tariff_of(given), split_asked(given)
    if is_fit_asked(given):
        raise InputError("--fit auto: a plan takes the fastest split by itself, leave it out")
    goal = _goal(given)
    more = {name: value for name, value in given.items() if value is not None}
    more |= {"placement": placement} if placement else {}
    more |= {"prices": parse_prices(prices, map(load_hardware, machines), priced) if prices or priced else {}}
    formats = parse_names("--weights", weights)
    if given["cache"] is not None:  # a mistake in it is none of a single machine's
        parse_cache_format(given["cache"])
    if change:
        found = _changes(model, machines[0], goal, formats, more)
        _report_changes(found, called(model, machines, given["runtime"], given["routing"]), tariff, rows, json)
        return
    if folder is None:
        found = plan(model, ANY if any else machines, goal, weights=formats, **more)
    else:
        found = _from_sweep(folder, model, machines, goal, weights=formats, **more)
        model = model or found.loaded.model.name
    calls = called(model, [] if any else machines, given["runtime"], given["routing"])
    if json is not None:
        from simulator.report.plan import MOST_COUNTED
        from simulator.report.plan_record import plan_record
        from simulator.report.record import write_json

        is_counted = len(found.choices) <= MOST_COUNTED or (not any and folder is None)
        write_json(plan_record(found, calls, tariff, is_counted), json)
    if json != "-":
        from simulator.report.plan import MOST_ROWS, print_plan

        print_plan(found, calls, tariff, rows or MOST_ROWS)


def _with_prices(given: list[str]) -> tuple[list[str], list[tuple[str, float]]]:
    """Machines as they are named, and those of them behind whose name a price stands: rtx-3090=700."""
    machines, priced = [], []
    for text in given:
        name, equals, _ = text.rpartition("=")
        is_priced = bool(equals) and not is_file(Path(text))
        if is_priced:
            priced.append((load_hardware(name).machine_name, parse_priced(text)[1]))
        machines.append(name if is_priced else text)
    _refuse_alike(machines)
    return list(dict.fromkeys(machines)), priced


def _refuse_alike(machines: list[str]) -> None:
    """InputError for two files whose machines have one name: rows, prices and commands would be of either."""
    seen: dict[str, str] = {}
    for path in (text for text in machines if is_file(Path(text))):
        name = load_hardware(path).machine_name
        if seen.setdefault(name, path) != path:
            raise InputError(
                f"--on {printable(path)}: its name is {name}, as that of {printable(seen[name])}: give one another name"
            )


def _goal(given: dict[str, Any]) -> Goal:
    """What is asked for, which is taken out of a command's other options."""
    named = {name: given.pop(name) for name in ("at_least", "users", "context", "ttft", "budget", "chance")}
    named |= {"context": DEFAULT_CONTEXT if named["context"] is None else named["context"]}
    if named["chance"] is not None and named["at_least"] is None and named["ttft"] is None:
        raise InputError("--chance: of what? Name a goal with it: --at-least TOKENS/S, or --ttft SECONDS")
    return Goal(**{name: value for name, value in named.items() if value is not None})


def _refuse_of_rows(is_any: bool, is_change: bool, given: dict[str, Any]) -> None:
    """InputError for what the rows of a sweep do not answer."""
    asked = {"any": is_any, "change": is_change} | {name: given[name] for name in NOT_OF_ROWS}
    name = next((name for name, value in asked.items() if not (value is None or value is False or value == ())), None)
    if name is not None:
        raise InputError(
            f"--{name.replace('_', '-')}: the rows of a sweep do not answer that: leave it out, or plan without --from"
        )


def _from_sweep(folder: str, model: str | None, machines: list[str], goal: Goal, **more: Any) -> Plan:
    from simulator.sweeping.planning import plan_from

    return plan_from(folder, goal, model=model, on=machines or None, **more)


def _check_machines(machines: list[str], is_any: bool, is_change: bool, ram: float | None) -> None:
    if is_any and ram is not None:
        raise InputError(
            "--ram: --any takes devices as their files have them: leave it out, or name machines with --on"
        )
    if is_any and machines:
        raise InputError("--any takes all shipped devices, --on those that it names: give one of them")
    if is_change and (is_any or len(machines) != 1):
        raise InputError("--change keeps one machine: name it with --on, as in --on rtx-3060+ryzen-7950x")
    if not is_any and not machines:
        raise InputError(
            "plan: name machines with --on, as in --on rtx-3060 rtx-3090, or take all shipped ones with --any"
        )


def _changes(model: str, machine: str, goal: Goal, formats: tuple[str, ...], more: dict[str, Any]) -> Changes:
    if len(formats) > 1:
        raise InputError(
            "--change keeps the machine as it is: give one format with --weights, the one that it runs now"
        )
    return plan_changes(model, machine, goal, weights=formats[0] if formats else None, **more)


def _report_changes(found: Changes, calls: Called, tariff: Tariff, rows: int | None, json: str | None) -> None:
    if json is not None:
        from simulator.report.plan_record import changes_record
        from simulator.report.record import write_json

        write_json(changes_record(found, calls, tariff), json)
    if json != "-":
        from simulator.report.plan_changes import MOST_CHANGES, print_changes

        print_changes(found, calls, tariff, rows or MOST_CHANGES)
