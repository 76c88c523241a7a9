"""Decoders that are read from GGUF files alone: transformers 5.24 has no config class for them, or no plain decoder."""

from __future__ import annotations

from simulator.families.family import Family
from simulator.families.files import Files


class CogVlm(Family):
    """CogVLM's writing part: a Llama; each layer has further matrices for tokens of a picture."""

    gguf = ("cogvlm",)


class Qrwkv6(Family):
    """QRWKV6: Qwen 2.5 with RWKV 6 in place of attention."""

    gguf = ("rwkv6qwen2",)


class Arwkv7(Family):
    """ARWKV: Qwen 2.5 with RWKV 7 in place of attention."""

    gguf = ("arwkv7",)


class T5(Family):
    """T5 and FLAN-T5: an encoder, which reads the prompt once, and a decoder that attends to it."""

    gguf = ("t5",)
    gguf_files = Files(roles={"dec.output_norm": "output_norm"})


class Talkie(Family):
    """Talkie: norms without weights, a gain for each query head, the embedding added to every layer."""

    gguf = ("talkie",)
