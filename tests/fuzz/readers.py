"""An input for every reader of other people's files: a number makes one, and the same number makes the same again."""

import json
import random
import struct
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from fuzz import reader_seeds as seeds
from fuzz.case import Input
from fuzz.gguf_headers import architectures, draft_of, spoil, written
from fuzz.large import large
from fuzz.mutations import TEXT_MUTATIONS, mutated_text
from fuzz.seeds import DEVICE, MODEL, ROUTING_COUNTS, ROUTING_CSV, ROUTING_RECORD, ROUTING_TOKENS, RUNTIME, TRACE_CSV
from fuzz.spoiled import damaged, gguf_bytes, spoiled
from fuzz.stores import folder, hub, no_model, ollama
from fuzz.trees import mutated_tree
from fuzz.values import LENGTHS

# ---- config.json and what lies beside it ----


def config(rng: random.Random) -> Input:
    """A config.json of some type, wrong in its values, now and then in its bytes."""
    seed = rng.choice(seeds.configs())
    if rng.random() < 0.06:
        seed = {**seed, "model_type": rng.choice(seeds.configs()).get("model_type")}
    data = mutated_tree(rng, seed, seeds.config_values())
    return Input("model", rng.choice(("m", "m", "m/config.json")), {"m/config.json": spoiled(rng, data)})


def statement(rng: random.Random) -> Input:
    """A config with a statement of its quantisation inside or beside it, the statement wrong."""
    base = rng.choice((seeds.LLAMA, seeds.MIXTURE, rng.choice(seeds.configs())))
    stated = mutated_tree(rng, rng.choice(seeds.statements()), seeds.statement_values())
    name = rng.choice(seeds.BESIDE)
    if rng.random() < 0.25:
        inner = rng.choice(seeds.statements())
        inner = next(iter(inner.values())) if rng.random() < 0.5 else inner
        beside = mutated_tree(rng, inner, seeds.statement_values())
        return Input("model", "m", {"m/config.json": json.dumps(base).encode(), f"m/{name}": spoiled(rng, beside)})
    whole = json.dumps(base).encode()[:-1] + b", " + stated[1:] if stated[:1] == b"{" else stated
    if rng.random() < 0.2 and b"text_config" not in whole:
        whole = b'{"model_type": "llava", "text_config": ' + whole + b"}"
    return Input("model", "m", {"m/config.json": spoiled(rng, whole)})


def safetensors(rng: random.Random) -> Input:
    """A checkpoint in one file, in shards or with an index, of which a header, the index or the config is wrong."""
    files, header = rng.choice(seeds.checkpoints())
    names = [name for name in header if name != "__metadata__"]
    n_files = rng.choice((1, 1, 2, 3))
    shards = (
        [f"model-{n + 1:05d}-of-{n_files:05d}.safetensors" for n in range(n_files)]
        if n_files > 1
        else ["model.safetensors"]
    )
    parts = [{name: header[name] for name in names[n::n_files]} for n in range(n_files)]
    found = {f"m/{name}": data for name, data in files.items()}
    wrong, sizes = rng.randrange(n_files), {}
    for number, (shard, part) in enumerate(zip(shards, parts, strict=True)):
        text = (
            mutated_tree(rng, _swapped(rng, part), _PARTS)
            if number == wrong and rng.random() < 0.8
            else json.dumps(part).encode()
        )
        length = rng.choice(LENGTHS) if number == wrong and rng.random() < 0.08 else len(text)
        data = struct.pack("<Q", length) + text
        found[f"m/{shard}"] = spoiled(rng, data, 0.1) if number == wrong else data
        if rng.random() < 0.2:
            sizes[f"m/{shard}"] = len(data) + rng.choice((1, 10**6, 10**9))
    if n_files > 1 or rng.random() < 0.2:
        index = {
            "metadata": {"total_size": 10**6},
            "weight_map": {name: shards[n % n_files] for n, name in enumerate(names)},
        }
        data = mutated_tree(rng, index, {}) if rng.random() < 0.4 else json.dumps(index).encode()
        found["m/model.safetensors.index.json"] = spoiled(rng, data, 0.1)
    if rng.random() < 0.2:
        found["m/config.json"] = mutated_tree(rng, json.loads(files["config.json"]), seeds.config_values())
    if rng.random() < 0.1:
        found.pop(rng.choice([name for name in found if name.endswith("safetensors")]))
    return Input("model", "m", found, sizes={name: size for name, size in sizes.items() if name in found})


_PARTS = {
    "dtype": ["F32", "BF16", "F8_E4M3", "U8", "I32", "I64", "F4", "F6_E2M3", "BOOL", "Q4", "bf16"],
    "shape": [[], [0], [64, 0], [2**40, 2**40], [1]],
    "data_offsets": [[0, 0], [5, 1], [0, 2**50], [0, 2**63], [-8, 8], [0], [0, 1, 2], [0.0, 8.0]],
    "__metadata__": [{"format": "pt"}, 5, []],
    "model.layers.0.self_attn.q_proj.weight": [{"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}],
}  # fmt: skip


def _swapped(rng: random.Random, part: dict[str, Any]) -> dict[str, Any]:
    """Now and then under names of other layers and modules."""
    if rng.random() > 0.3:
        return part
    old, new = rng.choice(
        (
            ("layers.0", "layers.99"),
            ("model.", "language_model.model."),
            ("weight", "weight_scale"),
            ("proj", "x"),
            ("mlp", "moe"),
        )
    )
    return {name.replace(old, new): value for name, value in part.items()}


# ---- GGUF ----


def gguf(rng: random.Random) -> Input:
    """A GGUF header of some architecture with mistakes in its keys, tensors or bytes."""
    data = gguf_bytes(rng)
    size = {"m.gguf": len(data) + rng.choice((1, 4096, 2**24, 2**28))} if rng.random() < 0.3 else {}
    return Input("model", rng.choice(("m.gguf", "m.gguf", ".")), {"m.gguf": data}, sizes=size)


def split_gguf(rng: random.Random) -> Input:
    """Two or three parts of a GGUF file, of which one is wrong or missing."""
    draft, count = draft_of(rng.choice(architectures())).copy(), rng.choice((2, 3))
    keys, files = draft.keys, {}
    for number in range(count):
        part = draft.copy()
        part.keys = {"split.no": number, "split.count": count, **(keys if number == 0 or rng.random() < 0.2 else {})}
        part.tensors = draft.tensors[number::count]
        if rng.random() < 0.5:
            spoil(rng, part)
        total = count if rng.random() < 0.95 else rng.choice((1, 0, 99999))
        files[f"m-{number + 1:05d}-of-{total:05d}.gguf"] = (
            damaged(rng, written(part)) if rng.random() < 0.4 else written(part)
        )
    given = rng.choice([*files, "."])
    if rng.random() < 0.1 and len(files) > 1:
        files.pop(next(name for name in files if name != given))
    return Input("model", given, files)


# ---- measurements ----


def benchmark(rng: random.Random) -> Input:
    """What a benchmark program prints, with mistakes; now and then with another program's behind it."""
    text = _benchmark(rng)
    if rng.random() < 0.15:
        text += rng.choice((b"\n", b"")) + _benchmark(rng)
    return Input(
        rng.choice(("benchmark", "benchmark", "benchmark-only")), "bench.txt", {"bench.txt": spoiled(rng, text)}
    )


def _benchmark(rng: random.Random) -> bytes:
    kind, seed = rng.choice(seeds.benchmarks())
    if kind == "json":
        if rng.random() < 0.3:
            return mutated_text(rng, json.dumps(seed, indent=rng.choice((None, 1))), "json")
        return mutated_tree(rng, seed, seeds.benchmark_values())
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        seed = rng.choice((*TEXT_MUTATIONS, _spliced))(rng, seed, rng.choice(("csv", "json")))
    return seed.encode("utf-8", "surrogatepass")


def _spliced(rng: random.Random, text: str, kind: str) -> str:
    """Some lines of it, and some of another's."""
    other = rng.choice([each for sort, each in seeds.benchmarks() if sort == "csv"]).splitlines(keepends=True)
    lines = text.splitlines(keepends=True)
    at, start = rng.randrange(len(lines) + 1), rng.randrange(len(other) + 1)
    return "".join([*lines[:at], *other[start : start + rng.randint(1, 5)], *lines[at:]])


def measurements(rng: random.Random) -> Input:
    """A CSV of measurements in our own layout."""
    return Input("measurements", "ran.csv", {"ran.csv": mutated_text(rng, rng.choice(seeds.tables()), "csv")})


# ---- our own files ----


def model_yaml(rng: random.Random) -> Input:
    """A model file, one of ours or a small one."""
    seed = MODEL if rng.random() < 0.4 else rng.choice(seeds.shipped("models"))
    return Input("own model", "m.yaml", {"m.yaml": mutated_text(rng, seed, "yaml")})


def device_yaml(rng: random.Random) -> Input:
    """A device file, one of ours or a small one."""
    seed = DEVICE if rng.random() < 0.4 else rng.choice(seeds.shipped("hardware"))
    return Input("device", "d.yaml", {"d.yaml": mutated_text(rng, seed, "yaml")})


def runtime_yaml(rng: random.Random) -> Input:
    """A runtime file."""
    seed = RUNTIME if rng.random() < 0.5 else rng.choice(seeds.shipped("simulator/runtimes"))
    return Input("runtime", "r.yaml", {"r.yaml": mutated_text(rng, seed, "yaml")})


def routing(rng: random.Random) -> Input:
    """Counts of experts or recorded choices."""
    name, seed = rng.choice(
        (
            ("r.json", ROUTING_COUNTS),
            ("r.json", ROUTING_TOKENS),
            ("r.csv", ROUTING_CSV),
            ("r.csv", TRACE_CSV),
            ("r.jsonl", ROUTING_RECORD),
        )
    )
    return Input("routing", name, {name: mutated_text(rng, seed, name[2:].removesuffix("l"))})


# Of a thousand inputs so many are of each reader.
READERS: dict[str, tuple[Callable[[random.Random], Input], int]] = {
    "config": (config, 300),
    "statement": (statement, 130),
    "safetensors": (safetensors, 90),
    "gguf": (gguf, 140),
    "split-gguf": (split_gguf, 40),
    "ollama": (ollama, 40),
    "hub": (hub, 40),
    "folder": (folder, 30),
    "no-model": (no_model, 30),
    "benchmark": (benchmark, 80),
    "measurements": (measurements, 20),
    "model-yaml": (model_yaml, 20),
    "device-yaml": (device_yaml, 20),
    "runtime-yaml": (runtime_yaml, 10),
    "routing": (routing, 8),
    "large": (large, 2),
}
_NAMES, _SHARES = list(READERS), list(accumulate(share for _, share in READERS.values()))


def made(number: int) -> tuple[str, Input]:
    """The reader and the input of a number."""
    rng = random.Random(number)
    name = rng.choices(_NAMES, cum_weights=_SHARES)[0]
    return name, READERS[name][0](rng)
