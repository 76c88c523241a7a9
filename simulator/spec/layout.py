"""How devices that work together share a model, and how people write it: `tensor`, `pipeline2xtensor4`, `tensor4xexpert2`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from simulator.errors import InputError, hint, printable
from simulator.spec.arguments import whole
from simulator.spec.names import MAX_DEVICES

# What a word says of the devices, in the words of the runtimes' options.
_WORDS = {
    "tensor": "tensor", "tp": "tensor", "pipeline": "pipeline", "layer": "pipeline", "layers": "pipeline", "pp": "pipeline",
    "expert": "expert", "experts": "expert", "ep": "expert", "data": "data", "dp": "data",
}  # fmt: skip
KNOWN = ("tensor", "layer", "pipeline", "expert", "data")
_EXAMPLES = "as in tensor, layer, data8xexpert8, pipeline2xtensor4 or tensor4xexpert2"
_JOINT = re.compile(r"\s*[x×*]\s*")
_FACTOR = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})\s*:?\s*(\d*)")
MAX_TEXT = 200


@dataclass(frozen=True)
class Layout:
    """`pipeline` stages, each with other layers; in each `data` groups with sequences of their own; in each `tensor` devices.

    The devices of such a group share each matrix. Experts are whole in `expert` groups of a stage's devices, each with others;
    within such a group every expert is cut like any other matrix. What attention has of its own in each group of `data`, and
    whether the other layers share among all what is no expert, is the runtime's way (`Exchange.shares_dense`).
    """

    tensor: int = 1
    data: int = 1
    expert: int = 1
    pipeline: int = 1

    def __post_init__(self):
        for name in ("tensor", "data", "expert", "pipeline"):
            whole(name, getattr(self, name), 1, MAX_DEVICES)

    @property
    def n_at_once(self) -> int:
        """Devices of one stage, which work on a layer at once."""
        return self.tensor * self.data

    @property
    def n_devices(self) -> int:
        """All of them."""
        return self.n_at_once * self.pipeline

    def __str__(self) -> str:
        """As `parse_parallel` reads it: `pipeline2xtensor4xexpert2`."""
        cut = self.n_at_once // self.expert
        written = {"pipeline": self.pipeline, "data": self.data}
        # Experts cut by as many devices as attention is need no saying; else both say how experts are cut.
        written["tensor"] = self.tensor if self.data > 1 or self.expert == 1 else cut
        written["expert"] = self.expert
        return "x".join(f"{name}{n}" for name, n in written.items() if n > 1) or "tensor1"


def parse_parallel(text: str, n_devices: int) -> Layout:
    """How *n_devices* share a model, written *text*: InputError says what of it cannot be.

    Words are `tensor`, `layer` or `pipeline`, `expert`, `data` (or tp, pp, ep, dp), each with the number of parts, joined by x;
    one may stand without a number: it has what the others leave. Without `data`, attention is cut by all devices of a stage, and
    `tensor4xexpert2` cuts each expert in 4, with half of the experts on each 4 of the 8 devices (SGLang: --tp 8 --ep 2;
    TensorRT-LLM: moe_tensor_parallel_size 4, moe_expert_parallel_size 2 of tp_size 8). With `data`, `expert` says into how
    many groups all devices of a stage divide the experts, which is all of them in vLLM: `data2xtensor4xexpert8`
    (--data-parallel-size 2 --tensor-parallel-size 4 --enable-expert-parallel).
    """
    n_devices = whole("devices", n_devices, 1, MAX_DEVICES)
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        raise InputError(f"parallel: say how devices share the model, {_EXAMPLES}")
    numbers = _complete(text, _factors(text), n_devices)
    tensor, expert = numbers.get("tensor", 1), numbers.get("expert", 1)
    pipeline, data = numbers.get("pipeline", 1), numbers.get("data", 1)
    found = Layout(tensor if "data" in numbers else tensor * expert, data, expert, pipeline)
    if found.n_at_once % expert:
        raise _refusal(
            text, f"{found.n_at_once} devices that share a layer cannot be divided into {expert} groups of experts"
        )
    return found


def devices_of(text: str) -> int | None:
    """How many devices a text is for, where each of its words has a number; None where it does not say."""
    factors = _factors(text) if len(text) <= MAX_TEXT else {}
    counted = [n for name, n in factors.items() if name != "expert" or "data" not in factors]
    return math.prod(counted) if counted and None not in counted else None


def _refusal(text: str, why: str) -> InputError:
    return InputError(f"parallel {printable(text.strip(), 40)!r}: {why}")


def _factors(text: str) -> dict[str, int | None]:
    """Each word's number of parts as written, None where it stands without; a word with an x in it is no product of two."""
    rest, found = text.strip().lower(), {}
    while True:
        match = _FACTOR.match(rest)
        after = rest[match.end() :] if match else rest
        joint = _JOINT.match(after)
        if match is None or (after and joint is None):
            word = re.split(r"[^a-z]", rest)[0] or rest
            told = hint(word, KNOWN)
            stop = "" if told.endswith("?") else "."
            raise _refusal(text, f"{printable(word, 30)!r} is unknown, {told}{stop} Written {_EXAMPLES}")
        name, digits = _WORDS[match[1]], match[2]
        if name in found:
            raise _refusal(text, f"{name} is given twice")
        if digits and not (len(digits) <= 6 and 1 <= int(digits) <= MAX_DEVICES):
            raise _refusal(text, f"{name}{printable(digits, 12)}: from 1 to {MAX_DEVICES:,} devices can be given")
        found[name] = int(digits) if digits else None
        if joint is None:
            return found
        rest = after[joint.end() :]


def _complete(text: str, factors: dict[str, int | None], n_devices: int) -> dict[str, int]:
    """Every factor with its number; their product, experts of groups with sequences of their own aside, is the devices'."""
    apart = {"expert"} if "data" in factors else set()
    numbers = {name: n for name, n in factors.items() if n is not None}
    product = math.prod(n for name, n in numbers.items() if name not in apart)
    parts = " x ".join(f"{name} {n}" for name, n in numbers.items() if name not in apart)
    open_ones = [name for name, n in factors.items() if n is None and name not in apart]
    if len(open_ones) > 1:
        raise _refusal(
            text, f"{' and '.join(open_ones)} both stand without a number: give one of them, as in {open_ones[0]}2"
        )
    if open_ones and n_devices % product:
        raise _refusal(text, f"{n_devices:,} devices cannot be divided by {parts}")
    if open_ones:
        numbers[open_ones[0]] = n_devices // product
    elif product != n_devices:
        raise _refusal(text, _mismatch(parts, product, n_devices, numbers))
    if apart and factors.get("expert", 1) is None:
        numbers["expert"] = n_devices // numbers.get("pipeline", 1)
    return numbers


def _mismatch(parts: str, product: int, n_devices: int, numbers: dict[str, int]) -> str:
    told = f"{parts} is for {product:,} devices, not for {n_devices:,}"
    if numbers.get("expert") == numbers.get("tensor") == n_devices:
        return f"{told}; whole experts on each of {n_devices:,} devices that share the rest are expert{n_devices}"
    return f"{told}: change one of them, or take {product:,} devices"
