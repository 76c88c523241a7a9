"""GPTQ, AWQ and auto-round: integers in words of 32 bits, a scale and a zero point for each group."""

from __future__ import annotations

from simulator.errors import InputError, describe
from simulator.importers.quantised import layouts
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, constant
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

_MAX_BITS = 8


def _integers(stated: Statement, *names: str, default: int | None = None) -> int:
    bits = stated.bits(*names, default=default)
    if bits > _MAX_BITS:
        raise InputError(f"{stated.where}.{names[0]} is {bits}, up to {_MAX_BITS} bits are possible")
    return bits


def read_gptq(stated: Statement) -> Rules:
    """Layers of the decoder, the head where `lm_head` says so, and what `dynamic` says of modules by regular expressions."""
    bits, group = _integers(stated, "bits", "w_bit", default=4), stated.group("group_size", "q_group_size", default=128)
    how = stated.text("checkpoint_format") or stated.text("format", "gptq")
    if how not in ("gptq", "gptq_v2", "marlin", "gptq_gemm"):
        raise stated.refuse(f"GPTQ in the format {how!r}")
    is_marlin = how == "marlin" or stated.flag("is_marlin_format")
    main = layouts.marlin(bits, group) if is_marlin else layouts.gptq(bits, group)
    kept, only = stated.patterns("modules_to_not_convert"), stated.patterns("modules_in_block_to_quantize")
    own = [_override(stated, key, value, bits, group) for key, value in stated.part("dynamic").items()]

    def layout_of(module: Module) -> Format | None:
        override = next((each for each in own if each[0].has(module)), None)
        if override:
            return override[1]
        if module.is_head:
            return main if stated.flag("lm_head") else None
        is_left_out = not module.is_linear or kept.has(module) or not (only.is_empty or only.has(module))
        return None if is_left_out else main

    return Rules(main.name, layout_of)


def _override(
    stated: Statement, key: str, value: object, bits: int, group: int | None
) -> tuple[Patterns, Layout | None]:
    """Of modules whose names begin as a regular expression says: another layout, or none after `-:`."""
    pattern = Patterns(
        f"{stated.where}.dynamic", [key.removeprefix("+:").removeprefix("-:")], stated.effort, is_regular=True
    )
    if key.startswith("-:"):
        return pattern, None
    own = stated.inner(value, f"dynamic.{key[:60]}")
    return pattern, layouts.gptq(_integers(own, "bits", default=bits), own.group("group_size", default=group))


def read_awq(stated: Statement) -> Rules:
    """All layers but the head and `modules_to_not_convert`."""
    bits, group = _integers(stated, "bits", "w_bit", default=4), stated.group("group_size", "q_group_size", default=128)
    version = stated.text("version", "gemm").lower()
    if version in ("gemm", "marlin", "exllama", "ipex"):
        main = layouts.awq(bits, group)
    elif version == "gemv" and group and bits == 4:
        main = layouts.awq_gemv(bits, group)
    elif version in ("gemv_fast", "gemvfast", "llm-awq") and group:
        main = layouts.awq_gemv_fast(bits, group)
    else:
        raise stated.refuse(f"AWQ in the version {version!r}")
    kept = stated.patterns("modules_to_not_convert", always=("lm_head",))
    return Rules(
        main.name, lambda module: main if module.is_linear and not module.is_head and not kept.has(module) else None
    )


def read_auto_round(stated: Statement) -> Rules:
    """The blocks, and what `extra_config` says of modules by name or regular expression."""
    main = _auto_round_layout(stated, stated)
    own = []
    for key, value in stated.part("extra_config").items():
        is_regular = any(char in key for char in "*+\\(|[^$")
        pattern = Patterns(f"{stated.where}.extra_config", [key], stated.effort, is_regular)
        own.append((pattern, _auto_round_layout(stated, stated.inner(value, f"extra_config.{key[:60]}"))))

    def layout_of(module: Module) -> Format | None:
        override = next((each for each in own if each[0].has(module)), None)
        if override:
            return override[1]
        return main if module.is_linear and not module.is_head else None

    return Rules(main.name if main else "16 bits", layout_of, says_wide=main is None)


def _auto_round_layout(stated: Statement, own: Statement) -> Layout | None:
    def field(name: str) -> Statement:
        return own if own.data.get(name) is not None else stated

    bits = field("bits").bits("bits", default=4)
    kind = field("data_type").text("data_type", "int")
    packing = stated.text("packing_format", "auto_round:auto_gptq")
    if bits >= 16:
        return None
    if kind.startswith("mx_fp"):
        found = {4: layouts.mxfp4, 8: layouts.mxfp8, 6: layouts.mxfp6}.get(bits)
        return found() if found else _refuse(stated, kind, bits)
    if kind.startswith("nv_fp"):
        has_activations = field("act_bits").bits("act_bits", default=16) < 16
        return layouts.nvfp4(2 if has_activations else 1)
    if kind.startswith("fp") and bits == 8:
        return _float8(stated, own)
    group = field("group_size").group("group_size", default=128)
    if not kind.startswith("int") or bits > _MAX_BITS:
        return _refuse(stated, kind, bits)
    if "awq" in packing:
        return layouts.awq(bits, group)
    return layouts.gptq(bits, group, has_order=False)


def _refuse(stated: Statement, kind: str, bits: int) -> Layout:
    raise stated.refuse(f"{bits} bits of {kind!r}")


def _float8(stated: Statement, own: Statement) -> Layout:
    """Tiles of 16-bit scales, or one for each row with one of the activations."""
    size = own.data.get("group_size", stated.data.get("group_size"))
    tile = own.data.get("weight_block_size", stated.data.get("weight_block_size")) or size
    if isinstance(tile, list) and len(tile) == 2 and all(isinstance(each, int) and 0 < each < 10**6 for each in tile):
        return layouts.fp8(tile[0], tile[1], layouts.F16)
    if isinstance(tile, list):
        raise InputError(f"{stated.where}.group_size is {describe(tile)}, one size or two are needed")
    main = layouts.fp8(ALL if size == 0 else 1, ALL, layouts.F16)
    return main if stated.flag("act_dynamic", True) else main.and_also(constant(2))
