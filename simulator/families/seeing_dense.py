"""The writing parts of models that also see or hear, where those are dense and of their own kind."""

from __future__ import annotations

from typing import Any

from simulator.families.dense import Llama, Mistral
from simulator.families.family import Family, extra
from simulator.families.files import Files


class Mllama(Llama):
    """Llama 3.2 Vision: some layers attend to a picture alone; without one they are left out."""

    types = ("mllama_text_model",)
    converted = "llama"
    gguf_also = {"mllama": "llama"}  # of Ollama: for text alone its layers of cross-attention are skipped
    gguf_files = Files(held="cross_attn_")
    extra_rows = 8

    def _sees(self, index: int) -> bool:
        listed = self.config.items("cross_attention_layers")
        return index in (range(3, 40, 5) if listed is None else listed)  # the class's own where none are listed

    def beside(self) -> list[dict[str, Any]]:
        """Rows of the embedding without logits."""
        return [extra("token_embd_further", self.d_model, self.extra_rows, small=True, idle=True)]

    def layer(self, index: int) -> dict[str, Any]:
        """Those that attend to a picture are held, and not read without one."""
        if not self._sees(index):
            return super().layer(index)
        d, own = self.d_model, self.grouped_query(index)
        q, kv = own["n_heads"] * own["head_dim"], own["n_kv_heads"] * own["head_dim"]
        width = self.dense(index)["d_ff"]
        shapes = [(d, q), (d, kv), (d, kv), (q, d), (d, width), (d, width), (width, d)]
        names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        found = [
            extra(f"cross.{name}", columns, rows, idle=True)
            for name, (columns, rows) in zip(names, shapes, strict=True)
        ]
        sizes = {"attn_norm": d, "ffn_norm": d, "q_norm": own["head_dim"], "k_norm": own["head_dim"], "gates": 2}
        found += [extra(f"cross.{name}", size, idle=True) for name, size in sizes.items()]
        return {"norms": 0, "beside": found}

    def remarks(self) -> list[str]:
        """What is held for pictures."""
        n_seeing = sum(map(self._sees, range(self.n_layers)))
        return [f"{n_seeing} layers attend to a picture: they are held, and not read while there is none"]


class Chameleon(Llama):
    """Chameleon: norms of query and key with a weight for each value of each head, and biases."""

    types = ("chameleon",)
    gguf = ("chameleon",)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Those norms."""
        found = self.grouped_query(index)
        sizes = {"q": found["n_heads"] * found["head_dim"], "k": found["n_kv_heads"] * found["head_dim"]}
        return [extra(f"attn_{each}_norm{part}", size) for each, size in sizes.items() for part in ("", ".bias")]


class Kosmos2(Family):
    """Kosmos-2: layer norms with biases, also inside of attention and network."""

    types = ("kosmos_2_text_model",)
    plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = True
    tied = True
    inner_norm = True

    @property
    def n_layers(self) -> int:
        """Decoding layers."""
        return self.config.size("layers")

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.config.size("embed_dim")

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Its keys have names of their own."""
        n = self.config.size("attention_heads")
        return {
            "kind": "grouped_query", "n_heads": n, "n_kv_heads": n, "head_dim": max(1, self.d_model // n),
            "qkv_bias": True, "output_bias": True, **more,
        }  # fmt: skip

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Its keys have names of their own."""
        return {"kind": "plain", "d_ff": self.config.size("ffn_dim"), "bias": True, **more}

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The norms inside."""
        sizes = {"ffn_sub_norm": self.config.size("ffn_dim")}
        if self.inner_norm:
            sizes["attn_sub_norm"] = self.d_model
        return [extra(f"{name}{part}", size) for name, size in sizes.items() for part in ("", ".bias")]


class Kosmos25(Kosmos2):
    """Kosmos-2.5: without the norm inside of attention; two vectors that tell pictures from words."""

    types = ("kosmos_2_5_text_model",)
    inner_norm = False

    def beside(self) -> list[dict[str, Any]]:
        """Those vectors."""
        return [extra("segment_embd", self.d_model, 2, small=True, idle=True)]


class VoxtralRealtime(Mistral):
    """Voxtral Realtime: Mistral with a small network that scales each layer's norm by the delay."""

    types = ("voxtral_realtime_text",)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """That network, whose result does not change from token to token."""
        rank = 32
        return [
            extra("ada_norm_down", self.d_model, rank, idle=True),
            extra("ada_norm_up", rank, self.d_model, idle=True),
        ]
