"""Keys of a config that nobody asked for: those that may shape weights are refused, the rest that is unknown is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.config import Config, config_classes, generic_keys
from simulator.families.family import Family

MAX_KEYS = 2_000  # that nobody asked for; configs have some hundreds in all
MAX_LISTED = 8  # names in a remark

# What shapes no weight of a decoder though it may be called a width, a number or a norm: positions, groups of experts to choose from,
# what comes with training, parts that see or hear, formats.
_ELSEWHERE = re.compile(
    r"""^_ | ^(vision|visual|image|img|video|audio|speech|mm|talker|token2wav|vt)(_|$) | (^|_)(vision|image|audio|patch|pixel|projector)_
      | rope(_|$) | rotary | mrope | position | yarn | alibi | norm_topk | topk_group$ | ^n_group$ | ^num_expert_group | dropout
      | drop(_|$) | initiali[sz] | (^|_)init(_|$) | (^|_)eps(ilon)?$ | quant | (^|_)dtype$ | num_labels | classifier | ^summary
      | beams?(_|$) | ^tie_ | type$
    """,
    re.VERBOSE,
)
# What needs no remark either: tokens and how they are drawn, training, numbers that scale, how a library runs the model.
_HARMLESS = re.compile(
    r"""(^|_)tokens?(_|$) | tokenizer | std(_|$) | max_(seq|pos|length|model) | seq_len | context_len | (^|_)theta | base$
      | (^|_)scale[sd]?(_|$) | scaling | multiplier | (^|_)coef | loss | jitter | clip | limit | (^|_)(beta|alpha|gamma|lr)(_|$)
      | temperature | softcap | bfloat16 | (^|_)(fp|bf)(8|16|32) | precision | attn_impl | flash | ^torch | ^onnx | fused | ^cache
      | ^auto_map$ | ^(id2|label2) | topk | routing | scor(e|ing)_func | ^(output|return)_ | gradient | checkpoint | ^ep_size | parallel
      | pretraining | ^aux | seq_aux | version | ^model_type$ | ^name | language | ^task | finetun | prefix | pruned | chat | debug
      | ^(chunk|prefill)_size | activation | (^|_)act(_|$) | gelu | silu | swiglu | logits?(_|$) | skip_bias | slow_but | masked_softmax
      | normali[sz]ation_ | window_layers$ | n_ctx$ | ^is_ | _id$ | ^time_step | ^unk | ^z_
      | dynamic_ntk | logn_attn | ^org_vocab | ^vit_ | ^anyres | runner | ^pad_ | capacity | moe_gate$ | aux_free
    """,
    re.VERBOSE,
)
# Blocks that predict further tokens: they are no layers, and are held in some files only.
_FURTHER = re.compile(r"mtp|nextn|next_n|eagle|medusa|draft|speculat")
# Names of what shapes weights, by what they count; a value that another key of the same kind has is the same fact told again.
_SHAPES = {
    "a width": re.compile(
        r"(hidden|intermediate|ffn|inner|embedding|embed|embd|state|head|latent|mlp|expansion|feature|kv|conv)_?size(s|_per_\w+)?$"
        r"|_dims?(_|$)|^dim$|^d_[a-z]|_width$|_rank(_|$)|(^|_)channels$|(^|_)latent|_hidden$|^n_(embd|embed|inner)|lora"
    ),
    "heads": re.compile(r"(^|_)(num|n)_(\w+_)?heads?(_|$)|(^|_)heads$|(^|_)head_(count|num)|query_groups?"),
    "layers": re.compile(r"(^|_)(num|n)_(\w+_)?(layers?|blocks?|loops?|recurrences?|streams?)(_|$)"),
    "experts": re.compile(r"(^|_)(num|n)_(\w+_)?experts?(_|$)|experts?_(num|count)"),
    "a turn": re.compile(
        r"(^|_)(layers?|moe|attn|attention|experts?|sparse|dense|full|global|local|sliding|mamba|linear|block)_(\w+_)?"
        r"(freq|frequency|interval|step|period|stride|every|offset)$|(^|_)every_n"
    ),
}
_SWITCHES = re.compile(
    r"(^|_)(bias|gate|gated|gating|qk_?norm|layernorm|norms?|latent|residual|mla|gqa|mqa|conv|ssm|memory|ple)(_|$)"
)


# Keys that say of a model what its family says without them, by the family's switch.
_SAID_BY_FAMILY = {
    "qk_norm": ("use_qk_norm", "qk_norm", "qk_layernorm", "use_qk_layernorm", "query_key_norm"),
    "qkv_bias": ("qkv_bias", "use_qkv_bias", "add_qkv_bias", "attention_qkv_bias"),
    "output_gate": ("attn_output_gate", "attention_output_gate", "use_output_gate"),
    "sinks": ("use_attention_sinks", "attention_sinks", "use_sinks"),
    "balance": (
        "use_routing_bias",
        "use_moe_router_bias",
        "moe_router_enable_expert_bias",
        "router_enable_expert_bias",
    ),
    "shared_gate": ("use_shared_expert_gate", "shared_expert_gate"),
}


def check_unread(family: Family, whole_type: str, like: str | None = None) -> list[str]:
    """Remarks on what nobody asked for of the config of *family*, whose model is built; InputError for what may shape weights.

    Known are the fields of its class, or of that of a type *like* it where it has none, and of the whole that it is a part of; those
    of all models; and what the family says of itself.
    """
    config = family.config
    own = config.type if config.type in config_classes() else family.like or like
    said = (key for switch, keys in _SAID_BY_FAMILY.items() if getattr(family, switch) for key in keys)
    known = {*generic_keys(), *family.harmless, *said, *_fields(own or ""), *_fields(whole_type)}
    unread = dict(_unread(config.data, config.asked, "", known))
    if len(unread) > MAX_KEYS:
        raise InputError(
            f"{config.path}: has {len(unread):,} keys that {config.type} as known here has not: no config of a model"
        )
    n_layers = max(
        [value for key, value in config.data.items() if _is_kind("layers", key) and _is_count(value)], default=0
    )
    for key, value in unread.items():
        if _shapes(key, value, config, n_layers):
            raise InputError(
                f"{config.path}: {printable(key)} is {describe(value)}: {config.type} as known here has no such key, so what it "
                "changes is not counted; describe the model in a YAML file like the shipped ones"
            )
    further = [f"{key} {value}" for key, value in unread.items() if _FURTHER.search(key) and _is_count(value) and value]
    remarks = [f"{printable(each)}: blocks that predict further tokens are not counted" for each in further[:1]]
    rest = [key for key, value in unread.items() if not _FURTHER.search(key) and _says_something(key, value, config)]
    if rest:
        more = f" and {len(rest) - MAX_LISTED} more" if len(rest) > MAX_LISTED else ""
        names = ", ".join(printable(key, 60) for key in rest[:MAX_LISTED])
        remarks.append(f"keys that nothing here reads: {names}{more}")
    return remarks


def _fields(model_type: str) -> set[str]:
    """What the class of a type takes, under all names."""
    known = config_classes().get(model_type, {})
    parts = [known.get(each, {}) for each in ("defaults", "attribute_map", "older", "sub_configs")]
    return {
        *(key for part in parts for key in part),
        *known.get("attribute_map", {}).values(),
        *known.get("others", ()),
    }


def _unread(data: dict[str, Any], asked: set[str], within: str, known: set[str]) -> Iterator[tuple[str, Any]]:
    """Keys that nobody asked for and that are not known or harmless by name, those of parts with the part's name before them."""
    for key, value in data.items():
        name = f"{within}{key}"
        if isinstance(value, dict) and f"{name}." in asked:
            yield from _unread(value, asked, f"{name}.", known)
        elif name not in asked and key not in known and not _ELSEWHERE.search(key):
            yield name, value


def _shapes(name: str, value: Any, config: Config, n_layers: int) -> bool:
    """Whether a key nobody read may shape weights: a count by its name, a switch that is on, a list with something for each layer."""
    key = name.rpartition(".")[2]
    if _FURTHER.search(key):
        return False
    if value is True:
        return bool(_SWITCHES.search(key))
    if isinstance(value, dict):
        return key.endswith("_config") and any(_shapes(inner, each, config, n_layers) for inner, each in value.items())
    if isinstance(value, list):
        return len(value) == n_layers > 1 and any(each != value[0] for each in value)
    kind = next((kind for kind in _SHAPES if _is_kind(kind, key)), None)
    return bool(kind and value and _is_count(value) and not _is_told(kind, value, config))


def _is_told(kind: str, value: Any, config: Config) -> bool:
    """Whether a value says what is known without it: another key of its kind says the same, or every layer has its turn."""
    return (kind == "a turn" and value == 1) or value in _in_use(kind, config)


def _is_kind(kind: str, key: str) -> bool:
    return bool(_SHAPES[kind].search(key))


def _in_use(kind: str, config: Config) -> list[Any]:
    """Values of a kind that somebody asked for."""
    stated = {**config.defaults, **config.data}
    asked = {key: value for key, value in stated.items() if key in config.asked and _is_count(value)}
    found = [value for key, value in asked.items() if _is_kind(kind, key)]
    if kind == "a width":  # that of a head, too, where heads share d_model out
        heads = [asked[key] for key in ("num_attention_heads", "n_head", "num_heads") if asked.get(key)]
        found += [
            asked[key] // n_heads for key in ("hidden_size", "n_embd", "d_model") if key in asked for n_heads in heads
        ]
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _says_something(name: str, value: Any, config: Config) -> bool:
    key = name.rpartition(".")[2]
    told = any(_is_kind(kind, key) and _is_told(kind, value, config) for kind in _SHAPES)
    return value not in (None, False, 0, "", [], {}) and not told and not _HARMLESS.search(key)
