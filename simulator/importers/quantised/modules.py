"""What Hugging Face calls the modules of a model, and the roles that their tensors have here.

One table serves both ways: a tensor in a file is looked up by the path behind its layer, and a module of the model goes by
all paths that its role may have.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from simulator.importers.quantised.homes import Home, home_of

Roles = tuple[str, ...]  # what a module's bytes belong to; alternatives where models have it fused or apart

NORMS = "norm_*"  # all norms of a layer
_Q, _K, _V, _QKV = ("attn_q",), ("attn_k",), ("attn_v",), ("attn_qkv",)
_GATE, _UP, _DOWN = ("ffn_gate",), ("ffn_up",), ("ffn_down",)

_ATTENTION = {
    "q_proj wq q_attn query q": (_Q, _QKV),
    "k_proj wk key k": (_K, _QKV),
    "v_proj wv value v": (_V, _QKV),
    "qkv_proj c_attn query_key_value Wqkv wqkv qkv W_pack in_proj": (_QKV, _Q + _K + _V),
    "o_proj out_proj wo Wo dense c_proj proj wo_proj output_proj": (("attn_output",),),
    "q_norm q_layernorm query_layernorm query_norm q_ln": (("attn_q_norm",),),
    "k_norm k_layernorm key_layernorm key_norm k_ln": (("attn_k_norm",),),
    "sinks sink attn_sink": (("attn_sinks",),),
    "q_a_proj": (("attn_q_a",),),
    "q_b_proj": (("attn_q_b",),),
    "q_a_layernorm q_a_norm": (("attn_q_a_norm",),),
    "kv_a_proj_with_mqa kv_a_proj": (("attn_kv_a_mqa",),),
    "kv_a_layernorm kv_a_norm": (("attn_kv_a_norm",),),
    "kv_b_proj": (("attn_kv_b",), ("attn_k_b", "attn_v_b")),
    "embed_q": (("attn_k_b",), ("attn_kv_b",)),
    "unembed_out": (("attn_v_b",), ("attn_kv_b",)),
    "fused_qkv_a_proj_with_mqa": (("attn_q_a", "attn_kv_a_mqa"),),
    "indexer.wq_b": (("indexer.attn_q_b",),),
    "indexer.wk": (("indexer.attn_k",),),
    "indexer.weights_proj": (("indexer.proj",),),
    "indexer.k_norm": (("indexer.k_norm",),),
    "g_proj gate_proj": (("attn_gate",),),
    "k_scale": (_K, _QKV, ("attn_kv_a_mqa",)),
    "v_scale": (_V, _QKV, ("attn_kv_a_mqa",)),
}
_RECURRENT = {
    "in_proj_qkvz": (("attn_qkv", "attn_gate"),),
    "in_proj_qkv": (("attn_qkv",),),
    "in_proj_z": (("attn_gate",),),
    "in_proj_ba": (("ssm_ba",), ("ssm_alpha", "ssm_beta")),
    "in_proj_a": (("ssm_alpha",), ("ssm_ba",)),
    "in_proj_b": (("ssm_beta",), ("ssm_ba",)),
    "in_proj": (("ssm_in",), ("shortconv.in_proj",)),
    "conv1d": (("ssm_conv1d",),),
    "conv": (("shortconv.conv",), ("ssm_conv1d",)),
    "A_log": (("ssm_a",),),
    "D": (("ssm_d",),),
    "dt_bias": (("ssm_dt.bias",),),
    "norm": (("ssm_norm",),),
    "out_proj": (("ssm_out",), ("shortconv.out_proj",)),
}
_FFN = {
    "gate_proj w1 gate_linear": (_GATE, _UP),
    "up_proj w3 fc1 c_fc dense_h_to_4h fc_in linear_in": (_UP,),
    "down_proj w2 fc2 c_proj dense_4h_to_h fc_out linear_out output_linear": (_DOWN,),
    "gate_up_proj w13 gate_and_up_proj": (_GATE + _UP, _UP),
    "input_linear": (_GATE + _UP, _UP),
}
_ROUTED = {
    "gate_proj w1 linear": (("ffn_gate_exps",), ("ffn_gate_up_exps",), ("ffn_up_exps",)),
    "up_proj w3 v1 linear_v linear_1 c_fc": (("ffn_up_exps",), ("ffn_gate_up_exps",)),
    "down_proj w2 c_proj output_linear": (("ffn_down_exps",),),
    "gate_up_proj input_linear w13": (("ffn_gate_exps", "ffn_up_exps"), ("ffn_gate_up_exps",), ("ffn_up_exps",)),
}
_SHARED = {
    "gate_proj w1": (("ffn_gate_shexp",), ("ffn_up_shexp",)),
    "up_proj w3": (("ffn_up_shexp",),),
    "down_proj w2 output_linear": (("ffn_down_shexp",),),
    "gate_up_proj input_linear": (("ffn_gate_shexp", "ffn_up_shexp"), ("ffn_up_shexp",)),
}
_ROUTER = {
    "gate router gate.wg router.layer router.classifier router.proj": (("ffn_gate_inp",),),
    "gate.e_score_correction_bias e_score_correction_bias expert_bias router.expert_bias": (("ffn_gate_inp.bias",),),
    "shared_expert_gate": (("ffn_gate_inp_shexp",),),
    "fc1_latent_proj": (("ffn_latent_down",),),
    "fc2_latent_proj": (("ffn_latent_up",),),
}
_OF_GEMMA = {
    "per_layer_input_gate": (("inp_gate",),),
    "per_layer_projection": (("proj",),),
    "post_per_layer_input_norm": (("post_norm",),),
    "altup.correct_output_scale": (("altup_correct_scale",),),
    "altup.correction_coefs": (("altup_correct_coef",),),
    "altup.prediction_coefs": (("altup_predict_coef",),),
    "altup.modality_router": (("altup_router",),),
    "altup.router_norm": (("altup_router_norm",),),
    "laurel.linear_left": (("laurel_l",),),
    "laurel.linear_right": (("laurel_r",),),
    "laurel.post_laurel_norm": (("laurel_post_norm",),),
}
_ATTENTIONS = ("self_attn", "attn", "attention", "self_attention", "mixer")
_FFNS = ("mlp", "block_sparse_moe", "feed_forward", "ffn", "moe", "mixer", "mlp_block", "mlps")
# What stands before a module's own name, and the names behind it.
_PLACES: tuple[tuple[tuple[str, ...], dict[str, tuple[Roles, ...]]], ...] = (
    (_ATTENTIONS, _ATTENTION),
    (("linear_attn", "mamba", "mixer", "conv", "short_conv", "temporal_block"), _RECURRENT),
    (tuple(f"{each}.{inner}" for each in _FFNS for inner in ("experts", "switch_mlp", "experts.mlp")), _ROUTED),
    (("experts", "moe.experts", "block_sparse_moe"), _ROUTED),
    (
        tuple(
            f"{each}.{inner}" for each in _FFNS for inner in ("shared_expert", "shared_experts", "shared_mlp")
        ),
        _SHARED,
    ),
    (("shared_mlp", "shared_expert", "shared_experts"), _SHARED),
    (_FFNS, _ROUTER | _FFN),
    (("",), {"gate router": (("ffn_gate_inp",),), "fc1": (_UP,), "fc2": (_DOWN,)}),
    (("",), _OF_GEMMA),
)  # fmt: skip
_NORMS = (
    "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "ln_1", "ln_2",
    "norm1", "norm2", "attention_norm", "ffn_norm", "operator_norm", "pre_mlp_layernorm", "post_mlp_layernorm",
    "self_attn_layer_norm", "final_layer_norm", "post_attention_norm", "pre_feedforward_layernorm_2", "ln1", "ln2",
    "post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "norm", "post_self_attn_layernorm", "pre_ff_layernorm",
    "layer_norm", "input_norm", "attn_norm", "mlp_norm", "post_norm1", "post_norm2", "attention_layernorm",
    "feedforward_layernorm", "temporal_pre_norm", "channel_pre_norm",
)  # fmt: skip
_OUTSIDE: dict[str, tuple[Roles, ...]] = {
    "embed_tokens wte word_embeddings tok_embeddings embed_in embeddings embedding embed tokens_embed input_embedding": (
        ("token_embd",),
    ),
    "wpe embed_positions position_embeddings positions_embed": (("position_embd",),),
    "lm_head embed_out head output output_projection decoder": (("output",),),
    "norm final_layernorm ln_f final_layer_norm norm_f final_norm embedding_norm layer_norm output_layernorm": (
        ("output_norm",),
    ),
    "embed_tokens_per_layer": (("per_layer_token_embd",),),
    "per_layer_model_projection": (("per_layer_model_proj",),),
    "per_layer_projection_norm": (("per_layer_proj_norm",),),
    "altup_projections": (("altup_proj",),),
    "altup_unembed_projections": (("altup_unembd_proj",),),
}
_CONTAINERS = frozenset("layers h blocks block layer".split())  # noqa: SIM905 - reads better
_ELSEWHERE = re.compile(
    r"(?:^|\.)(?:visual|vision\w*|audio\w*|image\w*|multi_?modal\w*|mm_\w+|embed_(?:vision|audio)|connector|vit|vpm|resampler|"
    r"talker|code2wav|token2wav|aligner|patch_\w+|siglip\w*|sound\w*|speech\w*|vqmodel)(?:\.|$)"
)
_PREDICTING = re.compile(r"(?:^|\.)(?:mtp\w*|nextn\w*|eagle\w*|medusa\w*|draft\w*)(?:\.|$)")
# Endings of parameters that have no module of their own: gpt-oss's gate_up_proj_blocks, transformers' gate_up_proj_scale_inv.
_OF_PARAMETER = re.compile(
    r"_(?:blocks|scales|bias|scale_inv|activation_scale|weight_scale(?:_2|_inv)?|weight_packed|weight|scale|input_scale|qweight|"
    r"qzeros|g_idx|weight_zero_point|weight_shape)$"
)
RECURRENT_PATHS = ("linear_attn", "mamba", "mixer", "conv", "short_conv", "temporal_block")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor of a file belongs."""

    layer: int | None  # None: outside the layers
    path: str  # behind the layer, without numbers of experts
    roles: tuple[Roles, ...]  # alternatives; none where the path is unknown
    kind: str  # "", or "elsewhere" (vision, audio), "predicting" (further layers)
    is_bias: bool
    suffix: str


@cache
def _paths() -> dict[str, tuple[Roles, ...]]:
    """Every path behind a layer, and the roles of what is there."""
    found: dict[str, tuple[Roles, ...]] = {}
    for containers, leaves in _PLACES:
        for container in containers:
            for names, roles in leaves.items():
                for name in names.split():
                    found.setdefault(f"{container}.{name}".lstrip("."), roles)
    found |= dict.fromkeys(_NORMS, ((NORMS,),))
    return found


@cache
def _outside() -> dict[str, tuple[Roles, ...]]:
    return {name: roles for names, roles in _OUTSIDE.items() for name in names.split()}


@cache
def paths_of(role: str) -> tuple[str, ...]:
    """The paths that a tensor of that role may have, behind its layer or outside all of them."""
    return _by_role()[role]


@cache
def _by_role() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    inside = (
        (f"{container}.{name}".lstrip("."), roles)
        for containers, leaves in _PLACES
        for container in containers
        for names, roles in leaves.items()
        for name in names.split()
    )
    norms = ((path, ((NORMS,),)) for path in _NORMS)
    for path, alternatives in (*inside, *norms, *_outside().items()):
        for role in dict.fromkeys(role for roles in alternatives for role in roles):
            if path not in found[role]:
                found[role].append(path)
    return defaultdict(tuple, {role: tuple(paths) for role, paths in found.items()})


def is_elsewhere(path: str) -> bool:
    """Whether a path leads into a part that sees or hears, or into blocks that predict further tokens."""
    return bool(_ELSEWHERE.search(path) or _PREDICTING.search(path))


def place_of(name: str, n_layers: int) -> Place:
    """Where the tensor called *name* belongs in a model of so many layers."""
    parts = name.split(".")
    at = next((i for i in range(1, len(parts)) if parts[i - 1] in _CONTAINERS and parts[i].isdecimal()), None)
    head = ".".join(parts[:at])
    if _ELSEWHERE.search(head):
        return Place(None, name, (), "elsewhere", is_bias=False, suffix="")
    layer = None if at is None else int(parts[at][:9])
    if _PREDICTING.search(head) or (layer is not None and layer >= n_layers):
        return Place(layer, name, (), "predicting", is_bias=False, suffix="")
    behind = tuple(part for part in parts[at + 1 :] if not part.isdecimal()) if at is not None else None
    path, roles, suffix = _look_up(behind) if behind is not None else _look_up_outside(parts)
    is_bias = suffix == "bias" or suffix.endswith("_bias")
    return Place(layer, path, roles, "", is_bias, suffix)


# Parameters that stand behind a module with a name of their own in between: bitsandbytes' weight.absmax, VPTQ's centroids.weight.
_INNER = ("weight", "norm", "linear", "centroids", "res_centroids", "outlier_centroids", "parametrizations")


def _is_suffix(rest: Sequence[str]) -> bool:
    """Whether what stands behind a module is one of its parameters and no module in it."""
    return len(rest) < 2 or rest[0] in _INNER


@cache
def _look_up(parts: tuple[str, ...]) -> tuple[str, tuple[Roles, ...], str]:
    """The longest path known, its roles, and what is behind it."""
    table = _paths()
    for n in range(len(parts), 0, -1):
        path, rest = ".".join(parts[:n]), parts[n:]
        if path in table and _is_suffix(rest):
            return path, table[path], ".".join(rest)
        cut = _OF_PARAMETER.search(path)
        if cut and path[: cut.start()] in table and _is_suffix(rest):
            return path[: cut.start()], table[path[: cut.start()]], ".".join((cut[0], *rest))
    return ".".join(parts), (), ""


def _look_up_outside(parts: list[str]) -> tuple[str, tuple[Roles, ...], str]:
    table = _outside()
    for n in range(len(parts), 0, -1):
        if parts[n - 1] in table and _is_suffix(parts[n:]):
            return ".".join(parts[:n]), table[parts[n - 1]], ".".join(parts[n:])
    return ".".join(parts), (), ""


@dataclass(frozen=True, slots=True)
class Module:
    """A matrix of the model, as whoever decides its layout sees it."""

    role: str
    layer: int | None
    rows: int
    columns: int
    copies: int
    names: tuple[str, ...]  # that Hugging Face's modules may have, behind the layer

    @property
    def full_names(self) -> tuple[str, ...]:
        """The same with all that may stand before."""
        if self.layer is None:
            return tuple(outer + path for path in self.names for outer in _OUTER)
        return tuple(f"{prefix}{self.layer}.{path}" for path in self.names for prefix in _PREFIXES)

    @property
    def is_head(self) -> bool:
        """Whether it makes logits and nothing else."""
        return self.role == "output"

    @property
    def is_embedding(self) -> bool:
        """Whether its rows are looked up."""
        return self.role in ("token_embd", "position_embd", "per_layer_token_embd")

    @property
    def is_router(self) -> bool:
        """Whether it sends tokens to experts."""
        return self.role.startswith("ffn_gate_inp")

    @property
    def is_expert(self) -> bool:
        """Whether it holds routed experts."""
        return self.copies > 1

    @property
    def is_linear(self) -> bool:
        """Whether libraries see a linear layer that they quantise unless told otherwise; the head is one, a router is not."""
        return not self.is_embedding and not self.is_router


_PREFIXES = ("model.layers.", "model.language_model.layers.", "language_model.model.layers.", "transformer.h.")
_OUTER = ("", "model.", "language_model.", "transformer.")


def module(
    role: str,
    layer: int | None,
    rows: int,
    columns: int,
    copies: int,
    is_recurrent: bool | None,
    architecture: str = "",
    roles: frozenset[str] = frozenset(),
) -> Module:
    """A matrix with the names that it may have: those of recurrent layers are others than those of attention (None: both).

    *roles*: all of its layer, so that a name that means several here is that of the first which is there.
    """
    return Module(role, layer, rows, columns, copies, _names_of(role, is_recurrent, architecture, roles))


@cache
def _names_of(role: str, is_recurrent: bool | None, architecture: str, roles: frozenset[str]) -> tuple[str, ...]:
    """Paths of a role; those of experts also with the number of the first, as files of one tensor for each expert have it."""
    home = home_of(architecture)
    paths = [
        path
        for path in paths_of(role)
        if _fits(path, role, is_recurrent) and _is_at_home(path, role, home) and _is_meant(path, role, roles)
    ]
    numbered = [
        path.replace("experts.", "experts.0.", 1) for path in paths if "experts." in path and "shared" not in path
    ]
    return (*paths, *numbered)


def _fits(path: str, role: str, is_recurrent: bool | None) -> bool:
    if is_recurrent is None or role.startswith("ffn"):
        return True
    return is_recurrent == path.startswith(RECURRENT_PATHS) or (path.startswith("mixer") and not is_recurrent)


def _is_at_home(path: str, role: str, home: Home) -> bool:
    """Whether the family has such experts there; a dense network is in no block of experts."""
    block = path.rpartition(".")[0]
    if role.endswith("_exps"):
        return block in home.routed
    if role.endswith("_shexp") and "_inp" not in role:
        return block in home.shared or not home.shared
    return not (role.startswith(("ffn_gate", "ffn_up", "ffn_down")) and "_inp" not in role) or block not in _OF_EXPERTS


def _is_meant(path: str, role: str, roles: frozenset[str]) -> bool:
    """Whether a module of that path in a layer with *roles* is one with this role: the first alternative that is there."""
    alternatives = _paths().get(path, ())
    first = next((each for each in alternatives if roles.intersection(each)), None)
    return first is None or role in first


_OF_EXPERTS = ("block_sparse_moe", "moe")


def in_mlx(found: Module) -> Module:
    """The same with the names that MLX has for routed experts."""
    if not found.role.endswith("_exps"):
        return found
    more = (f"{block}.switch_mlp.{name.rpartition('.')[2]}" for name in found.names for block in _FFNS)
    return replace(found, names=tuple(dict.fromkeys((*found.names, *more))))
