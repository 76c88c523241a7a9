"""A folder as a model: which of its files is counted, what beside it is said, and what is told of a folder without one."""

import json

import pytest
from gguf_files import write as write_gguf
from messages import CONFIG, MODEL

from simulator.errors import InputError
from simulator.importers.open import load_model

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5000000000\n"
FFN = {"ffn": {"kind": "gated", "d_ff": 128}}
SAFETENSORS = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder `m` beside which we are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    return tmp_path / "m"


def told(given="m"):
    """What is said of a folder that cannot be counted."""
    with pytest.raises(InputError) as refused:
        load_model(given)
    return str(refused.value)


def put_config(folder, **change):
    """A config.json of a small Llama: width 64."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, **change}))


def test_the_only_gguf_file_of_a_folder_is_the_model(folder):
    """Called as the file is. What lies beside a model is known by its name, or by its keys, and said."""
    write_gguf(folder / "small-Q8_0.gguf")
    write_gguf(folder / "mmproj-F16.gguf")
    write_gguf(folder / "seeing.gguf", architecture="clip")
    loaded = load_model("m")
    assert (loaded.path.name, loaded.model.name, loaded.model.d_model) == ("small-Q8_0.gguf", "small-Q8_0", 64)
    assert loaded.notes[0] == "mmproj-F16.gguf and seeing.gguf beside it: left out, no text token streams it"


def test_the_parts_of_one_model_are_one(folder):
    """Any part leads to all, of which one is missing here."""
    for number in (1, 2):
        write_gguf(folder / f"small-0000{number}-of-00003.gguf", keys={"split.count": 3})
    assert told() == (
        "m/small-00001-of-00003.gguf: part small-00003-of-00003.gguf is missing (1 of 3), all headers are needed"
    )


def test_several_gguf_files_are_listed(folder):
    """None is chosen for the user."""
    for name in ("a-Q8_0", "a-Q4_K_M", "b"):
        write_gguf(folder / f"{name}.gguf")
    assert told() == "m: holds several GGUF models, give one of them: a-Q4_K_M.gguf, a-Q8_0.gguf and b.gguf"


def test_very_many_are_not_all_listed(folder):
    """The first four, and how many more."""
    for number in range(40):
        (folder / f"{number:02}.gguf").write_bytes(b"GGUF")
    assert told().endswith("give one of them: 00.gguf, 01.gguf, 02.gguf, 03.gguf and 36 more")


def test_a_folder_of_folders_of_gguf_files_is_looked_into(folder):
    """As those are where each format has a folder of its own."""
    (folder / "Q8_0").mkdir()
    write_gguf(folder / "Q8_0" / "small.gguf")
    assert load_model("m").path.name == "small.gguf"
    (folder / "Q4_0").mkdir()
    write_gguf(folder / "Q4_0" / "small.gguf")
    assert told() == "m: holds several GGUF models, give one of them: Q4_0/small.gguf and Q8_0/small.gguf"


def test_only_what_lies_beside_a_model_is_no_model(folder):
    """A projector that was fetched alone."""
    write_gguf(folder / "mmproj-F16.gguf", architecture="clip")
    assert told() == "m: holds no model, only what lies beside one: mmproj-F16.gguf"


def test_a_config_with_weights_wins_over_gguf_files(folder):
    """And it is said how to have the others counted."""
    put_config(folder, hidden_size=128)
    (folder / "model.safetensors").write_bytes(SAFETENSORS)
    write_gguf(folder / "small-Q8_0.gguf")
    loaded = load_model("m")
    assert (loaded.model.d_model, loaded.path) == (128, None)
    assert loaded.notes[0] == (
        "counted from config.json and what lies beside it; to count small-Q8_0.gguf instead, give it by its name"
    )


def test_a_config_without_weights_leaves_it_to_the_gguf_files(folder):
    """Repositories of GGUF files carry one: the formats are in the files, and of two none is chosen."""
    put_config(folder, hidden_size=128)
    write_gguf(folder / "small-Q8_0.gguf")
    loaded = load_model("m")
    assert loaded.path.name == "small-Q8_0.gguf"
    assert "counted from the GGUF file; the config.json beside it was not needed" in loaded.notes
    write_gguf(folder / "small-Q4_0.gguf")
    assert told().startswith("m: holds several GGUF models, give one of them: ")


def test_weights_that_git_left_out_do_not_hinder(folder):
    """A clone without LFS has the shapes: only the formats are unknown, and that is said."""
    put_config(folder)
    (folder / "model-00001-of-00002.safetensors").write_bytes(POINTER)
    (folder / "model-00002-of-00002.safetensors").symlink_to("nowhere")
    loaded = load_model("m")
    assert (loaded.model.d_model, loaded.weights) == (64, None)
    assert "2 safetensors files of the checkpoint are not here (model-00001-of-00002.safetensors" in loaded.notes[0]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "org/base"},
         "m/adapter_config.json: describes an adapter (LORA), which changes a model and is none: give its base model (org/base)"),
        ("params.json", {"dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 96, "multiple_of": 256},
         "m/params.json: describes a model in Meta's own format: give the folder of the same model with config.json"),
        ("params.json", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "head_dim": 16},
         "m/params.json: describes a model in Mistral's own format: "),
        ("model_index.json", {"_class_name": "FluxPipeline", "_diffusers_version": "0.30"},
         "m/model_index.json: describes a pipeline that makes images"),
        ("mlc-chat-config.json", {"model_type": "llama", "quantization": "q4f16_1", "model_config": {}},
         "m/mlc-chat-config.json: describes a model that MLC has compiled"),
        ("config.json", {"pretrained_config": {"architecture": "LlamaForCausalLM"}, "build_config": {}},
         "m/config.json: describes an engine of TensorRT-LLM: "),
    ],
)  # fmt: skip
def test_a_folder_of_another_kind_is_told(folder, name, data, message):
    """The file that tells it, and what to give instead."""
    (folder / name).write_text(json.dumps(data))
    assert told().startswith(message)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "m: there is no config.json in this folder, which is empty: give the folder of a model, or a GGUF file"),
        ({"readme.md": b"hi"}, "m: there is no config.json in this folder, and no GGUF file: "),
        ({"model.safetensors": SAFETENSORS},
         "m: there is no config.json in this folder, which tells the shapes of model.safetensors: fetch it beside that "
         "(hf download org/name config.json --local-dir m: a few kB)"),
        ({"inner/config.json": b"{}", "other/config.json": b"{}"},
         "m: there is no config.json in this folder, but in folders in it, give one of them: inner and other"),
        ({"config.json": POINTER}, "m/config.json: is a Git LFS pointer, which stands for a file of 5.00 GB: "),
        ({"config.json": b"<!DOCTYPE html>"}, "m/config.json: is a web page, saved in the place of a file: "),
        ({"config.json": b""}, "m/config.json: is empty: "),
    ],
)  # fmt: skip
def test_a_folder_without_a_model_is_told(folder, files, message):
    """What it lacks, and the command or the folder that helps."""
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    assert told().startswith(message)


def test_a_model_file_of_ours_may_be_written_as_json(folder):
    """JSON is YAML, too; and YAML may start as JSON does."""
    (folder / "mine.json").write_text(json.dumps({"name": "mine", "d_model": 64, "vocab": 96, "layers": [FFN]}))
    (folder / "mine.yaml").write_text(
        '{name: mine, "d_model": 64, vocab: 96, layers: [{ffn: {kind: gated, d_ff: 128}}]}'
    )
    (folder / "mine").write_text(MODEL)
    assert [load_model(folder / name).model.d_model for name in ("mine.json", "mine.yaml", "mine")] == [64, 64, 256]
