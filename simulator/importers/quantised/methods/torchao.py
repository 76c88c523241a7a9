"""torchao: one configuration for all linear layers, or one for each by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.importers.quantised import layouts
from simulator.importers.quantised.methods.bytes import linear
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

# Names of transformers 4, before configurations were written out.
_OLD_NAMES = {
    "int4_weight_only": "Int4WeightOnlyConfig",
    "int8_weight_only": "Int8WeightOnlyConfig",
    "int8_dynamic_activation_int8_weight": "Int8DynamicActivationInt8WeightConfig",
    "int8_dynamic_activation_int4_weight": "Int8DynamicActivationInt4WeightConfig",
    "float8_weight_only": "Float8WeightOnlyConfig",
    "float8_dynamic_activation_float8_weight": "Float8DynamicActivationFloat8WeightConfig",
}


def _int8(_: dict[str, Any]) -> Layout:
    return layout("int8", "int8", Plane(8), Plane(32 + 8, 1, ALL))


def _int4(data: dict[str, Any]) -> Layout:
    group = _group(data, 128)
    return layout(f"int4-g{group}", "int4-g128", Plane(4), layouts.grouped(group, 2 * layouts.F16))


def _int4_in_bytes(data: dict[str, Any]) -> Layout:
    return layout("int8-g", "int8", Plane(8), layouts.grouped(_group(data, 32), layouts.F16 + 8))


def _intx(data: dict[str, Any]) -> Layout:
    """A byte for each weight, however few bits are used; groups where it says so, rows otherwise."""
    inner = data.get("granularity")
    inner = inner.get("_data", {}) if isinstance(inner, dict) else {}
    group = inner.get("group_size") if isinstance(inner, dict) else None
    return layout("int8", "int8", Plane(8), layouts.grouped(group if _is_size(group) else None, layouts.F16 + 8))


def _float8_dynamic(data: dict[str, Any]) -> Layout:
    granularity = str(data.get("granularity"))
    return layouts.fp8(1, ALL) if "PerRow" in granularity else layouts.fp8()


def _mx(data: dict[str, Any]) -> Layout:
    kinds = str(data.get("weight_dtype", data.get("weight_elem_dtype", "")))
    return layouts.torchao_mx(4 if "float4" in kinds else 8)


_CONFIGS: dict[str, Callable[[dict[str, Any]], Layout]] = {
    "Int4WeightOnlyConfig": _int4,
    "Int8WeightOnlyConfig": _int8,
    "Int8DynamicActivationInt8WeightConfig": _int8,
    "Int8DynamicActivationInt4WeightConfig": _int4_in_bytes,
    "Int8DynamicActivationIntxWeightConfig": lambda data: _intx({"granularity": data.get("weight_granularity")}),
    "IntxWeightOnlyConfig": _intx,
    "Float8WeightOnlyConfig": lambda _: layouts.fp8(1, ALL),
    "Float8DynamicActivationFloat8WeightConfig": _float8_dynamic,
    "NVFP4WeightOnlyConfig": lambda _: layouts.torchao_nvfp4(),
    "NVFP4InferenceConfig": lambda _: layouts.torchao_nvfp4(),
    "NVFP4DynamicActivationNVFP4WeightConfig": lambda _: layouts.torchao_nvfp4(),
    "MXDynamicActivationMXWeightConfig": _mx,
    "MXFPInferenceConfig": _mx,
}
_BY_NAME = ("ModuleFqnToConfig", "FqnToConfig")


def read(stated: Statement) -> Rules:
    """`quant_type`: a name, or a configuration under `default`."""
    kind = stated.data.get("quant_type")
    if isinstance(kind, str):
        data = stated.part("quant_type_kwargs") or stated.data
        return _rules(stated, _layout(stated, _OLD_NAMES.get(kind, kind), data))
    whole = stated.inner(kind, "quant_type")
    own = whole.inner(whole.data.get("default", whole.data), "default")
    if own.text("_type") in _BY_NAME:
        return _by_name(stated, own)
    return _rules(stated, _layout(stated, own.text("_type"), own.part("_data")))


def _rules(stated: Statement, main: Layout) -> Rules:
    found = linear(stated, main, "modules_to_not_convert")
    if not stated.flag("include_input_output_embeddings"):
        return found
    return Rules(
        found.name, lambda module: main if module.role in ("token_embd", "output") else found.layout_of(module)
    )


def _by_name(stated: Statement, own: Statement) -> Rules:
    table = own.part("_data")
    inner = table.get("module_fqn_to_config", table.get("fqn_to_config"))
    found: list[tuple[Patterns | None, Layout | None]] = []
    for name, each in own.inner(inner, "_data").data.items():
        config = own.inner(each, name[:60]) if each is not None else None
        main = _layout(stated, config.text("_type"), config.part("_data")) if config else None
        found.append((None if name == "_default" else Patterns(stated.where, [name], stated.effort), main))
    default = next((main for patterns, main in found if patterns is None), None)
    named = [(patterns, main) for patterns, main in found if patterns is not None]

    def layout_of(module: Module) -> Format | None:
        for patterns, main in named:
            if patterns.has(module):
                return main
        return default if module.is_linear and not (module.is_expert and stated.has_fused_experts) else None

    names = dict.fromkeys(main.name for _, main in found if main)
    return Rules("/".join(names) or "16 bits", layout_of)


def _layout(stated: Statement, name: str, data: dict[str, Any]) -> Layout:
    if name not in _CONFIGS:
        raise stated.refuse(f"torchao's {name[:60]!r}")
    return _CONFIGS[name](data)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= 1_000_000


def _group(data: dict[str, Any], default: int) -> int:
    value = data.get("group_size")
    return value if isinstance(value, int) and _is_size(value) else default
