"""What a format's general name means in particular software: `int4-g64` is one thing in MLX and another in vLLM."""

from __future__ import annotations

from simulator.spec.model import Model
from simulator.spec.names import is_same, words
from simulator.spec.runtime import Runtime

# Every linear layer and the embeddings, unless a recipe says otherwise (mlx_lm/convert.py; --q-mode for the floats).
_MLX = {
    "int4": "affine4-g64", "int8": "affine8-g64", "int4-g32": "affine4-g32", "int4-g64": "affine4-g64",
    "int4-g128": "affine4-g128", "mxfp4": "pure:mxfp4", "nvfp4": "pure:nvfp4",
}  # fmt: skip
_AWQ = {"int4": "int4-g128"}  # the usual 4 bits of GPTQ and AWQ
_FILE = {"mxfp4": "mxfp4_moe"}  # llama-quantize's MXFP4_MOE: experts alone
# Quantised while loading, each matrix the same: what GGUF files of such a name mix.
_IN_SITU = {"q2k": "pure:q2_k", "q3k": "pure:q3_k", "q4k": "pure:q4_k", "q5k": "pure:q5_k"}
# Software: what it calls a format (our name for that, or letters and numbers as they are typed), and what that is here.
_MEANT = {
    "mlx": _MLX,
    "mlx-lm": _MLX,
    # torchao's int4 has a scale and a zero of 2 bytes in a group; every linear layer is quantised, the head too: the bandwidths
    # in the README of gpt-fast (862.69 GB/s at 202 tokens/s, 1,069.20 at 156) are of 4.27 and 6.87 GB for Llama-2-7B.
    "gpt-fast": {"int4-g32": "affine4-g32", "int4-g64": "affine4-g64", "int4-g128": "affine4-g128", "int8": "head:int8+int8"},
    "mlc": {"int4": "q4f16_1"},
    "mlc-llm": {"int4": "q4f16_1"},
    "t-mac": {"int4": "tmac-int4", "int2": "tmac-int2", "ternary": "i2_s"},
    "bitnet.cpp": {"ternary": "i2_s"},
    # Its tool's MXFP4 is a mix of its own, with attention of mixtures in q8_0 and all else in mxfp4.
    "ik_llama.cpp": {"ternary": "layers:iq2_bn+bf16", "mxfp4": "mxfp4_r8"},
    # What mlc-ai/llm-perf-bench takes for it, as its README says.
    "llama.cpp": {"int4": "q4_k_m", **_FILE},
    "ollama": {"int4": "q4_k_m", **_FILE},
    "mistral.rs": _IN_SITU,
    "vllm": _AWQ,
    "sglang": _AWQ,
    "tensorrt-llm": _AWQ,
    "lmdeploy": _AWQ,
    "exllamav2": _AWQ,
    # Files of LiteRT hold the embedding, which is the head of Gemma, in 4 bits as well: gemma-3-1b has 557 MB.
    "litert": {"int4": "head:int4+embedding:int4+int4"},
    # HQQ: a scale and a zero of 2 bytes in a group.
    "mnn": {"int4-g64": "affine4-g64"},
}  # fmt: skip
# The same of a cache: MLX gives each group of 64 values a scale and a bias.
_CACHES = {"mlx": {"int8": "affine8-g64", "int4": "affine4-g64"}}


def meant_of_cache(name: str, runtime: Runtime) -> str:
    """The format that a runtime keeps a cache in where its users call it *name*; the name itself where it is no other."""
    return _CACHES.get(runtime.name, {}).get(name.strip().lower(), name)


def meant(text: str, name: str, runtime: Runtime, model: Model, software: str = "") -> str:
    """The format that *software* (empty: the runtime itself) means by *text*, whose *name* here is not always what it is there.

    Of a model whose checkpoint comes in that format, the checkpoint, as the runtime loads it.
    """
    if name == model.native_weights and name in runtime.native_weights:
        return runtime.native_weights[name]
    names = dialect(software, runtime.name, runtime.like)
    return names.get("".join(words(text.strip()))) or names.get(name, name)


def dialect(*software: str) -> dict[str, str]:
    """What the first of *software* that has names of its own calls formats, and what that is here."""
    for own in software:
        found = next((names for each, names in _MEANT.items() if own and is_same(each, own)), None)
        if found is not None:
            return found
    return {}
