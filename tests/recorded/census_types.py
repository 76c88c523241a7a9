"""The model types of a census, and for each the configurations that are tried; needs transformers and torch.

`default` is the class without arguments, with what ADDED gives where that does not build. `v1` has other widths, fewer layers, fewer
key/value heads, other experts and windows, and the tied flag turned; `v2` is `v1` with every boolean turned that still builds and the
lists of kinds of layers rotated. `sparse` states only what `v1` changes and leaves the rest to the class; `v3` is `sparse` with the
booleans turned. `v4` changes the default's own file instead, so that values stay which the class worked out for other widths.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from census_build import TextPart, class_named, is_buildable, read_back, saved_by
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

# Not decoders of text that stand alone: they need an encoder's output, are encoders with a head, or draft for another model.
LEFT_OUT = [
    "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "blenderbot", "blenderbot-small", "blip",
    "camembert", "data2vec-text", "electra", "ernie", "evolla", "florence2", "gemma4_assistant",
    "gemma4_unified_assistant", "git", "idefics", "kyutai_speech_to_text", "marian", "mbart", "megatron-bert",
    "moshi", "musicgen", "musicgen_melody", "mvp", "pegasus", "pi0", "pix2struct", "plbart", "pp_formulanet",
    "prophetnet", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "t5gemma2",
    "trocr", "udop", "vision-encoder-decoder", "whisper", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod",
]  # fmt: skip
# Other parts stand beside a text part that has no configuration of its own.
MORE_THAN_TEXT = ("blt", "phi4_multimodal")
TEXT_ONLY = ("mistral4",)  # a decoder of text that transformers lists among those of text and pictures
TEXT_KEYS = ("text_config", "llm_config", "language_config", "thinker_config")

# What a variant gives each key that a configuration has.
CHANGED = {
    "num_hidden_layers": 12, "n_layer": 12, "n_layers": 12, "num_layers": 12, "num_blocks": 12, "vocab_size": 50304,
    "hidden_size": 2048, "n_embd": 1536, "d_model": 1536, "embedding_dim": 2048, "word_embed_proj_dim": 1024,
    "num_attention_heads": 16, "n_head": 12, "n_heads": 12, "attention_heads": 12, "num_heads": 16,
    "num_key_value_heads": 4, "num_kv_heads": 4, "head_dim": 96,
    "intermediate_size": 4352, "n_inner": 4352, "ffn_dim": 4352, "dim_ff": 4352, "ffn_hidden_size": 4352,
    "dense_intermediate_size": 4352, "intermediate_size_mlp": 5120, "shared_intermediate_size": 1184,
    "q_lora_rank": 448, "kv_lora_rank": 192, "qk_nope_head_dim": 96, "qk_rope_head_dim": 32, "v_head_dim": 80,
    "num_experts": 16, "num_local_experts": 16, "n_routed_experts": 16, "moe_num_experts": 16,
    "num_experts_per_tok": 3, "top_k_experts": 3, "moe_k": 3, "moe_topk": 3, "moe_top_k": 3,
    "moe_intermediate_size": 704, "expert_ffn_hidden_size": 704, "n_group": 4, "topk_group": 2,
    "n_shared_experts": 2, "num_shared_experts": 2, "first_k_dense_replace": 2, "num_dense_layers": 3,
    "shared_expert_intermediate_size": 992, "shared_experts_intermediate_size": 992,
    "moe_shared_expert_intermediate_size": 992, "decoder_sparse_step": 2, "mlp_only_layers": [3],
    "moe_layer_start_index": 2, "moe_layer_end_index": 9, "interleave_moe_layer_step": 2,
    "expert_layer_period": 3, "expert_layer_offset": 1, "attn_layer_period": 5, "attn_layer_offset": 2,
    "sliding_window": 768, "sliding_window_size": 768, "attention_window_size": 768, "window_size": 768,
    "attention_chunk_size": 768, "local_attention": 768,
    "linear_conv_kernel_dim": 3, "linear_key_head_dim": 96, "linear_value_head_dim": 64,
    "linear_num_key_heads": 8, "linear_num_value_heads": 24, "conv_L_cache": 4, "conv_kernel": 3, "conv1d_width": 3,
    "mamba_d_conv": 3, "mamba_d_state": 64, "mamba_n_groups": 2, "mamba_ngroups": 2, "n_groups": 2,
    "state_size": 64, "ssm_state_size": 64,
    "hidden_size_per_layer_input": 96, "vocab_size_per_layer_input": 40960, "laurel_rank": 48,
    "num_kv_shared_layers": 4, "hybrid_layer_ids": [6],
}  # fmt: skip
# Booleans that change no weights of a decoder, or make an encoder of it.
NEVER_TURNED = [
    "add_cross_attention", "is_decoder", "is_encoder_decoder", "output_attentions", "output_hidden_states",
    "output_router_logits", "return_dict", "scale_embedding", "summary_proj_to_labels", "summary_use_proj",
    "use_associative_scan", "use_cache", "use_mamba_kernels", "use_mambapy",
]  # fmt: skip
ROTATED = ("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types", "block_types", "moe_layer_freq")

ROPE = {kind: {"rope_type": "default", "rope_theta": 50000.0} for kind in ("full_attention", "sliding_attention")}
INDEX = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25},
    "indexer_budget": 2048, "indexer_compress_ratio": 4, "indexer_head_dim": 128, "indexer_kv_heads": 1, "indexer_n_heads": 16,
}  # fmt: skip
# What is given beside class defaults that do not build: the class names these keys and has no value for them.
ADDED = {
    "chameleon": {"vocabulary_map": {"<image>": 8711, **{f"IMGIMG{chr(65 + i)}Z": 4 + i for i in range(26)}}},
    "cohere_compass": {"text_config": {"rope_parameters": ROPE}},
    "cohere_compass_text": {"rope_parameters": ROPE},
    "dbrx": {
        "attn_config": {"kv_n_heads": 8, "clip_qkv": 8, "rope_theta": 500000.0},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
    },
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense"] + ["sparse"] * 31}},
    "diffusion_gemma": {"text_config": {"num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704}},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1},
    "granite4_vision": {"deepstack_layer_map": [], "downsample_rate": "1/2"},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "hunyuan_vl": {"text_config": {"head_dim": 128}},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"] * 8},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
    "qwen4_exp": {"text_config": INDEX},
    "qwen4_exp_text": INDEX,
}


@dataclass(frozen=True)
class Candidate:
    """A model type, the class that is built for it, and whether its language model is only a part of that."""

    model_type: str
    build: Callable
    is_wrapper: bool

    @property
    def config_class(self) -> type:
        """The class of its configuration."""
        return CONFIG_MAPPING[self.model_type]

    @property
    def given(self) -> dict[str, Any]:
        """The least that makes a model of the type."""
        return {"model_type": self.model_type, **copy.deepcopy(ADDED.get(self.model_type, {}))}

    def builds(self, saved: dict[str, Any]) -> bool:
        """Whether a config.json makes a model."""
        return is_buildable(self.build, self.config_class, saved)

    def completed(self, saved: dict[str, Any]) -> dict[str, Any]:
        """A config.json with everything that the class writes into it."""
        return saved_by(read_back(self.config_class, saved))


def candidates() -> Iterator[Candidate]:
    """Every type of a census, in order."""
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    sound = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    multimodal = {
        **{name: each for name, each in sound.items() if "audio" in name or "flamingo" in name},
        **modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        **modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    }
    for model_type in sorted({*causal, *multimodal} - set(LEFT_OUT)):
        if model_type in CONFIG_MAPPING:
            yield candidate_of(model_type, causal.get(model_type), multimodal.get(model_type))


def candidate_of(model_type: str, causal: str | None, multimodal: str | None) -> Candidate:
    """The type with the class to build: of a wrapper the whole, or its text part where the whole does not build here."""
    path = text_path_of(CONFIG_MAPPING[model_type])
    is_text = causal is not None or model_type in TEXT_ONLY
    is_wrapper = bool(path) or model_type in MORE_THAN_TEXT or not is_text
    whole = class_named((multimodal or causal) if path or not causal else causal)
    found = Candidate(model_type, whole, is_wrapper)
    if is_wrapper and ("thinker_config" in path or not found.builds(found.given)):
        return Candidate(model_type, TextPart(whole), is_wrapper)
    return found


def text_path_of(config_class: type) -> tuple[str, ...]:
    """The keys that lead to the text part of a configuration: none where it is one itself."""
    parts = getattr(config_class, "sub_configs_defaults", {})
    key = next((key for key in TEXT_KEYS if key in parts), None)
    return (key, *text_path_of(parts[key].config_class)) if key else ()


def text_default_of(config_class: type) -> dict[str, Any]:
    """What the class gives its text part where a file has none."""
    key, *rest = text_path_of(config_class)
    part = config_class.sub_configs_defaults[key]
    return text_default_of(part.config_class) if rest else copy.deepcopy(part.init_kwargs)


def at(path: tuple[str, ...], saved: dict[str, Any]) -> dict[str, Any] | None:
    """The part at *path*; None where there is none."""
    for key in path:
        saved = saved.get(key) if saved else None
    return saved


def with_part(path: tuple[str, ...], saved: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A copy of *saved* that has *part* at *path*."""
    return {**saved, path[0]: with_part(path[1:], saved.get(path[0], {}), part)} if path else part


def variants(each: Candidate) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of every variant and its config.json."""
    path = text_path_of(each.config_class)
    default = each.completed(each.given)
    yield "default", default
    least = at(path, each.given) or text_default_of(each.config_class)
    kind = at(path, default).get("model_type")
    least = {"model_type": kind, **least} if kind else least

    def whole(text: dict[str, Any], around: dict[str, Any]) -> dict[str, Any]:
        tied = {key: each for key, each in text.items() if key == "tie_word_embeddings" and key in default}
        return {**with_part(path, around, text), **tied} if path else text

    def most(text: dict[str, Any], changes: dict[str, Any], around: dict[str, Any]) -> dict[str, Any]:
        return whole(largest(text, changes, lambda tried: each.builds(whole(tried, around))), around)

    changes = changes_of(at(path, default), least)
    sparse = most(least, changes, each.given)
    first = each.completed(sparse)
    yield "v1", first
    yield "sparse", sparse
    text = at(path, first)
    turned = turned_of(text)
    yield "v2", each.completed(most(text, {**rotated_of(text), **turned}, first))
    yield "v3", most(at(path, sparse), turned, each.given)
    yield "v4", each.completed(most(without_lists_of_words(at(path, default)), changes, default))


def changes_of(text: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What the first variant changes."""
    changed = dict(CHANGED)
    if "n_head" in text or "attention_heads" in text:
        changed["hidden_size"] = 1536
    if text.get("head_dim") is not None and text["head_dim"] == text.get("qk_rope_head_dim"):
        changed["head_dim"] = changed["qk_rope_head_dim"]
    if "n_recurrent_layers" in text:  # worked out from the number of layers, below 0 for few of them
        del changed["num_hidden_layers"]
    if isinstance(text.get("intermediate_size"), list):
        changed["intermediate_size"] = [CHANGED["intermediate_size"]] * CHANGED["num_hidden_layers"]
    changed["activation_sparsity_pattern"] = [0.95] * 10 + [0.0] * 2
    changed["tie_word_embeddings"] = not text.get("tie_word_embeddings")
    changed |= {key: given[key][: CHANGED["num_hidden_layers"]] for key in ROTATED if key in given}
    return {key: value for key, value in changed.items() if key in text and text[key] != value}


def turned_of(text: dict[str, Any]) -> dict[str, Any]:
    """Every boolean turned; where layers up to a number see everything, a number that leaves others."""
    turned = {key: not value for key, value in text.items() if isinstance(value, bool) and key not in NEVER_TURNED}
    return {**({"max_window_layers": 5} if "max_window_layers" in text else {}), **turned}


def rotated_of(text: dict[str, Any]) -> dict[str, Any]:
    """Lists of one kind for each layer, the first put last."""
    lists = {key: text[key] for key in ROTATED if isinstance(text.get(key), list)}
    return {key: [*kinds[1:], kinds[0]] for key, kinds in lists.items() if len(set(map(str, kinds))) > 1}


def without_lists_of_words(text: dict[str, Any]) -> dict[str, Any]:
    """A configuration whose kinds of layers are to be worked out anew."""
    words = {key for key, value in text.items() if isinstance(value, list) and value and isinstance(value[0], str)}
    return {key: value for key, value in text.items() if key not in words | {"per_layer_config"}}


def largest(given: dict[str, Any], changes: dict[str, Any], builds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """*given* with all changes if they build, else with all but one, else with as many as build one after another."""
    for left_out in (None, *changes):
        tried = {**given, **{key: value for key, value in changes.items() if key != left_out}}
        if builds(tried):
            return tried
    found, waiting = dict(given), dict(changes)
    for key in [*changes, *changes]:  # twice: one may need another
        if key in waiting and builds({**found, key: waiting[key]}):
            found[key] = waiting.pop(key)
    return found
