"""The command `validate`: its options, and which of the two is compared, decodes here or somebody's measurements."""

from __future__ import annotations

from simulator.commands.line import options
from simulator.commands.line.parser import argument, flag, option, subcommand, target
from simulator.errors import InputError


@subcommand("validate")
@argument(
    "hardware",
    "The profile of this machine; with --against, the device measured. [default: mine.yaml]",
    required=False,
)
@option(
    "--against",
    metavar="FILE",
    help="What a benchmark program printed (llama-bench, Ollama, vllm bench ...), or a CSV; - reads a pipe.",
)
@option("--model", help="The model measured, where FILE does not tell: GGUF or name.")
@option("--weights", help="Its format, where neither FILE nor a GGUF tells: q4_k_m.")
@target(
    "--learn",
    is_merged=True,
    metavar="MACHINE.yaml",
    help="Write what FILE says of the device there: later forecasts use it.",
)
@flag("--quick", help="A dozen decodes of small models.")
@options.json_file
@options.picture
@option("--report", metavar="DIR", help="Write a page of it, as the command report does.")
def command(
    hardware: str | None,
    against: str | None,
    model: str | None,
    weights: str | None,
    learn: str | None,
    quick: bool,
    json: str | None,
    plot: str | None,
    report: str | None,
) -> None:
    """Decode on this machine, or take somebody's measurements, and set the forecasts beside them."""
    texts = {"hardware": hardware, "against": against, "model": model, "weights": weights, "json": json, "plot": plot}
    options.refuse_empty(texts | {"report": report, "learn": learn})
    options.refuse_both(plot, json)
    if against is None:
        if model or weights:
            raise InputError("--model and --weights tell what --against FILE was measured with; give that too")
        if learn:
            raise InputError("--learn writes what --against FILE says of the device; give that too")
        from simulator.commands.validate_here import run  # with it comes numba

        run(hardware, quick, json, plot, report)
        return
    if quick:
        raise InputError("--quick: nothing is decoded with --against, leave it out")
    from simulator.commands.against import Request
    from simulator.commands.against import run as run_against

    run_against(Request(against, hardware, model, weights, json, plot, report, learn))
