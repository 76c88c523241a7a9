"""AMD's quark: a configuration for all layers, others for some by name, and layers that are left out."""

from __future__ import annotations

from simulator.importers.quantised import layouts
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

_MX = {
    "fp4": layouts.mxfp4,
    "fp8": layouts.mxfp8,
    "fp8_e4m3": layouts.mxfp8,
    "fp6_e2m3": layouts.mxfp6,
    "fp6_e3m2": layouts.mxfp6,
}


def read(stated: Statement) -> Rules:
    """`global_quant_config`, `layer_quant_config` by patterns, `exclude`."""
    kept = stated.patterns("exclude", default=("lm_head",))
    main = _layout(stated, stated.inner(stated.part("global_quant_config"), "global_quant_config"))
    own = [
        (
            Patterns(f"{stated.where}.layer_quant_config", [name], stated.effort),
            _layout(stated, stated.inner(each, f"layer_quant_config.{name[:60]}")),
        )
        for name, each in stated.part("layer_quant_config").items()
    ]

    def layout_of(module: Module) -> Format | None:
        if kept.has(module):
            return None
        for patterns, found in own:
            if patterns.has(module):
                return found
        return main if module.is_linear else None

    names = dict.fromkeys(each.name for each in (main, *(found for _, found in own)) if each)
    cache = _cache(stated)
    return Rules("/".join(names) or "16 bits", layout_of, cache, says_wide=not names and cache is not None)


def _layout(stated: Statement, own: Statement) -> Layout | None:
    weight = own.data.get("weight")
    if weight is None:
        return None
    if isinstance(weight, list):  # several steps: what is stored is the last
        weight = weight[-1] if weight else {}
    told = own.inner(weight, "weight")
    kind, scheme, group = told.text("dtype"), told.text("qscheme", "per_tensor"), told.group("group_size")
    if kind in _MX and (scheme == "per_group" or told.text("scale_format") == "e8m0"):
        return _MX[kind]()
    static = own.part("input_tensors").get("is_dynamic") is False
    more = (constant(4),) if static else ()
    group = group if scheme == "per_group" else None
    if kind == "fp8_e4m3":
        return layouts.fp8(ALL if scheme == "per_tensor" else 1, ALL).and_also(*more)
    if kind in ("int8", "uint8"):
        rows = ALL if scheme == "per_tensor" else 1
        return layouts.whole_int(group, rows=rows, scale_bits=layouts.F32).and_also(*more)
    if kind in ("int4", "uint4"):
        zeros = () if told.flag("symmetric", default=kind == "int4") else (layouts.grouped(group, 4, word=32),)
        name = layouts.named("int", 4, group)
        return layout(name, "int4-g128", Plane(4, word=32), layouts.grouped(group, layouts.F16), *zeros, *more)
    raise stated.refuse(f"weights of {kind[:40]!r} ({scheme[:40]})")


def _cache(stated: Statement) -> str | None:
    """What keys and values are put out in, of all attention or of the projections that make them."""
    told = [str(stated.part("kv_cache_quant_config"))]
    for name, own in stated.part("layer_quant_config").items():
        if name.endswith(("k_proj", "v_proj")) and isinstance(own, dict):
            told.append(str(own.get("output_tensors")))
    return next((kind for kind in ("fp8", "int8") for text in told if kind in text), None)
