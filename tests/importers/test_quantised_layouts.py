"""What each library's statement means, against the tensors that the library wrote."""

import csv
from pathlib import Path

import pytest

from simulator.importers.quantised.methods.table import rules_of
from simulator.importers.quantised.modules import module
from simulator.importers.quantised.statement import find_statement
from simulator.spec.quant import FORMATS

# Schemes of twelve libraries, written by them: library, scheme, model, module, its tensors with dtype, shape and bytes.
LAYOUTS = Path(__file__).parent / "quantised" / "layouts.csv"
ROLES = {
    "linear": "ffn_gate",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "down_proj": "ffn_down",
    "embedding": "token_embd",
    "lm_head": "output",
    "router": "ffn_gate_inp",
    "expert gate": "ffn_gate_exps",
    "expert down": "ffn_down_exps",
}


def compressed(how, bits, kind="int", strategy="group", group=None, **more):
    """A statement of compressed-tensors with one group of all linear layers."""
    weights = {"num_bits": bits, "type": kind, "strategy": strategy, "group_size": group, "symmetric": True}
    weights |= more.pop("weights", {})
    scheme = {"targets": ["Linear"], "weights": weights, "input_activations": more.pop("activations", None)}
    stated = {"quant_method": "compressed-tensors", "format": how, "ignore": ["lm_head"], **more}
    return {"quantization_config": stated | {"config_groups": {"group_0": scheme, **more.get("config_groups", {})}}}


def beside(name, **stated):
    """A statement under quantization_config."""
    return {"quantization_config": {"quant_method": name, **stated}, "transformers_version": "5.24.0"}


def gptq(bits, group, **more):
    """A statement as gptqmodel writes it."""
    return beside("gptq", bits=bits, group_size=group, checkpoint_format="gptq", desc_act=False, lm_head=False, **more)


def rounded(bits, group, **more):
    """A statement as auto-round writes it."""
    stated = {
        "bits": bits,
        "group_size": group,
        "data_type": "int",
        "sym": True,
        "packing_format": "auto_round:auto_gptq",
    }
    return beside("auto-round", **(stated | more))


def four_bits(**more):
    """A statement of bitsandbytes."""
    return beside("bitsandbytes", load_in_4bit=True, **more)


def mlx(bits, group, mode="affine", **modules):
    """A statement of MLX, the router in 8 bits unless told otherwise, as its recipes have it."""
    eight = {"group_size": 64, "bits": 8, "mode": "affine"}
    return {
        "quantization": {"bits": bits, "group_size": group, "mode": mode, "model.layers.0.mlp.gate": eight, **modules}
    }


def mixed(low, high):
    """A recipe of MLX's: the head with more bits."""
    own = {"group_size": None, "bits": high}
    return mlx(low, 64, **{"lm_head": own, "model.layers.0.mlp.gate": {"group_size": None, "bits": low}})


def modelopt(algorithm, group=None, exclude=("lm_head",), **more):
    """A statement of modelopt."""
    return beside("modelopt", quant_algo=algorithm, group_size=group, exclude_modules=list(exclude), **more)


def torchao(kind, **data):
    """A statement of torchao."""
    return beside("torchao", quant_type={"default": {"_type": kind, "_data": data, "_version": 1}})


DYNAMIC = {"dynamic": True, "num_bits": 8, "type": "float"}
STATIC = {"dynamic": False, "num_bits": 8, "type": "float"}
EIGHT = ("int-quantized", 4, "int", "group", 128)
W4A16 = ("pack-quantized", 4, "int", "group", 128)
AFFINE = ((2, 64), (3, 64), (4, 32), (4, 64), (4, 128), (5, 64), (6, 64), (8, 32), (8, 64))
STATED = {
    "autoround-fp8-block": rounded(8, [128, 128], data_type="fp", act_dynamic=True),
    "autoround-fp8-static": rounded(8, -1, data_type="fp", act_dynamic=False),
    "autoround-mxfp4": rounded(4, 32, data_type="mx_fp"),
    "autoround-mxfp8": rounded(8, 32, data_type="mx_fp"),
    "autoround-nvfp4": rounded(4, 16, data_type="nv_fp", act_bits=4),
    "autoround-w2g64": rounded(2, 64),
    "autoround-w3g128": rounded(3, 128),
    "autoround-w4g128": rounded(4, 128),
    "autoround-w8g128": rounded(8, 128),
    "autoround-w4g128-as-awq": beside("awq", bits=4, group_size=128, version="gemm", zero_point=True),
    "autoround-w4g128-as-gptq": gptq(4, 128),
    "bnb-fp4": four_bits(bnb_4bit_quant_type="fp4"),
    "bnb-nf4": four_bits(bnb_4bit_quant_type="nf4"),
    "bnb-nf4-storage-bf16": four_bits(bnb_4bit_quant_type="nf4", bnb_4bit_quant_storage="bfloat16"),
    "bnb-nf4-double": four_bits(bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "bnb-int8": beside("bitsandbytes", load_in_8bit=True, load_in_4bit=False),
    "ct-fp8": compressed("float-quantized", 8, "float", "tensor", activations=STATIC),
    "ct-fp8-block": compressed("float-quantized", 8, "float", "block", weights={"block_structure": [128, 128]}, activations=DYNAMIC),
    "ct-fp8-dynamic": compressed("float-quantized", 8, "float", "channel", activations=DYNAMIC),
    "ct-fp8-dynamic-kv": compressed("float-quantized", 8, "float", "channel", kv_cache_scheme={"num_bits": 8, "type": "float"}),
    "ct-mxfp4": compressed("mxfp4-pack-quantized", 4, "float", "group", 32, activations=DYNAMIC),
    "ct-mxfp4a16": compressed("mxfp4-pack-quantized", 4, "float", "group", 32),
    "ct-mxfp8": compressed("mxfp8-quantized", 8, "float", "group", 32, activations=DYNAMIC),
    "ct-nvfp4": compressed("nvfp4-pack-quantized", 4, "float", "tensor_group", 16, activations={"dynamic": "local", "num_bits": 4}),
    "ct-nvfp4a16": compressed("nvfp4-pack-quantized", 4, "float", "tensor_group", 16),
    "ct-w2a16": compressed("pack-quantized", 2, group=128),
    "ct-w3a16": compressed("pack-quantized", 3, group=128),
    "ct-w4a16": compressed(*W4A16),
    "ct-w4a16-asym": compressed("pack-quantized", 4, group=128, weights={"symmetric": False}),
    "ct-w4a16-g32": compressed("pack-quantized", 4, group=32),
    "ct-w4a16-ignore-down": compressed(*W4A16, ignore=["lm_head", "re:.*mlp.*", "re:.*self_attn.*"]),
    "ct-w6a16": compressed("pack-quantized", 6, group=128),
    "ct-w8a16": compressed("pack-quantized", 8, group=128),
    "ct-w2a4": compressed(*EIGHT),
    "ct-w3a8": compressed(*EIGHT),
    "ct-w4a4": compressed(*EIGHT),
    "ct-w4a8": compressed(*EIGHT),
    "ct-w4afp8": compressed(*EIGHT, activations=DYNAMIC),
    "ct-w8a8": compressed("int-quantized", 8, "int", "channel", activations={**DYNAMIC, "type": "int"}),
    "ct-mixed-w4-fp8": {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "mixed-precision",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {
                    "format": "float-quantized",
                    "targets": ["re:.*self_attn.*"],
                    "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                },
                "group_1": {
                    "format": "pack-quantized",
                    "targets": ["re:.*(gate|up|down)_proj"],
                    "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128},
                },
            },
        }
    },
    "ct-w4a16-head-embed": {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "ignore": [],
            "config_groups": {
                "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}},
                "group_1": {"targets": ["Embedding"], "weights": {"num_bits": 8, "type": "int", "strategy": "channel"}},
            },
        }
    },
    "fp8-finegrained": beside("fp8", weight_block_size=[128, 128], activation_scheme="dynamic", dequantize=False),
    "gptq-2-g128": gptq(2, 128),
    "gptq-3-g128": gptq(3, 128),
    "gptq-4-g128": gptq(4, 128),
    "gptq-4-g128-desc-asym": gptq(4, 128, sym=False),
    "gptq-4-g128-dynamic": gptq(4, 128, dynamic={r"-:.*\.0\..*": {}}),
    "gptq-4-g128-lmhead": beside("gptq", bits=4, group_size=128, lm_head=True, dynamic={"lm_head": {"bits": 8, "group_size": 32}}),
    "gptq-4-g128-v2": beside("gptq", bits=4, group_size=128, checkpoint_format="gptq_v2"),
    "gptq-8-g-1": gptq(8, -1),
    "gptq-8-g128": gptq(8, 128),
    **{f"mlx-affine{bits}-g{group}": mlx(bits, group) for bits, group in AFFINE},
    "mlx-affine4-g64-f16": mlx(4, 64),
    **{f"mlx-mixed-{low}-{high}": mixed(low, high) for low, high in ((2, 6), (3, 4), (3, 6), (4, 6))},
    "mlx-mxfp4": mlx(4, 32, "mxfp4"),
    "mlx-mxfp8": mlx(8, 32, "mxfp8"),
    "mlx-nvfp4": mlx(4, 16, "nvfp4"),
    "modelopt-fp8": modelopt("FP8"),
    "modelopt-fp8-pb-wo": modelopt("FP8_PB_WO"),
    "modelopt-fp8-pc-pt": modelopt("FP8_PER_CHANNEL_PER_TOKEN"),
    "modelopt-int4-awq": modelopt("W4A16_AWQ", 128),
    "modelopt-int8-sq": modelopt("W8A8_SQ_PER_CHANNEL"),
    "modelopt-mxfp4": modelopt("MXFP4", 32),
    "modelopt-mxfp8": modelopt("MXFP8", 32),
    "modelopt-nvfp4": modelopt("NVFP4", 16),
    "modelopt-nvfp4-experts": modelopt("NVFP4", 16, ("lm_head", "model.layers.0.mlp.gate", "model.layers.0.self_attn*")),
    "modelopt-nvfp4-kv-fp8": modelopt("NVFP4", 16, kv_cache_quant_algo="FP8"),
    "modelopt-nvfp4-mlp-only": modelopt("NVFP4", 16, ("lm_head", "*self_attn*")),
    "modelopt-w4a16-nvfp4": modelopt("W4A16_NVFP4", 16),
    "modelopt-w4a8-awq": modelopt("W4A8_AWQ", 128),
    "modelopt-w4a8-mxfp4-fp8": modelopt("W4A8_MXFP4_FP8", 32),
    "quanto-float8": beside("quanto", weights="float8"),
    "quanto-int2": beside("quanto", weights="int2"),
    "quanto-int4": beside("quanto", weights="int4"),
    "quanto-int8": beside("quanto", weights="int8"),
    "torchao-8da4w": torchao("Int8DynamicActivationInt4WeightConfig", group_size=32),
    "torchao-fp8wo": torchao("Float8WeightOnlyConfig"),
    "torchao-int8dyn": torchao("Int8DynamicActivationInt8WeightConfig"),
    "torchao-int8wo": torchao("Int8WeightOnlyConfig"),
    "torchao-intx4": torchao("IntxWeightOnlyConfig", weight_dtype={"_type": "torch.dtype", "_data": "int4"}),
    "torchao-mxfp4": torchao("MXDynamicActivationMXWeightConfig", weight_dtype={"_type": "torch.dtype", "_data": "float8_e4m3fn"}),
    "torchao-nvfp4wo": torchao("NVFP4WeightOnlyConfig"),
    **{f"hqq-{bits}-g64": beside("hqq", quant_config={"weight_quant_params": {"nbits": bits, "group_size": 64}}) for bits in (8, 4, 3, 1)},
    "awq-gemm-g128": beside("awq", bits=4, group_size=128, version="gemm"),
    "awq-gemv-g128": beside("awq", bits=4, group_size=128, version="gemv"),
    "awq-gemv_fast-g128": beside("awq", bits=4, group_size=128, version="gemv_fast"),
}  # fmt: skip


def modules_written():
    """Every module of the file: scheme, model, module, rows, columns, bytes of all its tensors."""
    found = {}
    with LAYOUTS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["module"] in ROLES:
                key = (row["scheme"], row["model"], row["module"], int(row["out"]), int(row["in"]))
                scale_of_cache = row["tensor_suffix"] in ("k_scale", "v_scale")
                found[key] = found.get(key, 0) + (0 if scale_of_cache else int(row["bytes"]))
    return [(*key, n_bytes) for key, n_bytes in found.items()]


def written(scheme, tmp_path):
    """What that scheme's statement means."""
    return rules_of(find_statement(tmp_path / "config.json", STATED[scheme]))


@pytest.mark.parametrize("scheme", sorted({each[0] for each in modules_written()}))
def test_the_statement_of_a_scheme_tells_what_the_library_stores(scheme, tmp_path):
    """Each matrix has the bytes of its tensors; bitsandbytes' JSON is a byte or two longer or shorter, fused experts' scales lie beside."""
    rules = written(scheme, tmp_path)
    allowed = 4 if scheme.startswith(("bnb", "fp8")) else 0
    for _, model, name, rows, columns, n_bytes in [each for each in modules_written() if each[0] == scheme]:
        copies = 4 if name.startswith("expert ") else 1
        layer = None if name in ("embedding", "lm_head") else 0
        stacked = 8 if model == "qmoe" and copies > 1 else 1  # MLX has all experts in one tensor
        one = module(ROLES[name], layer, rows, columns, copies, is_recurrent=False)
        told = (rules.layout_of(one) or FORMATS["bf16"]).nbytes(rows, columns) * stacked
        assert abs(told - n_bytes) <= allowed, (model, name, told, n_bytes)
