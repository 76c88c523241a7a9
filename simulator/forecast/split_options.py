"""Options of llama.cpp that say what lies in a card's memory and what in RAM, as a placement on the parts of a machine.

What they mean is read in llama.cpp's source, b11549. The layers that `-ngl` leaves in RAM are the first ones, and the head counts as
one more layer behind the last (src/llama-model.cpp, load_tensors). Of several patterns the first that is found in the name of a
tensor decides (src/llama-model-loader.cpp, create_tensor); `--n-cpu-moe` counts from the first layer (common/common.h).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

from simulator.errors import InputError, hint, printable
from simulator.forecast.stages import by_shares
from simulator.importers.quantised.expressions import Effort, Expression, TooLong
from simulator.spec.arguments import whole
from simulator.spec.hardware import Hardware
from simulator.spec.layers.layer import MAX_LAYERS
from simulator.spec.machine import host_remedy, shared_memory_told, written
from simulator.spec.model import Model
from simulator.spec.placement import Placement
from simulator.spec.runtime import Runtime
from simulator.units import counted

MAX_PATTERNS, MAX_PATTERN, MAX_STEPS = 1_000, 500, 3_000_000
EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
NETWORKS = r"\.ffn_(up|down|gate)\."  # dense ones (common/arg.cpp, --n-cpu-ffn)
# What runtimes call a GPU's memory: names of ggml's backends, each with the number of the device behind it.
GPU_NAMES = ("GPU", "CUDA", "ROCm", "Vulkan", "SYCL", "MTL", "MUSA", "CANN", "OpenCL")
# Norms have numbers here; in files they are named for what follows them.
_NORMS = {"norm_0": "attn_norm", "norm_1": "ffn_norm"}


@dataclass(frozen=True)
class SplitOptions:
    """What somebody asks to lie where; nothing of it: all on the GPUs, in proportion to what they can hold."""

    gpu_layers: int | None = None  # -ngl: of the layers and the head, from the last one on; None: all
    cpu_moe: bool = False  # all experts in RAM
    n_cpu_moe: int | None = None  # those of so many first layers
    n_cpu_ffn: int | None = None  # the dense networks of so many first layers
    override_tensor: tuple[str, ...] = ()  # PATTERN=CPU and the like, or several with commas between them
    tensor_split: str | None = None  # shares of the GPUs, as in 3,1

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return self == SplitOptions()

    @property
    def first_name(self) -> str:
        """The first of the options that is given, as it is written."""
        return next(
            f"--{each.name.replace('_', '-')}" for each in fields(self) if getattr(self, each.name) != each.default
        )


def as_asked(
    given: Placement | SplitOptions | None, model: Model, hardware: Hardware, runtime: Runtime
) -> Placement | None:
    """A placement, or that which options make; InputError where the runtime has no such options."""
    if not isinstance(given, SplitOptions) or given.is_empty:
        return None if isinstance(given, SplitOptions) else given
    if runtime.uses_host != "computes":
        raise InputError(
            f"{given.first_name} is llama.cpp's: runtime {runtime.name} splits a model in another way, leave it out to have it placed"
        )
    return place(model, hardware, given)


def place(model: Model, hardware: Hardware, options: SplitOptions) -> Placement:
    """Where the options put a model on a machine; InputError for what the machine or the model has nothing of."""
    _check(model, hardware, options)
    n_layers = len(model.stack)
    on_gpus = n_layers + 1 if options.gpu_layers is None else min(options.gpu_layers, n_layers + 1)
    devices, shares = _shares(hardware, options.tensor_split)
    in_ram = [_host_place(hardware)] * (n_layers + 1 - on_gpus) if on_gpus <= n_layers else []
    *layers, head = (*in_ram, *(devices[device] for device in by_shares(on_gpus, shares)))
    apart, found_head = _apart(model, hardware, options, tuple(layers))
    return Placement(tuple(layers), head if found_head is None else found_head, MappingProxyType(apart))


def _check(model: Model, hardware: Hardware, options: SplitOptions) -> None:
    if hardware.kind != "gpu":
        raise InputError(no_gpu_told(hardware))
    if options.gpu_layers is not None:
        whole("--gpu-layers", options.gpu_layers, 0, MAX_LAYERS)
    if options.n_cpu_moe is not None:
        whole("--n-cpu-moe", options.n_cpu_moe, 0, MAX_LAYERS)
        if options.cpu_moe:
            raise InputError("--cpu-moe puts the experts of all layers into RAM, --n-cpu-moe of some: give one of them")
    if options.n_cpu_ffn is not None:
        _check_networks(model, options.n_cpu_ffn)
    is_moe_asked = options.cpu_moe or options.n_cpu_moe
    if is_moe_asked and not model.experts:
        raise InputError(
            f"--{'cpu-moe' if options.cpu_moe else 'n-cpu-moe'}: {model.name} has no experts, take --gpu-layers"
        )


def no_gpu_told(hardware: Hardware) -> str:
    """That a CPU alone splits nothing, and how a card before it is written, where one can be."""
    one = hardware.one()
    is_open = one.device_class not in ("apple", "phone")
    remedy = f"name one before it, as in rtx-3090+{written(one)}" if is_open else "leave that out"
    return f"{hardware.label} has no GPU to split a model with: {remedy}"


def _check_networks(model: Model, n_layers: int) -> None:
    whole("--n-cpu-ffn", n_layers, 0, MAX_LAYERS)
    is_found = any(re.search(NETWORKS, name) for _, name in _names(model))
    if n_layers and not is_found:
        remedy = "--n-cpu-moe" if model.experts else "--gpu-layers"
        raise InputError(f"--n-cpu-ffn: {model.name} has no dense feed-forward networks, take {remedy}")


def _host_place(hardware: Hardware) -> int:
    """The place of the host among the parts; InputError where none is named."""
    if not hardware.has_own_memory:
        raise InputError(shared_memory_told(hardware))
    if hardware.host is None:
        raise InputError(f"{hardware.label}: whose RAM holds the rest has to be known: {host_remedy(hardware)}")
    return len(hardware.parts) - 1


def _shares(hardware: Hardware, given: str | None) -> tuple[list[int], list[float]]:
    """The place of each GPU, device by device, and its share of the layers: by its memory where nobody says it."""
    devices = [place for place, part in enumerate(hardware.parts) if part.kind == "gpu" for _ in range(part.count)]
    if given is None:
        return devices, [hardware.parts[place].usable_bytes / hardware.parts[place].count for place in devices]
    shares = _numbers(given)
    if len(shares) > len(devices):
        raise InputError(
            f"--tensor-split {printable(given)}: {len(shares)} shares, but {hardware.label} has {counted(len(devices), 'GPU')}"
        )
    shares += [0.0] * (len(devices) - len(shares))
    if not sum(shares):
        raise InputError(f"--tensor-split {printable(given)}: nothing is left to any GPU, write shares as in 3,1")
    for place, part in enumerate(hardware.parts):
        own = {share for each, share in zip(devices, shares, strict=True) if each == place}
        if len(own) > 1:
            raise InputError(
                f"--tensor-split {printable(given)}: {part.label} are forecast as equal devices with equal shares: "
                f"name them apart, as in {part.name}+{part.name}"
            )
    return devices, shares


def _numbers(given: str) -> list[float]:
    """Shares with commas or slashes between them."""
    words = re.split(r"[,/]+", given.strip())
    if not all(re.fullmatch(r"\d{1,9}(\.\d{1,9})?", word.strip()) for word in words):
        raise InputError(f"--tensor-split {printable(given)!r}: shares of the GPUs are needed, as in 3,1")
    return [float(word) for word in words]


def _apart(
    model: Model, hardware: Hardware, options: SplitOptions, layers: tuple[int, ...]
) -> tuple[Mapping[tuple[int, str], int], int | None]:
    """Tensors that lie elsewhere than their layer, and where the head lies if a pattern says so."""
    rules = [*_rules(hardware, options.override_tensor), *_of_first_layers(hardware, options)]
    if not rules:
        return {}, None
    found: dict[tuple[int, str], int] = {}
    head, effort, used = None, Effort(MAX_STEPS), set()
    try:
        for (index, role), name in _names(model):
            rule = next((each for each in rules if each.holds(index, name, effort)), None)
            if rule is None:
                continue
            used.add(rule)
            if index is None:
                head = _of_head(model, hardware, rule, role, head)
            elif rule.place != layers[index]:
                found[index, role] = rule.place
    except TooLong:
        raise InputError("--override-tensor: these patterns take too long, write simpler ones") from None
    idle = next((rule for rule in rules if rule.text and rule not in used), None)
    if idle is not None:
        raise InputError(
            f"--override-tensor {printable(idle.text)}: is found in no name of {model.name} that is left to it, such as "
            f"{next(name for _, name in _names(model))}"
        )
    return found, head


@dataclass(frozen=True)
class _Rule:
    """A pattern of names and the place of what has them; without a text where an option for experts made it."""

    text: str
    expression: Expression
    place: int
    n_layers: int | None = None  # of the first layers only

    def holds(self, layer: int | None, name: str, effort: Effort) -> bool:
        """Whether the pattern is found in a tensor's name, and the layer is one of those that it is for."""
        is_meant = self.n_layers is None or (layer is not None and layer < self.n_layers)
        return is_meant and self.expression.found_in(name, effort)


def _rules(hardware: Hardware, given: Sequence[str]) -> Iterator[_Rule]:
    """In their order, as the first that is found in a name decides."""
    each_text = [text for texts in given for text in texts.split(",")]
    if len(each_text) > MAX_PATTERNS:
        raise InputError(f"--override-tensor: {len(each_text):,} patterns are too many (at most {MAX_PATTERNS:,})")
    for text in each_text:
        pattern, equals, buffer = text.partition("=")
        if not (pattern and equals and buffer):
            raise InputError(
                f"--override-tensor {printable(text)!r}: PATTERN=CPU or PATTERN=CUDA0 is needed; a comma parts one from the next"
            )
        if len(pattern) > MAX_PATTERN:
            raise InputError(
                f"--override-tensor: a pattern of {len(pattern):,} characters is too long (at most {MAX_PATTERN})"
            )
        yield _Rule(text, _compiled(pattern, text), _place_of(hardware, buffer, text))


def _compiled(pattern: str, text: str) -> Expression:
    try:
        return Expression(pattern)
    except InputError as error:
        raise InputError(f"--override-tensor {printable(text)}: the pattern {error}") from None
    except (re.error, RecursionError, OverflowError, ValueError) as error:
        raise InputError(f"--override-tensor {printable(text)}: no pattern: {printable(error)}") from None


def _place_of(hardware: Hardware, buffer: str, text: str) -> int:
    """The part that a buffer's name stands for: CPU, GPU where there is one, or the GPU of a number."""
    if buffer == "CPU":
        return _host_place(hardware)
    devices = [place for place, part in enumerate(hardware.parts) if part.kind == "gpu" for _ in range(part.count)]
    match = re.fullmatch(rf"({'|'.join(GPU_NAMES)})(\d{{0,3}})", buffer)
    if not match:
        raise InputError(
            f"--override-tensor {printable(text)}: {printable(buffer)} is unknown, {hint(buffer, ('CPU', 'CUDA0'))}"
        )
    number = int(match[2] or 0)
    if number >= len(devices) or (not match[2] and len(devices) > 1):
        names = ", ".join(f"CUDA{each}" for each in range(len(devices)))
        raise InputError(
            f"--override-tensor {printable(text)}: {hardware.label} has the GPUs {names}, name one of them"
        )
    return devices[number]


def _of_first_layers(hardware: Hardware, options: SplitOptions) -> Iterator[_Rule]:
    if options.cpu_moe or options.n_cpu_moe:
        yield _Rule("", Expression(EXPERTS), _host_place(hardware), None if options.cpu_moe else options.n_cpu_moe)
    if options.n_cpu_ffn:
        yield _Rule("", Expression(NETWORKS), _host_place(hardware), options.n_cpu_ffn)


def _of_head(model: Model, hardware: Hardware, rule: _Rule, role: str, head: int | None) -> int | None:
    """Where a pattern that is found in the name of a tensor outside the layers puts the head."""
    if role == ("token_embd" if model.tied_head else "output"):
        return rule.place
    if role == "token_embd" and rule.place != len(hardware.parts) - 1:
        raise InputError(
            f"--override-tensor {printable(rule.text)}: is found in token_embd.weight, of which rows are looked up in RAM: "
            "write a pattern that leaves it out"
        )
    return head


def _names(model: Model) -> Iterator[tuple[tuple[int | None, str], str]]:
    """Every tensor's layer and role, None for those outside the layers, and its name in a file."""
    for layer, indices, tensors in model.shapes:
        for index in indices:
            for tensor in tensors:
                role = tensor.role
                written = _NORMS.get(role, role)
                end = written if written.endswith(".bias") else f"{written}.weight"
                yield ((index, role), f"blk.{index}.{end}") if layer is not None else ((None, role), end)
