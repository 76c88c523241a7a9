"""Good inputs of every reader, as the tests of the importers have them; what is spoiled is one of these."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import bench_output
import program_output
import small_configs
from census_coverage import read_census
from places import ROOT, TESTS
from test_no_models import NO_MODELS
from test_quantised_layouts import STATED

CHECKPOINTS = sorted((TESTS / "importers" / "quantised" / "checkpoints").iterdir())
BESIDE = ("hf_quant_config.json", "quantize_config.json", "quantization_config.json", "quant_config.json")
# Expressions that one which goes back and tries again is slow with.
EXPRESSIONS = (
    "(.|..)*!", "(.|..|...)*!", "(l|la|a|ay|y|.|er)*!", "(a+)+$", "((.*)*)*!", "(?!.*(mlp|.|..)*x).*q_proj",
    "(a?){30}layers", "(?<=(.|..)*)!",
)  # fmt: skip
# Methods that no shipped checkpoint has.
FURTHER = [
    {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}, "exclude": ["*lm_head"],
     "layer_quant_config": {"*down_proj": {"weight": {"dtype": "int4", "group_size": 32, "qscheme": "per_group"}}}},
    {"quant_method": "aqlm", "num_codebooks": 2, "nbits_per_codebook": 8, "in_group_size": 8},
    {"quant_method": "vptq", "config_for_layers": {"model.layers.0.mlp.up_proj": {"vector_lens": [-1, 8], "num_centroids": [-1, 65536]}}},
    {"quant_method": "higgs", "bits": 4, "group_size": 256}, {"quant_method": "spqr", "bits": 3, "beta1": 16, "beta2": 16},
    {"quant_method": "fp_quant", "forward_dtype": "mxfp4"}, {"quant_method": "exl2", "bits": 4.65, "head_bits": 6},
    {"quant_method": "exl3", "bits": 3.5, "head_bits": 6}, {"quant_method": "w4afp8"}, {"quant_method": "mxfp8"}, {"quant_method": "eetq"},
    {"quant_method": "bitnet"}, {"quant_method": "metal", "bits": 4, "group_size": 64}, {"quant_method": "fbgemm_fp8"},
    {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {r"+:.*\.[0-3]\..*": {"bits": 8}, r"-:.*down_proj": {}}},
    {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION",
     "quantized_layers": {"model.layers.0.mlp.up_proj": {"quant_algo": "FP8"}}},
    {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["lm_head", "re:.*(a|b)*", "model.layers.1"]},
    {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 64}},
    *({"quant_method": "fp8", "modules_to_not_convert": [f"re:{each}"]} for each in EXPRESSIONS),
]  # fmt: skip
LLAMA = {**small_configs.LLAMA, "num_hidden_layers": 4}
MIXTURE = small_configs.MIXTURE


@lru_cache(maxsize=1)
def configs() -> list[dict[str, Any]]:
    """A config.json of every type and variant that transformers has."""
    return [entry["config"] for entry in read_census()]


@lru_cache(maxsize=1)
def config_values() -> dict[str, list[Any]]:
    """Values that configs have under each key."""
    return _values((*configs(), *statements()))


@lru_cache(maxsize=1)
def statements() -> list[dict[str, Any]]:
    """A statement of every method, as keys of a config.json."""
    further = [{"quantization_config": stated} for stated in FURTHER]
    own = [json.loads((each / "config.json").read_text()) for each in CHECKPOINTS]
    shipped = [{key: each[key] for key in ("quantization_config", "quantization") if key in each} for each in own]
    return [*STATED.values(), *further, *shipped]


@lru_cache(maxsize=1)
def statement_values() -> dict[str, list[Any]]:
    """Values that statements have under each key."""
    return _values(statements())


def _values(sources: Any) -> dict[str, list[Any]]:
    """Under each key, at any depth, up to 40 different values."""
    found: dict[str, list[Any]] = {}
    waiting = list(sources)
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(item for item in each[:50] if isinstance(item, dict | list))
            continue
        for key, value in each.items():
            known = found.setdefault(key, [])
            if len(known) < 40 and value not in known:
                known.append(value)
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


@lru_cache(maxsize=1)
def checkpoints() -> list[tuple[dict[str, bytes], dict[str, Any]]]:
    """Small checkpoints as quantising libraries write them: their files but the weights, and the header of those."""
    found = []
    for folder in CHECKPOINTS:
        data = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(data[:8], "little")
        files = {
            each.name: each.read_bytes()
            for each in folder.iterdir()
            if each.suffix == ".json" and each.name != "expected.json"
        }
        found.append((files, json.loads(data[8 : 8 + length])))
    return found


@lru_cache(maxsize=1)
def benchmarks() -> list[tuple[str, Any]]:
    """What every benchmark program prints: the kind of text, and the text or the JSON."""
    run, runs = bench_output.RUN, [bench_output.RUN, bench_output.PROMPT, bench_output.BOTH, bench_output.OLD]
    found: list[tuple[str, Any]] = [("json", runs), ("json", run), ("csv", bench_output.as_csv(runs[:2]))]
    found += [("csv", bench_output.as_json_lines(runs)), ("csv", bench_output.TABLE)]
    found += [("csv", bench_output.BATCHED_LINES), ("csv", bench_output.BATCHED_TABLE)]
    for name in dir(program_output):
        value = getattr(program_output, name)
        if name.startswith("_") or not name.isupper():
            continue
        if isinstance(value, str):
            found.append(("csv", value))
        elif isinstance(value, dict) and all(isinstance(each, str) and "\n" in each for each in value.values()):
            found += [("csv", each) for each in value.values()]
        else:
            found.append(("json", value))
    return found


@lru_cache(maxsize=1)
def benchmark_values() -> dict[str, list[Any]]:
    """Values that JSON of benchmark programs has under each key."""
    return _values([value if isinstance(value, dict) else value[0] for kind, value in benchmarks() if kind == "json"])


@lru_cache(maxsize=1)
def tables() -> list[str]:
    """CSV files of measurements in our own layout, a few rows each."""
    decode = (ROOT / "simulator" / "measured" / "decode.csv").read_text(encoding="utf-8").splitlines()
    serving = (ROOT / "simulator" / "measured" / "serving.csv").read_text(encoding="utf-8").splitlines()
    ran = (TESTS / "ran.csv").read_text(encoding="utf-8").splitlines()
    starts = range(1, len(decode) - 4, max(1, len(decode) // 40))
    found = ["\n".join([decode[0], *decode[at : at + 4]]) + "\n" for at in starts]
    return [*found, "\n".join(ran) + "\n", "\n".join(serving[:5]) + "\n"]


@lru_cache(maxsize=1)
def no_models() -> list[tuple[str, bytes]]:
    """Names and first bytes of files that hold no model."""
    return [(name, data) for name, data, _ in NO_MODELS]


@lru_cache(maxsize=1)
def shipped(folder: str) -> list[str]:
    """YAML files of models or devices that the program brings."""
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).glob("*.yaml"))]


def text_of(path: Path) -> str:
    """What a file holds."""
    return path.read_text(encoding="utf-8")
