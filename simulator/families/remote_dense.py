"""Further dense decoders whose code comes with the checkpoint, as llama.cpp b11549 and vLLM 0.33 read them."""

from __future__ import annotations

from typing import Any

from simulator.families.dense import Llama, Phi3, Qwen2
from simulator.families.dense_further import StableLm
from simulator.families.family import Family, extra
from simulator.families.files import Files, Windows
from simulator.families.gpt import Falcon
from simulator.families.latent import DeepSeek2
from simulator.families.loops import check_runs
from simulator.families.older import Phi


class LlamaByOtherNames(Llama):
    """01.AI's Yi, BAAI's Aquila 2, Skywork and TeleChat 3: Llama."""

    types = ("Yi", "aquila", "skywork", "telechat3")
    classes = (
        "LLaMAForCausalLM",
        "TeleChat3ForCausalLM",
        "TeleFLMForCausalLM",
    )
    converted = "llama"
    like = "llama"


class InternLm(Llama):
    """InternLM 1: biases of attention as bias says."""

    types = ("internlm",)
    like = "llama"
    bias_key = "bias"
    ffn_bias = False


class MiMo(Qwen2):
    """Xiaomi's MiMo 7B: Qwen2."""

    types = ("mimo",)
    classes = ("MiMoForCausalLM",)
    like = "qwen2"


class DotsOcr(Qwen2):
    """dots.ocr: the part that writes is a Qwen2."""

    types = ("dots_ocr",)
    converted = "qwen2"
    like = "qwen2"


class Maincoder(Llama):
    """Maincoder: norms of query and key."""

    types = ("maincoder",)
    classes = ("MaincoderForCausalLM",)
    gguf = ("maincoder",)
    like = "llama"
    qk_norm = "head"


class Step1(Llama):
    """Step 1: positions by distance (ALiBi), few key/value heads."""

    types = ("step1",)
    classes = ("Step1ForCausalLM",)
    like = "llama"
    head_dim_key = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """num_attention_groups key/value heads, one where nothing says."""
        n_kv = self.config.count("num_attention_groups", "num_key_value_heads", default=1) or 1
        return super().grouped_query(index, **{"n_kv_heads": n_kv, **more})


class TeleChat(Llama):
    """TeleChat 1 and 2: biases of both projections back to the residual stream."""

    types = ("telechat",)
    classes = ("TeleChat2ForCausalLM",)
    qkv_bias, output_bias, ffn_bias = False, True, False
    width_keys = ("ffn_hidden_size", "intermediate_size")

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The bias of the network's last matrix."""
        return [extra("ffn_down.bias", self.d_model)]


class Solar(Llama):
    """Upstage's Solar Pro: outputs of some layers are added again further up."""

    types = ("solar",)
    like = "llama"
    harmless = ("bskcn_1", "bskcn_2", "bskcn_3", "bskcn_4", "bskcn_tv")
    uses_window = True


class PanguEmbedded(Llama):
    """Huawei's openPangu Embedded: biases of attention as bias says, those of query, key and value as qkv_bias does."""

    types = ("PanguEmbedded",)
    classes = ("PanguEmbeddedForCausalLM",)
    gguf = ("pangu-embedded",)
    like = "llama"

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Biases by two keys."""
        bias = self.config.flag("bias") or self.config.flag("attention_bias")
        own = {"qkv_bias": self.config.flag("qkv_bias", default=bias), "output_bias": bias}
        return super().grouped_query(index, **{**own, **more})


class Plamo(Llama):
    """PLaMo 13B: attention and network side by side with one norm, n_shared_head query heads for each key."""

    types = ("plamo",)
    gguf = ("plamo",)
    like = "llama"
    norms = 1

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """num_key_value_heads is stated and not used."""
        n_kv = -(-self.config.size("num_attention_heads") // self.config.size("n_shared_head", default=1))
        return super().grouped_query(index, **{"n_kv_heads": n_kv, **more})


class Plamo3(Family):
    """PLaMo 3: four norms, norms of query and key, windows in all but each sliding_window_pattern-th layer."""

    types = ("plamo3",)
    classes = (
        "Plamo3ForCausalLM",
        "PLaMo3ForCausalLM",
    )
    gguf = ("plamo3",)
    gguf_files = Files(windows=Windows(8))
    harmless = ("interleaved_sliding_window", "rope_local_theta")
    norms = 4
    qk_norm = "head"
    tied = fused_qkv = fused_ffn = True

    def window(self, index: int) -> dict[str, int]:
        """As interleaved_sliding_window lists them, and without it by the pattern."""
        if self.config.items("interleaved_sliding_window") is not None:
            own = self.config.item(index, "interleaved_sliding_window")
            return {"window": own} if own else {}
        window = self.config.count("sliding_window", "window_size", default=0)
        is_full = (index + 1) % self.config.size("sliding_window_pattern", default=8) == 0
        return {} if is_full or not window else {"window": window}


class Refact(Family):
    """Refact 1.6B: one key and value for all heads, positions by distance (ALiBi)."""

    types = ("gpt_refact",)
    gguf = ("refact",)
    harmless = ("multi_query", "attention_bias_in_fp32", "do_sample")
    tied = True
    head_dim_key = False
    qkv_bias = output_bias = ffn_bias = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """One key and value."""
        return super().grouped_query(index, **{"n_kv_heads": 1, **more})

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Two thirds of four times d_model, rounded up to a multiple of 256."""
        width = -(-(8 * self.d_model // 3) // 256) * 256
        return super().dense(index, **{"d_ff": width, **more})


class CodeShell(Family):
    """CodeShell 7B: layer norms and biases everywhere, num_query_groups keys and values."""

    types = ("codeshell",)
    gguf = ("codeshell",)
    harmless = ("group_query_attention", "multi_query", "tie_lm_head")
    tied = plain_ffn = norm_bias = fused_qkv = qkv_bias = output_bias = ffn_bias = True
    head_dim_key = False

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Groups."""
        return super().grouped_query(index, **{"n_kv_heads": self.config.size("num_query_groups"), **more})


class Jais(Family):
    """Jais 13B and 30B: GPT-2 with three matrices in the network and positions by distance (ALiBi)."""

    types = ("jais",)
    gguf = ("jais",)
    tied = norm_bias = fused_qkv = qkv_bias = output_bias = ffn_bias = True
    head_dim_key = kv_heads_key = False

    def model(self) -> dict[str, Any]:
        """Of the two activations and kinds of positions one each is known."""
        known = {"activation_function": "swiglu", "position_embedding_type": "alibi"}
        for key, value in known.items():
            if self.config.text(key) != value:
                raise self.config.wrong(key, f"of Jais only {value} is known")
        return super().model()


class RefinedWeb(Falcon):
    """Falcon by its first names: n_head_kv keys and values (40B), one (7B), or one for each head."""

    types = ("RefinedWeb", "RefinedWebModel")
    converted = "falcon"
    like = "falcon"

    @property
    def norms(self) -> int:
        """Two where there are groups or the halves follow one another."""
        return 2 if self.config.given("n_head_kv") or not self.config.flag("parallel_attn", default=True) else 1

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """By n_head_kv, and without it by multi_query."""
        n_heads = self.config.size("n_head", "num_attention_heads")
        if self.config.given("n_head_kv"):
            n_kv = self.config.size("n_head_kv", default=n_heads)
        else:
            n_kv = 1 if self.config.flag("multi_query") else n_heads
        return super(Falcon, self).grouped_query(index, **{"n_kv_heads": n_kv, **more})


class StableLmEpoch(StableLm):
    """StableLM 3B and 2 by their first name."""

    types = ("stablelm_epoch",)
    converted = "stablelm"
    like = "stablelm"


class PhiOfMicrosoft(Phi):
    """Phi-1.5 and 2 by their first names."""

    types = ("phi-msft", "mixformer-sequential")
    converted = "phi2"
    harmless = ("fused_dense", "flash_rotary")


class Phi3Vision(Phi3):
    """Phi-3 and 3.5 vision, Phi-4 multimodal by its first name: the part that writes is a Phi-3."""

    types = ("phi3_v", "phi4mm")
    converted = "phi3"
    like = "phi3"
    harmless = ("embd_layer", "full_attn_mod", "vision_lora", "speech_lora")


class Phi3Small(Family):
    """Phi-3 small: layer norms and biases everywhere, the head is the embedding; every second layer reads blocks of the past."""

    types = ("phi3small",)
    harmless = (
        "ff_dim_multiplier", "dense_attention_every_n_layers", "blocksparse_block_size", "blocksparse_homo_head_pattern",
        "blocksparse_num_local_blocks", "blocksparse_triton_kernel_block_size", "blocksparse_vert_stride", "gegelu_pad_to_256",
        "mup_use_scaling", "mup_width_multiplier",
    )  # fmt: skip
    tied = norm_bias = fused_qkv = fused_ffn = qkv_bias = output_bias = ffn_bias = True
    width_keys = ("ff_intermediate_size",)

    def remarks(self) -> list[str]:
        """What is counted as if every layer read all."""
        return ["layers that read only some blocks of the past are counted as if they read all of it"]


class Plm(DeepSeek2):
    """PLM 1.8B: latents, two matrices in the network, the head is the embedding."""

    types = ("plm",)
    classes = ("PLMForCausalLM",)
    gguf = ("plm",)
    harmless = ("num_key_value_heads",)
    tied = plain_ffn = True
    ffn_bias = False


class OpenElm(Family):
    """Apple's OpenELM: heads and widths grow from layer to layer."""

    types = ("openelm",)
    gguf = ("openelm",)
    harmless = (
        "qkv_multipliers",
        "num_gqa_groups",
        "normalize_qk_projections",
        "ffn_with_glu",
        "normalization_layer_name",
    )
    qk_norm = "head"
    tied = fused_qkv = fused_ffn = True
    qkv_bias = output_bias = ffn_bias = False

    @property
    def n_layers(self) -> int:
        """num_transformer_layers."""
        return self.config.size("num_transformer_layers")

    @property
    def d_model(self) -> int:
        """model_dim."""
        return self.config.size("model_dim")

    def model(self) -> dict[str, Any]:
        """What the published four have in common is all that is known."""
        for key in ("normalize_qk_projections", "ffn_with_glu", "share_input_output_layers"):
            if not self.config.flag(key, default=True):
                raise self.config.wrong(key, "only true is known")
        return {**super().model(), "max_context": self.config.count("max_context_length", default=0) or None}

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Heads by layer."""
        return {
            "kind": "grouped_query",
            "n_heads": self.config.size_in(index, "num_query_heads"),
            "n_kv_heads": self.config.size_in(index, "num_kv_heads"),
            "head_dim": self.config.size("head_dim"),
            "qk_norm": self.qk_norm,
            "fused_qkv": True,
        }

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """A multiple of ffn_dim_divisor near the layer's share of d_model, not below nine tenths of it."""
        share, step = self.config.item(index, "ffn_multipliers"), self.config.size("ffn_dim_divisor", default=1)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1000:
            raise self.config.wrong("ffn_multipliers", "a list with a number for each layer is needed")
        wanted = share * self.d_model
        width = max(step, int(wanted + step / 2) // step * step)
        return {"kind": "gated", "d_ff": width + step if width < 0.9 * wanted else width, "fused": True}


class Spark25(Llama):
    """iFlytek's Spark X2.5: a gate for each head, windows as layer_types says."""

    types = ("spark2_5",)
    gguf = ("spark2_5",)
    gguf_files = Files(windows=Windows())
    classes = ("Spark2_5ForCausalLM",)
    like = "llama"
    harmless = ("headwise_attn_output_gate",)
    fused_qkv = True

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The gate."""
        if not self.config.flag("headwise_attn_output_gate"):
            raise self.config.wrong("headwise_attn_output_gate", "of Spark only layers with a gate are known")
        return [extra("attn_gate", self.d_model, self.config.size("num_attention_heads"))]


class Nanbeige(Llama):
    """Nanbeige 4.2: all layers run num_loops times, each time with keys and values of their own."""

    types = ("nanbeige",)
    gguf = ("nanbeige",)
    gguf_files = Files(loops="num_loops")
    classes = ("NanbeigeForCausalLM",)
    like = "llama"
    harmless = ("skip_loop_final_norm",)

    def model(self) -> dict[str, Any]:
        """The layers, and after them those that run again."""
        data, n_loops = super().model(), self.config.size("num_loops", default=1)
        check_runs(self.config, "num_loops", n_loops * len(data["layers"]))
        again = [{**layer, "shares_weights": True} for layer in data["layers"]]
        numbers = [*range(len(again))]
        return {**data, "layers": [*data["layers"], *((n_loops - 1) * again)], "repeats": (n_loops - 1) * numbers}
