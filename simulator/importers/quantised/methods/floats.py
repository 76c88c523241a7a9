"""Statements of floats: transformers' fp8, fbgemm, mxfp4, and NVIDIA's modelopt."""

from __future__ import annotations

from collections.abc import Callable

from simulator.errors import InputError, describe
from simulator.importers.quantised import layouts
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

_F32, _F16 = layouts.F32, layouts.F16


def read_fp8(stated: Statement) -> Rules:
    """All linear layers but the head; scales by tiles, or one of the whole."""
    tile = _tile(stated)
    kept = stated.patterns("modules_to_not_convert", "ignored_layers", "ignore", always=("lm_head",))
    scale = constant(4) if stated.text("activation_scheme", "dynamic") == "static" else None
    main = layouts.fp8(*tile) if tile else layouts.fp8()
    main = main.and_also(scale) if scale else main
    wide = layout("bf16", "bf16", Plane(_F16), Plane(_F32, *tile)) if tile else None
    experts = layouts.mxfp4() if _expert_dtype(stated) == "fp4" else main
    keeps_odd = "dequantize" in stated.data  # transformers writes it, which leaves alone what its tiles do not divide

    def layout_of(module: Module) -> Format | None:
        if not module.is_linear or module.is_head or kept.has(module):
            return None
        if tile and keeps_odd and not module.is_expert and (module.rows % tile[0] or module.columns % tile[1]):
            return wide
        return experts if module.is_expert else main

    return Rules(main.name, layout_of)


def _expert_dtype(stated: Statement) -> str:
    """Of experts, which DeepSeek V4 keeps in a format of their own; its config says so beside the statement."""
    value = stated.text("expert_dtype") or stated.beside("expert_dtype") or "fp8"
    if value not in ("fp8", "fp4"):
        raise stated.refuse(f"experts in {describe(value)}")
    return value


def _tile(stated: Statement) -> tuple[int, int] | None:
    tile = stated.data.get("weight_block_size") or stated.data.get("group_size")
    if tile is None or isinstance(tile, int):
        return None
    if isinstance(tile, list) and len(tile) == 2 and all(type(each) is int and 0 < each <= 10**6 for each in tile):
        return tile[0], tile[1]
    raise InputError(f"{stated.where}.weight_block_size is {describe(tile)}, two sizes are needed")


def read_fbgemm(stated: Statement) -> Rules:
    """A scale of 32 bits for each row."""
    main = layouts.fp8(1, ALL)
    kept = stated.patterns("modules_to_not_convert", always=("lm_head",))
    return Rules(main.name, lambda module: main if module.is_linear and not kept.has(module) else None)


def read_mxfp4(stated: Statement) -> Rules:
    """gpt-oss: the experts alone."""
    main = layouts.mxfp4()
    kept = stated.patterns("modules_to_not_convert")
    return Rules("mxfp4", lambda module: main if module.is_expert and not kept.has(module) else None)


# ---- modelopt ----


def _fp8_tiles(rows: int, columns: int) -> Callable[[int], Layout]:
    return lambda _: layouts.fp8(rows, columns)


_ALGORITHMS: dict[str, Callable[[int], Layout]] = {
    "FP8": lambda _: layouts.fp8().and_also(constant(4)),
    "FP8_PB_WO": _fp8_tiles(128, 128),
    "FP8_PB_REAL": _fp8_tiles(128, 128),
    "FP8_BLOCK_SCALES": _fp8_tiles(128, 128),
    "FP8_PER_CHANNEL_PER_TOKEN": _fp8_tiles(1, ALL),
    "FP8_PC_PT": _fp8_tiles(1, ALL),
    "W8A8_SQ_PER_CHANNEL": lambda _: _smooth(),
    "W8A8_SQ_PER_TENSOR_PLUGIN": lambda _: _smooth(),
    "INT8_SQ": lambda _: _smooth(),
    "W8A16": lambda _: layouts.whole_int(None, scale_bits=_F32),
    "W4A16": lambda group: layout("int4", "int4-g128", Plane(4), layouts.grouped(group or None, _F32)),
    "W4A16_AWQ": lambda group: _awq(group),
    "INT4_AWQ": lambda group: _awq(group),
    "W4A8_AWQ": lambda group: _awq(group).and_also(constant(8)),
    "NVFP4": lambda _: layouts.nvfp4(2),
    "NVFP4_AWQ": lambda _: layouts.nvfp4(2),
    "NVFP4_SVDQUANT": lambda _: layouts.nvfp4(2).and_also(Plane(_F16, ALL, 1)),
    "W4A16_NVFP4": lambda _: layouts.nvfp4(1),
    "NVFP4_W4A16": lambda _: layouts.nvfp4(1),
    "W4A8_NVFP4_FP8": lambda _: layouts.nvfp4(2),
    "MXFP4": lambda _: layouts.mxfp4(),
    "W4A16_MXFP4": lambda _: layouts.mxfp4(),
    "W4A8_MXFP4_FP8": lambda _: layouts.mxfp4(),
    "W4A8_MXFP4_MXFP8": lambda _: layouts.mxfp4(),
    "MXFP8": lambda _: layouts.mxfp8(),
}


def _smooth() -> Layout:
    """SmoothQuant: what activations are divided by beside the scales of the rows."""
    return layouts.whole_int(None, scale_bits=_F32).and_also(Plane(_F16, ALL, 1), constant(4))


def _awq(group: int) -> Layout:
    return layout(f"int4-g{group}", "int4-g128", Plane(4), layouts.grouped(group or 128, _F32))


def read_modelopt(stated: Statement) -> Rules:
    """config.json's form and that of hf_quant_config.json, whose fields lie under `quantization`."""
    own = stated.inner(stated.data["quantization"], "quantization") if "quantization" in stated.data else stated
    algorithm = own.text("quant_algo").upper()
    kept = own.patterns("exclude_modules", "ignore", default=("lm_head",))
    if algorithm == "MIXED_PRECISION" or (not algorithm and "quantized_layers" in own.data):
        return _mixed(own, kept)
    if not algorithm and "config_groups" in own.data:
        algorithm = _of_groups(own)
    if not algorithm:
        return _unquantised(own)
    main = _algorithm(own, algorithm, own.group("group_size"))

    def layout_of(module: Module) -> Format | None:
        return _scaled(main, algorithm, module) if module.is_linear and not kept.has(module) else None

    return Rules(main.name, layout_of, _cache(own))


def _unquantised(own: Statement) -> Rules:
    """Weights that are left alone: said by a null, or by a format of the cache alone."""
    cache = _cache(own)
    says_wide = not own.part("config_groups") and (cache is not None or "quant_algo" in own.data)
    return Rules("16 bits", lambda _: None, cache, says_wide=says_wide)


def _scaled(main: Layout, algorithm: str, module: Module) -> Layout:
    """With AWQ's scales of the inputs, which are folded into the norm before where there is one."""
    has_norm = not module.role.startswith(("ffn_down", "attn_output"))
    return main if "AWQ" not in algorithm or has_norm else main.and_also(Plane(_F16, ALL, 1))


def _algorithm(stated: Statement, name: str, group: int | None) -> Layout:
    found = _ALGORITHMS.get(name)
    if found is None:
        raise stated.refuse(f"the algorithm {name[:40]!r}")
    return found(group or 128)


_OF_WEIGHTS = {("float", 4): "NVFP4", ("float", 8): "FP8", ("int", 4): "W4A16_AWQ", ("int", 8): "INT8_SQ"}


def _of_groups(own: Statement) -> str:
    """The algorithm that config_groups describe where none is named."""
    found = [_of_weights(own, name, group) for name, group in own.part("config_groups").items()]
    return next(filter(None, found), "")


def _of_weights(own: Statement, name: str, group: object) -> str:
    weights = own.inner(group, name[:60]).part("weights")
    kind, bits = weights.get("type"), weights.get("num_bits")
    return _OF_WEIGHTS.get((kind, bits), "") if isinstance(kind, str) and isinstance(bits, int) else ""


def _mixed(own: Statement, kept: Patterns) -> Rules:
    """Each module by name with an algorithm of its own; what is not named stays wide."""
    by_module = own.part("quantized_layers") or _grouped_layers(own)
    if not by_module:
        raise own.refuse("MIXED_PRECISION without quantized_layers")
    by_layout: dict[tuple[str, int | None], list[str]] = {}
    for name, how in by_module.items():
        each = own.inner(how, f"quantized_layers.{name[:60]}")
        by_layout.setdefault((each.text("quant_algo").upper(), each.group("group_size")), []).append(name)
    found = [
        (Patterns(f"{own.where}.quantized_layers", names, own.effort), algorithm, _algorithm(own, algorithm, group))
        for (algorithm, group), names in by_layout.items()
    ]

    def layout_of(module: Module) -> Format | None:
        if kept.has(module):
            return None
        how = next(((main, algorithm) for names, algorithm, main in found if names.has(module)), None)
        return _scaled(*how, module) if how else None

    return Rules("/".join(dict.fromkeys(main.name for *_, main in found)) or "16 bits", layout_of, _cache(own))


def _grouped_layers(own: Statement) -> dict[str, dict[str, str]]:
    """The same where config_groups name the modules of each algorithm."""
    found = {}
    for name, group in own.part("config_groups").items():
        for target in own.inner(group, name[:60]).listed("targets") or []:
            if isinstance(target, str):
                found[target] = {"quant_algo": _of_weights(own, name, group)}
    return found


def _cache(own: Statement) -> str | None:
    name = own.data.get("kv_cache_quant_algo")
    if name is None:
        return own.cache_scheme()
    if not isinstance(name, str):
        raise InputError(f"{own.where}.kv_cache_quant_algo is {describe(name)}, a text is needed")
    return name.lower() or None
