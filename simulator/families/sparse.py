"""Attention to what an index picks, and experts that do nothing: DeepSeek-V4, dots3, LongCat-Flash, Qwen4."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from typing import Any, ClassVar

from simulator.errors import describe
from simulator.families.config import Config
from simulator.families.family import extra, shared_biases
from simulator.families.files import Files, Windows
from simulator.families.hybrid import Hybrid, Qwen35Moe, further_blocks
from simulator.families.latent import DeepSeek2, DeepSeek3, DeepSeek32

MAX_NGRAM_HEADS = 10_000  # of all tables; Qwen4's class has 16 in each


class DeepSeek4(Hybrid):
    """DeepSeek-V4: a window, and everything before it compressed; several residual streams, the first experts chosen by the token."""

    types = ("deepseek_v4", "deepseek_ref")
    like = "deepseek_v4"
    gguf = ("deepseek4",)
    gguf_files = Files(roles={"attn_kv_a_norm": "attn_kv_norm"})
    ffn_bias = False
    mixers = {
        "sliding_attention": "compressed",
        "compressed_sparse_attention": "compressed",
        "heavily_compressed_attention": "compressed",
    }
    by_ratio: ClassVar[dict[int, str]] = dict(
        zip((0, 4, 128), mixers, strict=True)
    )  # as DeepSeek's own files tell them
    older_rates: ClassVar[dict[str, str]] = {
        "compressed_sparse_attention": "compress_rate_csa",
        "heavily_compressed_attention": "compress_rate_hca",
    }

    def model(self) -> dict[str, Any]:
        """With hc_mult streams."""
        return {**super().model(), "streams": {"kind": "hyper_connections", "n": self.config.size("hc_mult")}}

    def rule(self, index: int) -> str:
        """By compress_ratios, and without them two heavily compressed layers first, then in turn."""
        ratio = self.config.item(index, "compress_ratios")
        if ratio is None:
            return "heavily_compressed_attention" if index < 2 or index % 2 == 0 else "compressed_sparse_attention"
        if ratio not in tuple(self.by_ratio):
            raise self.config.wrong("compress_ratios", f"0, 4 and 128 are known, not {describe(ratio)}")
        return self.by_ratio[ratio]

    def _rate(self, named: str) -> int:
        """Tokens of an entry."""
        older, rates = self.older_rates[named], self.config.part("compress_rates")
        if self.config.given(older):
            return self.config.size(older)
        default = next(ratio for ratio, name in self.by_ratio.items() if name == named)
        return rates.size(named, default=default) if rates else default

    def compressed(self, index: int) -> dict[str, Any]:
        """The window and, but for layers of that alone, the compressed past."""
        config, named = self.config.of_layer(index), self.layer_type(index)
        found = {
            "kind": "compressed",
            "n_heads": config.size("num_attention_heads"),
            "head_dim": config.size("head_dim"),
            "q_rank": config.size("q_lora_rank"),
            "o_groups": config.size("o_groups"),
            "o_rank": config.size("o_lora_rank"),
            "window": config.size("sliding_window"),
        }
        if named == "sliding_attention":
            return found
        if named == "compressed_sparse_attention":
            names = {"picks": "index_topk", "n_heads": "index_n_heads", "head_dim": "index_head_dim"}
            found["index"] = {field: config.size(name) for field, name in names.items()}
        elif self._rate(named) == 4:
            raise config.wrong(
                "compress_rates", "4 tokens make entries that overlap, which heavily compressed layers lack"
            )
        return {**found, "ratio": self._rate(named)}

    def has_experts(self, index: int) -> bool:
        """Always."""
        return True

    def chooses_by_token(self, index: int) -> bool:
        """Whether the token alone decides which experts serve it: in the first num_hash_layers, where mlp_layer_types says nothing."""
        named = self.config.item(index, "mlp_layer_types")
        return index < self.config.count("num_hash_layers", default=3) if named is None else named == "hash_moe"

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Shared experts together as wide as one."""
        width = self.config.size("moe_intermediate_size")
        return super().experts(
            index, n_shared=1, d_shared=width, balance=not self.chooses_by_token(index), **{"d_expert": width, **more}
        )

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Biases of the shared expert."""
        width = self.config.size("moe_intermediate_size")
        return shared_biases(width, self.d_model) if self.config.flag("mlp_bias") else []

    def remarks(self) -> list[str]:
        """What the checkpoint holds beside these layers."""
        return further_blocks(self.config)


class Dots3Note(Hybrid, DeepSeek32):
    """dots3-note: latents, of which an index picks in some layers; in the others a window over latents of another width."""

    types = ("dots3_note_text",)
    gguf = ("dots3note",)
    gguf_files = Files(windows=Windows())
    first_dense = 1
    mixers = {"full_attention": "latent", "indexed_attention": "indexed", "sliding_attention": "windowed"}
    own: ClassVar[dict[str, int]] = {
        "num_attention_heads": 64,
        "q_lora_rank": 1024,
        "kv_lora_rank": 1024,
        "head_dim": 256,
        "qk_nope_head_dim": 192,
        "v_head_dim": 128,
    }  # of layers with a window, where per_layer_config is missing and no swa_* key says otherwise

    def rule(self, index: int) -> str:
        """Two full layers first, then every fourth; the others have a window, unless use_sliding_window says no."""
        is_full = index < 2 or index % 4 == 1 or not self.config.flag("use_sliding_window", default=True)
        return "full_attention" if is_full else "sliding_attention"

    def layer_type(self, index: int) -> str:
        """All full layers are indexed or none, as use_dsa says; without it those of a file with per_layer_config as they are named."""
        named = super().layer_type(index)
        if named == "sliding_attention" or (
            self.config.get("use_dsa") is None and self.config.given("per_layer_config")
        ):
            return named
        return "indexed_attention" if self.config.flag("use_dsa", default=True) else "full_attention"

    def config_of(self, index: int) -> Config:
        """With what the layers with a window have of their own."""
        if self.config.given("per_layer_config") or self.layer_type(index) != "sliding_attention":
            return self.config.of_layer(index)
        own = {name: self.config.size(f"swa_{name}", default=default) for name, default in self.own.items()}
        rope = self.config.size("swa_qk_rope_head_dim", default=max(1, own["head_dim"] - own["qk_nope_head_dim"]))
        return self.config.replaced({**own, "qk_rope_head_dim": rope})

    def indexed(self, index: int) -> dict[str, Any]:
        """Latents of which an index picks."""
        return {**self.latent(index), "index": self.picks(index)}

    def windowed(self, index: int) -> dict[str, Any]:
        """Latents of the last tokens."""
        window = self.config.size("sliding_window", default=self.config.size("sliding_window_size", default=512))
        return self.latent(index, window=window)

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Shared experts have a width of their own."""
        width = self.config.size("moe_shared_expert_intermediate_size", "shared_experts_intermediate_size")
        n_shared = self.config.size("n_shared_experts")
        return super().experts(index, d_shared=n_shared * width, **more)

    def has_experts(self, index: int) -> bool:
        """moe_layer_freq may be a list with one entry for each layer."""
        if self.config.get("mlp_layer_types") is None and isinstance(self.config.get("moe_layer_freq"), list):
            first = self.config.count("first_k_dense_replace", default=self.first_dense)
            return index >= first and bool(self.config.item(index, "moe_layer_freq"))
        return super().has_experts(index)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """And the norm of the rotary key, and a gate for each head."""
        latent = self.latent(index)
        more = [extra("attn_k_rope_norm", latent["qk_rope_dim"]), extra("attn_gate", self.d_model, latent["n_heads"])]
        return [*super().layer_beside(index), *more]


class LongCatFlash(DeepSeek3):
    """LongCat-Flash: each layer is two of attention and network, with experts across both of which some do nothing."""

    types = ("longcat_flash",)
    mtp_layer = 0  # dense

    @property
    def n_layers(self) -> int:
        """Pairs: num_layers."""
        return self.config.size("num_layers")

    def layers(self, index: int) -> list[dict[str, Any]]:
        """Two layers, and the experts that stand across them."""
        beside = [*super().layer_beside(index), *self.wider_queries(index)]
        half = {"attention": self.latent(index), "ffn": self.dense(index), "norms": 2, "beside": beside}
        experts = {"ffn": self.experts(index), "norms": 0}
        return [half, half, experts]

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """With zero experts, which pass a token on as it is."""
        n_zero = self.config.count("zero_expert_num", default=0)
        bias = self.config.flag("router_bias")
        return super(DeepSeek2, self).experts(index, n_zero=n_zero, router_bias=bias, **more)

    def wider_queries(self, index: int) -> list[dict[str, Any]]:
        """What qk_head_dim makes queries wider than both their parts are."""
        latent = self.latent(index)
        used = latent["qk_nope_dim"] + latent["qk_rope_dim"]
        more = self.config.size("qk_head_dim", default=used) - used
        if more < 0:
            raise self.config.wrong("qk_head_dim", f"qk_nope_head_dim and qk_rope_head_dim together are {used}")
        return [extra("attn_q_b_rest", latent["q_rank"] or self.d_model, latent["n_heads"] * more)] if more else []

    def model(self) -> dict[str, Any]:
        """In the total is what transformers makes too much, gate and up for zero experts: it is in no memory but its own."""
        return {**super().model(), "unstored_params": self._unstored}

    @property
    def _unstored(self) -> int:
        ffn = self.experts(0)
        return self.n_layers * 2 * ffn["d_expert"] * ffn["n_zero"] * self.d_model

    def remarks(self) -> list[str]:
        """How tokens choose, and what is counted and nowhere held."""
        ffn = self.experts(0)
        if not ffn["n_zero"]:
            return super().remarks()
        share = f"a token's {ffn['n_active']} choices fall among {ffn['n_experts']} experts and {ffn['n_zero']} that do nothing"
        made = f"of all weights {self._unstored:,} are gate and up that transformers 5.24 makes for those as well"
        return [*super().remarks(), share, f"{made}: no checkpoint holds them, and they are in none of the bytes here"]


class Qwen4Exp(Qwen35Moe):
    """Qwen4: gated delta nets and attention to what an index picks, gated residual streams, tables of n-grams in some layers."""

    types = ("qwen4_exp_text",)
    converted = "qwen4exp"
    norms, final_norm = 0, False
    mixers = {"indexed_attention": "indexed", "full_attention": "indexed", "linear_attention": "recurrence"}

    def model(self) -> dict[str, Any]:
        """With hc_count streams, mixed at rank hc_lowrank."""
        streams = {"kind": "gated_residuals", "n": self.config.size("hc_count"), "rank": self.config.size("hc_lowrank")}
        return {**super().model(), "streams": streams}

    def indexed(self, index: int) -> dict[str, Any]:
        """Attention to indexer_budget tokens."""
        names = {"picks": "indexer_budget", "index_heads": "indexer_n_heads", "index_dim": "indexer_head_dim"}
        found = {field: self.config.size(name) for field, name in names.items()}
        return self.grouped_query(index, **found, index_keys=self._index_keys)

    @property
    def _index_keys(self) -> int:
        """Keys that the index keeps of a token: each of its heads has a key of its own, or shares one."""
        return self.config.size("indexer_kv_heads", default=1)

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """The index, whose queries and key are one matrix; and the table of n-grams, where the layer has one."""
        found = []
        if self.layer_type(index) != "linear_attention":
            heads, width = self.config.size("indexer_n_heads"), self.config.size("indexer_head_dim")
            rows = (heads + self._index_keys) * width
            found.append(extra("indexer.attn_qk", self.d_model, rows))
            found += [extra("indexer.q_norm", width), extra("indexer.k_norm", width)]
        numbers = self._with_table
        return found + (self.table(numbers.index(index + 1)) if index + 1 in numbers else [])

    @property
    def _with_table(self) -> list[Any]:
        """Numbers, from 1, of the layers with a table of n-grams."""
        listed = self.config.items("ple_layer_ids") or []
        if not all(isinstance(each, int) for each in listed):
            raise self.config.wrong("ple_layer_ids", "numbers of layers are needed, the first is 1")
        return sorted(set(listed))

    def table(self, turn: int) -> list[dict[str, Any]]:
        """Of the *turn*-th such layer: a table of which a row for each head is looked up, and what weighs it into the streams."""
        config, wide = self.config, self.d_model * self.config.size("hc_count")
        width = config.size("ple_embed_dim", default=self.d_model)
        n_heads = (config.size("ngram_size") - 1) * config.size("heads_per_ngram")
        if n_heads * len(self._with_table) > MAX_NGRAM_HEADS:
            raise config.wrong(
                "heads_per_ngram", f"at most {MAX_NGRAM_HEADS:,} heads for n-grams are read in all layers"
            )
        if not n_heads or width % n_heads:
            raise config.wrong("heads_per_ngram", f"so many heads for n-grams cannot share ple_embed_dim {width}")
        multiple = config.size("make_ngram_vocab_size_divisible_by")
        base = config.count("ngram_vocab_size_base", at_most=10**9)
        primes = primes_from(base, n_heads * len(self._with_table))
        entries = sum(primes[turn * n_heads : (turn + 1) * n_heads])
        # A table has more rows than a matrix may: it is told in as many columns as its rows are padded to.
        blocks = -(-entries // multiple)
        return [
            extra("ngram_embd", width // n_heads * multiple, blocks, idle=True),
            extra("ngram_key", width, wide),
            extra("ngram_value", width, self.d_model),
            *(extra(f"ngram_{each}_norm", wide) for each in ("key", "query", "conv")),
            extra("ngram_conv1d", config.size("ple_conv_kernel_size"), wide, small=True),
        ]

    def remarks(self) -> list[str]:
        """Where the tables lie."""
        more = (
            ["tables of n-grams are held whole, and a few rows of them looked up for a token"]
            if self._with_table
            else []
        )
        return [*super().remarks(), *more]


@lru_cache(maxsize=16)
def primes_from(start: int, count: int) -> tuple[int, ...]:
    """The first *count* primes that are at least *start*, by the sieve of Eratosthenes in stretches."""
    found: list[int] = []
    first, length = max(start, 2), 1 << 16
    while len(found) < count:
        found += _primes_among(first, length)
        first += length
    return tuple(found[:count])


def _primes_among(first: int, length: int) -> Iterator[int]:
    is_prime = bytearray(b"\1") * length
    for divisor in _small_primes(isqrt(first + length) + 1):
        start = max(divisor * divisor, -(-first // divisor) * divisor) - first
        is_prime[start::divisor] = bytes(len(range(start, length, divisor)))
    return (first + offset for offset, flag in enumerate(is_prime) if flag)


@lru_cache(maxsize=16)
def _small_primes(end: int) -> tuple[int, ...]:
    is_prime = bytearray(b"\0\0") + bytearray(b"\1") * (end - 1)
    for number in range(2, isqrt(end) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, end + 1, number)))
    return tuple(number for number, flag in enumerate(is_prime) if flag)
