"""Files that are no model: each is told what it is, and what to give instead. Nothing in them is run or unpacked."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import gguf
import numpy as np
import pytest

from simulator.errors import InputError
from simulator.importers.open import load_model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(name):
    """What is said of a file, behind its name."""
    with pytest.raises(InputError) as refused:
        load_model(name)
    start, _, message = str(refused.value).partition(": ")
    assert start == name
    return message


# ---- GGUF ----


def put_gguf(name, architecture, keys, tensors=(), tokens=False):
    """A GGUF file by the reference writer."""
    writer = gguf.GGUFWriter(name, architecture)
    for key, value in keys.items():
        add = {bool: writer.add_bool, str: writer.add_string, int: writer.add_uint32}[type(value)]
        add(key, value)
    if tokens:
        writer.add_token_list(["a", "b"])
    for tensor in tensors:
        writer.add_tensor(tensor, np.zeros((8, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("architecture", "keys", "tensors", "message"),
    [
        ("clip", {"general.type": "mmproj", "clip.has_vision_encoder": True, "clip.has_audio_encoder": True}, ["v.blk.0.ln1.weight"],
         "is a projector (mmproj) for pictures and sound, which lies beside a model and holds none: "),
        ("clip", {"clip.has_vision_encoder": True}, ["mm.0.weight"], "is a projector (mmproj) for pictures, "),
        ("llama", {"general.type": "adapter", "adapter.type": "lora", "general.base_model.0.name": "Llama 3"},
         ["blk.0.attn_q.weight.lora_a"],
         "is a LoRA adapter, which changes a model and is none: give the GGUF file of its base model (Llama 3)"),
        ("llama", {}, ["blk.0.attn_q.weight.lora_a"], "is a LoRA adapter, which changes a model and is none: "),
        ("", {"general.type": "imatrix", "imatrix.chunk_count": 5}, ["blk.0.attn_q.weight.in_sum2"],
         "is an importance matrix, by which a model was quantised: give the model's GGUF file"),
        ("controlvector", {"controlvector.model_hint": "llama"}, ["direction.1"],
         "is a control vector (made for llama), which is added to a model and is none: "),
        ("eagle3", {"eagle3.block_count": 1}, ["blk.0.attn_q.weight"], "is a draft head (eagle3), which guesses ahead for a model: "),
        ("flux", {}, ["double_blocks.0.img_attn.qkv.weight"], "is a model of images or video (flux): "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["file.gguf", "sha256-0a1b"])
def test_a_gguf_file_without_a_model_is_told(name, architecture, keys, tensors, message):
    """By general.type, by its architecture, or by its tensors, whatever it is called."""
    put_gguf(name, architecture, keys, tensors)
    assert told(name).startswith(message)


def test_a_vocabulary_is_told():
    """As llama.cpp has them to test its tokenizers: no tensors."""
    put_gguf("ggml-vocab-llama.gguf", "llama", {"llama.block_count": 2}, tokens=True)
    assert told("ggml-vocab-llama.gguf") == "holds a vocabulary and no weights: give the model's GGUF file"


# ---- others, by their first bytes or their name ----


def a_zip(first):
    """A zip with one small file of that name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr(first, "x")
    return file.getvalue()


def a_tar():
    """A tar with an empty file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as content:
        content.addfile(tarfile.TarInfo("model/config.json"))
    return file.getvalue()


def tensors(name):
    """A safetensors file with one tensor."""
    header = {"__metadata__": {"format": "pt"}, name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
IMATRIX = struct.pack("<ii19s", 224, 19, b"blk.0.attn_k.weight") + bytes(64)
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # with which torch.save began before it wrote zips
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4661211808"
NO_MODELS = [
    ("lfs.gguf", POINTER, "is a Git LFS pointer, which stands for a file of 4.66 GB: fetch that with git lfs pull, or hf download"),
    ("m.safetensors", POINTER, "is a Git LFS pointer, "), ("empty", b"", "is empty: fetch it again, or give a GGUF file"),
    ("empty.yaml", b"", "is empty: "), ("page.gguf", b"\n<!doctype HTML>", "is a web page, saved in the place of a file: "),
    ("page", b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page, "),
    ("page.safetensors", b"\xef\xbb\xbf<html>", "is a web page, "),
    ("m.gguf", b"Entry not found", "is the answer of a server ('Entry not found'), saved in the place of a file: "),
    ("config.json", b'{"error":"Invalid username or password."}', "is the answer of a server ('Invalid username or password.')"),
    ("ggml-base.en.bin", b"lmgg" + struct.pack("<iii", 51864, 1500, 512), "is a model of speech (whisper.cpp): "),
    ("old.bin", b"lmgg" + bytes(60), "is a model in GGML's old format, which was left in 2023 for GGUF: "),
    ("old.bin", b"fmgg\1" + bytes(60), "is a model in GGML's old format"), ("q4.bin", b"tjgg\3" + bytes(60), "is a model in GGML's old"),
    ("lora.bin", b"algg\1" + bytes(60), "is a LoRA adapter in GGML's old format"),
    ("imatrix.dat", IMATRIX, "is an importance matrix, by which a model was quantised, and no model: "),
    ("m.imatrix", IMATRIX, "is an importance matrix"),
    ("pytorch_model.bin", a_zip("archive/data.pkl"), "is a PyTorch checkpoint, which runs code when it is opened, so that is not done: "),
    ("m.pt", a_zip("m/data.pkl"), "is a PyTorch checkpoint, "), ("m.pth", MAGIC, "is a pickle (PyTorch checkpoint), which runs code"),
    ("consolidated.00.pth", b"\x01\0\2" * 50, "is a PyTorch checkpoint or its like, "),
    ("m.npz", a_zip("weights.npy"), "is an archive of NumPy arrays: "), ("m.npy", b"\x93NUMPY\1\0v\0{}", "is a NumPy array: "),
    ("m.zip", a_zip("model/readme.md"), "is a zip archive: unpack it, and give the model in it"),
    ("m.tar", a_tar(), "is a tar archive: unpack it"), ("m.gguf.gz", gzip.compress(b"GGUF", mtime=0), "is a gzip archive: unpack it"),
    ("m.xz", b"\xfd7zXZ\0\0\4", "is an xz archive: "), ("m.zst", b"\x28\xb5\x2f\xfd\x04", "is a Zstandard archive: "),
    ("adapter_model.safetensors", tensors(LORA), "is a LoRA adapter, which changes a model and is none: "),
    ("model-00001-of-00002.safetensors", tensors("model.embed_tokens.weight"), "is a file of weights: "),
    ("sha", tensors("model.embed_tokens.weight"), "is a file of weights: "),
    ("m.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX model: "),
    ("rank0.engine", b"ftrt" + bytes(60), "is an engine that was built for one GPU"),
    ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(9), "is a TensorFlow Lite model: "), ("m.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file (Keras): "),
    ("m.llamafile", b"MZqFpD='\n" + bytes(99),
     "is a llamafile, a program with its model inside: unzip takes the GGUF file out of it (unzip m.llamafile '*.gguf'), give that"),
    ("llama-cli", b"\x7fELF\2\1\1" + bytes(60), "is a program: "), ("logo.png", b"\x89PNG\r\n\x1a\n", "is a picture (PNG): "),
    ("photo.gguf", b"\xff\xd8\xff\xe0" + bytes(9), "is a picture (JPEG): "), ("paper.pdf", b"%PDF-1.7", "is a PDF: "),
    ("m.safetensors.part", bytes(60), "is a download that has not ended: fetch the rest of it"),
    ("0123.incomplete", bytes(60), "is a download that has not ended"), ("m.gguf.crdownload", b"\1", "is a download that has not ended"),
    (f"sha256-{'0' * 64}-partial-3", b'{"N": 3}', "is a download that has not ended"),
    ("m.gguf.aria2", b"\0\1" + bytes(60), "is what aria2 keeps about a download, not the download: give the file beside it"),
    ("Modelfile", b"# mine\nFROM ./m.gguf\nPARAMETER temperature 1\n", "is a Modelfile of Ollama's: give what its FROM names, ./m.gguf"),
    ("m.dat", bytes(range(256)), "is a binary file of an unknown kind: give a GGUF file, or the folder with config.json"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "message"), NO_MODELS)
def test_a_file_without_a_model_is_told(folder, name, data, message):
    """What it is, and what to give instead, in one line that is not cut."""
    (folder / name).write_bytes(data)
    said = told(name)
    assert said.startswith(message)
    assert len(f"{name}: {said}") < 300


def test_the_first_bytes_of_a_download_are_enough(folder):
    """One that starts as a GGUF file does is read as one, whatever its name says of its end."""
    (folder / "m.gguf.part").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 5, 5))
    assert told("m.gguf.part") == "the file ends inside its header (at byte 24): damaged or not fully downloaded"


# ---- JSON ----


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "tokenizer.json",
            {"version": "1.0", "truncation": None, "added_tokens": [], "model": {"type": "BPE"}},
            "holds a tokenizer, ",
        ),
        ("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"}, "holds settings of a tokenizer, "),
        (
            "generation_config.json",
            {"bos_token_id": 1, "transformers_version": "5.24.0"},
            "holds settings of sampling, ",
        ),
        ("mine.json", {"do_sample": True, "top_p": 0.9}, "holds settings of sampling, "),
        (
            "model.safetensors.index.json",
            {"metadata": {}, "weight_map": {}},
            "holds the list of which file holds which tensor, ",
        ),
        ("special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>"}, "holds a list of special tokens, "),
        ("preprocessor_config.json", {"image_processor_type": "X"}, "holds settings of what reads pictures or sound, "),
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "holds settings of a quantisation, "),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}, "holds settings of a quantisation, "),
        ("vocab.json", {str(number): number for number in range(200)}, "holds a vocabulary, "),
    ],
)
def test_another_json_file_is_told(folder, name, data, message):
    """By what it holds; the config.json beside it is what is needed."""
    (folder / name).write_text(json.dumps(data))
    assert told(name) == f"{message}not the shapes of a model: give the config.json beside it, or their folder"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("tokenizer.json", '{"version": "1.0", "truncation": null'), ("large", '{"added_tokens": []'),
        ("model.safetensors.index.json", '{"weight_map": {}'),
    ],
)  # fmt: skip
def test_one_that_is_too_large_to_be_read_is_told_by_its_start(folder, name, start):
    """Tokenizers have some 10 MB, which no config has."""
    (folder / name).write_text(start + f', "x": "{"x" * 5_000_000}"}}')
    assert told(name).endswith("not the shapes of a model: give the config.json beside it, or their folder")


def test_an_adapter_of_no_kind_is_one_all_the_same(folder):
    """Whatever stands there that is no text is not quoted."""
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": True, "base_model_name_or_path": None}))
    assert told("adapter_config.json").startswith("describes an adapter, which changes a model")


def test_a_config_with_such_keys_is_a_config(folder):
    """Those of sampling and of tokens stand in configs, too."""
    data = {
        "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
        "vocab_size": 96, "bos_token_id": 1, "temperature": 0.6, "transformers_version": "5.24.0", "group_size": 4,
    }  # fmt: skip
    (folder / "any.json").write_text(json.dumps(data))
    (folder / f"sha256-{'a' * 64}").write_text(json.dumps(data))
    assert [load_model(name).model.d_model for name in ("any.json", f"sha256-{'a' * 64}")] == [64, 64]
