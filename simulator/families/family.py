"""The decoder that most architectures are: Llama's, with switches for what others do differently; a family is a subclass of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from simulator.errors import InputError
from simulator.families.config import MAX_POSITIONS, Config, config_classes
from simulator.families.files import Files
from simulator.spec.model import MAX_LAYERS

FAMILIES: dict[str, type[Family]] = {}  # by model_type
BY_CLASS: dict[str, type[Family]] = {}  # by the name of the class that a config has under architectures
ARCHITECTURES: dict[str, type[Family]] = {}  # by general.architecture of GGUF files
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # of a layer
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token")
_OWN = {"types", "classes", "gguf", "gguf_also", "gguf_files", "converted"}


class Family:
    """One architecture: `types` are its model_type in a config.json, `gguf` what llama.cpp calls its GGUF files.

    These, and what else is told of GGUF files, hold for one class alone: a subclass does not take them over.

    The switches say what no key does; where one is None, the keys decide. A subclass overrides a method where its layers differ.
    Methods return fields of the kinds in spec/: what stands in a model's YAML.
    """

    types: ClassVar[tuple[str, ...]] = ()
    gguf: ClassVar[tuple[str, ...]] = ()
    classes: ClassVar[tuple[str, ...]] = ()  # names under architectures, where no other type of transformers has them
    gguf_also: ClassVar[dict[str, str]] = {}  # what other programs call them: which of llama.cpp's names that is
    gguf_files: ClassVar[Files] = Files()
    converted: ClassVar[str | None] = None  # what llama.cpp's converter calls it, where that is another family's name

    harmless: ClassVar[tuple[str, ...]] = ()  # keys that shape nothing beside those that transformers' class knows
    like: ClassVar[str | None] = None  # a type of transformers whose keys these have too

    norms: ClassVar[int] = 2  # norm vectors of d_model in each layer
    norm_bias: ClassVar[bool] = False
    final_norm: ClassVar[bool] = True
    head_dim_key: ClassVar[bool] = True  # False: heads share d_model out, whatever head_dim says
    kv_heads_key: ClassVar[bool] = (
        True  # False: each head has a key and a value of its own, whatever num_key_value_heads says
    )
    qk_norm: ClassVar[str | None] = None  # "head": one for all heads; "full": over all of them
    qk_norm_key: ClassVar[str | None] = None  # the key that says whether there are such; None: always
    fused_qkv: ClassVar[bool] = False  # stored as one matrix
    bias_key: ClassVar[str | None] = (
        None  # one key for the biases of all matrices, in place of attention_bias and mlp_bias
    )
    qkv_bias: ClassVar[bool | None] = None  # None: as attention_bias says
    output_bias: ClassVar[bool | None] = None  # None: as attention_bias says
    output_gate: ClassVar[bool] = False
    sinks: ClassVar[bool] = False
    plain_ffn: ClassVar[bool] = False  # two matrices, not three
    fused_ffn: ClassVar[bool] = False  # gate and up stored as one matrix
    ffn_bias: ClassVar[bool | None] = None  # None: as mlp_bias says
    width_keys: ClassVar[tuple[str, ...]] = (
        "intermediate_size",
        "n_inner",
    )  # of the network; without one: four times d_model
    expert_width_keys: ClassVar[tuple[str, ...]] = ("moe_intermediate_size", "intermediate_size")
    head_bias: ClassVar[bool] = False
    tied: ClassVar[bool] = False  # where neither the file nor its class says
    can_tie: ClassVar[bool] = True  # False: there is a head, whatever tie_word_embeddings says
    uses_window: ClassVar[bool] = False  # sliding_window holds for every layer without layer_types
    full_every: ClassVar[int] = (
        0  # without layer_types, one of so many layers sees everything and the others the window
    )
    full_first: ClassVar[bool] = False  # the first of them, not the last
    learned_positions: ClassVar[bool] = False
    position_rows: ClassVar[int] = 0  # of them, beside one for each position
    router_bias: ClassVar[bool] = False
    balance: ClassVar[bool] = False  # a buffer beside the router, in the choice of experts only
    expert_bias: ClassVar[bool] = False
    mtp_layer: ClassVar[int | None] = None  # whose shape blocks have that predict further tokens; None: the last
    shared_gate: ClassVar[bool] = False

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        for each in _OWN - cls.__dict__.keys():
            setattr(cls, each, getattr(Family, each))
        for each in cls.types:
            assert each not in FAMILIES, f"two families have the type {each}"
            FAMILIES[each] = cls
        for each in cls.classes:
            assert each not in BY_CLASS, f"two families have the class {each}"
            BY_CLASS[each] = cls
        for each in (*cls.gguf, *cls.gguf_also):
            assert each not in ARCHITECTURES, f"two families have the architecture {each}"
            ARCHITECTURES[each] = cls

    def __init__(self, config: Config):
        self.config = config

    # ---- the whole ----

    @property
    def n_layers(self) -> int:
        """Decoding layers."""
        return self.config.size("num_hidden_layers", "n_layer", "num_layers", "n_layers")

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.config.size("hidden_size", "n_embd", "d_model")

    @property
    def vocab(self) -> int:
        """Rows of the embedding."""
        return self.config.size("vocab_size")

    @property
    def d_embed(self) -> int | None:
        """Width of embedding and head, where it is not d_model."""
        return None

    def model(self) -> dict[str, Any]:
        """The fields of a Model but its name."""
        if self.n_layers > MAX_LAYERS:
            raise self.config.wrong("num_hidden_layers", f"between 1 and {MAX_LAYERS} are possible")
        positions = self.config.count("n_positions", "max_position_embeddings", default=0, at_most=MAX_POSITIONS)
        return {
            "d_model": self.d_model,
            "vocab": self.vocab,
            "d_embed": self.d_embed,
            "tied_head": self.can_tie and self.config.flag("tie_word_embeddings", default=self.tied),
            "max_context": positions or None,
            "layers": [each for several in self.layers_by_number for each in several],
            "norm_bias": self.norm_bias,
            "final_norm": self.final_norm,
            "head_bias": self.config.flag("lm_head_bias", default=self.head_bias),
            "learned_positions": positions + self.position_rows if self.learned_positions else 0,
            "beside": self.beside(),
            "architecture": self.architecture(),
        }

    def architecture(self) -> str | None:
        """What the GGUF file is called that llama.cpp's converter makes of it; None where it makes none."""
        return self.converted or next(iter(self.gguf), None)

    def beside(self) -> list[dict[str, Any]]:
        """Further tensors outside the layers."""
        return []

    def remarks(self) -> list[str]:
        """What a reader should know that the shapes do not show, in sentences without a full stop."""
        return []

    @cached_property
    def layers_by_number(self) -> list[list[dict[str, Any]]]:
        """The layers that stand for each number of the config, from 0."""
        return [self.layers(index) for index in range(self.n_layers)]

    def layers(self, index: int) -> list[dict[str, Any]]:
        """The layers that stand for number *index* of the config: one, but for those who join several in one."""
        return [self.layer(index)]

    def layer(self, index: int) -> dict[str, Any]:
        """One layer."""
        return {
            "attention": self.attention(index),
            "ffn": self.ffn(index),
            "norms": self.norms,
            "beside": self.layer_beside(index),
        }

    def layer_beside(self, index: int) -> list[dict[str, Any]]:
        """Further tensors of a layer, as `extra` makes them."""
        return []

    # ---- attention ----

    def attention(self, index: int) -> dict[str, Any] | None:
        """What mixes tokens in layer *index*."""
        return self.grouped_query(index)

    def layer_config(self, index: int) -> Config:
        """The keys as they hold in layer *index*."""
        return self.config.of_layer(index)

    def grouped_query(self, index: int, **more: Any) -> dict[str, Any]:
        """Softmax attention by the usual keys; *more* replaces fields."""
        config = self.layer_config(index)
        n_heads = config.size("num_attention_heads", "n_head", "num_heads")
        n_kv = config.size("num_key_value_heads", default=n_heads) if self.kv_heads_key else n_heads
        if n_heads % n_kv:
            raise InputError(f"{config.path}: num_key_value_heads {n_kv} must divide num_attention_heads {n_heads}")
        shared_out = max(1, self.d_model // n_heads)
        bias = config.flag(self.bias_key or "attention_bias")
        return {
            "kind": "grouped_query",
            "n_heads": n_heads,
            "n_kv_heads": n_kv,
            "head_dim": config.size("head_dim", default=shared_out) if self.head_dim_key else shared_out,
            "qk_norm": self.qk_norm if not self.qk_norm_key or config.flag(self.qk_norm_key) else None,
            "fused_qkv": self.fused_qkv,
            "qkv_bias": bias if self.qkv_bias is None else self.qkv_bias,
            "output_bias": bias if self.output_bias is None else self.output_bias,
            "output_gate": self.output_gate,
            "sinks": self.sinks,
            **self.window(index),
            **more,
        }

    def layer_type(self, index: int) -> str | None:
        """What `layer_types` calls layer *index*; None where there is no such list."""
        named = self.config.item(index, "layer_types", "layers_block_type")
        if named is not None and not isinstance(named, str):
            raise self.config.wrong("layer_types", "a list of words is needed")
        return named

    def window(self, index: int) -> dict[str, int]:
        """`window` or `chunk` of layer *index*, empty where it sees everything."""
        window = self.config.count("sliding_window", default=0)
        if not window or not self.is_windowed(index):
            return {}
        return {"window": window}

    def is_windowed(self, index: int) -> bool:
        """Whether layer *index* sees the window only: by layer_types, and without it by the switches."""
        named = self.layer_type(index)
        if named is not None or not self.full_every:
            return self.uses_window if named is None else named == "sliding_attention"
        return index % self.full_every != (0 if self.full_first else self.full_every - 1)

    # ---- feed-forward ----

    def ffn(self, index: int) -> dict[str, Any] | None:
        """The feed-forward half of layer *index*."""
        return self.experts(index) if self.has_experts(index) else self.dense(index)

    def dense(self, index: int, **more: Any) -> dict[str, Any]:
        """Two or three matrices by the usual keys; *more* replaces fields."""
        config = self.layer_config(index)
        bias = config.flag(self.bias_key or "mlp_bias") if self.ffn_bias is None else self.ffn_bias
        width = config.size_in(index, *self.width_keys, default=4 * self.d_model)
        if self.plain_ffn:
            return {"kind": "plain", "d_ff": width, "bias": bias, **more}
        return {"kind": "gated", "d_ff": width, "bias": bias, "fused": self.fused_ffn, **more}

    @property
    def n_experts(self) -> int:
        """Routed experts of a layer that has some."""
        return self.config.count(*_EXPERTS, default=0)

    def has_experts(self, index: int) -> bool:
        """Whether layer *index* has experts: `mlp_layer_types` where it is given, and else all or none."""
        named = self.config.item(index, "mlp_layer_types")
        return bool(self.n_experts) and (named is None or named == "sparse")

    def _check_experts(self, config: Config) -> None:
        """InputError where a file counts experts, its class has none, and nothing says how many a token takes."""
        stray = next((name for name in _EXPERTS if name in config.data and name not in config.defaults), None)
        if stray and config.type in config_classes() and config.get(*_ACTIVE) is None:
            raise config.wrong(
                stray,
                f"and {config.type} as known here has no experts: leave it out, or describe the model in a YAML file",
            )

    def experts(self, index: int, **more: Any) -> dict[str, Any]:
        """Router, experts and shared experts by the usual keys; *more* replaces fields."""
        config = self.config.of_layer(index)
        config.given(*self.width_keys)  # that of dense layers, though there be none
        own = "moe_intermediate_size"  # no other width stands in for it where the class has one
        width = config.size(*((own,) if config.class_has(own) else self.expert_width_keys))
        self._check_experts(config)
        n_active = config.size(*_ACTIVE)
        if n_active > self.n_experts:
            raise InputError(
                f"{config.path}: num_experts_per_tok {n_active} exceeds the {self.n_experts:,} experts of a layer"
            )
        n_shared = config.count("n_shared_experts", "num_shared_experts", default=0)
        d_shared = config.count("shared_expert_intermediate_size", default=n_shared * width)
        return {
            "kind": "experts",
            "n_experts": self.n_experts,
            "n_active": n_active,
            "d_expert": width,
            "bias": self.expert_bias,
            "router_bias": self.router_bias,
            "balance": self.balance,
            "n_shared": n_shared or (1 if d_shared else 0),
            "d_shared": d_shared,
            "shared_gate": self.shared_gate and bool(d_shared),
            **more,
        }


def extra(role: str, columns: int, rows: int = 1, **more: Any) -> dict[str, Any]:
    """A further tensor: a vector of *columns*, or *rows* by *columns* weights; *more* as in spec/layers/extra.py."""
    return {"role": role, "rows": rows, "columns": columns, **more}


def shared_biases(d_shared: int, d_model: int) -> list[dict[str, Any]]:
    """Biases of the three matrices of the shared experts."""
    return [
        extra("ffn_gate_shexp.bias", d_shared),
        extra("ffn_up_shexp.bias", d_shared),
        extra("ffn_down_shexp.bias", d_model),
    ]
