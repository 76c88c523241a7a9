"""What a checkpoint's files state of its quantisation, wherever they do: one dictionary, and who wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, hint, printable
from simulator.families.wrappers import text_path
from simulator.importers.quantised.expressions import Effort
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.spec.quant import Format
from simulator.spec.textfiles import read_json

MAX_GROUP = 1_000_000
DTYPES = {
    "bfloat16": "bf16", "float16": "f16", "half": "f16", "float32": "f32", "float": "f32", "float64": "f64", "bf16": "bf16",
    "fp16": "f16", "fp32": "f32", "f16": "f16", "f32": "f32", "fp64": "f64", "f64": "f64", "double": "f64", "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8", "float8_e4m3fnuz": "fp8", "float8_e5m2fnuz": "fp8",
}  # fmt: skip
_KEYS = ("quantization_config", "compression_config", "quantization", "quant_config")
_MLX = "quantization"
_UNUSUAL = re.compile(r"quant(?!izer)")  # quantizers are those of codecs
# Files that say it beside config.json, and who is meant where they do not.
_BESIDE = {
    "hf_quant_config.json": "modelopt", "quantize_config.json": "gptq", "quantization_config.json": "", "quant_config.json": "awq",
}  # fmt: skip
_SPELLINGS = {
    "autoround": "auto-round", "intel/auto-round": "auto-round", "auto-round": "auto-round", "inc": "auto-round",
    "compressed-tensors": "compressed-tensors", "sparseml": "compressed-tensors", "bnb": "bitsandbytes",
    "bitsandbytes-4bit": "bitsandbytes", "bitsandbytes-8bit": "bitsandbytes", "gptqmodel": "gptq", "gptq-marlin": "gptq",
    "awq-marlin": "awq", "autoawq": "awq", "llm-awq": "awq", "modelopt-fp4": "modelopt", "modelopt-mixed": "modelopt",
    "modelopt-mxfp8": "modelopt", "nvfp4": "modelopt-nvfp4", "fbgemm": "fbgemm-fp8", "fine-grained-fp8": "fp8",
    "finegrained-fp8": "fp8", "torch-ao": "torchao", "optimum-quanto": "quanto", "amd-quark": "quark",
}  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One statement, its fields asked for by name; what is not of its kind is told by file and field."""

    method: str
    data: dict[str, Any]
    where: str  # file and key, for messages
    config: dict[str, Any] = field(default_factory=dict)  # the whole config.json
    effort: Effort = field(default_factory=Effort, compare=False)  # of its patterns

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{self.where}.{name} is {describe(value)}, a text is needed")
        return default if value is None else value

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, bool):
            raise InputError(f"{self.where}.{name} is {describe(value)}, true or false is needed")
        return default if value is None else value

    def bits(self, *names: str, default: int | None = None) -> int:
        """The first of *names* that is given, as bits of a weight."""
        name = next((each for each in names if self.data.get(each) is not None), None)
        if name is None and default is not None:
            return default
        value = self.data.get(name or names[0])
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 16:
            raise InputError(
                f"{self.where}.{name or names[0]} is {describe(value)}, a number of bits from 1 to 16 is needed"
            )
        return value

    def group(self, *names: str, default: int | None = None) -> int | None:
        """The first of *names* that is given, as weights that share a scale; None for -1 and 0, a whole row."""
        name = next((each for each in names if self.data.get(each) is not None), None)
        if name is None:
            return default
        value = self.data[name]
        if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= MAX_GROUP:
            raise InputError(f"{self.where}.{name} is {describe(value)}, the size of a group (or -1) is needed")
        return value if value > 0 else None

    def beside(self, name: str) -> Any:
        """What config.json has under a key outside the statement, with the whole or its text part; None where it has not."""
        return next((part[name] for _, part in text_path(self.config) if part.get(name) is not None), None)

    def cache_scheme(self) -> str | None:
        """The format of the cache: a word, or a scheme with its type and bits."""
        if isinstance(self.data.get("kv_cache_scheme"), str):
            return self.text("kv_cache_scheme").lower() or None
        scheme = self.part("kv_cache_scheme")
        return f"{'fp' if scheme.get('type') == 'float' else 'int'}{scheme.get('num_bits')}" if scheme else None

    def part(self, name: str) -> dict[str, Any]:
        """A dictionary within; empty where it is not given."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{self.where}.{name} is {describe(value)}, fields are needed")
        return value or {}

    def inner(self, data: Any, name: str) -> Statement:
        """A dictionary within, as a statement of its own."""
        if not isinstance(data, dict):
            raise InputError(f"{self.where}.{name} is {describe(data)}, fields are needed")
        return Statement(self.method, data, f"{self.where}.{name}", self.config, self.effort)

    def listed(self, *names: str) -> list[Any] | None:
        """Everything in the lists called *names*; None where none of them is given."""
        found: list[Any] | None = None
        for name in names:
            value = self.data.get(name)
            if value is None:
                continue
            if isinstance(value, str):
                value = [value]
            if not isinstance(value, list):
                raise InputError(f"{self.where}.{name} is {describe(value)}, a list of modules is needed")
            found = [*(found or []), *(each for item in value for each in (item if isinstance(item, list) else [item]))]
        return found

    def patterns(self, *names: str, always: tuple[str, ...] = (), default: tuple[str, ...] = ()) -> Patterns:
        """The modules in those lists; *default* where none is given."""
        found = self.listed(*names)
        return Patterns(f"{self.where}.{names[0]}", [*(default if found is None else found), *always], self.effort)

    @property
    def has_fused_experts(self) -> bool:
        """Whether transformers 5 or later wrote it, whose experts are no linear layers: most libraries leave them alone."""
        version = self.config.get("transformers_version")
        return isinstance(version, str) and version[:2].rstrip(".").isdecimal() and int(version[:2].rstrip(".")) >= 5

    def refuse(self, what: str) -> InputError:
        """The sentence for what is stated and not known here."""
        return InputError(
            f"{self.where} states {what}, whose layout is not known here: give --weights, or put the safetensors files beside it"
        )


@dataclass(frozen=True)
class Rules:
    """What a statement means: for each matrix its layout, or None where it stays as wide as the model is."""

    name: str
    layout_of: Callable[[Module], Format | None]
    cache: str | None = None
    notes: tuple[str, ...] = ()
    says_wide: bool = False  # that nothing is quantised is what it states


def find_statement(config_file: Path, config: dict[str, Any]) -> Statement | None:
    """What the config or a file beside it states; None where nobody states anything."""
    for place, data in text_path(config):
        for key in _KEYS:
            stated = data.get(key)
            if isinstance(stated, dict) and stated:
                return _of(stated, f"{config_file}: {place}{key}", config, key == _MLX)
            if stated and not isinstance(stated, dict):
                raise InputError(f"{config_file}: {place}{key} is {describe(stated)}, fields are needed")
    for place, data in text_path(config):
        for key, stated in data.items():
            if _UNUSUAL.search(key.lower()) and stated and not isinstance(stated, float):
                return _unusual(stated, f"{config_file}: {printable(place + key)}", config)
    return next(statements_beside(config_file, config), None)


def statements_beside(config_file: Path, config: dict[str, Any]) -> Iterator[Statement]:
    """What files beside the config state, each in turn."""
    for name, method in _BESIDE.items():
        file = config_file.parent / name
        if file.is_file():
            stated = read_json(file, infinities=True)
            if not isinstance(stated, dict):
                raise InputError(f"{file}: expected a JSON object")
            yield _of({"quant_method": method, **stated} if method else stated, f"{file}", config, is_mlx=False)


def _unusual(stated: object, where: str, config: dict[str, Any]) -> Statement:
    """What stands under a key of no library: read where it names its method as all do."""
    if not isinstance(stated, dict) or not isinstance(stated.get("quant_method"), str):
        raise InputError(
            f"{where} is {describe(stated)}, which may state a quantisation and is not known here: give --weights"
        )
    return _of(stated, where, config, is_mlx=False)


def stated_beside(config_file: Path) -> dict[str, Any]:
    """What hf_quant_config.json says where config.json speaks, too: it alone may name the cache."""
    file = config_file.parent / "hf_quant_config.json"
    stated = read_json(file, infinities=True) if file.is_file() else None
    inner = stated.get("quantization") if isinstance(stated, dict) else None
    return inner if isinstance(inner, dict) else {}


def _of(stated: dict[str, Any], where: str, config: dict[str, Any], is_mlx: bool) -> Statement:
    method = stated.get("quant_method")
    if method is not None and not isinstance(method, str):
        raise InputError(f"{where}.quant_method is {describe(method)}, a text is needed")
    name = (method or _guessed(stated, is_mlx)).lower().replace("_", "-").strip()
    if not name:
        raise InputError(f"{where} names no quant_method, so its layout is unknown: give --weights")
    return Statement(_SPELLINGS.get(name, name), stated, where, config)


def _guessed(stated: dict[str, Any], is_mlx: bool) -> str:
    """Who writes such fields, where nobody signs."""
    if "quant_algo" in stated or isinstance(stated.get("quantization"), dict):
        return "modelopt"
    if "config_groups" in stated:
        return "compressed-tensors"
    if "load_in_4bit" in stated or "load_in_8bit" in stated:
        return "bitsandbytes"
    if (
        is_mlx
        or "mode" in stated
        or ({"bits", "group_size"} <= stated.keys() and not stated.keys() & {"desc_act", "sym"})
    ):
        return "mlx"
    if "w_bit" in stated or "zero_point" in stated:
        return "awq"
    return "gptq" if "bits" in stated else ""


def stated_dtype(file: Path, config: dict[str, Any]) -> str | None:
    """What the model's weights are stored in where nothing is quantised, by our name; None where it is not said."""
    for place, data in text_path(config):
        for key in ("dtype", "torch_dtype"):
            value = data.get(key)
            if value is None or value == "auto":
                continue
            known = DTYPES.get(value.lower().removeprefix("torch.")) if isinstance(value, str) else None
            if known is None:
                raise InputError(
                    f"{file}: {place}{key} is {describe(value)}, which is no number format known here: give --weights"
                )
            return known
    return None


def unknown_method(statement: Statement, known: tuple[str, ...]) -> InputError:
    """The sentence for a method that nobody here knows."""
    guess = hint(statement.method, known)
    return statement.refuse(f"{printable(statement.method[:60])!r}{f' ({guess})' if guess.startswith('did') else ''}")
