"""Which block of a GGUF file each layer of its model is: in order, repeated where a model loops, without further prediction."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.importers.gguf_file import GgufFile
from simulator.spec.model import MAX_LAYERS


@dataclass(frozen=True)
class Place:
    """One layer: the block whose tensors it has, and whether an earlier layer has them, too."""

    block: int
    is_again: bool = False


def places(file: GgufFile) -> list[Place]:
    """The layers in order; the blocks of prediction of several tokens are taken out of the file's blocks and held."""
    count = file.count("decoder_block_count", file.count("block_count"))
    n_layers = _without_prediction(file, count)
    if not 1 <= n_layers <= MAX_LAYERS:
        raise file.wrong(f"{file.kind.name}.block_count is {n_layers}, between 1 and {MAX_LAYERS} are possible")
    found = _looped(file, n_layers)
    last = max(place.block for place in found)
    beyond = sorted(index for index in file.blocks if index > last)
    first = next((index for index in beyond if not any(role.startswith("nextn.") for role in file.blocks[index])), None)
    if first is not None:
        raise file.damaged(f"block {first} is none of the {n_layers} layers")
    for index in beyond:
        file.held.extend(file.blocks.pop(index).values())
    return found


def _without_prediction(file: GgufFile, count: int) -> int:
    """Layers that write; some files count blocks of further prediction among block_count, some do not."""
    first = min(
        (index for index, block in file.blocks.items() if any(role.startswith("nextn.") for role in block)),
        default=None,
    )
    stated = file.count("nextn_predict_layers", 0)
    if first is not None:
        return min(count, first)
    return count - stated if stated and count - stated not in file.blocks else count


def _looped(file: GgufFile, n_layers: int) -> list[Place]:
    if file.kind.files.loops:
        n_loops = max(file.count(file.kind.files.loops, 1), 1)
        if n_layers * n_loops > MAX_LAYERS:
            raise file.wrong(f"{n_loops} loops of {n_layers} layers are too many (at most {MAX_LAYERS} layers)")
        return [Place(block, loop > 0) for loop in range(n_loops) for block in range(n_layers)]
    if file.kind.files.stacks:
        return _stacks(file, n_layers)
    return [Place(block) for block in range(n_layers)]


def _stacks(file: GgufFile, n_layers: int) -> list[Place]:
    """HRM: a low stack that runs l_cycles times, then a high one, all of it h_cycles times (llama.cpp, src/models/hrm-text.cpp)."""
    size, high, low = (file.count(f"hrm.{name}") for name in ("layers_per_stack", "h_cycles", "l_cycles"))
    if not size or size * high * (low + 1) != n_layers:
        raise file.wrong(
            f"{high} cycles of {low} and 1 stacks of {size} layers are not {n_layers} layers (hrm.layers_per_stack)"
        )
    seen: set[int] = set()
    found = []
    for _ in range(high):
        for stack in range(low + 1):
            first = size if stack == low else 0
            for block in range(first, first + size):
                found.append(Place(block, block in seen))
                seen.add(block)
    return found
