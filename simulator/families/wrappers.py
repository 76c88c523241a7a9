"""Models that also see or hear: where their config keeps the part that writes, and what that part takes from the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe
from simulator.families.config import Config, config_classes
from simulator.families.family import FAMILIES
from simulator.families.remote_defaults import REMOTE_DEFAULTS

_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config", "vlm_config", "decoder")
_BESIDE = ("vision_config", "audio_config", "visual")  # of models whose keys of text stand with the whole
# What text parts take from the whole, where it states them or its class does.
_OUTRANKS = "tie_word_embeddings"
_WHOLE_INSIDE = (
    "blip-2",
    "instructblip",
    "instructblipvideo",
)  # their part that writes is a model with a head of its own
_CONVERTED = {("mistral3", "mistral"): "mistral3", ("qwen3_asr", "qwen3"): "qwen3vl"}  # (whole, text part)


def text_path(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A config and the parts that lead to the one that writes text, one within another; each with the keys before it."""
    place = ""
    while True:
        yield place, whole
        key = _stated_part(whole)
        if key is None:
            return
        place, whole = f"{place}{key}.", whole[key]


def _stated_part(whole: dict[str, Any]) -> str | None:
    return next((each for each in _TEXT_PARTS if isinstance(whole.get(each), dict)), None)


def text_part(file: Path, whole: dict[str, Any]) -> tuple[Config, list[str]]:
    """The keys of the part that writes text, and the names of the parts beside it; InputError without a model_type."""
    stated = whole.get("model_type")
    if not isinstance(stated, str):
        raise InputError(f"{file}: model_type is missing, it names the architecture (llama, qwen3_moe, ...)")
    subs = config_classes().get(stated, {}).get("sub_configs", {})
    key = _stated_part(whole) or next((each for each in _TEXT_PARTS if each in subs), None)
    if key is None or (stated in FAMILIES and key not in whole):
        return Config(file, stated, whole), [each for each in _BESIDE if isinstance(whole.get(each), dict)]
    config, elsewhere = text_part(file, _inner(whole, key, subs.get(key, {}), config_classes().get(stated)))
    config = config if stated in config_classes() else config.without_sizes(stated)
    beside = [each for each in whole if each.endswith("_config") and each != key and isinstance(whole[each], dict)]
    found = [*(each for each in beside if each != "quantization_config"), *elsewhere]
    return config, list(dict.fromkeys(found))


def _inner(whole: dict[str, Any], key: str, sub: dict[str, Any], outer_class: dict[str, Any] | None) -> dict[str, Any]:
    """The mapping of the text part, with its type and with what the whole says for it."""
    part = whole.get(key)
    if isinstance(part, dict):
        found = dict(part)
    elif "hidden_size" in whole or "num_hidden_layers" in whole:
        found = {name: value for name, value in whole.items() if name != "model_type"}  # as before there were parts
    else:
        found = dict(sub.get("given") or {})
    own = found.get("model_type")
    if not isinstance(own, str) or (own not in FAMILIES and own not in config_classes()):
        found["model_type"] = sub.get("model_type") or own or whole["model_type"]
    if whole["model_type"] in _WHOLE_INSIDE:
        return found
    tied = whole.get(_OUTRANKS)
    if tied is None and outer_class and isinstance(part, dict):
        tied = outer_class["defaults"].get(_OUTRANKS)
    if tied is None and outer_class is None:
        tied = REMOTE_DEFAULTS.get(whole["model_type"], {}).get(_OUTRANKS)
    if isinstance(tied, bool):
        found[_OUTRANKS] = tied
    return found


def architecture_of_whole(whole: dict[str, Any], config: Config, own: str | None) -> str | None:
    """What llama.cpp's converter calls a whole, where that differs from what its text part alone is called, which is *own*."""
    return _CONVERTED.get((whole["model_type"], config.type), own)


def check_head(file: Path, whole: dict[str, Any], tied: bool, vocab: int, d_model: int) -> None:
    """InputError where the whole has a head of other sizes than its text part (Ovis 2 builds it by its own keys)."""
    if whole.get("model_type") != "ovis2" or tied:
        return
    own = config_classes()["ovis2"]["defaults"]
    for name, inner in (("vocab_size", vocab), ("hidden_size", d_model)):
        stated = whole.get(name, own[name])
        if stated != inner:
            raise InputError(
                f"{file}: {name} is {describe(stated)} and that of text_config {inner:,}: the head does not fit the rest"
            )
