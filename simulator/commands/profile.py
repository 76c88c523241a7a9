"""The command `profile`: its options, and which of the two, a CPU or a GPU, is measured."""

from __future__ import annotations

from simulator.commands.line import options
from simulator.commands.line.parser import flag, option, subcommand, target
from simulator.commands.line.values import number, whole_number
from simulator.errors import InputError


@subcommand("profile")
@target(
    "-o",
    "--output",
    is_merged=True,
    metavar="FILE.yaml",
    help="Where to; an existing file is merged with. [default: mine.yaml, of a GPU gpu.yaml]",
)
@flag("--quick", help="20 seconds: fewer formats, and wider spreads.")
@option(
    "--seconds",
    type=number,
    metavar="FLOAT",
    help="Of measuring, after compiling; what there is no time for is named. [default: 60]",
)
@options.threads_here
@option("--gpu", type=whole_number, metavar="[INDEX]", help="Measure an NVIDIA GPU instead, the first or this one.")
@options.picture
def command(
    output: str | None, quick: bool, seconds: float | None, threads: int | None, gpu: int | None, plot: str | None
) -> None:
    """Measure this machine, and write it down as a hardware file."""
    options.refuse_empty({"output": output, "plot": plot})
    if gpu is not None and threads is not None:
        raise InputError("--threads counts those of the CPU, which --gpu does not measure: leave one of them out")
    if quick and seconds is not None:
        raise InputError("--quick stands for --seconds 20: leave one of them out")
    from simulator.probe.plan import LEAST_SECONDS, MOST_SECONDS, QUICK_SECONDS, SECONDS  # with it comes numba

    if seconds is not None and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InputError(f"--seconds {seconds:g}: between {LEAST_SECONDS:g} and {MOST_SECONDS:,.0f} are possible")
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    if gpu is not None:
        from simulator.commands.profile_gpu import run_gpu

        run_gpu(output, seconds, gpu, plot)
        return
    from simulator.commands.hardware_file import DEFAULT_FILE
    from simulator.commands.profile_cpu import run_cpu

    run_cpu(output or DEFAULT_FILE, seconds, threads, plot)
