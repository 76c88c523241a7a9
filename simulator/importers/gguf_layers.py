"""A block of a GGUF file as a layer: what mixes tokens, the network, norms, and every further tensor beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from simulator.errors import printable
from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor
from simulator.importers.gguf_mixers import cross_attention, mixer_of
from simulator.importers.gguf_networks import network_of
from simulator.importers.gguf_stack import Place
from simulator.importers.gguf_states import as_listed
from simulator.spec.model import Layer
from simulator.spec.schema import check

Block = dict[str, FileTensor]
# Norms inside of attention or of a state, which are no norms of the residual stream even where they are as wide.
_INNER_NORMS = frozenset(
    ("attn_q_norm", "attn_k_norm", "attn_q_a_norm", "attn_kv_a_norm", "attn_kv_norm", "ssm_norm", "attn_sub_norm", "ffn_sub_norm",
     "post_norm", "laurel_post_norm", "altup_router_norm", "ssm_dt_norm", "ssm_b_norm", "ssm_c_norm")
)  # fmt: skip
# Looked up, for pictures, of no use where a file has it twice, or read by nobody (llama.cpp b11549: `_in_s`): held, not read in a step.
_IDLE = re.compile(r".*\.input_scale|ffn_gate_tid2eid|vis_.*|attn_rot_embd|exp_probs_b_vl.*")
# Norms of the residual stream, which are as wide as it.
_WIDE = frozenset(
    (
        "attn_norm",
        "attn_norm_2",
        "ffn_norm",
        "post_attention_norm",
        "post_ffw_norm",
        "layer_output_norm",
        "ffn_norm_exps",
    )
)
_ROLE = re.compile(r"[a-z0-9_.]{1,80}")
_STEM = re.compile(r"(.+?)\.(bias|scale|scales|input_scale|lora_[ab])")
_ALWAYS = frozenset(
    ("attn_rot_embd", "rope_freqs", "rope_factors_long", "rope_factors_short", "attn_qkv", "ffn_gate_up_exps", "ffn_gate_exps",
     "ffn_up_exps", "ffn_down_exps", "token_embd", "output", "output_norm", "position_embd")
)  # fmt: skip


def _stem(role: str) -> str:
    match = _STEM.fullmatch(role)
    return match[1] if match else role


def check_known(file: GgufFile) -> None:
    """InputError for a matrix that files of that architecture do not have."""
    known = file.kind.tensors | _ALWAYS
    for place in (file.outside, *file.blocks.values()):
        for role, tensor in place.items():
            if sum(size > 1 for size in tensor.shape) < 2 or _stem(role) in known:
                continue
            name = re.sub(r"^(blk|dec\.blk)\.\d+\.", "", tensor.name).removesuffix(".weight")
            if _stem(name) not in known and not _is_held(file, role):
                raise file.wrong(f"tensor {printable(tensor.name, 80)!r} is not known in a {file.kind.name} model")


def _is_held(file: GgufFile, role: str) -> bool:
    return bool(file.kind.files.held) and role.startswith(file.kind.files.held)


@dataclass(frozen=True)
class Read:
    """A block as the fields of a layer."""

    fields: dict[str, Any]
    beside: tuple[dict[str, Any], ...]  # but for biases of norms, which a model may have as a whole
    norm_biases: tuple[dict[str, Any], ...]
    norms: tuple[str, ...] = ()  # what the file calls norm_0, norm_1, ...
    is_again: bool = False

    @property
    def has_norm_biases(self) -> bool:
        """Whether every norm has one."""
        return len(self.norm_biases) == self.fields["norms"]

    def again(self) -> Read:
        """The same layer once more, with the weights that it has already."""
        return replace(self, is_again=True)

    def data(self, norm_bias: bool) -> dict[str, Any]:
        """The fields, given whether the model has biases of norms as a whole."""
        beside = self.beside if norm_bias else (*self.beside, *self.norm_biases)
        return {**self.fields, "beside": list(beside), "shares_weights": self.is_again}


def read_layer(file: GgufFile, place: Place, index: int, n_layers: int, d_model: int, of_model: frozenset[str]) -> Read:
    """The layer of one block, with nothing of the block left out but the roles *of_model*, which the model has for all layers."""
    block = file.blocks.get(place.block)
    if not block:
        _check_empty(file, place.block)
        return Read({"attention": None, "ffn": None, "norms": 0}, (), ())
    if any(_is_held(file, role) for role in block):
        idle = tuple(as_listed(role, tensor, idle=True) for role, tensor in block.items())
        return Read({"attention": None, "ffn": None, "norms": 0}, idle, ())
    fields = {
        "attention": mixer_of(file, index, block, n_layers),
        "cross_attention": cross_attention(file, block),
        "ffn": network_of(file, place.block, block),
    }
    taken = _taken(file, fields, d_model)
    norms = [role for role, tensor in block.items() if role not in taken and _is_norm(role, tensor, d_model)]
    fields["norms"] = len(norms)
    taken |= {*norms}
    biases = [f"{role}.bias" for role in norms if f"{role}.bias" in block and f"{role}.bias" not in taken]
    rest = [role for role in block if role not in taken and role not in biases and role not in of_model]
    return Read(
        fields,
        tuple(_beside(file, role, block, d_model) for role in rest),
        tuple(as_listed(role, block[role]) for role in biases),
        tuple(norms),
    )


def _check_empty(file: GgufFile, index: int) -> None:
    """InputError unless the keys say that a block has neither attention nor a network."""
    if file.count("attention.head_count", 1, index) or file.count("feed_forward_length", 1, index):
        raise file.wrong(f"block {index} has no tensors: a part is missing, or the file is damaged")


def _is_norm(role: str, tensor: FileTensor, d_model: int) -> bool:
    inner = role in _INNER_NORMS or role.startswith(("indexer", "attn_compressor"))
    return "_norm" in role and not inner and _stem(role) == role and tensor.shape == (d_model,)


def _taken(file: GgufFile, fields: dict[str, Any], d_model: int) -> set[str]:
    """The roles of tensors that the mixer and the network have."""
    if fields["attention"] is None and fields["ffn"] is None:
        return set()
    layer = check({**fields, "norms": 0}, Layer, str(file.path))
    return {tensor.role for tensor in layer.tensors(d_model, False)}


def _beside(file: GgufFile, role: str, block: Block, d_model: int) -> dict[str, Any]:
    tensor, stem = block[role], _stem(role)
    if not _ROLE.fullmatch(role):
        raise file.wrong(f"tensor {printable(tensor.name, 80)!r} is not known in a {file.kind.name} model")
    met = d_model if role in _WIDE else None
    if role.endswith(".bias") and stem in block:
        met = prod(block[stem].shape) if "_norm" in stem else block[stem].rows
    if met is not None and prod(tensor.shape) != met:
        raise file.wrong(
            f"tensor {printable(tensor.name, 80)} has {prod(tensor.shape):,} values, what it meets has {met:,}"
        )
    idle = bool(_IDLE.fullmatch(role)) or (role == "attn_kv_b" and "attn_k_b" in block) or ".lora_" in role
    return as_listed(role, tensor, idle)
