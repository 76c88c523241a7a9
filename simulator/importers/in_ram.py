"""Which layers of a model lie in RAM beside a GPU, by the options of llama.cpp's programs, and where that puts them on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from simulator.spec.layers.ffn import Experts
from simulator.spec.layers.layer import Layer
from simulator.spec.model import Model
from simulator.spec.placement import Placement

IN_RAM = 1  # the host's place among the parts of a machine with one GPU


@dataclass(frozen=True)
class Split:
    """Which layers of a model lie in RAM, by their indices."""

    whole: tuple[int, ...] = ()  # with all that is theirs
    experts: tuple[int, ...] = ()  # their experts alone
    patterns: tuple[str, ...] = ()  # of names of tensors, each with where those lie (-ot), which hold before the others

    @property
    def is_any(self) -> bool:
        """Whether anything lies there."""
        return bool(self.whole or self.experts or self.patterns)

    def placement(self, model: Model) -> Placement:
        """The same on the two parts of a machine, a GPU and its host."""
        whole, experts = set(self.whole), set(self.experts)
        layers = tuple(IN_RAM if index in whole else 0 for index in range(len(model.stack)))
        apart = {
            (index, tensor.role): IN_RAM
            for layer, indices, tensors in model.shapes[1:]
            for index in experts.intersection(indices)
            for tensor in tensors
            if tensor.copies > 1
        }
        return Placement(layers, 0 if len(whole) < len(layers) else IN_RAM, MappingProxyType(apart))


def by_flags(model: Model, gpu_layers: int | None, n_cpu_moe: int = 0) -> Split:
    """What `-ngl` and `--n-cpu-moe` leave in RAM: the first layers; None: all on the GPU.

    The output counts as the last of the layers that -ngl counts (`llama_model::load_tensors`, llama.cpp b11549).
    """
    n_layers = len(model.stack)
    n_whole = 0 if gpu_layers is None else max(n_layers + 1 - gpu_layers, 0)
    first = range(min(n_whole, n_layers))
    experts = (index for index, layer in enumerate(model.stack[:n_cpu_moe]) if index >= n_whole and _is_mixture(layer))
    return Split(tuple(first), tuple(experts))


def by_fit(model: Model, gpu_layers: int | None, n_patterns: int) -> Split:
    """What llama-fit-params leaves in RAM: `-ngl` and so many patterns of `-ot`, of which the last names no layer.

    It fills from the back, and counts the output, which no pattern can move, as if it stood before the layers that it names: 40
    patterns for 40 layers are those of blk.1 to blk.40, so the experts of blk.0 stay on the GPU (common/fit.cpp of b11549; the
    options that it printed stand in scan-cache.json of github.com/ghost91-/llama-bench). Of the first layer that is named it may
    keep a part, which its row does not say; the experts of that count as in RAM.
    """
    n_layers = len(model.stack)
    first = n_layers + 1 - n_patterns
    experts = (index for index in range(max(first, 0), n_layers) if _is_mixture(model.stack[index]))
    return Split(by_flags(model, gpu_layers).whole, tuple(experts))


def _is_mixture(layer: Layer) -> bool:
    return isinstance(layer.ffn, Experts)
