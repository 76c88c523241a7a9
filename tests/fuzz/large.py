"""Inputs as large as readers take them, and larger: what is quick for one row may be slow for a hundred thousand."""

import json
import random
import struct
from typing import Any

from fuzz import reader_seeds as seeds
from fuzz.case import Input
from fuzz.gguf_headers import Draft, draft_of, written

MOST = 4 * 2**20 - 200  # bytes of a text file


def large(rng: random.Random) -> Input:
    """One of the kinds below, with random sizes."""
    return rng.choice(KINDS)(rng)


def _config(rng: random.Random, more: dict[str, Any], **files: bytes) -> Input:
    text = json.dumps({**rng.choice((seeds.LLAMA, seeds.MIXTURE)), **more}).encode()
    return Input("model", "m", {"m/config.json": text, **{f"m/{name}": data for name, data in files.items()}})


def patterns(rng: random.Random) -> Input:
    """Lists of modules that are not quantised, as long as a file may be."""
    count = rng.choice((5_000, 30_000, 60_000))
    names = [
        rng.choice(("model.layers.{}.mlp", "re:.*layers.{}.*", "*{}*", "re:(a|b)*{}", "{}")).format(n)
        for n in range(count)
    ]
    stated = rng.choice((
        {"quant_method": "fp8", "modules_to_not_convert": names},
        {"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": names},
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {f"+:{name}": {"bits": 8} for name in names}},
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {name: {"quant_algo": "FP8"} for name in names}},
        {"quant_method": "quark", "global_quant_config": {}, "layer_quant_config": {each: {} for each in names}},
        {"bits": 4, "group_size": 64, **{name: {"bits": 8, "group_size": 64} for name in names}},
        {"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": names,
         "config_groups": {f"g{n}": {"targets": names[n : n + 50], "weights": {"num_bits": 4}} for n in range(0, count, 200)}},
    ))  # fmt: skip
    return _config(rng, {"quantization_config": stated, "num_hidden_layers": rng.choice((2, 100, 1000))})


def layers(rng: random.Random) -> Input:
    """As many layers as may be, each unlike the one before it."""
    config, count = dict(rng.choice(seeds.configs())), rng.choice((200, 1000, 1001, 100_000))
    key = next(
        (each for each in ("num_hidden_layers", "n_layer", "num_layers", "n_layers") if each in config),
        "num_hidden_layers",
    )
    lists = {name: (value * count)[:count] for name, value in config.items() if isinstance(value, list) and value}
    return Input("model", "m", {"m/config.json": json.dumps({**config, **lists, key: count}).encode()[:MOST]})


def keys(rng: random.Random) -> Input:
    """Keys that nobody knows."""
    return _config(rng, {f"key_{n}_of_nobody": rng.choice((n, None, [n])) for n in range(rng.choice((1_000, 100_000)))})


def tensors(rng: random.Random) -> Input:
    """Headers of safetensors with many tensors, some of the model's and some of nobody's."""
    count = rng.choice((20_000, 60_000, 100_000))
    name = rng.choice(
        (
            "model.layers.{}.mlp.experts.{}.up_proj.weight",
            "model.layers.{}.self_attn.q_proj.weight_{}",
            "x.{}.{}",
            "{}{}",
        )
    )
    header = {name.format(n % 61, n): {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(count)}
    text = json.dumps(header).encode()
    index = (
        json.dumps({"weight_map": dict.fromkeys(header, "model.safetensors")}).encode() if rng.random() < 0.3 else None
    )
    files = {"model.safetensors": struct.pack("<Q", len(text)) + text}
    return _config(rng, {}, **files, **({"model.safetensors.index.json": index} if index else {}))


def shards(rng: random.Random) -> Input:
    """An index of many files that are not here."""
    count = rng.choice((1_000, 10_000, 60_000))
    index = {
        "metadata": {},
        "weight_map": {f"model.layers.{n}.x": f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(count)},
    }
    return _config(rng, {}, **{"model.safetensors.index.json": json.dumps(index).encode()})


def gguf_tensors(rng: random.Random) -> Input:
    """GGUF headers with many tensors, layers, experts or keys."""
    draft, count = (
        draft_of(rng.choice(("llama", "qwen3", "deepseek2", "qwen3next", "gpt-oss"))).copy(),
        rng.choice((20_000, 60_000)),
    )
    kind = rng.randrange(4)
    if kind == 0:
        draft.tensors += [(f"blk.{n}.attn_q.weight", (64, 64), 1, 0) for n in range(2, count)]
    elif kind == 1:
        draft.tensors += [(f"blk.0.ffn_up.{n}.weight", (64, 64), 1, 0) for n in range(min(count, 9_999))]
    elif kind == 2:
        draft.keys |= {f"key.{n}": n for n in range(count)}
    else:
        draft.keys |= {f"array.{n}": [n] * 4000 for n in range(count // 300)}
    return Input("model", "m.gguf", {"m.gguf": written(draft)})


def gguf_layers(rng: random.Random) -> Input:
    """The widest and the deepest GGUF header."""
    whole, name = draft_of("llama"), "llama"
    count = rng.choice((200, 1000, 1001))
    first = [each for each in whole.tensors if each[0].startswith("blk.0.")]
    rest = [each for each in whole.tensors if not each[0].startswith("blk.")]
    found = Draft({**whole.keys, f"{name}.block_count": count}, rest)
    found.tensors += [
        (role.replace("blk.0.", f"blk.{n}."), shape, kind, at) for n in range(count) for role, shape, kind, at in first
    ]
    found.keys |= {f"{name}.attention.head_count": 4, f"{name}.attention.head_count_kv": 2}
    return Input("model", "m.gguf", {"m.gguf": written(found)})


def vocabulary(rng: random.Random) -> Input:
    """A vocabulary of a million words, or of two long ones."""
    found = draft_of("llama").copy()
    found.keys["tokenizer.ggml.tokens"] = rng.choice((["word"] * 1_000_000, ["x" * 2**22] * 2))
    return Input("model", "m.gguf", {"m.gguf": written(found)})


def manifest(rng: random.Random) -> Input:
    """A manifest of many layers."""
    layer = {"mediaType": "application/vnd.ollama.image.tensor", "digest": "sha256:" + "0" * 64, "size": 1}
    data = json.dumps({"schemaVersion": 2, "layers": [layer] * rng.choice((1_000, 20_000))}).encode()
    return Input(
        "model",
        "ollama/small",
        {"ollama/manifests/registry.ollama.ai/library/small/latest": data, "ollama/blobs/x": b""},
    )


def crowd(rng: random.Random) -> Input:
    """A folder of many files, or a store of many models."""
    count = rng.choice((500, 2_000))
    name = rng.choice(
        ("m/{}.gguf", "m/{0}/{0}.gguf", "m/model-{:05d}-of-02000.safetensors", "ollama/manifests/h/n/{}/latest")
    )
    files = {name.format(n): rng.choice((b"", b"GGUF", b"{}")) for n in range(count)}
    return Input("model", rng.choice(("m", "ollama/x", "org/x", "m")), files)


def benchmark(rng: random.Random) -> Input:
    """What a program prints, over and over, to the size of a file that is read."""
    kind, seed = rng.choice(seeds.benchmarks())
    text = json.dumps(seed) if kind == "json" else seed
    text = (text + "\n") * (rng.choice((20_000, 300_000, MOST)) // len(text))
    return Input("benchmark", "bench.txt", {"bench.txt": text.encode()[:MOST]})


def marks(rng: random.Random) -> Input:
    """Signs that parsers of benchmarks look for, and nothing behind them."""
    mark = rng.choice(
        (
            "{",
            "[{",
            '{"a":',
            "|",
            "| a ",
            "|---",
            "> ",
            "```\n",
            "\x1b[",
            "INSERT INTO llama_bench (",
            '"',
            "=",
            "1 ",
            "tokens per second ",
            "a\n",
        )
    )
    return Input("benchmark", "bench.txt", {"bench.txt": (mark * (MOST // len(mark))).encode()})


def table(rng: random.Random) -> Input:
    """As many measurements as fit, or as many columns."""
    head, *rows = rng.choice(seeds.tables()).splitlines()
    text = (
        "\n".join([head, *(rows * 20_000)])[: rng.choice((300_000, MOST))]
        if rng.random() < 0.7
        else head + ",x" * 500_000 + "\n" + rows[0]
    )
    return Input("measurements", "ran.csv", {"ran.csv": text.encode()[:MOST]})


def text_of_json(rng: random.Random) -> Input:
    """Large JSON that is no model: words, numbers, lists."""
    inside = rng.choice(
        (
            {"a" * n: n for n in range(1500)},
            [0] * 1_000_000,
            [[]] * 700_000,
            ["x"] * 500_000,
            {str(n): {} for n in range(200_000)},
        )
    )
    name = rng.choice(("config.json", "tokenizer.json", "x.json", "x"))
    return Input(
        "model",
        name,
        {
            name: json.dumps(rng.choice((inside, {"model_type": "llama", "x": inside}, {"model": inside}))).encode()[
                :MOST
            ]
        },
    )


KINDS = (
    patterns, patterns, layers, layers, keys, tensors, tensors, shards, gguf_tensors, gguf_tensors, gguf_layers, vocabulary, manifest,
    crowd, benchmark, benchmark, marks, table, text_of_json,
)  # fmt: skip
