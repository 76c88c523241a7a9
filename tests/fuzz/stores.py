"""Stores of other programs, folders of models, and files that are none, with something wrong in them."""

import hashlib
import json
import random

from fuzz import reader_seeds as seeds
from fuzz.case import Input
from fuzz.gguf_headers import architectures, draft_of, written
from fuzz.mutations import BYTE_MUTATIONS, recode
from fuzz.spoiled import gguf_bytes, spoiled
from fuzz.trees import WRONG, mutated_tree

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


def _model_file(rng: random.Random) -> bytes:
    """A file as stores keep them: a GGUF, a config, or none."""
    chosen = rng.random()
    if chosen < 0.5:
        return written(draft_of(rng.choice(architectures())))
    if chosen < 0.7:
        return gguf_bytes(rng)
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
    files[path] = spoiled(rng, data)
    if rng.random() < 0.1:
        _go_round(rng, files, links, path)
    blob = next(iter(files))
    given = rng.choice(("small", "ollama/small", "ollama/someone/small:q4", "hf.co/org/small:Q4_K_M", "small:latest", path,
                        blob, "ollama", "ollama/manifests",
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
    given = rng.choice((name, name.lower(), f"https://huggingface.co/{name}", f"{name}:Q4_K_M",
                        f"{name}:Q9", base, f"{base}/snapshots/{revision}",
                        f"{base}/snapshots/{revision}/config.json", "hub",
                        f"{name}/config.json", f"hf.co/{name}:{rng.choice(ODD_NAMES)}"))  # fmt: skip
    return Input("model", given, files, links)


def folder(rng: random.Random) -> Input:
    """A folder of GGUF files, of descriptions, of odd names, or of links that go round."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    names = ("a.gguf", "b-Q4_K_M.gguf", "mmproj-a.gguf", "a-00001-of-00002.gguf", "sub/c.gguf", "adapter_config.json", "params.json",
             "imatrix.gguf", "model_index.json", "config.json", "tokenizer.json", "model.bin", "x.safetensors", "index.yaml")  # fmt: skip
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
