"""What a file is that holds no model to count, by its first bytes and its name, and what to give instead."""

from __future__ import annotations

import re
from pathlib import Path

from simulator.errors import printable
from simulator.units import format_bytes

HEAD_BYTES = 4096  # enough for every mark below

GIVE = "give a GGUF file, or the folder with config.json"
_CONVERT = "give the folder with config.json that it was made from, or a GGUF file of the model"
_UNPACK = "unpack it, and give the model in it"
_PICKLE = "which runs code when it is opened, so that is not done: give the folder with its config.json, or a GGUF file"
_OLD = "a model in GGML's old format, which was left in 2023 for GGUF: give a GGUF file of the model"

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"

# Marks at a place of the file. Of GGML's (ggml, ggmf, ggjt, ggla) the letters are stored backwards, as a number is.
_MARKS = (
    (0, b"lmgg", _OLD), (0, b"fmgg", _OLD), (0, b"tjgg", _OLD),
    (0, b"algg", f"a LoRA adapter in GGML's old format, which changes a model and is none: {GIVE} of its base model"),
    (0, b"\x89PNG", f"a picture (PNG): {GIVE}"), (0, b"\xff\xd8\xff", f"a picture (JPEG): {GIVE}"),
    (0, b"GIF8", f"a picture (GIF): {GIVE}"), (8, b"WEBP", f"a picture (WebP): {GIVE}"), (0, b"%PDF", f"a PDF: {GIVE}"),
    (0, b"\x1f\x8b", f"a gzip archive: {_UNPACK}"), (0, b"BZh", f"a bzip2 archive: {_UNPACK}"),
    (0, b"\xfd7zXZ\0", f"an xz archive: {_UNPACK}"), (0, b"\x28\xb5\x2f\xfd", f"a Zstandard archive: {_UNPACK}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"), (0, b"Rar!", f"a RAR archive: {_UNPACK}"),
    (257, b"ustar", f"a tar archive: {_UNPACK}"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 file (Keras): {_CONVERT}"), (0, b"\x93NUMPY", f"a NumPy array: {GIVE}"),
    (4, b"TFL3", f"a TensorFlow Lite model: {_CONVERT}"), (0, b"LITERTLM", f"a LiteRT-LM model: {_CONVERT}"),
    (4, b"ET12", f"an ExecuTorch program: {_CONVERT}"),
    (0, b"SQLite format 3\0", f"an SQLite database: {GIVE}"),
)  # fmt: skip

# What has no mark of its own, by the end of its name.
_ENDS = {
    ".onnx": f"an ONNX model: {_CONVERT}",
    ".engine": f"an engine that was built for one GPU (TensorRT): {_CONVERT}",
    ".plan": f"an engine that was built for one GPU (TensorRT): {_CONVERT}",
    ".mlmodel": f"a Core ML model: {_CONVERT}",
    ".msgpack": f"a checkpoint of Flax: {_CONVERT}",
    ".aria2": "what aria2 keeps about a download, not the download: give the file beside it, without .aria2",
    ".metadata": f"what huggingface_hub keeps about a download, not the download: {GIVE}",
    ".lock": f"a lock of a download, not the download: {GIVE}",
    ".etag": f"what llama.cpp keeps about a download, not the download: {GIVE}",
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_UNFINISHED = (
    ".part", ".partial", ".incomplete", ".crdownload", ".download", ".downloadinprogress", ".opdownload", ".!qb", ".tmp",
)  # fmt: skip
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"jartsr='")
_MODELFILE = re.compile(rb"(\s*#[^\n]*\n)*\s*FROM[ \t]+(?P<from>\S+)", re.IGNORECASE)
# What Hugging Face's server answers instead of a file, as text or as JSON.
_ANSWER = re.compile(
    rb'\s*(\{\s*"error"\s*:\s*")?(?P<said>(Entry not found|Invalid username or password|Repository not found|'
    rb'Access to model|Sorry, we can\'t find|Not Found|Unauthorized|Internal Error)[^"\n]{0,200})'
)
_WHISPER_POSITIONS = (1500).to_bytes(
    4, "little"
)  # n_audio_ctx, which follows the magic and n_vocab in whisper.cpp's files
_WEB = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)


def what_it_is(path: Path, head: bytes) -> str | None:
    """What the file is that starts with *head*, and what to give instead; None for what may be a model.

    *head* is no GGUF. A text may be a YAML file or JSON, which are read further.
    """
    name = path.name.lower()
    if not head:
        return f"is empty: fetch it again, or {GIVE}"
    if head.startswith(LFS_POINTER):
        return _pointer(head)
    if name.endswith(_UNFINISHED) or re.fullmatch(rf"{_BLOB.pattern}-partial(-\d+)?", name):
        return f"is a download that has not ended: fetch the rest of it, or {GIVE}"
    answer = _ANSWER.match(head)
    if answer:
        said = printable(answer["said"].decode("utf-8", "replace"))
        return f"is the answer of a server ({said!r}), saved in the place of a file: fetch the file itself"
    if head.startswith(b"lmgg") and head[8:12] == _WHISPER_POSITIONS:
        return f"is a model of speech (whisper.cpp): no text is decoded from a prompt by it; {GIVE} of a language model"
    for offset, mark, text in _MARKS:
        if head[offset:].startswith(mark):
            return f"is {text}"
    if _WEB.match(head):
        return "is a web page, saved in the place of a file: fetch the file itself (on Hugging Face, hf download does)"
    found = _zip(head) or _pickle(head, name) or _program(head, name) or _tensors(head, name) or _importance(head)
    if found:
        return f"is {found}"
    modelfile = _MODELFILE.match(head)
    if modelfile:
        named = printable(modelfile["from"].decode("utf-8", "replace"), 100)
        return f"is a Modelfile of Ollama's: give what its FROM names, {named}"
    end = next((text for end, text in _ENDS.items() if name.endswith(end)), None)
    if end:
        return f"is {end}"
    return _binary(path, head)


def _pointer(head: bytes) -> str:
    size = re.search(rb"^size (\d{1,18})$", head, re.MULTILINE)
    held = f" of {format_bytes(int(size[1]))}" if size else ""
    return f"is a Git LFS pointer, which stands for a file{held}: fetch that with git lfs pull, or hf download"


def _zip(head: bytes) -> str | None:
    """What a zip is, by the name of the first file in it: nothing is unpacked."""
    if not head.startswith((b"PK\3\4", b"PK\5\6")):
        return None
    length = int.from_bytes(head[26:28], "little")
    first = head[30 : 30 + length].decode("utf-8", "replace")
    if first.endswith((".pkl", "/version", "/byteorder", "/.format_version")):
        return f"a PyTorch checkpoint, {_PICKLE}"
    if first.endswith(".npy"):
        return f"an archive of NumPy arrays: {GIVE}"
    return f"a zip archive: {_UNPACK}"


def _pickle(head: bytes, name: str) -> str | None:
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return f"a pickle (PyTorch checkpoint), {_PICKLE}"
    is_binary = b"\0" in head
    return f"a PyTorch checkpoint or its like, {_PICKLE}" if name.endswith(_PICKLES) and is_binary else None


def _program(head: bytes, name: str) -> str | None:
    if name.endswith(".llamafile") or head.startswith((b"MZqFpD='", b"jartsr='")):
        return (
            "a llamafile, a program with its model inside: unzip takes the GGUF file out of it "
            f"(unzip {printable(name, 60)} '*.gguf'), give that"
        )
    return f"a program: {GIVE}" if head.startswith(_PROGRAMS) else None


def _tensors(head: bytes, name: str) -> str | None:
    """Safetensors: a header's length in eight bytes, then JSON."""
    if not (name.endswith(".safetensors") or (head[8:10] == b'{"' and head[5:8] == b"\0\0\0")):
        return None
    if re.search(rb'"[^"]*lora_[ABab]\b', head):
        return f"a LoRA adapter, which changes a model and is none: {GIVE} of its base model"
    return "a file of weights: give the folder with its config.json, which tells the shapes"


def _importance(head: bytes) -> str | None:
    """llama-imatrix's own format: how many entries, then for each the length of its name and the name."""
    count, length = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
    named = head[8 : 8 + length]
    if not 0 < count < 100_000 or not 4 < length < 200 or not re.fullmatch(rb"[\w.-]+\.weight|output", named):
        return None
    return f"an importance matrix, by which a model was quantised, and no model: {GIVE}"


def _binary(path: Path, head: bytes) -> str | None:
    """What is neither known nor text."""
    if b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff")) or path.suffix.lower() == ".gguf":
        return None
    return f"is a binary file of an unknown kind: {GIVE}"
