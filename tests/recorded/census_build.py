"""What transformers builds for a configuration, on the meta device, where tensors have shapes and no values: weights and cache by layer."""

from __future__ import annotations

import copy
import importlib
import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto import modeling_auto

LONGEST_BUILD_S = 180
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# Parts inside what transformers calls the decoder that see pictures or sound.
NOT_LANGUAGE = re.compile(r"embed_tokens_extend|vqmodel")
# Their own state is passed from step to step, not the cache that transformers would make for their configuration.
OWN_STATE = ("rwkv", "xlstm")
# The part of the model by names of parameters, the first that fits; rough.
PARTS = (
    ("norm", r"norm|(^|\.)ln_"),
    ("head", r"lm_head|embed_out|output_layer|\bhead\."),
    ("embedding", r"embed|wte|wpe|tokens_weight"),
    ("shared_experts", r"shared_expert|shared_mlp"),
    ("router", r"\.gate\.|router"),
    ("experts", r"expert"),
    ("recurrent", r"mamba|linear_attn|conv|\.ssm|recurrent|mixer\.(A_log|D$|dt|in_proj|x_proj)"),
    ("attention", r"attn|attention"),
    ("ffn", r"mlp|feed_forward|ffn|fc1|fc2"),
)


class TooSlow(Exception):
    """A build took longer than any should."""


def saved_by(config) -> dict[str, Any]:
    """What `save_pretrained` writes."""
    return json.loads(config.to_json_string())


def read_back(config_class, saved: dict[str, Any]):
    """The configuration that `from_pretrained` makes of a file."""
    return config_class.from_dict(config_class._decode_special_floats(copy.deepcopy(saved)))


def built(build: Callable, config) -> nn.Module:
    """The model without values, tied; TooSlow if it takes minutes."""

    def stop(_signal, _frame):
        raise TooSlow(f"{build.__name__} took over {LONGEST_BUILD_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_BUILD_S)
    try:
        with torch.device("meta"):
            model = build(copy.deepcopy(config))
        model.tie_weights()
    finally:
        signal.alarm(0)
    return model


def is_buildable(build: Callable, config_class, saved: dict[str, Any]) -> bool:
    """Whether a file makes a model, and what is saved of it does again."""
    try:
        config = read_back(config_class, saved)
        built(build, read_back(config_class, saved_by(config)))
    except Exception:  # noqa: BLE001 - what a library of hundreds of models raises is of every kind
        return False
    return True


class TextPart:
    """Builds the language model of a wrapper alone, where the whole does not build here."""

    def __init__(self, whole: type):
        self.__name__ = f"text part of {whole.__name__}"

    def __call__(self, config):
        if hasattr(config, "thinker_config"):
            return transformers.AutoModelForMultimodalLM.from_config(config.thinker_config)
        tied = getattr(config, "tie_word_embeddings", None)
        text = config.get_text_config(decoder=True)
        if tied is not None and hasattr(text, "tie_word_embeddings"):
            text.tie_word_embeddings = tied  # the class that holds the head goes by its own configuration
        return causal_class_of(text)._from_config(text)


def causal_class_of(config) -> type:
    """The causal language model of a text configuration, whether transformers lists it or not."""
    names = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.model_type in names:
        return class_named(names[config.model_type])
    module = importlib.import_module(type(config).__module__.replace(".configuration_", ".modeling_"))
    classes = vars(module).items()
    return next(each for name, each in classes if name.endswith("ForCausalLM") and each.config_class is type(config))


def class_named(names: str | tuple[str, ...]) -> type:
    """A class of transformers; the first where there are several."""
    return getattr(transformers, names if isinstance(names, str) else names[0])


def counted(model_type: str, build: Callable, config, is_wrapper: bool) -> dict[str, Any]:
    """What an entry of the census says of the model beside its configuration."""
    model = built(build, config)
    counts = is_language(model) if is_wrapper else lambda _name: True
    parameters = [(name, each) for name, each in model.named_parameters() if counts(name)]
    buffers = [(name, each) for name, each in saved_buffers(model) if counts(name)]
    found = {"total_params": sum(each.numel() for _, each in parameters), "params": by_part(parameters)}
    if is_wrapper:
        found["full_model_params"] = sum(each.numel() for each in model.parameters())
    if buffers:
        found["saved_buffers"] = compressed(buffers)
        found["saved_buffer_values"] = sum(each.numel() for _, each in buffers)
    found["cache_by_layer"] = None if model_type in OWN_STATE else cache_by_layer(model.config)
    found["tied"] = is_tied(model)
    found["class"] = build.__name__
    found["parameters"] = compressed(parameters)
    return found


def is_language(model: nn.Module) -> Callable[[str], bool]:
    """Which parameters are the decoder's, the embedding's or the head's, as a test of their names."""
    modules = [model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings()]
    names = {id(module): name for name, module in model.named_modules(remove_duplicate=False)}
    prefixes = tuple(f"{names[id(each)]}." for each in modules if each is not None and names.get(id(each)))
    return lambda name: name.startswith(prefixes) and not NOT_LANGUAGE.search(name)


def saved_buffers(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Tensors of a file that are no parameters."""
    buffers = dict(model.named_buffers())
    return [(name, buffers[name]) for name in model.state_dict(keep_vars=True) if name in buffers]


def by_part(parameters: list[tuple[str, torch.Tensor]]) -> dict[str, int]:
    """Weights by part of the model."""
    found = Counter()
    for name, each in parameters:
        found[next((part for part, pattern in PARTS if re.search(pattern, name)), "other")] += each.numel()
    return dict(sorted(found.items()))


def is_tied(model: nn.Module) -> bool:
    """Whether head and embedding are one tensor."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    return getattr(head, "weight", 0) is getattr(embedding, "weight", 1)


def cache_by_layer(config) -> dict[str, list] | None:
    """Which cache each layer gets, with the window where it has one; None where transformers cannot make one."""
    text = config.get_text_config(decoder=True)
    try:
        layers = transformers.DynamicCache(config=text).layers
    except AttributeError:
        return None
    pictures = getattr(text, "cross_attention_layers", None) or ()  # what these keep is of a picture, whatever the text
    groups: dict[str, list[int]] = {}
    for index, layer in enumerate(layers):
        name = type(layer).__name__.removeprefix("Dynamic")
        window = getattr(layer, "sliding_window", None)
        name = "CrossAttention" if index in pictures else f"{name}:{window}" if window else name
        groups.setdefault(name, []).append(index)
    return {name: runs(indices) for name, indices in groups.items()}


def runs(numbers: list[int]) -> list[str | int]:
    """[0, 1, 2, 5] as ["0-2", 5]."""
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(numbers)) if b != a + 1), len(numbers)]
    spans = [(numbers[start], numbers[end - 1]) for start, end in pairwise(starts)]
    return [first if first == last else f"{first}-{last}" for first, last in spans]


def compressed(tensors: list[tuple[str, torch.Tensor]]) -> list[list]:
    """[name, shape] of each, those of several layers as one: `model.layers.0-3,5.mlp.up_proj.weight`."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for name, tensor in tensors:
        layer = NUMBER.search(name)
        group = groups.setdefault((NUMBER.sub("{}", name, count=1), tuple(tensor.shape)), [])
        group += [int(layer.group())] if layer else []
    return [[name.replace("{}", spans(layers), 1), list(shape)] for (name, shape), layers in groups.items()]


def spans(layers: list[int]) -> str:
    """The runs as text."""
    return ",".join(str(each) for each in runs(layers)) if layers else ""


def records(found: dict[str, Any]) -> Iterator[str]:
    """An entry as lines of JSON: one for the configuration, one for the counts, one for each tensor."""
    dense = {"separators": (",", ":")}
    first = {name: found[name] for name in ("model_type", "variant", "library")}
    rest = {name: each for name, each in found.items() if name not in (*first, "config", "parameters")}
    yield json.dumps(first, **dense)[:-1] + ',"config":'
    yield json.dumps(found["config"], **dense) + ","
    yield json.dumps(rest, **dense)[1:-1] + ',"parameters":['
    yield ",\n".join(json.dumps(row, **dense) for row in found["parameters"]) + "]}"
