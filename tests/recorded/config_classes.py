"""Records what transformers' config classes say where a config.json is silent: `simulator/families/config_classes.json`.

Run with transformers installed: `python tests/recorded/config_classes.py`. Needs no weights, no torch and no network.

Each model type has `defaults` (fields as the class states them, before it works any out from others: null is "worked out or none"),
`attribute_map` (other name: name), `older` (keys that the class still takes and its defaults for them) and `sub_configs`
(key: model_type of that part, where it states none itself; `given` are fields it then has, `optional` that it may be missing).
`others` are the names of its fields that are left out of these because they change no shape. `generic` are fields of every model.
`models` are the classes that `architectures` names, each with its type.
"""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from pathlib import Path

import transformers
from transformers import GenerationConfig, PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TARGET = Path(__file__).parents[2] / "simulator" / "families" / "config_classes.json"

# Fields that change no shape, no cache and no context.
NOT_SHAPE = re.compile(
    r"""token_(id|index|ids)$ | token$ | dropout | drop($|_) | pdrop | droprate | layerdrop | initializer
      | init_(std|scale|range|method|device) | (^|_)eps(ilon)?$ | ^rope_parameters$ | time_step_(?!rank) | loss | _coef$
      | jitter | ^use_cache$ | ^output_ | ^summary_ | ^pretraining_tp$ | kernels | mambapy | associative_scan
      | softcapping$ | _scale$ | scaling_factor$ | scaling$ | (?<!ffn_dim)_multiplier$ | ^embedding_scale | clip
      | ^ctc_ | ^apply_spec | ^mask_(time|feature) | ^num_beams | ^forced_ | suppress_tokens | ^classifier | ^problem_type
      | ^num_labels | ^scale_attn | ^reorder_and | in_fp32$ | ^gradient_ | theta$ | ^spatial_ | ^temporal_ | ^image_
      | ^video_ | ^vision_(?!config) | ^audio_(?!config) | ^projector_ | threshold$ | temperature$""",
    re.VERBOSE,
)
KEPT = {"altup_correct_scale"}  # a switch, not a scale
COMMON = {each.name for each in dataclasses.fields(PreTrainedConfig)}
MAPPINGS = (
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
)


def recorded_types():
    """Every type that is a decoder of text or holds one, with the types of their text parts."""
    found = {name for mapping in MAPPINGS for name in getattr(modeling_auto, mapping)}
    waiting = sorted(found & set(CONFIG_MAPPING.keys()))
    found = set()
    while waiting:
        model_type = waiting.pop()
        if model_type in found:
            continue
        found.add(model_type)
        for spec in CONFIG_MAPPING[model_type].sub_configs_defaults.values():
            if spec.model_type in CONFIG_MAPPING and is_of_text(CONFIG_MAPPING[spec.model_type]):
                waiting.append(spec.model_type)
    return sorted(found)


def is_of_text(config_class):
    """Whether a part reads text, or holds one that does."""
    names = {each.name for each in dataclasses.fields(config_class)} | set(config_class.attribute_map)
    parts = [each.config_class for each in config_class.sub_configs_defaults.values()]
    return "vocab_size" in names or any(is_of_text(each) for each in parts if issubclass(each, PreTrainedConfig))


def stated_defaults(config_class):
    """Fields with the value that the class itself writes down."""
    found = {}
    for each in dataclasses.fields(config_class):
        if each.name in COMMON - {"is_encoder_decoder"} or each.name in config_class.sub_configs_defaults:
            continue
        value = each.default if each.default is not dataclasses.MISSING else made(each.default_factory)
        if NOT_SHAPE.search(each.name) and each.name not in KEPT:
            continue
        if each.name == "is_encoder_decoder" and not value:
            continue
        name = config_class.attribute_map.get(each.name, each.name)
        found[name] = plain(value)
    # PreTrainedModel.get_expanded_tied_weights_keys takes a configuration without the field as untied.
    found.setdefault("tie_word_embeddings", False)
    return found


def made(factory):
    return None if factory is dataclasses.MISSING else factory()


def plain(value):
    """The value as JSON has it, infinities as transformers writes them."""
    if isinstance(value, PreTrainedConfig):
        value = value.to_dict()
    return json.loads(json.dumps(PreTrainedConfig._encode_special_floats(value), default=str))


def older_keys(config_class):
    """Keys that `__post_init__` still takes beside its fields, with what it uses where they are missing.

    Read off `kwargs.pop("key", constant)` and `kwargs.get("key", constant)` in the source of the class and those it inherits.
    """
    found = {}
    for each in reversed(config_class.__mro__):
        if each is PreTrainedConfig or not issubclass(each, PreTrainedConfig) or "__post_init__" not in each.__dict__:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(each.__dict__["__post_init__"])))
        for call in ast.walk(tree):
            if is_taken_from_kwargs(call):
                default = call.args[1] if len(call.args) > 1 else ast.Constant(None)
                if not NOT_SHAPE.search(call.args[0].value):
                    found[call.args[0].value] = literal(default, each)
    return found


def is_taken_from_kwargs(node):
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr not in ("pop", "get")
    ):
        return False
    of = node.func.value
    return isinstance(of, ast.Name) and of.id == "kwargs" and isinstance(node.args[0], ast.Constant)


def literal(node, config_class):
    """A constant in the source; what is no constant stays as its text."""
    try:
        return plain(ast.literal_eval(node))
    except ValueError:
        return {"source": ast.unparse(node)}


def sub_configs_of(config_class):
    """Parts that are configurations themselves, by key."""
    found = {}
    for key, spec in config_class.sub_configs_defaults.items():
        row = {"model_type": spec.model_type}
        if spec.init_kwargs:
            row["given"] = {k: plain(v) for k, v in spec.init_kwargs.items() if not NOT_SHAPE.search(k)}
        if spec.optional:
            row["optional"] = True
        if spec.model_type not in CONFIG_MAPPING and issubclass(spec.config_class, PreTrainedConfig):
            row |= {"class": spec.config_class.__name__, "defaults": stated_defaults(spec.config_class)}
        found[key] = row
    return found


def other_fields(config_class):
    """Names of fields and older keys that `stated_defaults` and `older_keys` leave out, and of what the class works out itself."""
    dropped = {each.name for each in dataclasses.fields(config_class)} - COMMON
    source = "".join(
        inspect.getsource(each)
        for each in config_class.__mro__
        if issubclass(each, PreTrainedConfig) and each is not PreTrainedConfig
    )
    dropped |= set(re.findall(r"kwargs\.(?:pop|get)\(\s*[\"'](\w+)[\"']", source))
    made = set(re.findall(r"self\.(\w+) = ", source)) | set(re.findall(r"@property\s+def (\w+)", source))
    known = {each.name for each in dataclasses.fields(config_class)} | set(config_class.attribute_map) | COMMON
    return sorted({name for name in dropped if NOT_SHAPE.search(name) and name not in KEPT} | (made - known))


def generic_fields():
    """Fields that every configuration may have: those of all models and of how text is drawn."""
    return sorted(COMMON | {each for each in GenerationConfig().to_dict() if not each.startswith("_")})


def model_classes():
    """Classes that write text, by which a config names its model under `architectures`, with the type whose configuration has the name."""
    return {
        name: model_type
        for model_type, name in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()
        if isinstance(name, str)
        and CONFIG_MAPPING[model_type].__name__.replace("TextConfig", "Config") == name.replace("ForCausalLM", "Config")
    }


def row_of(model_type):
    config_class = CONFIG_MAPPING[model_type]
    row = {"class": config_class.__name__, "defaults": stated_defaults(config_class)}
    more = {
        "attribute_map": dict(config_class.attribute_map),
        "older": older_keys(config_class),
        "sub_configs": sub_configs_of(config_class),
        "others": other_fields(config_class),
    }
    return {**row, **{key: value for key, value in more.items() if value}}


def main():
    rows = [f"{json.dumps(name)}: {json.dumps(row_of(name), separators=(',', ':'))}" for name in recorded_types()]
    generic = json.dumps(generic_fields(), separators=(",", ":"))
    models = json.dumps(model_classes(), separators=(",", ":"))
    head = f'{{"library": "transformers {transformers.__version__}", "generic": {generic}, "models": {models}, "types": {{\n'
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(head + ",\n".join(rows) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
