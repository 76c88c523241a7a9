"""Keys of a config that nobody asked for: those that may shape weights are refused, the rest that is unknown is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.errors import InputError, describe, printable
from simulator.families.config import Config, config_classes, generic_keys

MAX_LISTED = 8  # names in a remark

# What shapes no weight of a decoder, by its name: tokens and how they are drawn, training, positions, numbers that scale, parts that
# see or hear, formats, and how a library runs the model.
_HARMLESS = re.compile(
    r"""^_ | (^|_)tokens?(_|$) | tokenizer | dropout | pdrop | (^|_)drop(_|$) | initiali[sz] | (^|_)init(_|$) | std(_|$)
      | (^|_)eps(ilon)?$ | ^rms_norm_eps | rope(_|$) | rotary | (^|_)mrope | position(?!s$) | ^max_(seq|pos|length|model) | seq_len
      | seq_length | (^|_)theta | base$ | yarn | ^alibi | (^|_)scale[sd]?(_|$) | scaling | multiplier | (^|_)coef | loss | jitter | clip
      | limit | (^|_)beta | alpha | gamma | (^|_)lr(_|$) | temperature | ^(vision|visual|image|img|video|audio|speech|mm|talker|token2wav)
      | (^|_)(vision|image|audio|patch|pixel|projector|mm|vit|video)_ | ^vt_ | quant | dtype | bfloat16 | (^|_)(fp|bf)(8|16|32) | precision
      | attn_impl | flash | kernel_mode | ^auto_map$ | ^torch | ^onnx | fused | ^use_cache | ^(id2|label2|num_labels|labels)
      | topk_(?!group_size) | ^norm_topk | routing | router_(?!bias|hidden) | ^(n|num|topk)_(expert_)?groups?$ | ^num_expert_group
      | scor(e|ing)_func | ^output_ | ^return_ | gradient | checkpoint | ^ep_size | parallel | pretraining | ^summary | classifier
      | ^aux | version | ^transformers | ^architectures$ | ^model_type$ | ^name | ^tie_ | language | ^task | finetun | prefix | pruned
      | ^(chunk|prefill)_size | chat | ^activation | activation_func | hidden_act | ^act_ | ^cache | debug | gelu | silu | swiglu
      | seq_aux | logits_to_keep | skip_bias | slow_but_exact | masked_softmax
      | normali[sz]ation_ | context_len | window_layers$
      | embedding_(dropout|scale) | ^embd_ | ^attn_(dropout|pdrop) | ^logit | softcap | ^unk | ^bad_words | ^z_ | ^time_step(?!_rank)
      | gating_dim_hint | ^lm_head_(?!bias) | ^mlp_only | save | ^encoder_no | ^attention_probs | ^layer_norm_type | norm_type$
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


def check_unread(config: Config, whole_type: str, like: str | None = None, harmless: tuple[str, ...] = ()) -> list[str]:
    """Remarks on what of *config* nobody asked for after its model is built; InputError for what may shape weights.

    Known are the fields of its class, or of that of the type *like* where it has none, and of the whole that it is a part of; those of
    all models; and *harmless*, which its family names.
    """
    own = config.type if config.type in config_classes() else like
    known = {*generic_keys(), *harmless, *_fields(own or ""), *_fields(whole_type)}
    unread = dict(_unread(config.data, config.asked, "", known))
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
    rest = [key for key, value in unread.items() if not _FURTHER.search(key) and _says_something(key, value)]
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
        elif name not in asked and key not in known and not _HARMLESS.search(key):
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
    if not isinstance(value, int | float) or isinstance(value, bool) or not value:
        return False
    kind = next((kind for kind in _SHAPES if _is_kind(kind, key)), None)
    if kind is None or (kind == "a turn" and value == 1):
        return False
    return value not in _in_use(kind, config)


def _is_kind(kind: str, key: str) -> bool:
    return bool(_SHAPES[kind].search(key))


def _in_use(kind: str, config: Config) -> list[Any]:
    """Values of a kind that somebody asked for."""
    stated = {**config.defaults, **config.data}
    return [value for key, value in stated.items() if key in config.asked and _is_kind(kind, key)]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _says_something(key: str, value: Any) -> bool:
    return value not in (None, False, 0, "", [], {}) and not (value == 1 and _is_kind("a turn", key))
