"""A GGUF file as a model: the layers by the tensors they have, the rest by the keys of its architecture.

Every tensor keeps its own format, and every matrix of the model must be in the file with its size, and the other way
round: what is not understood is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, hint, printable
from simulator.importers.gguf_header import FileTensor, Header, Unread, read_header
from simulator.spec.model import MAX_LAYERS, Loaded, Model, store, weight_bytes
from simulator.spec.quant import FORMATS, Format, Slot, Weights
from simulator.spec.schema import check
from simulator.units import counted, format_bytes

MAX_COUNT = 10_000_000  # heads, layers, widths

# Architectures whose layers are what their tensors say. For those with windows: (layers in a period, how many of the
# first of them see only the window). Others are refused: a new architecture may do more than its tensors show.
_FULL = (
    "llama", "mistral3", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "qwen3next", "qwen35", "qwen35moe", "gemma", "phi2", "phi3",
    "phimoe", "olmo", "olmo2", "olmoe", "deepseek", "deepseek2", "granite", "granitemoe", "granitehybrid", "gpt2", "gptneox",
    "starcoder", "starcoder2", "stablelm", "falcon", "mpt", "bloom", "lfm2", "lfm2moe", "mamba2", "nemotron", "nemotron_h",
    "nemotron_h_moe", "glm4", "glm4moe", "chatglm", "smollm3", "dots1", "hunyuan-moe", "hunyuan-dense", "ernie4_5",
    "ernie4_5-moe", "seed_oss", "command-r", "exaone", "internlm2", "minicpm", "minicpm3", "orion", "xverse", "baichuan",
    "bailingmoe", "bailingmoe2", "minimax-m2", "arcee", "apertus", "bitnet", "jais", "refact", "codeshell", "dbrx", "arctic",
)  # fmt: skip
_WINDOWED = {
    "gemma2": (2, 1), "gemma3": (6, 5), "gpt-oss": (2, 1), "cohere2": (4, 3), "exaone4": (4, 3),
    "gemma3n": (5, 4), "gemma4": (6, 5),
}  # fmt: skip
_CHUNKED = {"llama4": (4, 3)}
_LLAMA4_CHUNK = 8192  # llama.cpp's own value where the file names none

# Tensors that are looked up or computed with but not streamed, and names that differ from ours.
_TABLES = re.compile(r"rope_freqs|rope_factors_(long|short)")
_RENAMED = {
    "exp_probs_b.bias": "ffn_gate_inp.bias",
    "exp_probs_b": "ffn_gate_inp.bias",
    "attn_output_norm": "post_attention_norm",
}
# Norms inside of attention or of a state, which a model counts with those.
_INNER_NORMS = (
    "attn_q_norm", "attn_k_norm", "attn_q_a_norm", "attn_kv_a_norm", "ssm_norm", "attn_sub_norm",
    "post_norm", "laurel_post_norm", "altup_router_norm",
)  # fmt: skip
# Gemma 4's dense network beside the experts is what others call a shared expert.
_SHARED = {"ffn_gate": "ffn_gate_shexp", "ffn_up": "ffn_up_shexp", "ffn_down": "ffn_down_shexp"}
_GEMMA_3N_OWN = 20  # of its layers keep a cache; llama.cpp knows it, files do not say
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


def load_gguf(path: Path) -> Loaded:
    """The model in a GGUF file, with every tensor in its own format; InputError if it is damaged or unknown."""
    header = read_header(path)
    return _Reader(path, header).load()


class _Reader:
    """From a header to a model: the layers by the tensors they have, the rest by the keys of its architecture."""

    def __init__(self, path: Path, header: Header):
        self.path, self.header = path, header
        self.architecture = header.keys.get("general.architecture")
        self.outside: dict[str, FileTensor] = {}
        self.blocks: dict[int, dict[str, FileTensor]] = {}
        mixture = any(".ffn_gate_inp." in tensor.name for tensor in header.tensors)
        self.renamed = {**_RENAMED, **(_SHARED if mixture and self.architecture == "gemma4" else {})}
        for tensor in header.tensors:
            self._file(tensor)

    def _file(self, tensor: FileTensor) -> None:
        match = _BLOCK.fullmatch(tensor.name)
        role = (match[2] if match else tensor.name).removesuffix(".weight")
        role = self.renamed.get(role, role)
        if match and len(match[1]) > 6:
            raise InputError(f"{self.path}: damaged header: tensor {tensor.name[:80]!r}")
        place = self.blocks.setdefault(int(match[1]), {}) if match else self.outside
        if role in place:
            raise InputError(f"{self.path}: tensor {tensor.name[:80]!r} stands twice")
        place[role] = tensor

    def load(self) -> Loaded:
        """The model, checked tensor by tensor against the file."""
        if self.architecture not in (*_FULL, *_WINDOWED, *_CHUNKED):
            raise InputError(f"{self.path}: {self._unknown_architecture()}")
        model = self._model()
        weights = self._weights()
        try:
            store(model, weights)
        except ValueError as error:
            raise InputError(f"{self.path}: {error}: damaged, or not a {self.architecture} model") from None
        return Loaded(model, weights, (*self._check(model, weights), *self.header.notes), self.path)

    def _unknown_architecture(self) -> str:
        if not isinstance(self.architecture, str):
            return "general.architecture is missing, it names what the model is"
        guess = hint(self.architecture, (*_FULL, *_WINDOWED, *_CHUNKED))
        return (
            f"architecture {describe(self.architecture)} is unknown, so its bytes per token would be a guess; describe the model in a "
            f"YAML file like the shipped ones{'; ' + guess if guess.startswith('did') else ''}"
        )

    # ---- keys ----

    def _key(self, name: str, default: Any = None) -> Any:
        return self.header.keys.get(f"{self.architecture}.{name}", default)

    def _count(self, name: str, default: int | None = None, layer: int | None = None) -> int:
        value = self._key(name, default)
        if isinstance(value, list) and layer is not None:
            value = value[layer] if layer < len(value) else None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            found = "missing" if value is None else describe(value) if not isinstance(value, Unread) else "a long list"
            raise InputError(
                f"{self.path}: {self.architecture}.{name} is {found}, a whole number up to {MAX_COUNT:,} is needed"
            )
        return value

    # ---- the model ----

    def _model(self) -> Model:
        n_layers = self._count("block_count") - self._count("nextn_predict_layers", 0)
        if not 1 <= n_layers <= MAX_LAYERS:
            raise InputError(
                f"{self.path}: {self.architecture}.block_count is {n_layers}, between 1 and {MAX_LAYERS} are possible"
            )
        embedding = self._need(self.outside, "token_embd", "")
        name = self.header.keys.get("general.name")
        data = {
            "name": printable(self.path.stem, 100),
            "title": printable(name if isinstance(name, str) and name.strip() else self.path.stem, 100),
            "d_model": embedding.columns,
            "vocab": embedding.rows,
            "architecture": self.architecture,
            "tied_head": "output" not in self.outside,
            "max_context": self._count("context_length", 0) or None,
            "layers": [self._layer(index, embedding.columns) for index in range(n_layers)],
            "norm_bias": "output_norm.bias" in self.outside,
            "final_norm": "output_norm" in self.outside,
            "head_bias": "output.bias" in self.outside,
            "learned_positions": self.outside["position_embd"].rows if "position_embd" in self.outside else 0,
            **self._beside(),
        }
        return check(data, Model, str(self.path))

    def _beside(self) -> dict:
        """Inputs of each layer's own, and several residual streams."""
        found = {}
        if "per_layer_token_embd" in self.outside:
            table = self.outside["per_layer_token_embd"]
            found["per_layer_input"] = {"width": self._count("embedding_length_per_layer_input"), "vocab": table.rows}
        if "altup_proj" in self.outside:
            n, rank = self._count("altup.num_inputs"), self._need(self.blocks.get(0, {}), "laurel_l", "blk.0.").rows
            found["streams"] = {"kind": "altup", "n": n, "laurel_rank": rank}
        return found

    def _shares_cache(self, index: int) -> bool:
        if self.architecture == "gemma3n":
            return index >= _GEMMA_3N_OWN
        shared = self._count("attention.shared_kv_layers", 0)
        return bool(shared) and index >= self._count("block_count") - shared

    def _need(self, place: dict[str, FileTensor], role: str, where: str) -> FileTensor:
        if role not in place:
            raise InputError(
                f"{self.path}: tensor {where}{role}.weight is missing: damaged, or not a {self.architecture} model"
            )
        return place[role]

    def _layer(self, index: int, d_model: int) -> dict:
        block = self.blocks.get(index)
        if not block:
            raise InputError(f"{self.path}: block {index} has no tensors: a part is missing, or the file is damaged")
        norms = [
            role
            for role, tensor in block.items()
            if "_norm" in role
            and role not in _INNER_NORMS
            and not role.endswith(".bias")
            and tensor.shape == (d_model,)
        ]
        return {"attention": self._attention(index, block), "ffn": self._ffn(block), "norms": len(norms)}

    def _attention(self, index: int, block: dict[str, FileTensor]):
        if "attn_kv_a_mqa" in block:
            return self._latent(index, block)
        if "shortconv.conv" in block:
            conv = block["shortconv.conv"]
            return {"kind": "short_conv", "width": conv.columns, "channels": conv.rows}
        if "ssm_in" in block and "ssm_ba" not in block:
            return self._mamba()
        if "ssm_conv1d" in block:
            return self._delta_net(block)
        if "attn_q" in block or "attn_qkv" in block:
            return self._grouped_query(index, block)
        return None

    def _grouped_query(self, index: int, block: dict[str, FileTensor]) -> dict:
        n_heads = self._count("attention.head_count", layer=index)
        n_kv = self._count("attention.head_count_kv", n_heads, layer=index)
        if not n_heads or not n_kv or n_heads % n_kv:
            raise InputError(
                f"{self.path}: block {index} has attention tensors but {counted(n_heads, 'head')} to share "
                f"{counted(n_kv, 'key/value head')} (attention.head_count)"
            )
        embedding = self._count("embedding_length")
        window = self._window(index)
        # Gemma 4 has heads of another width where there is a window.
        narrow = "_swa" if window and self._key("attention.key_length_swa") is not None else ""
        head_dim = self._count(f"attention.key_length{narrow}", max(1, embedding // n_heads))
        v_dim = self._count(f"attention.value_length{narrow}", head_dim)
        gate = "attn_q" in block and block["attn_q"].rows == 2 * n_heads * head_dim
        norm = block.get("attn_q_norm")
        return {
            "kind": "grouped_query",
            "n_heads": n_heads,
            "n_kv_heads": n_kv,
            "head_dim": head_dim,
            "v_head_dim": v_dim if v_dim != head_dim else None,
            "qk_norm": None if norm is None else "head" if norm.rows * norm.columns == head_dim else "full",
            "qkv_bias": "attn_q.bias" in block or "attn_qkv.bias" in block,
            "output_bias": "attn_output.bias" in block,
            "output_gate": gate,
            "sinks": "attn_sinks" in block,
            "fused_qkv": "attn_qkv" in block,
            "value_is_key": self.architecture == "gemma4" and not block.keys() & {"attn_v", "attn_qkv"},
            "shares_cache": self._shares_cache(index),
            **window,
        }

    def _window(self, index: int) -> dict:
        period, limited = _WINDOWED.get(self.architecture) or _CHUNKED.get(self.architecture) or (1, 0)
        pattern = self._key("attention.sliding_window_pattern")
        if isinstance(pattern, list) and index < len(pattern):
            is_limited = bool(pattern[index])
        else:
            if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 1:
                period, limited = pattern, pattern - 1
            is_limited = index % period < limited
        if not is_limited:
            return {}
        if self.architecture in _CHUNKED:
            return {"chunk": self._count("attention.chunk_size", _LLAMA4_CHUNK)}
        return {"window": self._count("attention.sliding_window", 0) or None}

    def _latent(self, index: int, block: dict[str, FileTensor]) -> dict:
        n_heads = self._count("attention.head_count", layer=index)
        kv_rank = self._count("attention.kv_lora_rank")
        rope = self._count("rope.dimension_count")
        query = block.get("attn_q_b") or self._need(block, "attn_q", f"blk.{index}.")
        value = self._need(block, "attn_output", f"blk.{index}.").columns
        if not n_heads or query.rows % n_heads or value % n_heads:
            raise InputError(
                f"{self.path}: block {index}: {counted(query.rows, 'query row')} cannot be divided among "
                f"{counted(n_heads, 'head')}"
            )
        return {
            "kind": "latent",
            "n_heads": n_heads,
            "q_rank": query.columns if "attn_q_b" in block else None,
            "kv_rank": kv_rank,
            "qk_nope_dim": query.rows // n_heads - rope,
            "qk_rope_dim": rope,
            "v_dim": value // n_heads,
            "split_kv_b": "attn_k_b" in block,
            "expanded": self._key("attention.key_length_mla") is None,  # llama.cpp then caches whole keys and values
        }

    def _mamba(self) -> dict:
        n_heads = self._count("ssm.time_step_rank")
        return {
            "kind": "mamba2",
            "n_heads": n_heads,
            "head_dim": self._count("ssm.inner_size") // max(n_heads, 1),
            "n_groups": self._count("ssm.group_count"),
            "d_state": self._count("ssm.state_size"),
            "conv": self._count("ssm.conv_kernel"),
        }

    def _delta_net(self, block: dict[str, FileTensor]) -> dict:
        n_values = self._count("ssm.time_step_rank")
        return {
            "kind": "gated_delta_net",
            "n_k_heads": self._count("ssm.group_count"),
            "n_v_heads": n_values,
            "k_dim": self._count("ssm.state_size"),
            "v_dim": self._count("ssm.inner_size") // max(n_values, 1),
            "conv": self._count("ssm.conv_kernel"),
            "split_gates": "ssm_alpha" in block,
        }

    def _ffn(self, block: dict[str, FileTensor]):
        if "ffn_gate_inp" in block:
            return self._experts(block)
        if "ffn_up" not in block:
            return None
        up, down = block["ffn_up"], self._need(block, "ffn_down", "blk.*.")
        if "ffn_gate" in block:
            return {"kind": "gated", "d_ff": down.columns, "bias": "ffn_down.bias" in block}
        if up.rows == 2 * down.columns:
            return {"kind": "gated", "d_ff": down.columns, "fused": True}
        return {"kind": "plain", "d_ff": down.columns, "bias": "ffn_down.bias" in block}

    def _experts(self, block: dict[str, FileTensor]) -> dict:
        fused = "ffn_gate_up_exps" in block
        up = self._need(block, "ffn_gate_up_exps" if fused else "ffn_up_exps", "blk.*.")
        shared = block.get("ffn_up_shexp")
        if len(up.shape) != 3:
            raise InputError(
                f"{self.path}: tensor {up.name[:80]!r} holds experts, so it needs 3 dimensions, not {len(up.shape)}"
            )
        return {
            "kind": "experts",
            "n_experts": up.shape[2],
            "fused": fused,
            "n_active": self._count("expert_used_count"),
            "d_expert": up.shape[1] // (2 if fused else 1),
            "gated": fused or "ffn_gate_exps" in block,
            "bias": "ffn_down_exps.bias" in block,
            "router_bias": "ffn_gate_inp.bias" in block,
            "n_shared": 1 if shared else 0,
            "d_shared": shared.rows if shared else 0,
            "shared_gate": "ffn_gate_inp_shexp" in block,
            "latent": block["ffn_latent_down"].rows if "ffn_latent_down" in block else None,
        }

    # ---- the formats, and whether the model is the file ----

    def _weights(self) -> Weights:
        norm = self.outside["output_norm"].format if "output_norm" in self.outside else FORMATS["f32"]

        def choose(slot: Slot) -> Format:
            place = self.outside if slot.role in self.outside else self.blocks.get(slot.layer, {})
            tensor = place.get(slot.role)
            return tensor.format if tensor else norm

        kinds: dict[str, float] = {}
        for tensor in self.header.tensors:
            kinds[tensor.format.name] = kinds.get(tensor.format.name, 0.0) + tensor.nbytes
        return Weights(f"{max(kinds, key=kinds.__getitem__)} file", choose)

    def _check(self, model: Model, weights: Weights) -> list[str]:
        """Every matrix of the model must be in the file with its size, and the other way round; returns remarks."""
        for layer, indices, tensors in model.shapes:
            for index in indices:
                place = self.blocks[index] if layer else self.outside
                self._check_block(place, tensors, f"blk.{index}." if layer else "")
        notes = []
        extra = self.header.tensor_bytes - weight_bytes(model, weights)
        if extra:
            kinds = "tables, vectors or further prediction layers, which decoding does not read"
            notes.append(f"{format_bytes(abs(extra))} in {self.path.name} are not counted: {kinds}")
        window = self._key("attention.sliding_window")
        if window and not any(getattr(layer.attention, "window", None) for layer in model.stack):
            notes.append(
                f"the file states a window of {describe(window)} tokens; all layers are counted as seeing everything"
            )
        return notes

    def _check_block(self, place: dict[str, FileTensor], tensors, where: str) -> None:
        expected = {tensor.role: tensor for tensor in tensors}
        for role, tensor in expected.items():
            found = place.get(role)
            if found is None:
                if not (tensor.is_vector and role.startswith("norm_")):
                    raise InputError(
                        f"{self.path}: tensor {where}{role} is missing, a {self.architecture} model needs it"
                    )
            elif found.rows * found.columns != tensor.params or not (
                tensor.is_vector or found.columns == tensor.columns
            ):
                wanted = f"{counted(tensor.rows * tensor.copies, 'row')} of {tensor.columns:,}"
                raise InputError(
                    f"{self.path}: tensor {printable(found.name)} has {counted(found.rows, 'row')} of {found.columns:,}, "
                    f"{wanted} were expected from the other tensors and keys"
                )
        for role, tensor in place.items():
            if (
                role not in expected
                and len([size for size in tensor.shape if size > 1]) > 1
                and not _TABLES.search(role)
            ):
                raise InputError(
                    f"{self.path}: tensor {tensor.name[:80]!r} is not known in a {self.architecture} model"
                )
