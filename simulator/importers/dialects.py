"""What a format's general name means in particular software: `int4-g64` is one thing in MLX and another in vLLM."""

from __future__ import annotations

from simulator.spec.names import is_same

_MLX = {
    "int4": "affine4-g64", "int8": "affine8-g64", "int4-g32": "affine4-g32", "int4-g64": "affine4-g64",
    "int4-g128": "affine4-g128", "mxfp4": "mxfp4+affine4-g64",
}  # fmt: skip
_IN_16_BITS = {"mxfp4": "mxfp4+bf16"}  # the published checkpoint: all but the experts
_AWQ = {"int4": "int4-g128"}  # the usual 4 bits of GPTQ and AWQ
# Software: what it calls a format, and what that is here.
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
    "ik_llama.cpp": {"ternary": "iq2_bn"},
    # What mlc-ai/llm-perf-bench takes for it, as its README says.
    "llama.cpp": {"int4": "q4_k_m"},
    "ollama": {"int4": "q4_k_m", **_IN_16_BITS},  # its own file of gpt-oss has 16 bits beside the experts: 13.8 GB
    "vllm": {**_AWQ, **_IN_16_BITS},
    "sglang": {**_AWQ, **_IN_16_BITS},
    "tensorrt-llm": {**_AWQ, **_IN_16_BITS},
    "lmdeploy": {**_AWQ, **_IN_16_BITS},
    "transformers": _IN_16_BITS,
    "exllamav2": _AWQ,
    # Files of LiteRT hold the embedding, which is the head of Gemma, in 4 bits as well: gemma-3-1b has 557 MB.
    "litert": {"int4": "head:int4+embedding:int4+int4"},
    # HQQ: a scale and a zero of 2 bytes in a group.
    "mnn": {"int4-g64": "affine4-g64"},
}  # fmt: skip


def meant(software: str, weights: str) -> str:
    """The format that *software* means by a name; the name itself where it is no other."""
    own = next((names for name, names in _MEANT.items() if is_same(name, software)), {})
    return own.get(weights, weights)
