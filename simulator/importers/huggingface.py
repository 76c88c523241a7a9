"""A Hugging Face config.json: the same shapes under many names, and the dtypes of safetensors files beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from simulator.errors import InputError, describe, hint, printable
from simulator.importers.safetensors import bytes_by_dtype
from simulator.spec.mixes import parse_weights
from simulator.spec.model import MAX_LAYERS, Loaded, Model, weight_bytes
from simulator.spec.quant import FORMATS
from simulator.spec.schema import check
from simulator.spec.textfiles import read_json
from simulator.units import counted, format_bytes

MAX_COUNT = 10_000_000


@dataclass(frozen=True)
class _Kind:
    """What a model_type has beside what its config says."""

    qk_norm: str | None = None
    qkv_bias: bool | None = None  # None: the config's attention_bias or qkv_bias decides
    output_bias: bool | None = None
    plain_ffn: bool = False  # two matrices instead of three
    ffn_bias: bool = False
    norm_bias: bool = False
    norms: int = 2
    tied: bool = False  # default of tie_word_embeddings
    head_bias: bool = False
    final_norm: bool = True
    period: int = 0  # layers in a period of windowed and full ones, the full one last; 0: none
    uses_window: bool = False  # sliding_window counts on every layer
    expert_bias: bool = False
    router_bias: bool = False
    shared_gate: bool = False
    sinks: bool = False
    output_gate: bool = False
    learned_positions: bool = False


_KINDS = {
    "llama": _Kind(),
    "mistral": _Kind(uses_window=True),
    "mixtral": _Kind(),
    "qwen2": _Kind(qkv_bias=True),
    "qwen2_moe": _Kind(qkv_bias=True, shared_gate=True),
    "qwen3": _Kind(qk_norm="head"),
    "qwen3_moe": _Kind(qk_norm="head"),
    "qwen3_next": _Kind(qk_norm="head", shared_gate=True, output_gate=True),
    "gemma": _Kind(tied=True),
    "gemma2": _Kind(tied=True, norms=4, period=2),
    "gemma3_text": _Kind(tied=True, norms=4, qk_norm="head", period=6),
    "phi3": _Kind(uses_window=True),
    "phimoe": _Kind(norm_bias=True, output_bias=True, qkv_bias=True, head_bias=True),
    "olmo": _Kind(norms=0, final_norm=False),
    "olmo2": _Kind(qk_norm="full"),
    "olmoe": _Kind(qk_norm="full"),
    "deepseek_v2": _Kind(),
    "deepseek_v3": _Kind(router_bias=True),
    "kimi_k2": _Kind(router_bias=True),
    "gpt_oss": _Kind(qkv_bias=True, output_bias=True, sinks=True, expert_bias=True, router_bias=True, period=2),
    "granite": _Kind(),
    "granitemoe": _Kind(),
    "llama4_text": _Kind(),
    "gpt2": _Kind(
        tied=True, plain_ffn=True, ffn_bias=True, norm_bias=True, qkv_bias=True, output_bias=True,
        learned_positions=True,
    ),
    "starcoder2": _Kind(plain_ffn=True, tied=True, norm_bias=True),
    "smollm3": _Kind(tied=True),
    "glm4_moe": _Kind(router_bias=True),
    "seed_oss": _Kind(),
    "stablelm": _Kind(norm_bias=True),
}  # fmt: skip
_WRAPPERS = {
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "mistral3": "mistral",
}  # a text model inside a larger one

# What GGUF files call those with windows, which a runtime may leave out.
_ARCHITECTURES = {
    "mistral": "llama", "mixtral": "llama", "phi3": "phi3", "phimoe": "phimoe", "starcoder2": "starcoder2", "qwen2": "qwen2",
    "qwen2_moe": "qwen2moe", "qwen3": "qwen3", "qwen3_moe": "qwen3moe", "gemma2": "gemma2", "gemma3_text": "gemma3",
    "gpt_oss": "gpt-oss", "llama4_text": "llama4",
}  # fmt: skip

_WEIGHTS_OF_DTYPE = {"F32": "f32", "F16": "f16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def load_huggingface(path: Path) -> Loaded:
    """The model that a config.json (or the folder it is in) describes; InputError if its type is unknown."""
    file = path / "config.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(f"{path}: there is no config.json in this folder")
    config = read_json(file)
    if not isinstance(config, dict):
        raise InputError(f"{file}: expected a JSON object with model_type")
    model = _Config(file, config).model()
    loaded = _with_weights(model, file)
    stated = config.get("quantization_config")
    if isinstance(stated, dict) and model.native_weights is None:
        method = f"quantization_config ({describe(stated.get('quant_method'))}) is not understood: give --weights"
        loaded = replace(loaded, notes=(*loaded.notes, method))
    return loaded


class _Config:
    """One config, asked for each fact under all the names it goes by."""

    def __init__(self, path: Path, data: dict):
        self.path = path
        self.type = data.get("model_type")
        self.data = data
        if not isinstance(self.type, str):
            raise InputError(f"{path}: model_type is missing, it names the architecture (llama, qwen3_moe, ...)")
        if self.type in _WRAPPERS and isinstance(data.get("text_config"), dict):
            self.type, self.data = _WRAPPERS[self.type], {**data["text_config"]}
        if self.type not in _KINDS:
            guess = hint(self.type, _KINDS)
            guess = guess if guess.startswith("did") else "describe the model in a YAML file like the shipped ones"
            raise InputError(f"{path}: model_type {describe(self.type)} is unknown; {guess}")
        self.kind = _KINDS[self.type]

    def count(self, *names: str, default: int | None = None) -> int:
        """The first of *names* that is given, as a whole number; 0 only where that is the default."""
        lowest = 0 if default == 0 else 1
        for name in names:
            value = self.data.get(name)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= MAX_COUNT:
                    needed = f"a whole number from {lowest} to {MAX_COUNT:,} is needed"
                    raise InputError(f"{self.path}: {name} is {describe(value)}, {needed}")
                return value
        if default is None:
            raise InputError(f"{self.path}: {names[0]} is missing, a {self.type} model needs it")
        return default

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, bool):
            raise InputError(f"{self.path}: {name} is {describe(value)}, true or false is needed")
        return default if value is None else value

    def model(self) -> Model:
        """The model, validated."""
        n_layers = self.count("num_hidden_layers", "n_layer", "num_layers")
        if n_layers > MAX_LAYERS:
            raise InputError(f"{self.path}: num_hidden_layers is {n_layers}, between 1 and {MAX_LAYERS} are possible")
        d_model = self.count("hidden_size", "n_embd", "d_model")
        positions = self.count("n_positions", "max_position_embeddings", default=0)
        data = {
            "name": self._name(),
            "d_model": d_model,
            "vocab": self.count("vocab_size"),
            "tied_head": self.flag("tie_word_embeddings", self.kind.tied),
            "max_context": positions or None,
            "layers": [self._layer(index, n_layers, d_model) for index in range(n_layers)],
            "norm_bias": self.kind.norm_bias,
            "final_norm": self.kind.final_norm,
            "head_bias": self.flag("lm_head_bias", self.kind.head_bias),
            "native_weights": self.quantised(),
            "architecture": _ARCHITECTURES.get(self.type),
            "learned_positions": positions if self.kind.learned_positions else 0,
        }
        return check(data, Model, str(self.path))

    def quantised(self) -> str | None:
        """The format that quantization_config states, by our name for it; None where there is none or it is another."""
        stated = self.data.get("quantization_config")
        if not isinstance(stated, dict):
            return None
        method, bits, group = (stated.get(key) for key in ("quant_method", "bits", "group_size"))
        if method in ("fp8", "mxfp4"):
            return method
        if method in ("awq", "gptq") and bits == 4 and f"int4-g{group}" in FORMATS:
            return f"int4-g{group}"
        return None

    def _name(self) -> str:
        name = self.data.get("_name_or_path")
        if isinstance(name, str) and name.strip("/ "):
            return printable(name.rstrip("/").rpartition("/")[2], 100)
        return printable(self.path.parent.resolve().name or self.path.stem, 100)

    def _layer(self, index: int, n_layers: int, d_model: int) -> dict:
        return {
            "attention": self._attention(index, n_layers, d_model),
            "ffn": self._ffn(index, d_model),
            "norms": self.kind.norms,
        }

    # ---- attention ----

    def _attention(self, index: int, n_layers: int, d_model: int) -> dict:
        n_heads = self.count("num_attention_heads", "n_head")
        n_kv = self.count("num_key_value_heads", default=n_heads)
        if n_heads % n_kv:
            raise InputError(f"{self.path}: num_key_value_heads {n_kv} must divide num_attention_heads {n_heads}")
        if self.type in ("deepseek_v2", "deepseek_v3", "kimi_k2"):
            return {
                "kind": "latent",
                "n_heads": n_heads,
                "q_rank": self.count("q_lora_rank", default=0) or None,
                "kv_rank": self.count("kv_lora_rank"),
                "qk_nope_dim": self.count("qk_nope_head_dim"),
                "qk_rope_dim": self.count("qk_rope_head_dim"),
                "v_dim": self.count("v_head_dim"),
            }
        if self._layer_type(index) == "linear_attention":
            return self._linear()
        bias = self.flag("attention_bias", self.flag("use_bias", False))
        qkv_bias = self.kind.qkv_bias if self.kind.qkv_bias is not None else self.flag("use_qkv_bias", bias)
        # Llama-style attention_bias puts one on the output too; Qwen's does not, GLM's neither.
        output_bias = self.kind.output_bias
        if output_bias is None:
            output_bias = bias and self.type not in ("glm4_moe", "seed_oss", "stablelm")
        return {
            "kind": "grouped_query",
            "n_heads": n_heads,
            "n_kv_heads": n_kv,
            "head_dim": self.count("head_dim", default=max(1, d_model // n_heads)),
            "qk_norm": self.kind.qk_norm
            or ("head" if self.flag("use_qk_norm", False) and self.type == "glm4_moe" else None),
            "qkv_bias": qkv_bias,
            "output_bias": output_bias,
            "output_gate": self.kind.output_gate,
            "sinks": self.kind.sinks,
            **self._window(index, n_layers),
        }

    def _linear(self) -> dict:
        return {
            "kind": "gated_delta_net",
            "n_k_heads": self.count("linear_num_key_heads"),
            "n_v_heads": self.count("linear_num_value_heads"),
            "k_dim": self.count("linear_key_head_dim"),
            "v_dim": self.count("linear_value_head_dim"),
            "conv": self.count("linear_conv_kernel_dim"),
        }

    def _layer_type(self, index: int) -> str | None:
        types = self.data.get("layer_types")
        if types is not None:
            if not isinstance(types, list) or index >= len(types) or not isinstance(types[index], str):
                raise InputError(
                    f"{self.path}: layer_types must name the kind of every layer, that of layer {index} is missing"
                )
            return types[index]
        if self.type == "qwen3_next":
            interval = self.count("full_attention_interval", default=4)
            return "full_attention" if (index + 1) % max(interval, 1) == 0 else "linear_attention"
        return None

    def _window(self, index: int, n_layers: int) -> dict:
        if self.type == "llama4_text":
            step = max(self.count("no_rope_layer_interval", default=4), 1)
            return {} if (index + 1) % step == 0 else {"chunk": self.count("attention_chunk_size", default=8192)}
        window = self.count("sliding_window", default=0)
        if not window or not self.flag("use_sliding_window", True):
            return {}
        named = self._layer_type(index)
        if named is not None:
            return {"window": window} if named == "sliding_attention" else {}
        if self.kind.period:
            period = max(self.count("sliding_window_pattern", default=self.kind.period), 1)
            return {"window": window} if (index + 1) % period else {}
        if "use_sliding_window" in self.data:  # Qwen: full attention up to max_window_layers
            return {"window": window} if index >= self.count("max_window_layers", default=n_layers) else {}
        return {"window": window} if self.kind.uses_window else {}

    # ---- feed-forward ----

    def _ffn(self, index: int, d_model: int) -> dict:
        if self._has_experts(index):
            return self._experts()
        # In Llama 4 and its like the dense layers have a width of their own.
        width = self.count("intermediate_size_mlp", "intermediate_size", "n_inner", default=4 * d_model)
        plain = "plain" if self.kind.plain_ffn else "gated"
        return {
            "kind": plain,
            "d_ff": width,
            "bias": self.kind.ffn_bias or self.flag("mlp_bias", self.flag("use_bias", False)),
        }

    def _n_experts(self) -> int:
        return self.count("num_local_experts", "num_experts", "n_routed_experts", default=0)

    def _has_experts(self, index: int) -> bool:
        if not self._n_experts():
            return False
        if isinstance(self.data.get("mlp_only_layers"), list) and index in self.data["mlp_only_layers"]:
            return False
        if isinstance(self.data.get("moe_layers"), list):
            return index in self.data["moe_layers"]
        if index < self.count("first_k_dense_replace", default=0):
            return False
        step = max(self.count("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq", default=1), 1)
        return (index + 1) % step == 0 if "moe_layer_freq" not in self.data else index % step == 0

    def _experts(self) -> dict:
        width = self.count("moe_intermediate_size", "intermediate_size")
        n_active = self.count("num_experts_per_tok", "num_experts_per_token", "experts_per_token")
        if n_active > self._n_experts():
            raise InputError(
                f"{self.path}: num_experts_per_tok {n_active} exceeds the {counted(self._n_experts(), 'expert')}"
            )
        n_shared = self.count("n_shared_experts", "num_shared_experts", default=0)
        d_shared = self.count("shared_expert_intermediate_size", default=n_shared * width)
        if self.type == "llama4_text":
            n_shared, d_shared = 1, width
        return {
            "kind": "experts",
            "n_experts": self._n_experts(),
            "n_active": n_active,
            "d_expert": width,
            "bias": self.kind.expert_bias,
            "router_bias": self.kind.router_bias,
            "n_shared": n_shared or (1 if d_shared else 0),
            "d_shared": d_shared,
            "shared_gate": self.kind.shared_gate and bool(d_shared),
        }


def _with_weights(model: Model, config: Path) -> Loaded:
    """The model with the formats of the safetensors beside its config, told by their headers."""
    files = sorted(config.parent.glob("*.safetensors"))
    if not files:
        return Loaded(model)
    by_dtype: dict[str, int] = {}
    for file in files:
        for dtype, n_bytes in bytes_by_dtype(file).items():
            by_dtype[dtype] = by_dtype.get(dtype, 0) + n_bytes
    total = sum(by_dtype.values())
    if not total:
        return Loaded(model)
    main = max(by_dtype, key=by_dtype.__getitem__)
    listed = ", ".join(
        f"{dtype} {format_bytes(n_bytes)}" for dtype, n_bytes in sorted(by_dtype.items(), key=lambda each: -each[1])
    )
    if main not in _WEIGHTS_OF_DTYPE:
        return Loaded(model, None, (f"the safetensors files hold {listed}: packed, so give --weights",))
    weights = parse_weights(_WEIGHTS_OF_DTYPE[main])
    counted = weight_bytes(model, weights)
    notes = [f"safetensors files: {listed}"]
    if abs(counted / total - 1) > 0.01:
        notes.append(
            f"the files hold {format_bytes(total)}, {format_bytes(counted)} are counted: parts of the model are elsewhere or extra"
        )
    return Loaded(model, weights, tuple(notes))
