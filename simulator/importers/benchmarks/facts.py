"""Which model and formats a run is of: by llama.cpp's label, count and size, or by the name of a checkpoint."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from simulator.errors import InputError, describe, printable
from simulator.importers.benchmarks.machine import BETWEEN
from simulator.importers.benchmarks.runs import Given
from simulator.importers.benchmarks.source import Source
from simulator.importers.dialects import dialect
from simulator.importers.labels import NAME_IT, Facts, choose, mix_of_label
from simulator.importers.open import load_named
from simulator.importers.records import Record, Unusable
from simulator.importers.sizes import Choice, parse
from simulator.spec.library import look_up, shelf
from simulator.spec.model import Loaded
from simulator.spec.names import Meaning, listed
from simulator.units import GI, GIGA, KILO, MEGA, MI, TERA

FORMATS_ASSUMED = "formats of the weights not stated: the first choice of simulate (--weights says them)"

MOST_NAME = 4_096  # characters, as of a path
CHECKPOINTS = ("vllm", "sglang", "tensorrt-llm", "lmdeploy", "mlx")  # programs that load those of Hugging Face

_UNITS = {"": 1.0, "K": KILO, "M": MEGA, "B": GIGA, "T": TERA, "MiB": MI, "GiB": GI}
_QUANTITY = re.compile(r"(\d+)(?:\.(\d+))?\s*(|K|M|B|T|MiB|GiB)")
# What names of checkpoints say of their formats, and what that is here. MLX's groups have 64 weights unless a name says otherwise.
_TAGS = (
    (r"(?:fp8(?:[-_]?dynamic|[-_]?block)?|w8a8[-_]?fp8)", "fp8"),
    (r"(?:nvfp4|fp4)", "nvfp4"),
    (r"mxfp4", "mxfp4"),
    (r"(?:awq|gptq)(?:[-_]?int4|[-_]?4bit)?", "int4-g128"),
    (r"(?:gptq[-_]?int8|w8a16|w8a8|int8)", "int8"),
    (r"(?:w4a16|int4)", "int4-g128"),
    (r"(?:bf16)", "bf16"),
    (r"(?:fp16|f16)", "f16"),
)
_MLX_TAG = re.compile(r"(?<![a-z0-9])(?:mlx[-_])?([2-8])[-_]?bits?(?:[-_]dwq)?(?:[-_]mlx)?(?![a-z0-9])", re.IGNORECASE)
_BPW_TAG = re.compile(r"(?<![a-z0-9])(\d(?:[._]\d+)?)[-_]?bpw(?![a-z0-9])", re.IGNORECASE)
_MIX_TAG = re.compile(
    r"(?<![a-z0-9])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_0|BF16|F16|FP16|F32|MXFP4(?:_MOE)?|NVFP4))(?![a-z0-9])",
    re.IGNORECASE,
)
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_IDLE_WORDS = re.compile(
    r"(?<![a-z0-9])(?:dynamic|quantized|mlx|unsloth|exl2|exl3|sft|qat|moe|hf)(?![a-z0-9])", re.IGNORECASE
)


def quantity(record: Record, name: str) -> tuple[float | None, float]:
    """`8030261248` or `8.03 B` as a number and half its last digit; None where it is missing."""
    text = record.text(name)
    if not text:
        return None, 0.0
    match = _QUANTITY.fullmatch(text)
    if not match or len(match[1]) > 18:
        needed = "a count such as 8030261248 or 8.03 B is needed"
        raise InputError(f"{record.where}: {record.called(name)} is {describe(record.fields[name])}, {needed}")
    unit = _UNITS[match[3]]
    value = float(f"{match[1]}.{match[2] or '0'}") * unit
    return value or None, 0.5 * 10.0 ** -len(match[2] or "") * unit


# ---- by llama.cpp's label ----


def logged(source: Source, line: int, since: int = 0) -> dict[str, str]:
    """What the log above a line says of the model and the machine, as fields of a run of llama-bench."""
    told = {
        name: source.log.before(name, line, since) for name in ("architecture", "size", "format", "params", "bytes")
    }
    fields = {"model_filename": source.log.before("file", line, since)}
    if told["architecture"] and told["params"]:
        fields["model_type"] = f"{told['architecture']} {told['size'] or '?B'} {told['format']}".strip()
        fields |= {"model_n_params": told["params"], "model_size": told["bytes"]}
    fields |= machine_logged(source, line)
    return {name: value for name, value in fields.items() if value}


def machine_logged(source: Source, line: int) -> dict[str, str]:
    """What the log above a line says of the machine: how many GPUs, which, and servers; empty for what it does not."""
    count = source.log.before("gpus", line)
    named = source.log.last_before("gpu", line, int(count) if count.isdecimal() and len(count) < 3 else 1)
    return {"gpus_logged": count, "gpus_named": BETWEEN.join(named), "rpc_logged": source.log.before("rpc", line)}


def chosen(record: Record, given: Given) -> Choice:
    """The model and formats of a run that has llama.cpp's facts; Unusable where they do not tell."""
    n_params, doubt = quantity(record, "model_n_params")
    facts = Facts(
        file=record.text("model_filename")[:MOST_NAME],
        label=record.text("model_type")[:MOST_NAME],
        n_params=n_params,
        doubt=doubt,
        nbytes=quantity(record, "model_size")[0],
    )
    found = choose(facts, given.model, given.weights)
    if isinstance(found, str):
        raise Unusable(found)
    return found


# ---- by a checkpoint's name ----


def named(name: str, given: Given, runtime: str, formats: str = "") -> Choice:
    """The model of that name, or the user's, in the formats that *formats*, the name or the user says.

    Where none says: programs that load checkpoints of Hugging Face have their weights as these come, in 16 bits unless the name
    says otherwise; of the others it is what `simulate` takes first.
    """
    rest, told = _of_name(name[:MOST_NAME])
    loaded = _of_user(given.model, rest) if given.model else _model(rest, name)
    told = _known(formats) or told
    if given.weights:
        return Choice(loaded, given.weights, _contradiction(given.weights, dialect(runtime).get(told, told)))
    if loaded.weights:
        return Choice(loaded, None)
    if told:
        here = dialect(runtime).get(told, told)
        return Choice(loaded, here, (f"weights by the name that the source gives them: {here}",))
    if runtime not in CHECKPOINTS:
        return Choice(loaded, None, (FORMATS_ASSUMED,))
    native = loaded.model.native_weights or "bf16"
    usual = dialect(runtime).get(native, native)
    return Choice(loaded, usual, (f"formats of the weights not stated: {usual}, as the checkpoint comes",))


def _contradiction(weights: str, told: str) -> tuple[str, ...]:
    return (
        (f"the source's name says {told}: taken for {weights}, as --weights says",) if told not in ("", weights) else ()
    )


@lru_cache(maxsize=1024)
def _of_name(name: str) -> tuple[str, str]:
    """A checkpoint's name without owner, folder and formats; and the formats, empty where it says none."""
    stem = re.split(r"[\\/]", name.strip().rstrip("/\\"))[-1].removesuffix(".gguf")
    stem = _PART.sub("", stem)
    for pattern, formats in (
        *((re.compile(rf"(?<![a-z0-9]){tag}(?![a-z0-9])", re.IGNORECASE), known) for tag, known in _TAGS),
        (_MLX_TAG, "affine{}-g64"),
        (_BPW_TAG, "{}bpw"),
        (_MIX_TAG, ""),
    ):
        match = pattern.search(stem)
        told = match and _known(
            formats.format(*match.groups()).replace("_", ".") if "{" in formats else formats or match[1]
        )
        if match and told:
            stem = stem[: match.start()] + stem[match.end() :]
            return _IDLE_WORDS.sub("", stem).strip("-_ :."), told
    return _IDLE_WORDS.sub("", stem).strip("-_ :."), ""


def _known(formats: str) -> str:
    """The format or mix of that name; empty for none."""
    name = formats.lower().replace("fp16", "f16").removesuffix("_moe")
    found = parse(name) if name else None
    return found.name if found else mix_of_label(formats) or ""


@lru_cache(maxsize=1024)
def _called(rest: str) -> Meaning:
    """What shipped models that may mean."""
    return look_up(rest, shelf("models"))


@lru_cache(maxsize=256)
def _params_of(shipped: str) -> int:
    return load_named(shipped).model.total_params


def _of_user(model: Loaded, rest: str) -> Loaded:
    """The user's model, unless the run names another one of those that come with roofcast."""
    other = _called(rest).name if rest else None
    if other and other != model.model.name and _params_of(other) != model.model.total_params:
        raise Unusable(f"of another model than {model.model.name}")
    return model


def _model(rest: str, name: str) -> Loaded:
    if not rest:
        raise Unusable(f"the source does not say which model ran: {NAME_IT}")
    meaning = _called(rest)
    if meaning.name:
        return load_named(meaning.name)
    if len(meaning.candidates) > 1:
        raise Unusable(f"{printable(name)} may be {listed(meaning.candidates)}: {NAME_IT}")
    raise Unusable(f"no shipped model is called {printable(name)}: {NAME_IT}")


def of_log_or_name(record: Record, given: Given) -> Choice:
    """The model of an answer whose log tells it as llama.cpp does, else by its name."""
    if record.text("model_n_params"):
        return chosen(record, given)
    return named(record.text("model_filename"), given, "llama.cpp")


def with_remarks(choice: Choice, *remarks: str) -> Choice:
    """The same with more that was assumed."""
    return replace(choice, assumed=(*choice.assumed, *filter(None, remarks)))
