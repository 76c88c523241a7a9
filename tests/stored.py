"""Stores of other programs in small: Ollama's blobs and manifests, the cache of the Hugging Face hub."""

import hashlib
import json
from pathlib import Path

from gguf_files import write as write_gguf

OLLAMA = "application/vnd.ollama.image."
REVISION = "0123456789abcdef0123456789abcdef01234567"


def put_blob(store, data):
    """A file under its checksum, as Ollama keeps all; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "blobs" / f"sha256-{digest}").write_bytes(data)
    return f"sha256:{digest}"


def put_manifest(store, name, layers, config=None):
    """The manifest of HOST/NAMESPACE/NAME/TAG with (what it is, data or a digest, further fields) as layers; its path."""
    entries = []
    for sort, held, *more in layers:
        digest = held if isinstance(held, str) else put_blob(store, held)
        size = 0 if isinstance(held, str) else len(held)
        entries.append({"mediaType": OLLAMA + sort, "digest": digest, "size": size, **dict(*more)})
    about = put_blob(store, json.dumps(config or {"model_format": "gguf", "model_family": "llama"}).encode())
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = "application/vnd.docker.container.image.v1+json"
    path.write_text(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": image, "digest": about, "size": 1},
                "layers": entries,
            }
        )
    )
    return path


def small_gguf(folder, **change):
    """The bytes of a small model's GGUF file: width 64, 96 tokens."""
    path = Path(folder) / "made.gguf"
    write_gguf(path, **change)
    data = path.read_bytes()
    path.unlink()
    return data


def put_in_hub(cache, repository, files, revision=REVISION, ref="main"):
    """A repository in the hub's cache: blobs, a snapshot of links to them, and the ref; the snapshot's folder."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / revision
    for name, data in files.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    if ref:
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / ref).write_text(revision)
    return snapshot
