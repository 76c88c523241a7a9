"""Which weights and which cache transformers builds for every causal language model that it knows.

Run with transformers and torch installed: `python tests/recorded/census.py --folder DIR`.
"""

import argparse
import collections
import copy
import importlib
import json
import re
import signal
import sys
import traceback
import warnings
from pathlib import Path

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

LONGEST_BUILD_S = 180

# Neither decoders of text by themselves nor built without an encoder's output.
NOT_PLAIN = """bart bert bert-generation big_bird bigbird_pegasus blenderbot blenderbot-small camembert data2vec-text
    electra ernie marian mbart megatron-bert moshi musicgen musicgen_melody mvp pegasus plbart prophetnet rembert
    roberta roberta-prelayernorm roc_bert roformer trocr whisper xlm xlm-roberta xlm-roberta-xl xlnet xmod reformer
    gemma4_assistant gemma4_unified_assistant git blip pix2struct udop florence2 pp_formulanet t5gemma2
    vision-encoder-decoder pi0 evolla idefics kyutai_speech_to_text""".split()

# What a variant changes: the value of each key that a configuration has.
CHANGED = {
    "num_hidden_layers": 12, "n_layer": 12, "n_layers": 12, "num_layers": 12, "num_blocks": 12,
    "vocab_size": 50304, "hidden_size": 2048, "n_embd": 1536, "d_model": 1536, "embedding_dim": 2048,
    "num_attention_heads": 16, "n_head": 12, "n_heads": 12, "attention_heads": 12, "num_heads": 16,
    "num_key_value_heads": 4, "num_kv_heads": 4, "head_dim": 96,
    "intermediate_size": 4352, "n_inner": 4352, "ffn_dim": 4352, "dim_ff": 4352, "ffn_hidden_size": 4352,
    "dense_intermediate_size": 4352, "intermediate_size_mlp": 5120, "shared_intermediate_size": 1184,
    "word_embed_proj_dim": 1024,
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
NEVER_FLIPPED = """use_cache output_router_logits add_cross_attention is_decoder is_encoder_decoder scale_embedding
    summary_proj_to_labels summary_use_proj use_mambapy use_mamba_kernels use_associative_scan
    output_attentions output_hidden_states return_dict""".split()
ROTATED = ("layer_types", "mlp_layer_types", "layers_block_type", "indexer_types", "block_types", "moe_layer_freq")
TEXT_KEYS = ("text_config", "llm_config", "language_config", "thinker_config")


class TooSlow(Exception):
    pass


def within(seconds, function, *arguments):
    def stop(signum, frame):
        raise TooSlow(f"took over {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        return function(*arguments)
    finally:
        signal.alarm(0)


def as_saved(config):
    """What `save_pretrained` writes: every key of the class itself."""
    return json.loads(config.to_json_string())


def read_back(config_class, saved):
    return config_class.from_dict(config_class._decode_special_floats(copy.deepcopy(saved)))


def model_class(names):
    for name in [names] if isinstance(names, str) else names:
        return getattr(transformers, name)


def built(cls, config):
    with torch.device("meta"):
        model = cls(copy.deepcopy(config))
    model.tie_weights()
    return model


def distinct_parameters(module, prefix=""):
    return list(module.named_parameters(prefix=prefix, remove_duplicate=True))


def runs(numbers):
    """[0, 1, 2, 5] -> ["0-2", 5]"""
    out, start = [], None
    for i, number in enumerate(numbers):
        if start is None:
            start = number
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            out.append(f"{start}-{number}" if number > start else start)
            start = None
    return out


def compressed(named_shapes):
    """[name, shape] with runs of layers as one: `layers.0-11.weight`."""
    groups = collections.OrderedDict()
    for name, shape in named_shapes:
        numbers = re.findall(r"(?<=\.)\d+(?=\.)", name)
        first = numbers[0] if numbers else None
        pattern = re.sub(r"(?<=\.)\d+(?=\.)", "{}", name, count=1)
        groups.setdefault((pattern, tuple(shape)), []).append(first)
    rows = []
    for (pattern, shape), layers in groups.items():
        if layers[0] is None:
            rows.append([pattern, list(shape)])
        else:
            spans = ",".join(str(x) for x in runs([int(n) for n in layers]))
            rows.append([pattern.replace("{}", spans, 1), list(shape)])
    return rows


def cache_by_layer(config):
    cache = transformers.DynamicCache(config=config)
    groups = collections.OrderedDict()
    for i, layer in enumerate(cache.layers):
        name = type(layer).__name__.removeprefix("Dynamic")
        window = getattr(layer, "sliding_window", None)
        groups.setdefault(f"{name}:{window}" if window else name, []).append(i)
    return {name: runs(layers) for name, layers in groups.items()}


def kind_of(name):
    """The part that a parameter belongs to, by its name; rough."""
    if re.search(r"norm|(^|\.)ln_|layernorm", name, re.I):
        return "norm"
    if re.search(r"lm_head|embed_out|output_layer|\bhead\.", name):
        return "head"
    if re.search(r"embed|wte|wpe|tokens_weight", name):
        return "embedding"
    if "shared_expert" in name or "shared_mlp" in name:
        return "shared_experts"
    if re.search(r"\.gate\.|router", name):
        return "router"
    if "expert" in name:
        return "experts"
    if re.search(r"mamba|linear_attn|conv|\.ssm|recurrent|mixer\.(A_log|D$|dt|in_proj|x_proj)", name):
        return "recurrent"
    if re.search(r"attn|attention", name):
        return "attention"
    if re.search(r"mlp|feed_forward|ffn|fc1|fc2", name):
        return "ffn"
    return "other"


def text_config_of(config):
    return config.get_text_config(decoder=True)


def counted(model, language_only):
    """(named parameters, named buffers) of the language model."""
    if not language_only:
        return distinct_parameters(model), saved_buffers(model)
    parameters, buffers, seen = [], [], set()
    keep = language_names(model)
    for name, parameter in model.named_parameters(remove_duplicate=True):
        if keep(name) and id(parameter) not in seen:
            seen.add(id(parameter))
            parameters.append((name, parameter))
    return parameters, [(n, b) for n, b in saved_buffers(model) if keep(n)]


def saved_buffers(model):
    buffers = dict(model.named_buffers())
    return [(name, buffers[name]) for name in model.state_dict(keep_vars=True) if name in buffers]


def language_names(model):
    """Which parameters are the decoder's, the embedding's or the head's, as a test of their names."""
    modules = [model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings()]
    names = {id(m): n for n, m in model.named_modules(remove_duplicate=False)}
    prefixes = tuple(names[id(m)] + "." for m in modules if m is not None and id(m) in names and names[id(m)])
    return lambda name: name.startswith(prefixes)


def entry(model_type, variant, saved, build_class, config_class, wrapper):
    config = read_back(config_class, saved)
    model = built(build_class, config)
    parameters, buffers = counted(model, wrapper)
    kinds = collections.Counter()
    for name, parameter in parameters:
        kinds[kind_of(name)] += parameter.numel()
    record = {
        "model_type": model_type,
        "variant": variant,
        "library": f"transformers {transformers.__version__}",
        "config": saved,
        "total_params": sum(p.numel() for _, p in parameters),
        "params": dict(sorted(kinds.items())),
        "class": build_class.__name__,
    }
    if wrapper:
        record["full_model_params"] = sum(p.numel() for p in model.parameters())
    if buffers:
        record["saved_buffers"] = compressed((n, b.shape) for n, b in buffers)
    try:
        record["cache_by_layer"] = cache_by_layer(text_config_of(model.config))
    except Exception as error:
        record["cache_by_layer"] = None
        record["cache_note"] = f"{type(error).__name__}: {error}"[:200]
    record["tied"] = is_tied(model)
    record["parameters"] = compressed((n, p.shape) for n, p in parameters)
    return record


def is_tied(model):
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    return getattr(head, "weight", 0) is getattr(embedding, "weight", 1)


def buildable(build_class, config_class, saved):
    try:
        config = read_back(config_class, saved)
        within(LONGEST_BUILD_S, built, build_class, read_back(config_class, as_saved(config)))
        return True
    except Exception:
        return False


def changes_of(text, raw):
    changed = {k: v for k, v in CHANGED.items() if k in text}
    if "n_head" in text or "attention_heads" in text:
        changed["hidden_size"] = 1536
    if text.get("head_dim") is not None and text["head_dim"] == text.get("qk_rope_head_dim"):
        changed["head_dim"] = changed["qk_rope_head_dim"]
    if "n_recurrent_layers" in text:  # worked out from the number of layers, below 0 for few of them
        del changed["num_hidden_layers"]
    if isinstance(text.get("intermediate_size"), list):
        changed["intermediate_size"] = [4352] * 12
    if isinstance(text.get("activation_sparsity_pattern"), list):
        changed["activation_sparsity_pattern"] = [0.95] * 10 + [0.0] * 2
    if "tie_word_embeddings" in text:
        changed["tie_word_embeddings"] = not text["tie_word_embeddings"]
    for key in ROTATED:
        if key in raw:
            changed[key] = raw[key][:12]
    return {k: v for k, v in changed.items() if k in text and text.get(k) != v}


def largest_that_builds(base, changes, works):
    """All of `changes` if they build together, else as many as do, one after another."""
    if works({**base, **changes}):
        return {**base, **changes}
    for key in changes:
        rest = {k: v for k, v in changes.items() if k != key}
        if works({**base, **rest}):
            return {**base, **rest}
    given, waiting = dict(base), dict(changes)
    for _ in range(2):
        for key in list(waiting):
            if works({**given, key: waiting[key]}):
                given[key] = waiting.pop(key)
    return given


def flips_of(text):
    flipped = {k: not v for k, v in text.items() if isinstance(v, bool) and k not in NEVER_FLIPPED}
    return flipped


def rotations_of(text):
    return {k: text[k][1:] + text[k][:1] for k in ROTATED if isinstance(text.get(k), list) and len(set(text[k])) > 1}


def text_path_of(config_class):
    """The keys that lead to the text part of a configuration: () where it is one itself."""
    inner = config_class.sub_configs_defaults
    for key in TEXT_KEYS:
        if key in inner:
            part = inner[key].config_class
            return (key, *text_path_of(part)) if hasattr(part, "sub_configs_defaults") else (key,)
    return ()


def text_kwargs_of(config_class):
    """What the class gives its text part where a file has none."""
    key, *rest = text_path_of(config_class)
    spec = config_class.sub_configs_defaults[key]
    return text_kwargs_of(spec.config_class) if rest else copy.deepcopy(spec.init_kwargs)


def at(path, saved):
    for key in path:
        saved = saved[key]
    return saved


def with_part(path, saved, part):
    """A copy of `saved` with `part` at `path`."""
    if not path:
        return part
    return {**saved, path[0]: with_part(path[1:], saved.get(path[0], {}), part)}


INDEXED = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25}, "indexer_budget": 2048, "indexer_compress_ratio": 4, "indexer_head_dim": 128, "indexer_kv_heads": 1, "indexer_n_heads": 16}
ROPE_OF_KINDS = {kind: {"rope_type": "default", "rope_theta": 50000.0} for kind in ("full_attention", "sliding_attention")}
# Class defaults that do not build; what is given beside them is what published checkpoints of the type have.
ADDED = {
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "hunyuan_vl": {"text_config": {"head_dim": 128}},
    "ministral": {"head_dim": 128},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"] * 8},
    "qwen4_exp_text": INDEXED,
    "qwen4_exp": {"text_config": INDEXED},
    "nemotron": {"num_key_value_heads": 8},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1},
    "cohere_compass_text": {"rope_parameters": ROPE_OF_KINDS},
    "cohere_compass": {"text_config": {"rope_parameters": ROPE_OF_KINDS}},
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense"] + ["sparse"] * 31}},
    "diffusion_gemma": {"text_config": {"num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704}},
    "granite4_vision": {"deepstack_layer_map": [], "downsample_rate": "1/2"},
    "dbrx": {"attn_config": {"kv_n_heads": 8, "clip_qkv": 8, "rope_theta": 500000.0},
             "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}},
    "chameleon": {"vocabulary_map": {"<image>": 8711, **{f"IMGIMG{chr(65 + i)}Z": 4 + i for i in range(26)}}},
}  # fmt: skip


def without_lists_of_words(saved):
    """A configuration whose kinds of layers are to be worked out anew."""
    return {k: v for k, v in saved.items() if not (isinstance(v, list) and v and isinstance(v[0], str)) and k != "per_layer_config"}


def variants(model_type, build_class, wrapper):
    """(variant, config.json as a dictionary)"""
    config_class = CONFIG_MAPPING[model_type]
    outer = {"model_type": model_type, **ADDED.get(model_type, {})}
    default = as_saved(read_back(config_class, outer))
    yield "default", default
    path = text_path_of(config_class)
    text = at(path, default)
    try:
        base = at(path, outer)
    except KeyError:
        base = text_kwargs_of(config_class)
    if "model_type" in text:
        base = {"model_type": text["model_type"], **base}

    def whole(given, outer=outer):
        tied = {k: v for k, v in given.items() if k == "tie_word_embeddings" and k in default}
        return {**with_part(path, outer, given), **tied} if path else given

    def works(given):
        return buildable(build_class, config_class, whole(given))

    first = largest_that_builds(base, changes_of(text, base), works)
    saved = as_saved(read_back(config_class, whole(first)))
    yield "v1", saved
    yield "sparse", whole(first)
    text = at(path, saved)
    flips = flips_of(text)
    windows = {k: 5 for k in ("max_window_layers",) if k in text}
    second = largest_that_builds(
        text,
        {**rotations_of(text), **windows, **flips},
        lambda given: buildable(build_class, config_class, whole(given, saved)),
    )
    yield "v2", as_saved(read_back(config_class, whole(second, saved)))
    third = largest_that_builds(first, {**windows, **flips}, works)
    yield "v3", whole(third)
    stale = without_lists_of_words(at(path, default))
    fourth = largest_that_builds(
        stale,
        changes_of(at(path, default), base),
        lambda given: buildable(build_class, config_class, whole(given, default)),
    )
    yield "v4", as_saved(read_back(config_class, whole(fourth, default)))


def types_of_census():
    """(model type, class that is built, whether only a part of it is the language model)"""
    causal = dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    multimodal = {
        **{k: v for k, v in modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.items() if "audio" in k or "flamingo" in k},
        **modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        **modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    }  # fmt: skip
    for model_type in sorted(set(causal) | set(multimodal)):
        if model_type in NOT_PLAIN or model_type not in CONFIG_MAPPING:
            continue
        path = text_path_of(CONFIG_MAPPING[model_type])
        wrapper = bool(path) or (model_type not in causal and model_type != "mistral4")
        names = causal[model_type] if not path and model_type in causal else multimodal.get(model_type) or causal[model_type]
        yield model_type, model_class(names), wrapper


class TextPart:
    """Builds the language model of a wrapper alone, where the whole does not build here."""

    def __init__(self, whole):
        self.__name__ = f"text part of {whole.__name__}"

    def __call__(self, config):
        if hasattr(config, "thinker_config"):
            config = config.thinker_config
            return transformers.AutoModelForMultimodalLM.from_config(config)
        outer = getattr(config, "tie_word_embeddings", None)
        config = text_config_of(config)
        if outer is not None and hasattr(config, "tie_word_embeddings"):
            config.tie_word_embeddings = outer
        return causal_class_of(config)._from_config(config)


def causal_class_of(config):
    """The causal language model of a text configuration, listed or not."""
    names = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.model_type in names:
        return model_class(names[config.model_type])
    module = importlib.import_module(type(config).__module__.replace(".configuration_", ".modeling_"))
    return next(
        each for name, each in vars(module).items() if name.endswith("ForCausalLM") and each.config_class is type(config)
    )


def write_type(folder, model_type, build_class, wrapper):
    target = folder / "wrappers" if wrapper else folder
    config_class = CONFIG_MAPPING[model_type]
    if wrapper and ("thinker_config" in config_class.sub_configs_defaults or not buildable(build_class, config_class, {"model_type": model_type, **ADDED.get(model_type, {})})):
        build_class = TextPart(build_class)
    done = []
    for variant, saved in variants(model_type, build_class, wrapper):
        try:
            record = within(LONGEST_BUILD_S, entry, model_type, variant, saved, build_class, config_class, wrapper)
        except Exception as error:
            print(f"  {model_type}.{variant}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        if model_type in ADDED:
            record["keys_added_to_the_class_default"] = sorted(ADDED[model_type])
        write_record(target / f"{model_type}.{variant}.json", record)
        done.append(variant)
    return done


def write_record(path, record):
    heads = {k: record[k] for k in ("model_type", "variant", "library")}
    parameters = record.pop("parameters")
    rest = {k: v for k, v in record.items() if k not in heads and k != "config"}
    dense = {"separators": (",", ":")}
    lines = ",\n".join(json.dumps(row, **dense) for row in parameters)
    path.write_text(
        json.dumps(heads, **dense)[:-1] + ',"config":\n' + json.dumps(record["config"], **dense)
        + ",\n" + json.dumps(rest, **dense)[1:-1] + ',"parameters":[\n' + lines + "]}\n"
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--types", default="")
    options = parser.parse_args()
    (options.folder / "wrappers").mkdir(parents=True, exist_ok=True)
    wanted = set(options.types.split(",")) - {""}
    for model_type, build_class, wrapper in types_of_census():
        if wanted and model_type not in wanted:
            continue
        try:
            done = write_type(options.folder, model_type, build_class, wrapper)
            print(model_type, "wrapper" if wrapper else "plain", build_class.__name__, *done, flush=True)
        except Exception as error:
            print(f"{model_type}: FAILED {type(error).__name__}: {str(error)[:300]}", flush=True)


if __name__ == "__main__":
    main()
