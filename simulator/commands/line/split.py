"""Options that say what of a model lies in a card's memory and what in RAM, as llama.cpp names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.commands.line.parser import flag, option, several
from simulator.commands.line.values import whole_number
from simulator.errors import InputError, printable
from simulator.forecast.split_options import SplitOptions
from simulator.spec.layers.layer import MAX_LAYERS

_DECORATORS = (
    option("--gpu-layers", "-ngl", metavar="N", help="Layers on GPUs, from the last on, the head one more: 30, all. [default: fastest]"),
    flag("--cpu-moe", help="The experts of all layers in RAM."),
    option("--n-cpu-moe", type=whole_number, metavar="N", help="The experts of the first N layers in RAM. [default: fastest]"),
    option("--n-cpu-ffn", type=whole_number, metavar="N", help="The dense feed-forward networks of the first N layers in RAM."),
    several("--override-tensor", "-ot", metavar="PATTERN=CPU", help="Tensors by their names on a part: exps=CPU, up_exps=CUDA0."),
    option("--fit", metavar="auto", help="auto: the fastest split in each of the formats, or in those of --weights."),
    option("--tensor-split", "-ts", metavar="N,N", help="Shares of several GPUs: 3,1. [default: by their memory]"),
)  # fmt: skip


def split_options(function: Callable) -> Callable:
    """Decorates a command with all of them."""
    for each in reversed(_DECORATORS):
        function = each(function)
    return function


def split_asked(given: dict[str, Any]) -> SplitOptions | None:
    """What is asked of them, which are taken out of a command's other options; None where nothing is."""
    layers, patterns = given.pop("gpu_layers"), given.pop("override_tensor")
    asked = SplitOptions(
        gpu_layers=None if layers is None else _count(layers.strip()),
        cpu_moe=given.pop("cpu_moe"),
        n_cpu_moe=given.pop("n_cpu_moe"),
        n_cpu_ffn=given.pop("n_cpu_ffn"),
        override_tensor=tuple(patterns),
        tensor_split=given.pop("tensor_split"),
    )
    return None if asked.is_empty else asked


def is_fit_asked(given: dict[str, Any]) -> bool:
    """Whether the fastest splits are to be told, which is taken out of a command's other options."""
    fit = given.pop("fit")
    if fit is not None and fit.strip().lower() != "auto":
        raise InputError(
            f"--fit {printable(fit)!r}: auto is what there is; -ngl, --n-cpu-moe and others say it by hand"
        )
    return fit is not None


def _count(layers: str) -> int:
    if layers.lower() == "all":
        return MAX_LAYERS
    if not (layers.isascii() and layers.isdigit() and len(layers) < 10):
        raise InputError(f"--gpu-layers {printable(layers)!r}: a whole number is needed, or all")
    return int(layers)
