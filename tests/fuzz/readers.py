"""An input for every reader of other people's files: a number makes one, and the same number makes the same again."""

import hashlib
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from fuzz import reader_seeds as seeds
from fuzz.gguf_headers import architectures, draft_of, spoil, written
from fuzz.mutations import BYTE_MUTATIONS, TEXT_MUTATIONS, mutated_text, recode
from fuzz.seeds import DEVICE, MODEL, ROUTING_COUNTS, ROUTING_CSV, ROUTING_TOKENS, RUNTIME, TRACE_CSV
from fuzz.trees import WRONG, mutated_tree
from fuzz.values import LENGTHS

REVISION = "0123456789abcdef0123456789abcdef01234567"
ODD_NAMES = (
    "a\nb",
    "é",
    "\u202e",
    " ",
    "x" * 200,
    "-",
    "..x",
    "%s",
    "\x1b[31m",
    "model.gguf.part",
    "CON",
    "*",
    "\U0001f600",
)


@dataclass(frozen=True)
class Input:
    """Files below the working folder and what is read: a model, a benchmark, a device, ... by *given*."""

    kind: str
    given: str
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # files grown to so many bytes, nothing written in between


# ---- config.json and what lies beside it ----


def config(rng: random.Random) -> Input:
    """A config.json of some type, wrong in its values, now and then in its bytes."""
    seed = rng.choice(seeds.configs())
    if rng.random() < 0.06:
        seed = {**seed, "model_type": rng.choice(seeds.configs()).get("model_type")}
    data = mutated_tree(rng, seed, seeds.config_values())
    return Input("model", rng.choice(("m", "m", "m/config.json")), {"m/config.json": _bytes(rng, data)})


def _bytes(rng: random.Random, data: bytes, share: float = 0.07) -> bytes:
    """A *share* of them is spoiled byte by byte."""
    return rng.choice((*BYTE_MUTATIONS, recode))(rng, data) if rng.random() < share else data


def statement(rng: random.Random) -> Input:
    """A config with a statement of its quantisation inside or beside it, the statement wrong."""
    base = rng.choice((seeds.LLAMA, seeds.MIXTURE, rng.choice(seeds.configs())))
    stated = mutated_tree(rng, rng.choice(seeds.statements()), seeds.statement_values())
    name = rng.choice(seeds.BESIDE)
    if rng.random() < 0.25:
        inner = rng.choice(seeds.statements())
        inner = next(iter(inner.values())) if rng.random() < 0.5 else inner
        beside = mutated_tree(rng, inner, seeds.statement_values())
        return Input("model", "m", {"m/config.json": json.dumps(base).encode(), f"m/{name}": _bytes(rng, beside)})
    whole = json.dumps(base).encode()[:-1] + b", " + stated[1:] if stated[:1] == b"{" else stated
    if rng.random() < 0.2 and b"text_config" not in whole:
        whole = b'{"model_type": "llava", "text_config": ' + whole + b"}"
    return Input("model", "m", {"m/config.json": _bytes(rng, whole)})


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
        found[f"m/{shard}"] = _bytes(rng, data, 0.1) if number == wrong else data
        if rng.random() < 0.2:
            sizes[f"m/{shard}"] = len(data) + rng.choice((1, 10**6, 10**9))
    if n_files > 1 or rng.random() < 0.2:
        index = {
            "metadata": {"total_size": 10**6},
            "weight_map": {name: shards[n % n_files] for n, name in enumerate(names)},
        }
        data = mutated_tree(rng, index, {}) if rng.random() < 0.4 else json.dumps(index).encode()
        found["m/model.safetensors.index.json"] = _bytes(rng, data, 0.1)
    if rng.random() < 0.2:
        found["m/config.json"] = mutated_tree(rng, json.loads(files["config.json"]), seeds.config_values())
    if rng.random() < 0.1:
        found.pop(rng.choice([name for name in found if name.endswith("safetensors")]))
    return Input("model", "m", found, sizes={name: size for name, size in sizes.items() if name in found})


_PARTS = {
    "dtype": ["F32", "BF16", "F8_E4M3", "U8", "I32", "I64", "F4", "F6_E2M3", "BOOL", "Q4", "bf16"], "shape": [[], [0], [64, 0], [2**40, 2**40], [1]],
    "data_offsets": [[0, 0], [5, 1], [0, 2**50], [0, 2**63], [-8, 8], [0], [0, 1, 2], [0.0, 8.0]],
    "__metadata__": [{"format": "pt"}, 5, []], "model.layers.0.self_attn.q_proj.weight": [{"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}],
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
    data = _gguf(rng)
    size = {"m.gguf": len(data) + rng.choice((1, 4096, 2**24, 2**28))} if rng.random() < 0.3 else {}
    return Input("model", rng.choice(("m.gguf", "m.gguf", ".")), {"m.gguf": data}, sizes=size)


def _gguf(rng: random.Random) -> bytes:
    draft = draft_of(rng.choice(architectures())).copy()
    if rng.random() < 0.7:
        spoil(rng, draft)
    return _damaged(rng, written(draft))


def _damaged(rng: random.Random, data: bytes) -> bytes:
    """A third of them with wrong lengths or other bytes."""
    if rng.random() < 0.75:
        return data
    if rng.random() < 0.4:
        return rng.choice(BYTE_MUTATIONS)(rng, data)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, (code, size) = rng.choice((8, 16, 24, rng.randrange(24, len(data) + 1))), rng.choice((("<Q", 8), ("<I", 4)))
        changed[at : at + size] = struct.pack(code, rng.choice(LENGTHS) % 2 ** (8 * size))
    return bytes(changed)


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
            _damaged(rng, written(part)) if rng.random() < 0.4 else written(part)
        )
    given = rng.choice([*files, "."])
    if rng.random() < 0.1 and len(files) > 1:
        files.pop(next(name for name in files if name != given))
    return Input("model", given, files)


# ---- stores ----


def _model_file(rng: random.Random) -> bytes:
    """A file as stores keep them: a GGUF, a config, or none."""
    chosen = rng.random()
    if chosen < 0.5:
        return written(draft_of(rng.choice(architectures())))
    if chosen < 0.7:
        return _gguf(rng)
    return rng.choice((b"", b"{}", json.dumps(rng.choice(seeds.configs())).encode(), rng.choice(seeds.no_models())[1]))


_SORTS = ("model", "projector", "adapter", "params", "template", "license", "system", "tensor", "json", "x")


def ollama(rng: random.Random) -> Input:
    """A store of Ollama's, its manifest wrong, asked by name, by manifest, by blob or as a folder."""
    files, links, layers = {}, {}, []
    for sort in ["model", *rng.sample(_SORTS, rng.randint(0, 3))]:
        data = _model_file(rng) if sort in ("model", "projector", "adapter") else b'{"stop": []}'
        digest = hashlib.sha256(data).hexdigest()
        files[f"ollama/blobs/sha256-{digest}"] = data
        layers.append(
            {"mediaType": f"application/vnd.ollama.image.{sort}", "digest": f"sha256:{digest}", "size": len(data)}
        )
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "layers": layers,
    }
    manifest["config"] = {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": layers[0]["digest"],
        "size": 1,
    }
    pool = {
        "digest": [f"sha256:{'0' * 64}", "sha256:x", "../../etc", f"sha256-{'A' * 64}"],
        "remote_host": ["https://ollama.com", 5],
    }
    data = mutated_tree(rng, manifest, pool) if rng.random() < 0.75 else json.dumps(manifest).encode()
    name = rng.choice(
        ("registry.ollama.ai/library/small/latest", "registry.ollama.ai/someone/small/q4", "hf.co/org/small/Q4_K_M")
    )
    path = f"ollama/manifests/{name}"
    files[path] = _bytes(rng, data)
    if rng.random() < 0.1:
        _go_round(rng, files, links, path)
    blob = next(iter(files))
    given = rng.choice(("small", "ollama/small", "ollama/someone/small:q4", "hf.co/org/small:Q4_K_M", "small:latest", path, blob, "ollama", "ollama/manifests",
                        path.rpartition("/")[0], "ollama:small", f"ollama/{rng.choice(ODD_NAMES)}"))  # fmt: skip
    return Input("model", given, files, links)


def _go_round(rng: random.Random, files: dict[str, bytes], links: dict[str, str], path: str) -> None:
    """Links that lead to themselves, to nothing, to a folder, or to what never ends."""
    files.pop(path, None)
    links[path] = rng.choice(
        (path.rpartition("/")[2], ".", "..", "gone", "/dev/null", "/dev/zero", "/proc/self/mem", "/etc", "a\nb")
    )


def hub(rng: random.Random) -> Input:
    """The hub's cache: blobs, a snapshot of links to them, refs; one of them wrong."""
    name, revision = rng.choice(("org/small", "Org/Small-GGUF")), REVISION
    base = f"hub/models--{name.replace('/', '--')}"
    inside = {"config.json": mutated_tree(rng, rng.choice(seeds.configs()), seeds.config_values()) if rng.random() < 0.4 else
              json.dumps(rng.choice(seeds.configs())).encode()}  # fmt: skip
    for other in rng.sample(
        (
            "model-Q4_K_M.gguf",
            "model-Q8_0.gguf",
            "mmproj-F16.gguf",
            "tokenizer.json",
            "model.safetensors",
            "params.json",
        ),
        2,
    ):
        inside[other] = _model_file(rng)
    if rng.random() < 0.3:
        inside.pop("config.json")
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for file, data in inside.items():
        digest = hashlib.sha256(data).hexdigest()
        files[f"{base}/blobs/{digest}"] = data
        links[f"{base}/snapshots/{revision}/{file}"] = f"../../blobs/{digest}"
    files[f"{base}/refs/main"] = rng.choice(
        (revision.encode(),) * 4 + (b"", b"\0", b"../..", b"x" * 100_000, b"\xff\xfe", revision.upper().encode())
    )
    if rng.random() < 0.3:
        path = rng.choice([*files, *links])
        _go_round(rng, files, links, path)
    if rng.random() < 0.1:
        links[f"{base}/snapshots/{rng.choice(('f' * 40, 'x', 'loop'))}"] = rng.choice((".", "..", revision, "gone"))
    given = rng.choice((name, name.lower(), f"https://huggingface.co/{name}", f"{name}:Q4_K_M", f"{name}:Q9", base, f"{base}/snapshots/{revision}",
                        f"{base}/snapshots/{revision}/config.json", "hub", f"{name}/config.json", f"hf.co/{name}:{rng.choice(ODD_NAMES)}"))  # fmt: skip
    return Input("model", given, files, links)


def folder(rng: random.Random) -> Input:
    """A folder of GGUF files, of descriptions, of odd names, or of links that go round."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    names = ("a.gguf", "b-Q4_K_M.gguf", "mmproj-a.gguf", "a-00001-of-00002.gguf", "sub/c.gguf", "adapter_config.json", "params.json", "imatrix.gguf",
             "model_index.json", "config.json", "tokenizer.json", "model.bin", "x.safetensors", "index.yaml")  # fmt: skip
    for name in rng.sample(names, rng.randint(0, 4)):
        files[f"m/{name}"] = _model_file(rng)
    if rng.random() < 0.4:
        files[f"m/{rng.choice(ODD_NAMES)}{rng.choice(('', '.gguf', '.json'))}"] = _model_file(rng)
    if rng.random() < 0.4:
        _go_round(rng, files, links, f"m/{rng.choice(('loop', 'config.json', 'a.gguf', 'sub'))}")
    files = {name: data for name, data in files.items() if not any(name.startswith(f"{link}/") for link in links)}
    return Input("model", rng.choice(["m", "m", *files, *links]), files, links)


def no_model(rng: random.Random) -> Input:
    """What is no model, under its own name or another's, whole or spoiled."""
    name, data = rng.choice(seeds.no_models())
    if rng.random() < 0.3:
        name = rng.choice(seeds.no_models())[0]
    if rng.random() < 0.5:
        data = rng.choice((*BYTE_MUTATIONS, recode))(rng, data)
    if rng.random() < 0.1:
        data = rng.randbytes(rng.choice((1, 8, 64, 5000)))
    if rng.random() < 0.2:
        words = (
            "tokenizer",
            "weight_map",
            "model",
            "version",
            "added_tokens",
            "quantization",
            "bits",
            "vocab",
            "peft_type",
            "layers",
            "model_type",
        )
        data = mutated_tree(
            rng, {rng.choice(words): rng.choice(WRONG), rng.choice(words): {}, "d_model": 5}, seeds.config_values()
        )
    size = {name: len(data) + 5_000_000} if rng.random() < 0.03 else {}
    return Input("model", name, {name: data}, sizes=size)


# ---- measurements ----


def benchmark(rng: random.Random) -> Input:
    """What a benchmark program prints, with mistakes; now and then with another program's behind it."""
    text = _benchmark(rng)
    if rng.random() < 0.15:
        text += rng.choice((b"\n", b"")) + _benchmark(rng)
    return Input(
        rng.choice(("benchmark", "benchmark", "benchmark-only")), "bench.txt", {"bench.txt": _bytes(rng, text)}
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
        (("r.json", ROUTING_COUNTS), ("r.json", ROUTING_TOKENS), ("r.csv", ROUTING_CSV), ("r.csv", TRACE_CSV))
    )
    return Input("routing", name, {name: mutated_text(rng, seed, name[2:])})


# Of a hundred inputs so many are of each reader.
READERS: dict[str, tuple[Callable[[random.Random], Input], int]] = {
    "config": (config, 30),
    "statement": (statement, 13),
    "safetensors": (safetensors, 9),
    "gguf": (gguf, 14),
    "split-gguf": (split_gguf, 4),
    "ollama": (ollama, 4),
    "hub": (hub, 4),
    "folder": (folder, 3),
    "no-model": (no_model, 3),
    "benchmark": (benchmark, 8),
    "measurements": (measurements, 2),
    "model-yaml": (model_yaml, 2),
    "device-yaml": (device_yaml, 2),
    "runtime-yaml": (runtime_yaml, 1),
    "routing": (routing, 1),
}
_NAMES, _SHARES = list(READERS), list(accumulate(share for _, share in READERS.values()))


def made(number: int) -> tuple[str, Input]:
    """The reader and the input of a number."""
    rng = random.Random(number)
    name = rng.choices(_NAMES, cum_weights=_SHARES)[0]
    return name, READERS[name][0](rng)
