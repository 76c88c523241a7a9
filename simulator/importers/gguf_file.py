"""A GGUF file as its blocks: every tensor under the one name that its role has here, whatever programs have called it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.gguf import Architecture
from simulator.importers.gguf_header import FileTensor, Header, Unread
from simulator.spec.quant import bits_per_weight

MAX_COUNT = 10_000_000  # heads, layers, widths
MAX_POSITIONS = 10**10  # tokens of context, which shape no weight: more than 32 bits write

# Other names of roles: llama.cpp's where ours differ, those of Ollama's older files (llama/compat of its source), of 2023.
_RENAMED = {
    "attn_out": "attn_output", "attn_g": "attn_gate", "post_attn_norm": "post_attention_norm", "post_ffn_norm": "post_ffw_norm",
    "ffn_latent_in": "ffn_latent_down", "ffn_latent_out": "ffn_latent_up", "ffn_routed_down": "ffn_latent_down",
    "ffn_routed_up": "ffn_latent_up", "attn_o": "attn_output",
}  # fmt: skip
# The dense network that stands beside the experts is what others call a shared one.
_SHARED = {"ffn_gate": "ffn_gate_shexp", "ffn_up": "ffn_up_shexp", "ffn_down": "ffn_down_shexp"}
_ROUTER_BIAS = ("exp_probs_b.bias", "exp_probs_b")
_BLOCK = re.compile(r"(?:blk|dec\.blk)\.(\d+)\.(.+)")
_ONE_EXPERT = re.compile(r"(ffn_(?:gate|up|down))\.(\d{1,4})")
# What sees and hears, inside of a text model's file: Ollama's files hold it, by these prefixes.
_SENSES = re.compile(
    r"(?:v|mm|a|s|vision(?!\.weight)|audio|model\.vision\w*|visual|multi_modal_projector|vision_tower)\."
)


@dataclass
class GgufFile:
    """The keys of a file and its tensors by block and role."""

    path: Path
    header: Header
    kind: Architecture
    outside: dict[str, FileTensor] = field(default_factory=dict)
    blocks: dict[int, dict[str, FileTensor]] = field(default_factory=dict)
    senses: list[FileTensor] = field(default_factory=list)  # of pictures and sound
    held: list[FileTensor] = field(default_factory=list)  # of prediction of several tokens, and an encoder's

    # ---- keys ----

    def key(self, name: str, default: Any = None) -> Any:
        """What the file says under its architecture's name."""
        return self.header.keys.get(f"{self.kind.name}.{name}", default)

    def count(self, name: str, default: int | None = None, layer: int | None = None, at_most: int = MAX_COUNT) -> int:
        """A whole number; of a list the entry of *layer*, or the largest of all."""
        value = self.key(name, default)
        if isinstance(value, list):
            value = (
                (max(value, default=None) if layer is None else value[layer] if layer < len(value) else None)
                if all(isinstance(each, int) for each in value)
                else value
            )
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= at_most:
            found = "a long list" if isinstance(value, Unread) else "missing" if value is None else describe(value)
            raise self.wrong(f"{self.kind.name}.{name} is {found}, a whole number up to {at_most:,} is needed")
        return value

    def wrong(self, why: str) -> InputError:
        """What to raise: the file, then why."""
        return InputError(f"{self.path}: {why}")

    def damaged(self, why: str) -> InputError:
        """The same where a file contradicts its architecture."""
        return self.wrong(f"{why}: damaged, or not a {self.kind.name} model")

    # ---- tensors ----

    def need(self, place: dict[str, FileTensor], role: str, where: str) -> FileTensor:
        """A tensor that must be there."""
        if role not in place:
            raise self.damaged(f"tensor {where}{role}.weight is missing")
        return place[role]


def open_file_of(path: Path, header: Header, kind: Architecture) -> GgufFile:
    """The file with every tensor in its place; InputError where one stands twice or nobody's architecture has it."""
    file = GgufFile(path, header, kind)
    experts: dict[int, dict[str, dict[int, FileTensor]]] = {}
    for tensor in header.tensors:
        match = _BLOCK.fullmatch(tensor.name)
        if match:
            _file_in_block(file, experts, match, tensor)
        else:
            _file_outside(file, tensor)
    for index, roles in experts.items():
        for role, found in roles.items():
            _put(file, file.blocks.setdefault(index, {}), f"{role}_exps", _together(file, index, role, found))
    for block in file.blocks.values():
        _tidy(block)
    return file


def _role(file: GgufFile, name: str) -> str:
    role = name.removesuffix(".weight")
    stem, dot, what = role.partition(".") if role.endswith((".bias", ".scale", ".input_scale")) else (role, "", "")
    renamed = _RENAMED | file.kind.files.roles
    return renamed.get(stem, stem) + dot + what


def _file_in_block(file: GgufFile, experts: dict, match: re.Match, tensor: FileTensor) -> None:
    if len(match[1]) > 6:
        raise file.wrong(f"damaged header: tensor {tensor.name[:80]!r}")
    index, role = int(match[1]), _role(file, match[2])
    if one := _ONE_EXPERT.fullmatch(role):
        found = experts.setdefault(index, {}).setdefault(one[1], {})
        _put(file, found, int(one[2]), tensor)
    else:
        _put(file, file.blocks.setdefault(index, {}), role, tensor)


def _file_outside(file: GgufFile, tensor: FileTensor) -> None:
    if _SENSES.match(tensor.name):
        file.senses.append(tensor)
    elif tensor.name.startswith(("mtp.", "enc.", "nextn.")):
        file.held.append(tensor)
    else:
        _put(file, file.outside, _role(file, tensor.name), tensor)


def _put(file: GgufFile, place: dict, role: Any, tensor: FileTensor) -> None:
    if role in place:
        raise file.wrong(f"tensor {printable(tensor.name, 80)} stands twice")
    place[role] = tensor


def _together(file: GgufFile, index: int, role: str, found: dict[int, FileTensor]) -> FileTensor:
    """Tensors of one expert each as the one tensor of all, which files have since April 2024."""
    first = found.get(0)
    if (
        first is None
        or sorted(found) != list(range(len(found)))
        or any(each.shape != first.shape for each in found.values())
    ):
        raise file.damaged(
            f"block {index} has {role} of experts {', '.join(map(str, sorted(found)[:8]))}, of which some differ"
        )
    formats = {each.format for each in found.values()}
    elements = len(found) * first.rows * first.columns
    of_all = (
        formats.pop()
        if len(formats) == 1
        else bits_per_weight(8 * sum(each.nbytes for each in found.values()) / elements)
    )
    return replace(first, name=f"blk.{index}.{role}_exps.weight", shape=(*first.shape, len(found)), format=of_all)


def _tidy(block: dict[str, FileTensor]) -> None:
    """A router's bias under one name, and a dense network beside experts as a shared expert."""
    if "ffn_gate_inp" in block:
        for role in _ROUTER_BIAS:
            if role in block and "ffn_gate_inp.bias" not in block:
                block["ffn_gate_inp.bias"] = block.pop(role)
        if not block.keys() & {*_SHARED.values()}:
            for dense, shared in _SHARED.items():
                for end in ("", ".bias", ".scale", ".input_scale"):
                    if dense + end in block:
                        block[shared + end] = block.pop(dense + end)
    if "ssm_dt" in block and len(block["ssm_dt"].shape) == 1:  # Ollama's name of Qwen3-Next's bias
        block["ssm_dt.bias"] = block.pop("ssm_dt")
