"""Records small models as llama.cpp itself makes them: `python tests/recorded/gguf_models.py`, with xllamacpp installed.

For each architecture the keys below, with the tensors that llama.cpp's loader creates for them, the layers that it gives a window,
and the caches that it allocates for 4,096 tokens. Sizes follow its own tests/test-llama-archs.cpp. A process for each model: what
the library cannot make ends it. Written to tests/importers/gguf_models.json.
"""

import ctypes
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "tests" / "importers" / "gguf_models.json"
NAMES = ROOT / "simulator" / "families" / "gguf_tensors.json"
CONTEXT = 4096
LATENT = (
    "deepseek2", "deepseek32", "glm-dsa", "dots3note", "kimi-linear", "bailingmoe3", "kimi-k3", "glm5-next", "mistral4", "hy_v4",
)  # fmt: skip
HYBRID = (
    "plamo2", "jamba", "nemotron_h", "nemotron_h_moe", "granitehybrid", "lfm2", "lfm2moe", "kimi-linear", "bailingmoe3", "kimi-k3",
)  # fmt: skip
LISTED = ("cohere2moe", "mimo2", "step35", "spark2_5", "muse-glimmer", "granite_swa", "dots3note", "maple")
DELTA = ("qwen3next", "qwen35", "qwen35moe")
WINDOWED = (
    "afmoe", "cohere2", "cohere2moe", "dots3note", "exaone-moe", "exaone4", "gemma2", "gemma3", "gemma3n", "gemma4", "gpt-oss",
    "granite_swa", "laguna", "lfm2", "llama4", "maple", "mellum", "mimo2", "muse-glimmer", "olmo2", "plamo3", "smallthinker",
    "spark2_5", "step35", "phi3", "qwen35", "kimi-linear", "glm-dsa",
)  # fmt: skip
PREDICTING = (
    "bailingmoe2", "bailingmoe3", "cohere2moe", "deepseek2", "deepseek32", "deepseek4", "glm-dsa", "glm4moe", "hy_v3", "mimo2",
    "nemotron_h_moe", "qwen35", "qwen35moe", "qwen3next", "step35",
)  # fmt: skip


def sizes(arch: str) -> tuple[int, int, int, int, int]:
    """Vocabulary, width, heads, width of the network, layers."""
    if arch == "gemma4":
        return 128, 128, 2, 192, 6
    if arch == "gemma3n":
        return 128, 64, 1, 96, 22
    if arch == "deepseek4":
        return 128, 512, 8, 1024, 4
    if arch in LATENT:
        return 128, 128, 1, 192, 4
    return (
        10240 if arch == "chameleon" else 128,
        256,
        4 if arch in ("qwen3", "muse-glimmer", "afmoe") else 2,
        384,
        6 if arch == "hrm_text" else 4,
    )


def keys_of(arch: str, mixture: bool, n_layers: int | None, predicts: bool) -> dict:
    """The keys of one model, without the architecture before them; `=` starts those that have none."""
    vocab, width, heads, network, usual = sizes(arch)
    layers = n_layers or usual
    head_dim = width // heads
    per_layer = [0 if index == 1 else heads for index in range(layers)]
    keys = {
        "vocab_size": vocab, "context_length": 256, "embedding_length": width, "block_count": layers, "leading_dense_block_count": 1,
        "feed_forward_length": [0 if i <= 1 else network for i in range(layers)] if arch.startswith("nemotron_h") else network,
        "use_parallel_residual": False, "logit_scale": 1.0, "time_mix_extra_dim": 64, "time_decay_extra_dim": 128,
        "full_attention_interval": 2, "attention.head_count": per_layer if arch in HYBRID else heads,
        "attention.head_count_kv": per_layer if arch in HYBRID else 1 if arch in ("deepseek4", "qwen3") else 2 if heads == 4 else heads,
        "attention.max_alibi_bias": 8.0, "attention.clamp_kqv": 1.0, "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5, "attention.group_norm_epsilon": 1e-5, "attention.group_norm_groups": 8,
        "attention.q_lora_rank": 64 if arch == "deepseek4" else 512, "attention.kv_lora_rank": 512,
        "attention.relative_buckets_count": 8, "attention.sliding_window": 32, "attention.indexer.top_k": 64,
        "attention.indexer.head_count": heads if arch == "minimax-m3" else 64, "attention.indexer.key_length": 128,
        "attention.indexer.block_size": 4, "attention.indexer.local_blocks": 1,
        "rope.dimension_sections": [8, 12, 12, 0] if arch == "bailingmoe3" else [head_dim // 4] * 4,
        "ssm.inner_size": 256 if arch in DELTA else 2 * width, "ssm.conv_kernel": 4, "ssm.state_size": 128,
        "ssm.time_step_rank": heads, "ssm.group_count": 0 if arch == "plamo2" else 2, "kda.head_dim": 128, "kda.safe_gate": True,
        "kda.gate_lower_bound": -5.0, "wkv.head_size": head_dim, "shortconv.l_cache": 3, "residual_scale": 3.5,
        "attn_res.block_size": 12, "activation.situ_beta": 4.0, "activation.situ_linear_beta": 25.0,
        "=xielu.alpha_n": 1.0, "=xielu.alpha_p": 1.0, "=xielu.beta": 1.0, "=xielu.eps": 1e-7,
    }  # fmt: skip
    if mixture:
        keys |= {
            "expert_feed_forward_length": network, "expert_shared_feed_forward_length": network // 2, "expert_latent_length": network,
            "interleave_moe_layer_step": 2, "expert_count": 4, "expert_used_count": 2, "expert_shared_count": 1,
            "expert_gating_func": 4 if arch == "deepseek4" else 2, "expert_group_scale": 1.0, "experts_per_group": 2,
        }  # fmt: skip
    if predicts:
        keys["nextn_predict_layers"] = 1
    return keys | own_keys(arch, width, heads, layers)


def own_keys(arch: str, width: int, heads: int, layers: int) -> dict:
    """What one architecture needs beside the usual."""
    head_dim, odd = width // heads, [bool(index % 2) for index in range(layers)]
    keys: dict = {"attention.sliding_window_pattern": odd} if arch in LISTED else {}
    if arch in LATENT:
        keys |= {"attention.key_length": 576, "attention.value_length": 512, "rope.dimension_count": 64}
        keys |= {"attention.key_length_mla": 192, "attention.value_length_mla": 128}
    if arch in ("dots3note", "hy_v4"):
        keys["attention.indexer.types"] = [int(not each) for each in odd]
    if arch in ("hy_v4", "deepseek4"):
        keys |= {"hyper_connection.count": 4, "hyper_connection.epsilon": 1e-6, "swiglu_clamp_exp": 10.0}
        keys |= {"expert_weights_scale": 1.0, "expert_weights_norm": True}
    return keys | {
        "dots3note": {
            "attention.kv_lora_rank_swa": 512, "attention.key_length_swa": 576, "attention.value_length_swa": 512,
            "attention.key_length_mla_swa": 192, "attention.value_length_mla_swa": 128, "rope.freq_base_swa": 10000.0,
        },
        "hy_v4": {"hyper_connection.magnitude": 2.0},
        "deepseek4": {
            "attention.key_length": head_dim, "attention.value_length": head_dim, "rope.dimension_count": head_dim // 2,
            "attention.output_group_count": 8, "attention.output_lora_rank": 32, "attention.compress_rope_freq_base": 160000.0,
            "attention.compress_ratios": [0, 0, 4, 128, *[0] * (layers - 4)], "hyper_connection.sinkhorn_iterations": 2,
            "hash_layer_count": 0,
        },
        "gemma4": {
            "embedding_length_per_layer_input": width // 2, "attention.shared_kv_layers": 0, "attention.key_length_swa": head_dim,
            "attention.value_length_swa": head_dim, "rope.freq_base_swa": 10000.0,
            "attention.sliding_window_pattern": [bool((index + 1) % 3) for index in range(layers)],
        },
        "minimax-m3": {"rope.dimension_count": 64},
        "minicpm3": {"rope.dimension_count": 32},
        "plm": {"rope.dimension_count": 32},
        "hrm_text": {"hrm.layers_per_stack": 1, "hrm.h_cycles": 2, "hrm.l_cycles": 2},
        "nanbeige": {"num_loops": 2},
        "maple": {"swiglu_clamp_exp": 7.0},
        "k2-horizon": {"rope.scaling.yarn_beta_fast": 128.0, "rope.scaling.yarn_beta_slow": 4.0},
        "bailingmoe3": {"swiglu_clamp_exp": [0.0] * layers, "swiglu_clamp_shexp": [0.0] * layers},
        "arwkv7": {"token_shift_count": 1},
        "rwkv6qwen2": {"token_shift_count": 1},
    }.get(arch, {}) | (
        {"attention.decay_lora_rank": 16, "attention.iclr_lora_rank": 8, "attention.value_residual_mix_lora_rank": 4,
         "attention.gate_lora_rank": 32} if arch in ("rwkv7", "arwkv7") else {}
    )  # fmt: skip


def write_keys(path: Path, arch: str, keys: dict) -> None:
    """A GGUF of keys alone."""
    import gguf

    kinds = {bool: gguf.GGUFValueType.BOOL, int: gguf.GGUFValueType.UINT32, float: gguf.GGUFValueType.FLOAT32}
    writer = gguf.GGUFWriter(path, arch)
    for key, value in keys.items():
        name = key[1:] if key.startswith("=") else f"{arch}.{key}"
        if isinstance(value, list):
            writer.add_key_value(name, value, gguf.GGUFValueType.ARRAY, sub_type=kinds[type(value[0])])
        else:
            writer.add_key_value(name, value, kinds[type(value)])
    writer.add_string("tokenizer.ggml.model", "test")
    writer.add_array("tokenizer.ggml.tokens", [f"tok_{number}" for number in range(keys["vocab_size"])])
    scores = [0.0] * keys["vocab_size"]
    writer.add_key_value("tokenizer.ggml.scores", scores, gguf.GGUFValueType.ARRAY, sub_type=kinds[float])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class ModelParams(ctypes.Structure):
    """llama_model_params of b11549."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("devices", "overrides")),
        *((name, ctypes.c_int32) for name in ("n_gpu_layers", "split_mode", "load_mode", "lazy_mode", "main_gpu")),
        *((name, ctypes.c_void_p) for name in ("split", "progress", "progress_data", "kv_overrides")),
        *((name, ctypes.c_bool) for name in ("vocab_only", "check", "extra", "no_host", "no_alloc", "load_mtp")),
    )


class ContextParams(ctypes.Structure):
    """llama_context_params, of which n_ctx, n_batch and n_ubatch come first."""

    _fields_ = (("words", ctypes.c_uint32 * 64),)


class GgufParams(ctypes.Structure):
    """gguf_init_params."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def library():
    """llama.cpp inside of xllamacpp."""
    import xllamacpp

    lib = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("*.so"))))
    lib.gguf_init_from_file.restype = lib.llama_model_init_from_user.restype = lib.llama_init_from_model.restype = (
        ctypes.c_void_p
    )
    lib.gguf_init_from_file.argtypes = [ctypes.c_char_p, GgufParams]
    lib.llama_model_init_from_user.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ModelParams]
    lib.llama_init_from_model.argtypes = [ctypes.c_void_p, ContextParams]
    lib.llama_model_default_params.restype, lib.llama_context_default_params.restype = ModelParams, ContextParams
    lib.ggml_get_name.restype, lib.ggml_get_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    return lib


def make(arch: str, mixture: bool, n_layers: int | None, predicts: bool) -> None:
    """Prints what llama.cpp makes of the keys, as soon as there is some of it."""
    keys, lib, log, tensors = keys_of(arch, mixture, n_layers, predicts), library(), [], {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.gguf"
        write_keys(path, arch, keys)
        metadata = lib.gguf_init_from_file(str(path).encode(), GgufParams(True, None))

    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    def logged(_level, text, _data):
        log.append(text.decode("utf-8", "replace"))

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    def created(tensor, _data):  # ggml_tensor: type, buffer, then the four sizes
        tensors[lib.ggml_get_name(tensor).decode()] = list((ctypes.c_int64 * 4).from_address(tensor + 16))

    lib.llama_log_set(logged, None)
    params = lib.llama_model_default_params()
    params.n_gpu_layers, params.load_mtp = 0, predicts
    model = lib.llama_model_init_from_user(metadata, created, None, params)
    windows = [int(flag) for flag in re.findall(r"layer +\d+ assigned to device \S+, is_swa = (\d)", "".join(log))]
    found = {"architecture": arch, "keys": keys, "tensors": tensors, "windows": windows}
    print(json.dumps(found), flush=True)
    if not model:
        return
    start = len(log)
    params = lib.llama_context_default_params()
    params.words[0], params.words[1], params.words[2] = CONTEXT, 512, 64
    if lib.llama_init_from_model(model, params):
        print(json.dumps(found | {"caches": caches("".join(log[start:]))}), flush=True)


def caches(log: str) -> list[list]:
    """Of each cache: whose it is, cells, layers, MiB of keys, MiB of values (of states: convolutions and states)."""
    line = re.compile(
        r"(\w+): size = +[\d.]+ MiB \( *(\d+) cells, +(\d+) layers.*\), \w \(\w+\): +([\d.]+) MiB, \w \(\w+\): +([\d.]+)"
    )
    return [[kind, int(cells), int(layers), float(k), float(v)] for kind, cells, layers, k, v in line.findall(log)]


def packed(tensors: dict) -> dict:
    """Tensors of the same role and shape together: the role, the shape, the blocks. Scales of NVFP4 are left to two of them."""
    found = defaultdict(list)
    for name, shape in tensors.items():
        while len(shape) > 1 and shape[-1] == 1:
            shape = shape[:-1]
        match = re.fullmatch(r"((?:dec\.|enc\.)?blk)\.(\d+)\.(.+)", name)
        key = (f"{match[1]}.*.{match[3]}" if match else name, tuple(shape))
        found[key].append(int(match[2]) if match else -1)
    return {f"{role} {'x'.join(map(str, shape))}": ranges(blocks) for (role, shape), blocks in found.items()}


def ranges(blocks: list[int]) -> str:
    """`0-3,5`; empty outside of blocks."""
    blocks = sorted(block for block in blocks if block >= 0)
    parts: list[list[int]] = []
    for block in blocks:
        if parts and parts[-1][1] == block - 1:
            parts[-1][1] = block
        else:
            parts.append([block, block])
    return ",".join(f"{first}-{last}" for first, last in parts)


def one(arch: str, mixture: bool, n_layers: int | None = None, predicts: bool = False) -> dict | None:
    """One model of a process of its own; None where llama.cpp refuses the keys."""
    command = [sys.executable, __file__, arch, str(int(mixture)), str(n_layers or 0), str(int(predicts))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found = json.loads(lines[-1]) if lines else {}
    if not found.get("tensors"):
        return None
    # Layers that have an earlier one's tensors are given scales of their own, which no file has.
    last = {"hrm_text": 2, "nanbeige": found["keys"]["block_count"]}.get(arch, 1000)
    kept = {
        name: shape
        for name, shape in found["tensors"].items()
        if not (match := re.match(r"blk\.(\d+)\.", name)) or int(match[1]) < last
    }
    if arch not in ("llama", "qwen3moe"):
        kept = {name: shape for name, shape in kept.items() if not name.endswith(("scale", "scales"))}
    return found | {"tensors": packed(kept)}


def main() -> None:
    """Every architecture dense and with experts, more layers where there are windows, and blocks of further prediction."""
    names = json.loads(NAMES.read_text(encoding="utf-8"))["tensors"]
    wanted = [(arch, mixture) for arch in names for mixture in (False, True)]
    wanted += [(arch, True, 17) for arch in WINDOWED] + [("exaone4", False, 64)]
    wanted += [(arch, True, 5, True) for arch in PREDICTING]
    found, seen = [], set()
    for each in wanted:
        model = one(*each)
        tensors = model and (model["architecture"], *model["tensors"].items())
        print(*each, "made" if model else "not made", flush=True)
        if model and tensors not in seen:
            seen.add(tensors)
            found.append(model)
    usual = keys_of("llama", False, None, False)
    for model in found:
        model["keys"] = {key: value for key, value in model["keys"].items() if usual.get(key) != value}
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in found)
    source = json.dumps({"source": "llama.cpp b11549 in xllamacpp 2026.10.11549", "usual": usual})[1:-1]
    TARGET.write_text(f'{{{source},"models":[\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        make(sys.argv[1], sys.argv[2] == "1", int(sys.argv[3]) or None, sys.argv[4] == "1")
    else:
        main()
