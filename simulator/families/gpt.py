"""GPT-2 and its descendants: layer norms with biases, two matrices in the network, often query, key and value in one matrix."""

from __future__ import annotations

from typing import Any

from simulator.errors import InputError
from simulator.families.family import Family, extra


class Gpt2(Family):
    """GPT-2, and GPT-SW3: learned positions, biases everywhere."""

    types = ("gpt2", "gpt-sw3")
    gguf = ("gpt2",)
    tied = True
    plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = learned_positions = fused_qkv = True
    head_dim_key = kv_heads_key = False
    width_keys = ("n_inner", "intermediate_size")

    def attention(self, index: int) -> dict[str, Any] | None:
        """Where it attends to an encoder, too, there is an encoder that this file does not describe."""
        if self.config.flag("add_cross_attention"):
            raise self.config.wrong("add_cross_attention", "a decoder of another model's encoder is not described here")
        return super().attention(index)


class OpenAiGpt(Gpt2):
    """The first GPT: norms after the halves, none before the head."""

    types = ("openai-gpt",)
    final_norm = False
    width_keys = ()


class GptBigCode(Gpt2):
    """StarCoder 1 and SantaCoder: one key and value for all heads, where multi_query says so."""

    types = ("gpt_bigcode",)
    gguf = ("starcoder",)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """One key and value, or one for each head."""
        shared = {"n_kv_heads": 1} if self.config.flag("multi_query", default=True) else {}
        return super().grouped_query(index, **{**shared, **more})


class GptNeo(Gpt2):
    """GPT-Neo: biases of the output alone, some layers attend to a window."""

    types = ("gpt_neo",)
    qkv_bias = fused_qkv = False

    def remarks(self) -> list[str]:
        """How its windows are counted."""
        window = self.config.count("window_size", default=0)
        return [f"its local layers attend to {window} tokens, but keep and read all: counted so"] if window else []


class GptNeoX(Family):
    """GPT-NeoX, Pythia, Dolly: rotary positions, biases of attention as attention_bias says."""

    types = ("gpt_neox",)
    gguf = ("gptneox",)
    plain_ffn = ffn_bias = norm_bias = fused_qkv = True
    head_dim_key = kv_heads_key = False


class GptNeoXJapanese(Family):
    """GPT-NeoX Japanese: no biases, but of the last layer's output."""

    types = ("gpt_neox_japanese",)
    plain_ffn = norm_bias = fused_qkv = True
    head_dim_key = kv_heads_key = qkv_bias = ffn_bias = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """The last layer alone has a bias."""
        return super().grouped_query(index, output_bias=index == self.n_layers - 1, **more)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """The width is a multiple of d_model."""
        return super().dense(index, d_ff=self.d_model * self.config.size("intermediate_multiple_size"), **more)


class GptJ(Family):
    """GPT-J: one norm before both halves, biases of the network and the head alone."""

    types = ("gptj",)
    norms = 1
    plain_ffn = ffn_bias = norm_bias = head_bias = True
    head_dim_key = kv_heads_key = qkv_bias = output_bias = False
    width_keys = ("n_inner",)


class CodeGen(GptJ):
    """Salesforce's CodeGen: GPT-J with query, key and value in one matrix."""

    types = ("codegen",)
    fused_qkv = True


class Bloom(Family):
    """BLOOM: positions by distance (ALiBi), a norm of the embedding."""

    types = ("bloom",)
    harmless = ("skip_bias_add", "skip_bias_add_qkv")
    gguf = ("bloom",)
    tied = True
    plain_ffn = ffn_bias = norm_bias = qkv_bias = output_bias = fused_qkv = True
    head_dim_key = kv_heads_key = False
    width_keys = ()

    @property
    def d_model(self) -> int:
        """An older name outranks the present one."""
        return self.config.size("n_embed", "hidden_size")

    def beside(self) -> list[dict[str, Any]]:
        """The norm of the embedding."""
        return [extra("token_embd_norm", self.d_model), extra("token_embd_norm.bias", self.d_model)]


class Mpt(Family):
    """MosaicML's MPT: positions by distance (ALiBi), no biases at all."""

    types = ("mpt",)
    gguf = ("mpt",)
    tied = plain_ffn = fused_qkv = True
    head_dim_key = kv_heads_key = qkv_bias = output_bias = ffn_bias = False
    width_keys = ()

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """One key for each head: attn_config of other models of MPT's code says otherwise, which transformers does not read."""
        part = self.config.part("attn_config")
        n_heads = self.config.size("n_heads")
        if part and (
            part.text("attn_type", default="multihead_attention") != "multihead_attention"
            or part.size("kv_n_heads", default=n_heads) != n_heads
            or part.flag("qk_ln")
        ):
            raise self.config.wrong("attn_config", "of MPT only multihead_attention without qk_ln is known")
        return super().grouped_query(index, **more)


class Falcon(Family):
    """TII's Falcon: attention and network side by side, few key/value heads, biases as bias says."""

    types = ("falcon",)
    gguf = ("falcon",)
    tied = plain_ffn = norm_bias = fused_qkv = True
    head_dim_key = kv_heads_key = False
    bias_key = "bias"
    width_keys = ("ffn_hidden_size",)

    @property
    def d_model(self) -> int:
        """An older name outranks the present one."""
        return self.config.size("n_embed", "hidden_size")

    @property
    def norms(self) -> int:
        """Halves side by side share one, but for num_ln_in_parallel_attn."""
        is_new = self.config.flag("new_decoder_architecture")
        shared = self.config.count("num_ln_in_parallel_attn", default=2 if is_new else 1)
        return 1 if self.config.flag("parallel_attn", default=True) and shared != 2 else 2

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Groups in the new architecture, else one key and value, or one for each head."""
        n_heads = self.config.size("num_attention_heads")
        n_kv = 1 if self.config.flag("multi_query", default=True) else n_heads
        if self.config.flag("new_decoder_architecture"):
            n_kv = self.config.size("num_kv_heads", default=n_heads)
        if n_heads % n_kv:
            raise InputError(f"{self.config.path}: num_kv_heads {n_kv} must divide num_attention_heads {n_heads}")
        return super().grouped_query(index, n_kv_heads=n_kv, **more)


class Starcoder2(Family):
    """StarCoder 2: layer norms, two matrices in the network, biases as use_bias says."""

    types = ("starcoder2",)
    gguf = ("starcoder2",)
    tied = plain_ffn = norm_bias = uses_window = True
    bias_key = "use_bias"
