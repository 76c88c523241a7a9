"""Records what llama.cpp's own scheduler and its --fit say of a GPU's memory: `python tests/recorded/compute_buffers.py SOURCE`.

With xllamacpp 2026.10.11549 and gcc installed; SOURCE is the folder llama.cpp in the source package of the same release. The GPU is
`stub_gpu.c`, which allocates and computes nothing, and the models are files without weights: their shapes from the keys below, their
formats as roofcast mixes them. Written to tests/forecast/compute_buffers.csv and llama_fit.csv. A process for each model.
"""

import csv
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from gguf_models import GgufParams, ModelParams, write_keys  # noqa: E402

BUFFERS, FITS = (ROOT / "tests" / "forecast" / name for name in ("compute_buffers.csv", "llama_fit.csv"))
EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
POINTS = ((4096, 512), (32768, 512), (32768, 1024), (32768, 2048), (32768, 4096), (131072, 512), (131072, 4096))
POINTS_OF_TWO = ((4096, 512), (32768, 512), (32768, 2048), (131072, 512))
POINTS_OF_FITS = ((4096, 512), (32768, 512), (131072, 512), (32768, 2048), (8192, 4096))
CARDS_GIB, MARGIN_MIB = (8, 12, 16, 24, 32), 1024
FIT = (
    "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_overridePmj"
    "PK22common_fit_extra_model14ggml_log_level"
)


def keys(layers: int, width: int, network: int, heads: int, kv_heads: int, vocab: int, **more) -> dict:
    """What all architectures have."""
    return {
        "vocab_size": vocab, "context_length": 262_144, "embedding_length": width, "block_count": layers, "feed_forward_length": network,
        "attention.head_count": heads, "attention.head_count_kv": kv_heads, "attention.layer_norm_rms_epsilon": 1e-6,
    } | {name.replace("__", "."): value for name, value in more.items()}  # fmt: skip


def head(dim: int, rope: int | None = None) -> dict:
    """A head's width, where it is not the model's over the number of heads."""
    return {"attention__key_length": dim, "attention__value_length": dim, "rope__dimension_count": rope or dim}


def experts(count: int, used: int, width: int, shared: int = 0) -> dict:
    """Of each layer."""
    found = {"expert_count": count, "expert_used_count": used, "expert_feed_forward_length": width}
    return found | ({"expert_shared_feed_forward_length": shared} if shared else {})


def delta(n_values: int, **more) -> dict:
    """Gated delta nets in three of four layers."""
    return {
        "ssm__conv_kernel": 4, "ssm__state_size": 128, "ssm__group_count": 16, "ssm__time_step_rank": n_values,
        "ssm__inner_size": 128 * n_values, "full_attention_interval": 4, **more,
    }  # fmt: skip


OF_GPT_OSS = {"attention__sliding_window": 128, **head(64)}
OF_QWEN = {"rope__dimension_sections": [11, 11, 10, 0], **head(256, 64)}
OF_GEMMA = [index % 6 != 5 for index in range(30)]  # layers with a window
MODELS = {
    "llama-3.1-8b": ("llama", keys(32, 4096, 14336, 32, 8, 128256, rope__dimension_count=128)),
    "llama-3.3-70b": ("llama", keys(80, 8192, 28672, 64, 8, 128256, rope__dimension_count=128)),
    "qwen3-30b-a3b": ("qwen3moe", keys(48, 2048, 6144, 32, 4, 151936, **head(128), **experts(128, 8, 768))),
    "gpt-oss-20b": ("gpt-oss", keys(24, 2880, 2880, 64, 8, 201088, **OF_GPT_OSS, **experts(32, 4, 2880))),
    "gpt-oss-120b": ("gpt-oss", keys(36, 2880, 2880, 64, 8, 201088, **OF_GPT_OSS, **experts(128, 4, 2880))),
    "qwen3.5-122b-a10b": ("qwen35moe", keys(48, 3072, 0, 32, 2, 248320, **OF_QWEN, **experts(256, 8, 1024, 1024), **delta(64))),
    "qwen3.5-35b-a3b": ("qwen35moe", keys(40, 2048, 0, 16, 2, 248320, **OF_QWEN, **experts(256, 8, 512, 512), **delta(32))),
    "qwen3.5-9b": ("qwen35", keys(32, 4096, 12288, 16, 4, 248320, **OF_QWEN, **delta(32))),
    "qwen3-next-80b-a3b": ("qwen3next", keys(48, 2048, 5120, 16, 2, 151936, **head(256, 64), **experts(512, 10, 512, 512), **delta(32))),
    "gemma-4-26b-a4b": ("gemma4", keys(
        30, 2816, 2112, 16, [8 if each else 2 for each in OF_GEMMA], 262144, attention__sliding_window=1024,
        attention__sliding_window_pattern=OF_GEMMA, attention__key_length_swa=256, attention__value_length_swa=256,
        rope__dimension_count_swa=256, rope__freq_base_swa=10000.0, final_logit_softcapping=30.0, embedding_length_per_layer_input=0,
        attention__shared_kv_layers=0, **head(512), **experts(128, 8, 704),
    )),
    "deepseek-v3": ("deepseek2", keys(
        61, 7168, 18432, 128, 1, 129280, leading_dense_block_count=3, attention__key_length=576, attention__value_length=512,
        attention__key_length_mla=192, attention__value_length_mla=128, attention__q_lora_rank=1536, attention__kv_lora_rank=512,
        rope__dimension_count=64, expert_shared_count=1, expert_gating_func=2, expert_weights_scale=2.5, expert_weights_norm=True,
        expert_group_count=8, expert_group_used_count=4, **experts(256, 8, 2048),
    )),
}  # fmt: skip
# Tensors that roofcast names for what they are made of or stand for.
STANDS_FOR = (
    ("ffn_gate_up_exps", "ffn_up_exps"), ("ssm_in", "attn_qkv"), ("ssm_alpha", "ssm_out"), ("ssm_beta", "ssm_out"),
    ("ffn_gate.", "ffn_gate_shexp."), ("ffn_up.", "ffn_up_shexp."), ("ffn_down.", "ffn_down_shexp."),
)  # fmt: skip


class ContextParams(ctypes.Structure):
    """llama_context_params of b11549."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs", "n_outputs", "n_outputs_seq")),
        *((name, ctypes.c_int32) for name in ("threads", "threads_batch", "kind", "rope", "pooling", "attention", "flash")),
        *((f"rope_{number}", ctypes.c_float) for number in range(6)), ("original", ctypes.c_uint32), ("defrag", ctypes.c_float),
        ("cb", ctypes.c_void_p), ("cb_data", ctypes.c_void_p), ("type_k", ctypes.c_int32), ("type_v", ctypes.c_int32),
        ("moe_cache", ctypes.c_size_t), ("abort", ctypes.c_void_p), ("abort_data", ctypes.c_void_p),
        *((name, ctypes.c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified")),
        ("samplers", ctypes.c_void_p), ("n_samplers", ctypes.c_size_t), ("other", ctypes.c_void_p),
    )  # fmt: skip


class Override(ctypes.Structure):
    """llama_model_tensor_buft_override."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer", ctypes.c_void_p))


class Llama:
    """llama.cpp inside of xllamacpp, with so many GPUs of so many bytes beside it."""

    def __init__(self, stub: str, sizes: list[int]):
        import xllamacpp

        path = next(Path(xllamacpp.__file__).parent.glob("*.so"))
        self.lib, self.log = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL), []
        for name in ("gguf_init_from_file", "llama_model_init_from_user", "llama_model_load_from_file", "llama_init_from_model",
                     "ggml_backend_cpu_buffer_type"):  # fmt: skip
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.gguf_init_from_file.argtypes = [ctypes.c_char_p, GgufParams]
        self.lib.llama_model_init_from_user.argtypes = [*[ctypes.c_void_p] * 3, ModelParams]
        self.lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParams]
        self.lib.llama_init_from_model.argtypes = [ctypes.c_void_p, ContextParams]
        self.lib.llama_free.argtypes = self.lib.llama_model_free.argtypes = [ctypes.c_void_p]
        self.lib.ggml_get_name.restype, self.lib.ggml_get_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
        self.lib.llama_model_default_params.restype = ModelParams
        self.lib.llama_context_default_params.restype = ContextParams
        self.logged = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
            lambda _level, text, _data: self.log.append(text.decode("utf-8", "replace"))
        )
        self.lib.llama_log_set(self.logged, None)
        self.stub = ctypes.CDLL(stub)
        self.stub.stub_register(len(sizes), (ctypes.c_size_t * len(sizes))(*sizes))

    def tensors(self, arch: str, given: dict) -> dict[str, list[int]]:
        """Names and shapes, the fastest dimension first, of what its loader makes for the keys."""
        found = {}

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
        def made(tensor, _data):  # ggml_tensor: type, buffer, then the four sizes
            found[self.lib.ggml_get_name(tensor).decode()] = list((ctypes.c_int64 * 4).from_address(tensor + 16))

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "keys.gguf"
            write_keys(path, arch, given)
            metadata = self.lib.gguf_init_from_file(str(path).encode(), GgufParams(True, None))
        params = self.lib.llama_model_default_params()
        params.n_gpu_layers = -1
        self.lib.llama_model_init_from_user(metadata, ctypes.cast(made, ctypes.c_void_p), None, params)
        return found

    def buffers(self, path: Path, points, n_layers: int, patterns: list[str], shares: list[float]):
        """Of each point, MiB of the compute buffers of the GPUs; layers on GPUs as -ngl counts them."""
        params, cpu = self.lib.llama_model_default_params(), self.lib.ggml_backend_cpu_buffer_type()
        params.n_gpu_layers, params.no_alloc, params.extra, params.load_mode = n_layers, True, False, 0
        overrides = (Override * (len(patterns) + 1))(*(Override(each.encode(), cpu) for each in patterns))
        params.overrides = ctypes.cast(overrides, ctypes.c_void_p)
        split = (ctypes.c_float * 16)(*shares)
        params.split = ctypes.cast(split, ctypes.c_void_p)
        model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        for context, micro_batch in points:
            self.log.clear()
            self.lib.llama_free(self.lib.llama_init_from_model(model, self.context(context, micro_batch)))
            yield dict(re.findall(r"(CUDA\d) compute buffer size = +([\d.]+) MiB", "".join(self.log)))
        self.lib.llama_model_free(model)

    def context(self, n_tokens: int, micro_batch: int) -> ContextParams:
        """One sequence with flash attention, windows kept as such."""
        params = self.lib.llama_context_default_params()
        params.n_ctx, params.n_ubatch, params.n_batch, params.n_seq_max = (
            n_tokens,
            micro_batch,
            max(2048, micro_batch),
            1,
        )
        params.flash, params.swa_full, params.kv_unified = 1, False, True
        return params

    def fit(self, path: Path, n_tokens: int, micro_batch: int) -> tuple[int, int]:
        """Layers on GPUs, and patterns of what is left in RAM, as its own search finds them."""
        params, context = self.lib.llama_model_default_params(), self.context(n_tokens, micro_batch)
        params.extra = False
        found, margins = (Override * 4096)(), (ctypes.c_size_t * 16)(*[MARGIN_MIB << 20] * 16)
        self.lib[FIT](
            str(path).encode(), ctypes.byref(params), ctypes.byref(context), (ctypes.c_float * 16)(), found, margins, 4096, None, 5
        )  # fmt: skip
        return params.n_gpu_layers, next(number for number, each in enumerate(found) if not each.pattern)


def formats_of(name: str) -> dict[str, str]:
    """The format of each tensor of a shipped model, by GGUF's name."""
    from simulator.importers.open import load_model
    from simulator.spec.mixes import parse_weights

    model = load_model(name).model
    weights = parse_weights("mxfp4_moe" if name.startswith("gpt-oss") else "q4_k_m")
    found = {}
    for layer, indices, tensors in model.shapes:
        for index in indices:
            for tensor in tensors:
                block = f"blk.{index}." if layer is not None else ""
                found[f"{block}{tensor.role}.weight"] = weights.choose(model.slot(index, layer, tensor)).name
    return found if not model.tied_head else found | {"output.weight": found["token_embd.weight"]}


def write_file(path: Path, name: str, llama: Llama) -> None:
    """A file of a model without its weights, as long as with them."""
    import gguf
    import numpy as np

    arch, given = MODELS[name]
    formats, writer, n_bytes = formats_of(name), gguf.GGUFWriter(path, arch), 0
    kinds = {bool: gguf.GGUFValueType.BOOL, int: gguf.GGUFValueType.UINT32, float: gguf.GGUFValueType.FLOAT32}
    for key, value in given.items():
        if isinstance(value, list):
            writer.add_key_value(f"{arch}.{key}", value, gguf.GGUFValueType.ARRAY, sub_type=kinds[type(value[0])])
        else:
            writer.add_key_value(f"{arch}.{key}", value, kinds[type(value)])
    writer.add_string("tokenizer.ggml.model", "none")
    for tensor, shape in stored(arch, llama.tensors(arch, given)):
        kind = gguf.GGMLQuantizationType[format_of(tensor, shape, formats).upper()]
        in_bytes = gguf.quants.quant_shape_to_byte_shape(shape, kind)
        size = int(np.prod(in_bytes))
        writer.add_tensor_info(tensor, in_bytes, np.dtype("uint8"), size, raw_dtype=kind)
        n_bytes += -(-size // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, -(-path.stat().st_size // 32) * 32 + n_bytes + 64)


def stored(arch: str, tensors: dict[str, list[int]]):
    """What files hold of it, the slowest dimension first: gate and up apart but in Gemma 4, no optional biases and scales."""
    for name, sizes in tensors.items():
        is_optional = name.endswith((".bias", "scale", "scales")) or "attn_sinks" in name or "rope_freqs" in name
        is_needed = arch in ("gpt-oss", "gemma4") or "ssm_dt" in name or "exp_probs" in name
        if (is_optional and not is_needed) or (name.endswith(("scale", "scales")) and arch != "gemma4"):
            continue
        shape = list(reversed(sizes))
        while len(shape) > 1 and shape[0] == 1:
            shape.pop(0)
        if "ffn_gate_up_exps" in name and arch != "gemma4":
            shape[1] //= 2
            yield from ((name.replace("gate_up", each), tuple(shape)) for each in ("gate", "up"))
        else:
            yield name, tuple(shape)


def format_of(name: str, shape: tuple[int, ...], formats: dict[str, str]) -> str:
    """As roofcast mixes it; full precision of what is small."""
    if len(shape) < 2 or "norm" in name:
        return "f32"
    other = name
    for one, stands in STANDS_FOR:
        other = other if name in formats else other.replace(one, stands)
    return formats.get(name) or formats.get(other) or "f32"


def cases(name: str):
    """Of one model: GPUs, options, layers on GPUs, patterns, points."""
    n_layers, is_mixture = MODELS[name][1]["block_count"], "expert_count" in MODELS[name][1]
    yield 1, "", -1, [], POINTS
    if is_mixture:
        yield 1, "--cpu-moe", -1, [EXPERTS], POINTS
        yield 1, "--n-cpu-moe 5", -1, [rf"blk\.{index}{EXPERTS}" for index in range(5)], POINTS
    for on_gpu in (n_layers // 2,) if is_mixture else (n_layers // 2, 1, n_layers):
        yield 1, f"-ngl {on_gpu}", on_gpu, [], POINTS
    yield 2, "", -1, [], POINTS_OF_TWO
    if is_mixture:
        yield 2, "--cpu-moe", -1, [EXPERTS], POINTS_OF_TWO
    else:
        yield 2, f"-ngl {n_layers // 2}", n_layers // 2, [], POINTS_OF_TWO


def record(name: str, stub: str, n_gpus: int, gib: float) -> None:
    """Prints the rows of one model: of so many GPUs, or of fits to one of *gib*."""
    llama = Llama(stub, [int(gib * 2**30)] * n_gpus if gib else [1 << 50] * n_gpus)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_file(path, name, llama)
        if gib:
            for point in POINTS_OF_FITS:
                print("row", name, f"{gib:g}", *point, *llama.fit(path, *point), sep="\t", flush=True)
            return
        for count, options, layers, patterns, points in cases(name):
            if count == n_gpus:
                found = llama.buffers(path, points, layers, patterns, [1.0] * n_gpus if n_gpus > 1 else [])
                for point, each in zip(points, found, strict=True):
                    print(
                        "row",
                        name,
                        count,
                        options,
                        *point,
                        *(float(each[gpu]) if gpu in each else "" for gpu in ("CUDA0", "CUDA1")),
                        sep="\t",
                        flush=True,
                    )


def main(source: str) -> None:
    """Every model alone, on two GPUs, and fitted to each card."""
    folder = Path(tempfile.mkdtemp())
    stub, include = folder / "stub.so", Path(source) / "ggml"
    options = [
        "-shared",
        "-fPIC",
        "-O1",
        f"-I{include / 'include'}",
        f"-I{include / 'src'}",
        "-Wl,--unresolved-symbols=ignore-all",
    ]
    subprocess.run(["gcc", *options, str(Path(__file__).with_name("stub_gpu.c")), "-o", str(stub)], check=True)
    tables: dict[Path, list[list[str]]] = {BUFFERS: [], FITS: []}
    for name in MODELS:
        for n_gpus, gib in ((1, 0), (2, 0), *((1, each) for each in CARDS_GIB)):
            command = [sys.executable, __file__, name, str(stub), str(n_gpus), str(gib)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            found = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("row\t")]
            print(name, n_gpus, gib, len(found), flush=True)
            tables[FITS if gib else BUFFERS] += found
    heads = {
        BUFFERS: ["model", "gpus", "options", "context", "micro_batch", "buffer_mib", "second_buffer_mib"],
        FITS: ["model", "gpu_gib", "context", "micro_batch", "gpu_layers", "patterns"],
    }
    for path, rows in tables.items():
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([heads[path], *rows])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        record(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        main(sys.argv[1])
