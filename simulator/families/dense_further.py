"""Dense decoders with something that Llama has not: layer norms, networks of two matrices, further vectors in each layer."""

from __future__ import annotations

from typing import Any

from simulator.families.family import Family, extra


class StableLm(Family):
    """StableLM: layer norms with biases, one before both halves where use_parallel_residual says so."""

    types = ("stablelm",)
    gguf = ("stablelm",)
    norm_bias = True
    head_dim_key = output_bias = ffn_bias = False

    @property
    def norms(self) -> int:
        """The halves side by side share one."""
        return 1 if self.config.flag("use_parallel_residual") else 2

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Biases as use_qkv_bias says, norms of each head as qk_layernorm does."""
        norm = "full" if self.config.flag("qk_layernorm") else None
        return super().grouped_query(index, qkv_bias=self.config.flag("use_qkv_bias"), qk_norm=norm, **more)


class Nemotron(Family):
    """Nvidia's Nemotron 4 and Minitron: layer norms with biases, two matrices in the network."""

    types = ("nemotron",)
    gguf = ("nemotron",)
    norm_bias = plain_ffn = True


class Jais2(Nemotron):
    """Jais 2: layer norms, two matrices in the network, biases as keys say."""

    types = ("jais2",)
    gguf = ("jais2",)


class Arcee(Family):
    """Arcee's AFM: two matrices in the network."""

    types = ("arcee",)
    gguf = ("arcee",)
    plain_ffn = True


class Apertus(Family):
    """Apertus: two matrices in the network, an activation with two learned numbers, norms of query and key."""

    types = ("apertus",)
    gguf = ("apertus",)
    plain_ffn, ffn_bias = True, False
    qk_norm = "head"

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The two numbers of xIELU."""
        if self.config.text("hidden_act") != "xielu":
            return []
        return [extra("xielu.alpha_p", 1), extra("xielu.alpha_n", 1)]


class Apertus15(Apertus):
    """Apertus 1.5's text part: the head may have fewer rows than the embedding."""

    types = ("apertus1p5_text",)

    @property
    def _pruned(self) -> int:
        rows = self.config.count("output_vocab_size", default=0)
        return 0 if rows == self.vocab else rows

    def model(self) -> dict[str, Any]:
        """With the rows of its head."""
        if self._pruned and self.config.flag("tie_word_embeddings"):
            raise self.config.wrong("output_vocab_size", "a head with tie_word_embeddings has the embedding's rows")
        return {**super().model(), "head_rows": self._pruned or None}


class NanoChat(Family):
    """nanochat: norms without weights, two matrices in the network."""

    types = ("nanochat",)
    plain_ffn = True
    norms, final_norm, ffn_bias = 0, False, False


class BitNet(Family):
    """BitNet b1.58 2B: a norm before each output projection."""

    types = ("bitnet",)
    gguf = ("bitnet",)
    gguf_also = {"bitnet-25": "bitnet", "bitnet-b1.58": "bitnet"}  # of ik_llama.cpp and bitnet.cpp
    ffn_bias = False

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Norms inside attention and network."""
        return [extra("attn_sub_norm", self.d_model), extra("ffn_sub_norm", self.dense(index)["d_ff"])]


class DiffLlama(Family):
    """DiffLlama: the difference of two attentions, weighed by four learned vectors."""

    types = ("diffllama",)
    ffn_bias = False

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The four vectors of a head's width."""
        width = self.grouped_query(index)["head_dim"]
        return [extra(f"attn_lambda_{each}", width) for each in ("q1", "k1", "q2", "k2")]


class Doge(Family):
    """Doge: a learned mask of past tokens, weighed residuals; optionally experts of one value each."""

    types = ("doge",)
    qk_norm = "head"
    uses_window = True

    @property
    def _is_mixture(self) -> bool:
        return self.config.flag("is_moe")

    def has_experts(self, index: int) -> bool:
        """Its experts are rows of two tables beside a dense network."""
        return False

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """What makes the mask, the weights of the residuals, and the tables of experts with their router."""
        attention = self.grouped_query(index)
        n_kv = attention["n_kv_heads"]
        found = [extra("attn_a", n_kv), extra("attn_dt", n_kv * attention["head_dim"], n_kv)]
        found += [extra("attn_dt.bias", n_kv)] if attention["qkv_bias"] else []
        found += [extra("attn_residual", self.d_model), extra("ffn_residual", self.d_model)]
        if self._is_mixture:
            n_experts = self.config.size("num_experts")
            found.append(extra("ffn_gate_inp", self.d_model, 2 * int(n_experts**0.5)))
            found += [extra(f"ffn_{each}_embd", self.d_model, n_experts, idle=True) for each in ("down", "up")]
        return found

    def remarks(self) -> list[str]:
        """How its experts are counted."""
        if not self._is_mixture:
            return []
        active = self.config.size("num_experts_per_tok")
        return [f"its experts are rows of tables, of which a token looks up {active}: held, not counted as streamed"]


class ModernBertDecoder(Family):
    """ModernBERT trained as a decoder: windows in two of three layers, a norm of the embedding, a dense layer before the head."""

    types = ("modernbert-decoder",)
    fused_ffn = True
    head_dim_key = kv_heads_key = False
    full_first = True

    @property
    def full_every(self) -> int:
        """One of so many layers sees everything."""
        return self.config.size("global_attn_every_n_layers", default=3)

    @property
    def norm_bias(self) -> bool:
        """As a key says."""
        return self.config.flag("norm_bias")

    def window(self, index: int) -> dict[str, int]:
        """sliding_window, and without it half of local_attention, which reaches to both sides."""
        window = self.config.count("sliding_window", default=self.config.count("local_attention", default=0) // 2)
        return {"window": window} if window and self.is_windowed(index) else {}

    def layer(self, index: int) -> dict[str, Any]:
        """The first layer has no norm before its attention: the embedding's stands there."""
        return {**super().layer(index), "norms": 2 if index else 1}

    def model(self) -> dict[str, Any]:
        """The bias of its head has a key of its own."""
        return {**super().model(), "head_bias": self.config.flag("decoder_bias")}

    def beside(self) -> list[dict[str, Any]]:
        """The norm of the embedding, the dense layer before the head and its norm."""
        found = [extra("token_embd_norm", self.d_model), extra("output_dense_norm", self.d_model)]
        found.append(extra("output_dense", self.d_model, self.d_model))
        found += [extra("output_dense.bias", self.d_model)] if self.config.flag("classifier_bias") else []
        if self.norm_bias:
            found += [extra("token_embd_norm.bias", self.d_model), extra("output_dense_norm.bias", self.d_model)]
        return found


class Moshi(Family):
    """Kyutai's Moshi: the decoder of text, without the one that writes sound within each step."""

    types = ("moshi",)
    uses_window = fused_ffn = True
    qkv_bias = output_bias = ffn_bias = False

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """ffn_dim counts gate and up together."""
        return super().dense(index, d_ff=self.config.size("ffn_dim") // 2, **more)

    def beside(self) -> list[dict[str, Any]]:
        """One row of the embedding more than the vocabulary has."""
        return [extra("token_embd_more", self.d_model, idle=True)]

    def remarks(self) -> list[str]:
        """What is left out."""
        return ["only the decoder of text is counted: the decoder of sound and the audio codec are left out"]
