"""Statements of one format for all linear layers: bitsandbytes, HQQ, quanto, EETQ, BitNet, and MLX's for each module."""

from __future__ import annotations

from simulator.errors import InputError, describe
from simulator.importers.quantised import layouts
from simulator.importers.quantised.modules import Module, in_mlx
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format


def linear(stated: Statement, main: Layout, *keys: str, always: tuple[str, ...] = ()) -> Rules:
    """All linear layers that transformers replaces by its own: experts are none from its version 5 on, nor is the head by default."""
    kept = stated.patterns(*keys, always=always, default=("lm_head",))

    def layout_of(module: Module) -> Format | None:
        is_left_out = not module.is_linear or kept.has(module) or (module.is_expert and stated.has_fused_experts)
        return None if is_left_out else main

    return Rules(main.name, layout_of)


def read_bitsandbytes(stated: Statement) -> Rules:
    """4 bits with a scale for 64, itself quantised or not, or 8 bits with one for a row."""
    is_eight = stated.flag("load_in_8bit") or stated.flag("_load_in_8bit")
    if not is_eight and not (stated.flag("load_in_4bit") or stated.flag("_load_in_4bit")):
        raise stated.refuse("neither load_in_4bit nor load_in_8bit")
    kind = stated.text("bnb_4bit_quant_type", "fp4")
    if kind not in ("nf4", "fp4"):
        raise stated.refuse(f"bnb_4bit_quant_type {kind[:40]!r}")
    main = layouts.eight_bits() if is_eight else layouts.four_bits(kind, stated.flag("bnb_4bit_use_double_quant"))
    return linear(stated, main, "llm_int8_skip_modules")


def read_hqq(stated: Statement) -> Rules:
    """One layout, or one for each kind of module by the end of its name."""
    data = stated.part("quant_config") or stated.data
    if "weight_quant_params" in data or "nbits" in data or "bits" in data:
        return linear(stated, _hqq(stated.inner(data, "quant_config")), "skip_modules", "modules_to_not_convert")
    named = [
        (
            Patterns(f"{stated.where}.quant_config", [key], stated.effort),
            _hqq(stated.inner(value, f"quant_config.{key[:60]}")),
        )
        for key, value in data.items()
        if isinstance(value, dict)
    ]
    if not named:
        raise stated.refuse("no nbits")
    kept = stated.patterns("skip_modules", default=("lm_head",))

    def layout_of(module: Module) -> Format | None:
        if not module.is_linear or kept.has(module):
            return None
        return next((main for pattern, main in named if pattern.has(module)), None)

    return Rules("/".join(dict.fromkeys(main.name for _, main in named)), layout_of)


def _hqq(own: Statement) -> Layout:
    values = own.inner(own.data.get("weight_quant_params", own.data), "weight_quant_params")
    bits = values.bits("nbits", "bits", default=4)
    if bits > 8:
        raise own.refuse(f"{bits} bits")
    return layouts.hqq(bits, values.group("group_size", default=64))


def read_quanto(stated: Statement) -> Rules:
    """int8, int4, int2 or float8."""
    kinds = {"int8": (8, False), "int4": (4, False), "int2": (2, False), "float8": (8, True)}
    kind = stated.text("weights", "int8").removeprefix("q")
    if kind not in kinds:
        raise stated.refuse(f"weights {kind[:40]!r}")
    return linear(stated, layouts.quanto(*kinds[kind]), "modules_to_not_convert")


def read_eetq(stated: Statement) -> Rules:
    """8 bits with a 16-bit scale for each output."""
    main = layout("int8", "int8", Plane(8), Plane(layouts.F16, 1, ALL))
    return linear(stated, main, "modules_to_not_convert")


def read_bitnet(stated: Statement) -> Rules:
    """Four ternary weights in a byte and one scale; online they are quantised while they are used, from 16 bits."""
    if stated.text("quantization_mode", "offline") == "online":
        return Rules("16 bits", lambda _: None, says_wide=True)
    return linear(stated, layout("ternary", "int2", Plane(2), constant(2)), "modules_to_not_convert")


def read_metal(stated: Statement) -> Rules:
    """MLX's affine layout with 32-bit scales and biases, as transformers keeps it for Apple's GPUs."""
    bits, group = stated.bits("bits", default=4), stated.group("group_size", default=64)
    name = f"affine{bits}-g{group}"
    main = layout(name, name, Plane(bits, word=32), layouts.grouped(group, 2 * layouts.F32))
    return linear(stated, main, "modules_to_not_convert")


# ---- MLX ----

_MLX_GROUPS = {"affine": 64, "mxfp4": 32, "mxfp8": 32, "nvfp4": 16}


def read_mlx(stated: Statement) -> Rules:
    """Every matrix whose rows divide into groups, embedding and router too; single modules have bits of their own or none."""
    main = _mlx(stated, stated)
    own: dict[str, tuple[Layout, int] | None] = {}
    for name, value in stated.data.items():
        if isinstance(value, dict):
            own[name] = _mlx(stated, stated.inner(value, name[:80]))
        elif value is False:
            own[name] = None
    named: dict[tuple[Layout, int] | None, list[str]] = {}
    for name, each in own.items():
        named.setdefault(each, []).append(name)
    lists = [(Patterns(stated.where, names, stated.effort), each) for each, names in named.items()]

    def layout_of(module: Module) -> Format | None:
        found = next((each for names, each in lists if names.has(in_mlx(module))), main)
        return None if found is None or module.columns % found[1] else found[0]

    return Rules(main[0].name, layout_of)


def _mlx(stated: Statement, own: Statement) -> tuple[Layout, int]:
    """A layout and the size of its groups."""
    mode = own.text("mode") or stated.text("mode", "affine")
    if mode not in _MLX_GROUPS:
        raise stated.refuse(f"the mode {mode[:40]!r}")
    bits = own.bits("bits", default=8 if mode == "mxfp8" else 4)
    group = own.group("group_size", default=_MLX_GROUPS[mode])
    if group is None or bits > 8:
        raise InputError(
            f"{own.where} has groups of {describe(own.data.get('group_size'))} and {bits} bits, which MLX has not"
        )
    return (layouts.affine(bits, group) if mode == "affine" else layouts.mlx_float(mode, bits, group)), group
