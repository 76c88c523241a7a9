"""Every method that is known, and what reads its statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.importers.quantised import layouts
from simulator.importers.quantised.methods import bytes as plain
from simulator.importers.quantised.methods import codebooks, compressed_tensors, floats, gptq, quark, torchao
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.planes import Layout
from simulator.importers.quantised.statement import Rules, Statement, unknown_method
from simulator.spec.quant import Format


def _one(layout: Callable[[], Layout]) -> Callable[[Statement], Rules]:
    return lambda stated: plain.linear(stated, layout(), "modules_to_not_convert", always=("lm_head",))


def _fp8(stated: Statement) -> Rules:
    """transformers' fp8; modules that modelopt has named in it have its algorithms, and what it leaves alone stays fp8."""
    named = None
    if stated.data.get("quantized_layers") is not None:
        named = floats.read_modelopt(
            replace(stated, data={**stated.data, "quant_algo": "MIXED_PRECISION", "ignore": []})
        )
        stated = replace(
            stated, data={key: value for key, value in stated.data.items() if key not in ("ignore", "group_size")}
        )
    rest = floats.read_fp8(stated)
    if named is None:
        experts = stated.text("expert_dtype") or stated.beside("expert_dtype")
        return replace(rest, name=f"experts mxfp4, rest {rest.name}") if experts == "fp4" else rest
    return replace(
        rest,
        name=f"experts {named.name}, rest {rest.name}",
        layout_of=lambda module: named.layout_of(module) or rest.layout_of(module),
    )


def _w4afp8(stated: Statement) -> Rules:
    """SGLang's: experts in int4 with a 16-bit scale for 128, the rest as fp8."""
    rest = floats.read_fp8(stated)
    experts = layouts.packed_int(4, 128)

    def layout_of(module: Module) -> Format | None:
        return experts if module.is_expert else rest.layout_of(module)

    return Rules(f"int4-g128/{rest.name}", layout_of)


METHODS: dict[str, Callable[[Statement], Rules]] = {
    "compressed-tensors": compressed_tensors.read,
    "gptq": gptq.read_gptq,
    "awq": gptq.read_awq,
    "auto-round": gptq.read_auto_round,
    "fp8": _fp8,
    "fbgemm-fp8": floats.read_fbgemm,
    "mxfp4": floats.read_mxfp4,
    "modelopt": floats.read_modelopt,
    "modelopt-nvfp4": _one(lambda: layouts.nvfp4(2)),
    "mxfp8": _one(layouts.mxfp8),
    "w4afp8": _w4afp8,
    "w8a8-int8": _one(lambda: layouts.whole_int(None, scale_bits=layouts.F32)),
    "w8a8-fp8": _one(lambda: layouts.fp8(1)),
    "marlin": lambda stated: gptq.read_gptq(replace(stated, data={"bits": 4, "is_marlin_format": True, **stated.data})),
    "bitsandbytes": plain.read_bitsandbytes,
    "hqq": plain.read_hqq,
    "quanto": plain.read_quanto,
    "eetq": plain.read_eetq,
    "bitnet": plain.read_bitnet,
    "metal": plain.read_metal,
    "mlx": plain.read_mlx,
    "torchao": torchao.read,
    "quark": quark.read,
    "aqlm": codebooks.read_aqlm,
    "vptq": codebooks.read_vptq,
    "higgs": codebooks.read_higgs,
    "spqr": codebooks.read_spqr,
    "fp-quant": codebooks.read_fp_quant,
    "exl2": codebooks.read_exllama,
    "exl3": codebooks.read_exllama,
}


def rules_of(stated: Statement) -> Rules:
    """What a statement means; InputError where its method or its scheme is not known."""
    read = METHODS.get(stated.method)
    if read is None:
        raise unknown_method(stated, tuple(METHODS))
    return read(stated)
