"""The command `simulate`: forecasts over batches, contexts and formats, as a table, as JSON, and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.line import options
from simulator.commands.line.memory import with_own_memory
from simulator.commands.line.money import money_options, tariff_of
from simulator.commands.line.parser import argument, option, subcommand
from simulator.commands.line.split import is_fit_asked, split_asked, split_options
from simulator.commands.line.values import gibibytes, number, parse_grid, single_count
from simulator.commands.requests import Asked, depths_of, forecasts
from simulator.errors import InputError, printable
from simulator.forecast.capacity import LEAST_EACH, MOST_EACH, Users, most_users
from simulator.forecast.density import with_density
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import RequestForecast, with_room_for
from simulator.forecast.scenario import DEFAULT_CONTEXT, Scenario, scenario, sweep

if TYPE_CHECKING:
    from simulator.forecast.energy import Tariff
    from simulator.forecast.speculation import Speculated
    from simulator.forecast.splits import Split
    from simulator.spec.quant import Weights
    from simulator.spec.speculation import Speculation

MAX_POINTS = 2_000
BATCHES = "1..32*2"


@subcommand("simulate")
@argument("model", "Name (roofcast list models), YAML, GGUF or config.json.")
@argument("hardware", "Name (roofcast list hardware) or YAML.")
@option("--batch", default=BATCHES, help="Sequences decoded at once: 1,2,4 or 1..64*2.")
@option("--context", help="Tokens already in each cache: 1024,8k. [default: 1024]")
@option("--weights", help="Formats: q4_k_m,q8_0, f16, fp8, int4-g128, mxfp4+bf16, 2.70bpw. [default: what fits]")
@option("--cache", help="Format of the cache: f16, q8_0, fp8. [default: the runtime's]")
@option("--runtime", help="llama.cpp, vllm, roofcast, roofline (hardware alone) or YAML. [default: by device]")
@options.threads
@option(
    "--routing",
    help="How a batch picks experts: uniform, same, worst, zipf:1.2, switch:1.25, FILE.jsonl (of generate "
    "--record-routing), FILE.json, FILE.csv. [default: uniform]",
)
@option(
    "--storage", help="Drive from which weights are read that do not fit: nvme, microsd, nvme-gen4, 3.5 (GB/s), auto."
)
@option("--sparsity", help="Zero inputs of the linear layers: q-sparse:0.5, teal:0.4, FILE.yaml.")
@option("--density", help="Share of the layers that tokens read: fixed:0.5, beta:2,5, FILE.yaml, FILE.csv.")
@option("--prompt", type=single_count, metavar="TOKENS", help="A whole request of one user, with so long a prompt.")
@option("--generate", type=single_count, metavar="TOKENS", help="Length of its answer. [default: 1]")
@option("--cached", type=single_count, metavar="TOKENS", help="Of the prompt, in the cache already. [default: 0]")
@option("--ubatch", type=single_count, metavar="TOKENS", help="Of the prompt, in one pass. [default: the runtime's]")
@options.speculate
@options.draft
@options.draft_weights
@option("--each", type=number, metavar="TOKENS/S", help="How many users get so many tokens per second each.")
@options.n_devices
@options.parallel
@split_options
@option("--ram", type=gibibytes, metavar="GIB", help="Memory of the host, or of a CPU. [default: as its file has it]")
@money_options
@options.interval
@options.json_file
@options.picture
def command(
    model: str,
    hardware: str,
    batch: str,
    context: str | None,
    weights: str | None,
    density: str | None,
    prompt: int | None,
    generate: int | None,
    cached: int | None,
    ubatch: int | None,
    speculate: str | None,
    draft: str | None,
    draft_weights: str | None,
    each: float | None,
    interval: int | None,
    json: str | None,
    plot: str | None,
    **assumed: Any,  # cache, runtime, threads, routing, sparsity, devices, parallel, ram, storage: as `scenario` takes them; splits
) -> None:
    """Forecast tokens per second of MODEL on HARDWARE."""
    texts = {"batch": batch, "context": context, "weights": weights, "cache": assumed["cache"]}
    texts |= {"runtime": assumed["runtime"], "plot": plot, "routing": assumed["routing"]}
    texts |= {"speculate": speculate, "draft": draft, "draft-weights": draft_weights}
    texts |= {name: assumed[name] for name in ("parallel", "storage", "sparsity")} | {"density": density, "json": json}
    options.refuse_empty(texts)
    speculation = _speculation(speculate, draft, draft_weights, density)
    _check_each(each, speculation, density)
    wide, tariff = options.parse_coverage(interval), tariff_of(assumed)
    placement, is_fit = split_asked(assumed), is_fit_asked(assumed)
    if placement and is_fit:
        raise InputError(f"--fit auto finds what {placement.first_name} says: leave one of them out")
    picture = _picture(plot, json)
    _refuse_pictures(plot, density)
    batches, contexts = parse_grid(batch, context)
    contexts = contexts or [DEFAULT_CONTEXT]
    _refuse_drafts(speculation, prompt)
    several = None if batch == BATCHES or batches == [1] else batch
    given = {"batch": several, "context": context, "density": density, "plot": plot, "each": each}
    request = Asked(prompt, generate, cached, ubatch).request(**given)
    if request:
        batches, contexts = [1], depths_of(request)
    names = _formats(weights, len(batches) * len(contexts))
    depth = max(contexts) if request else min(contexts)
    shared = {**assumed, "placement": placement, "batch": min(batches), "context": depth}
    machine = with_own_memory(hardware, assumed["ram"])
    bases = _each_format_once(scenario(model, machine, weights=name, **shared) for name in names)
    bases = [with_room_for(base, request) for base in bases] if request else bases
    users = [(base.load.weights.name, most_users(base, each, depth)) for base in bases for depth in contexts if each]
    requests = forecasts(bases, request) if request else []
    sweeps = [(base, sweep(base, batches, contexts)) for base in bases]
    found = _Splits.of(sweeps, is_fit, [each.load.weights for each in bases] if weights else None)
    _report(sweeps, density, wide, json, requests, speculation, found, users, tariff)
    if plot is not None:
        from simulator.commands.picture import show, simulated_chart

        show(simulated_chart(bases, batches, contexts, speculation), picture, json == "-")


@dataclass(frozen=True)
class _Splits:
    """What is told of other splits than that of the sweep."""

    by_format: Sequence[Split]  # where it is asked for
    instead: Sequence[tuple[str, Split]]  # where nothing fits

    @classmethod
    def of(
        cls, sweeps: list[tuple[Scenario, list[Prediction]]], is_fit: bool, formats: list[Weights] | None
    ) -> _Splits:
        """The fastest of each format, and what runs where no point of the sweep fits."""
        from simulator.forecast.splits import by_format
        from simulator.report.splits import found_instead

        base, points = sweeps[0]
        contexts = sorted({int(point.load.context) for point in points})
        asked = by_format(base, int(points[0].load.batch), contexts, formats) if is_fit else ()
        nothing_fits = not any(point.fits for _, each in sweeps for point in each)
        return cls(asked, found_instead(base, points) if nothing_fits else [])

    def record(self) -> dict[str, Any]:
        """As plain values; empty where there is nothing to tell."""
        from simulator.report.splits import record

        found = {
            "splits": [record(each) for each in self.by_format],
            "instead": [record(each) for _, each in self.instead],
        }
        return {name: each for name, each in found.items() if each}

    def show(self) -> None:
        """In words."""
        from simulator.report.screen import print_section
        from simulator.report.splits import lines_instead, lines_of_formats

        print_section("Splits", list(lines_of_formats(self.by_format)))
        print_section("Instead", list(lines_instead(self.instead)))


def _speculation(
    speculate: str | None, draft: str | None, draft_weights: str | None, density: str | None
) -> Speculation | None:
    """What is asked for of drafts, checked before anything else is done; None for nothing."""
    if speculate is None and draft is None and draft_weights is None:
        return None
    from simulator.forecast.speculation import refuse_with_density
    from simulator.spec.speculation import asked_for

    refuse_with_density(density)
    return asked_for(speculate, draft, draft_weights)


def _refuse_pictures(plot: str | None, density: str | None) -> None:
    if plot is not None and density is not None:
        raise InputError("--density gives a distribution for each point, which has no picture: leave --plot out")


def _refuse_drafts(speculation: Speculation | None, prompt: int | None) -> None:
    if speculation is not None and prompt is not None:
        raise InputError(
            "--prompt and --generate give the time of a whole request without drafts, --speculate and --draft the speed of decoding with "
            "them at a --context: ask for one of the two"
        )


def _check_each(each: float | None, speculation: Speculation | None, density: str | None) -> None:
    """InputError for a rate that nothing has, and beside what changes the rate of a sequence."""
    if each is None:
        return
    if not LEAST_EACH <= each <= MOST_EACH:
        raise InputError(
            f"--each {each:g}: between {LEAST_EACH:g} and {MOST_EACH:g} tokens per second can be asked for"
        )
    other = "speculate or --draft" if speculation else "density" if density is not None else None
    if other:
        raise InputError(f"--each counts users of plain decodes: leave --{other} out")


def _speculated(sweeps: list[tuple[Scenario, list[Prediction]]], speculation: Speculation) -> list[Speculated]:
    from simulator.forecast.speculation import Speculating

    found = []
    for base, points in sweeps:
        asked = Speculating.of(base, speculation)
        found += [asked.at(int(point.load.batch), int(point.load.context), plain=point) for point in points]
    return found


def _remarks(sweeps: list[tuple[Scenario, list[Prediction]]]) -> list[str]:
    """What was assumed and what is to know of the files, each sentence once."""
    from simulator.report.remarks import assumptions

    return list(dict.fromkeys(line for base, points in sweeps for line in assumptions(base, points)))


def _picture(plot: str | None, json: str | None) -> Path | None:
    """The path of a picture, checked before anything else is done; None for the terminal."""
    options.refuse_both(plot, json)
    if plot is None:
        return None
    from simulator.commands.picture import check_path

    return check_path(plot, "--plot")


def _formats(weights: str | None, n_points: int) -> list[str | None]:
    """The names of the formats, None for the one that fits; InputError where there are too many points in all."""
    names = list(dict.fromkeys(weights.split(","))) if weights else [None]
    n_points *= len(names)
    if n_points > MAX_POINTS:
        raise InputError(
            f"{n_points:,} points are too many for the command (at most {MAX_POINTS:,}); the Python API takes arrays"
        )
    if names[0] is not None and not all(name.strip() for name in names):
        raise InputError(f"--weights {printable(weights)!r}: a format is missing at a comma")
    return names


def _each_format_once(bases: Iterable[Scenario]) -> list[Scenario]:
    """Without those whose format came before in another spelling: `fp16` behind `f16`."""
    found: dict[str, Scenario] = {}
    for base in bases:
        found.setdefault(base.load.weights.name, base)
    return list(found.values())


def _report(
    sweeps: list[tuple[Scenario, list[Prediction]]],
    density: str | None,
    wide: int | None,
    json: str | None,
    requests: Sequence[tuple[str, RequestForecast]],
    speculation: Speculation | None,
    splits: _Splits,
    users: Sequence[tuple[str, Users]],
    tariff: Tariff,
) -> None:
    """JSON where it is asked for, and the table unless JSON takes the standard output."""
    profile = None
    if density is not None:
        from simulator.spec.density import parse_density

        profile = parse_density(density)
    points = [point for _, each in sweeps for point in each]
    asked = requests[0][1].request if requests else None
    densities = [with_density(point, profile) if profile and point.fits else None for point in points]
    speculated = _speculated(sweeps, speculation) if speculation else []
    if json is not None:
        from simulator.report.record import record, write_json
        from simulator.report.request import request_record
        from simulator.report.spending import with_spending
        from simulator.report.splits import with_options
        from simulator.report.users import users_record

        rows = [record(point, found, density, wide) for point, found in zip(points, densities, strict=True)]
        rows = with_spending(sweeps, with_options(sweeps, rows), tariff, asked)
        remarks = _remarks(sweeps)
        if speculated:
            from simulator.report.speculation import speculation_record

            rows = [row | {"speculation": speculation_record(each)} for row, each in zip(rows, speculated, strict=True)]
            remarks += [line for line in speculated[0].whole.assumptions() if line not in remarks]
        more = {"requests": [request_record(*each, wide) for each in requests]} if requests else {}
        more |= {"users": [users_record(*each) for each in users]} if users else {}
        write_json({"predictions": rows, **more, **splits.record(), "remarks": remarks}, json)
    if json != "-":
        from simulator.report.screen import print_section
        from simulator.report.spending import print_spending
        from simulator.report.table import density_lines, print_forecast
        from simulator.report.users import users_lines

        found = [(point, each) for point, each in zip(points, densities, strict=True) if each]
        print_forecast(sweeps, density_lines(found, density) if profile else (), wide, requests)
        splits.show()
        print_section("Users", users_lines(users))
        print_spending(sweeps, tariff, asked)
    if speculated and json != "-":
        from simulator.report.speculation import print_speculation

        print_speculation(speculated)
