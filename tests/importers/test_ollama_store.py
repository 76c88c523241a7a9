"""Models in Ollama's store: by their name in Ollama, by a manifest, by a blob; and what its other files are."""

import json
import os
from pathlib import Path

import pytest
from messages import CONFIG
from stored import put_blob, put_manifest, small_gguf

from simulator.errors import InputError
from simulator.importers.open import load_model, load_named
from simulator.spec.runtime import load_runtime

LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, where OLLAMA_MODELS leads; names that are typed are no paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return tmp_path / "ollama"


def told(given):
    """What is said of a model that cannot be counted."""
    with pytest.raises(InputError) as refused:
        load_model(given)
    return str(refused.value)


@pytest.mark.parametrize(
    ("manifest", "name", "shown"),
    [
        (f"{LIBRARY}/llama3.1/8b", "llama3.1:8b", "llama3.1:8b"),
        (f"{LIBRARY}/llama3.1/8b", "ollama/llama3.1:8b", "llama3.1:8b"),
        (f"{LIBRARY}/llama3.1/8b", "Llama3.1:8B", "llama3.1:8b"),
        (f"{LIBRARY}/mine/latest", "mine", "mine:latest"),
        (f"{LIBRARY}/mine/latest", "ollama/mine", "mine:latest"),
        ("registry.ollama.ai/somebody/mine/q4", "somebody/mine:q4", "somebody/mine:q4"),
        ("hf.co/org/name-GGUF/Q4_K_M", "hf.co/org/name-GGUF:Q4_K_M", "hf.co/org/name-GGUF:Q4_K_M"),
    ],
)
def test_a_name_of_ollamas_is_the_file_here(store, manifest, name, shown):
    """Width 64 with its own formats; called as Ollama lists it, and said where it lies."""
    put_manifest(store, manifest, [("model", small_gguf(store.parent)), ("template", b"{{ .Prompt }}")])
    loaded = load_model(name)
    assert (loaded.model.d_model, loaded.model.name) == (64, shown)
    assert loaded.weights is not None
    assert loaded.path.parent == store / "blobs"
    assert loaded.notes[0] == f"the file of {shown} in Ollama: {loaded.path}"


def test_the_file_here_is_taken_before_a_shipped_model_of_that_name(store):
    """`llama3.1:8b` means Llama 3 8B as long as Ollama has none; then that, and it is said."""
    shipped = load_model("llama3.1:8b")
    assert shipped.model.name == "llama-3-8b"
    assert shipped.notes == ("Ollama has no llama3.1:8b here: the shipped llama-3-8b is counted",)
    assert load_model("llama3.1-8b").notes == ()
    put_manifest(store, f"{LIBRARY}/llama3.1/8b", [("model", small_gguf(store.parent))])
    loaded = load_model("llama3.1:8b")
    assert loaded.model.d_model == 64
    assert "to count the shipped llama-3-8b instead, write llama-3-8b" in loaded.notes
    assert load_model("llama-3-8b").model.d_model == 4096


def test_a_name_in_a_table_of_measurements_means_no_file_here(store):
    """Whoever measured it had another disk."""
    put_manifest(store, f"{LIBRARY}/llama3.1/8b", [("model", small_gguf(store.parent))])
    assert load_named("llama3.1:8b").model.d_model == 4096


def test_a_manifest_leads_to_its_blob_wherever_the_store_lies(tmp_path):
    """No variable is needed: the blobs lie beside the manifests. The last model layer counts, as in Ollama."""
    layers = [("model", b"GGUF of before"), ("model", small_gguf(tmp_path)), ("params", b'{"stop": ["x"]}')]
    manifest = put_manifest(tmp_path / "elsewhere", f"{LIBRARY}/mine/latest", layers)
    (tmp_path / "link").symlink_to(manifest)
    assert load_model(tmp_path / "link").model.d_model == 64
    for given in (manifest, str(manifest), manifest.parent):
        assert (load_model(given).model.d_model, load_model(given).model.name) == (64, "mine:latest")


def test_a_copy_of_a_manifest_finds_the_blobs_of_the_store(store):
    """It is called as the file is, for its place says nothing."""
    manifest = put_manifest(store, f"{LIBRARY}/mine/latest", [("model", small_gguf(store.parent))])
    copy = store.parent / "copy.json"
    copy.write_bytes(manifest.read_bytes())
    assert (load_model(copy).model.d_model, load_model(copy).model.name) == (64, "copy.json")


def test_projector_and_adapter_are_said_and_left_out(store):
    """They lie in the store, but no text token streams them."""
    layers = [
        ("model", small_gguf(store.parent)),
        ("projector", b"GGUF p"),
        ("adapter", b"GGUF a"),
        ("draft", b"GGUF d"),
    ]
    put_manifest(store, f"{LIBRARY}/mine/latest", layers)
    assert load_model("mine").notes[1:4] == (
        "mine:latest: the projector for pictures or sound is left out: a text token does not pass it",
        "mine:latest: an adapter is left out: its own weights are not counted",
        "mine:latest: the draft model is left out: the forecast is of the model alone",
    )


def test_a_missing_blob_is_named(store):
    """Which layer, where it should lie, and the command that brings it."""
    manifest = put_manifest(store, f"{LIBRARY}/mine/latest", [("model", f"sha256:{'0' * 64}")])
    missing = store / "blobs" / f"sha256-{'0' * 64}"
    assert told("mine").startswith(
        f"{manifest}: its model layer is missing: {missing}; fetch it with ollama pull mine:latest"[:100]
    )


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "../x", "", "md5:0123"])
def test_no_digest_leads_out_of_the_store(store, digest):
    """It is refused, not looked for."""
    manifest = put_manifest(store, f"{LIBRARY}/mine/latest", [("model", digest)])
    assert told("mine") == f"{manifest}: the digest of its model layer is {digest!r}, sha256: with 64 digits is needed"


def test_a_model_in_single_tensors_is_told_with_its_config(store):
    """As Ollama's MLX engine keeps them; the config.json among its layers can be given with --weights."""
    config = json.dumps(CONFIG).encode()
    layers = [
        ("tensor", bytes(1000), {"name": "model.embed_tokens.weight"}),
        ("tensor", bytes(24), {"name": "lm_head.weight"}),
    ]
    put_manifest(store, f"{LIBRARY}/mine/latest", [*layers, ("json", config, {"name": "config.json"})])
    message = told("mine")
    blob = store / "blobs" / put_blob(store, config).replace(":", "-")
    assert "keeps each tensor in a safetensors blob of its own (2 blobs, 1.02 kB, for Ollama's MLX engine)" in message
    assert message.endswith("and --weights")
    assert load_model(blob).model.d_model == 64


def test_a_model_that_runs_elsewhere_is_told(store):
    """Those with -cloud in their tag have no layers."""
    put_manifest(store, f"{LIBRARY}/big/cloud", [], {"remote_host": "https://ollama.com:443", "remote_model": "big"})
    assert "runs on https://ollama.com:443, not here: Ollama holds no weights of it" in told("big:cloud")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "lists no model layer (its layers: none): fetch it again with ollama pull mine:latest"),
        ([("template", b"x"), ("params", b"{}")], "lists no model layer (its layers: params and template)"),
    ],
)
def test_a_manifest_without_a_model_is_told(store, layers, message):
    """With what it has."""
    put_manifest(store, f"{LIBRARY}/mine/latest", layers)
    assert message in told("mine")


@pytest.mark.parametrize("layers", ["[1]", '[{"digest": "x"}]', '[{"mediaType": 5}]'])
def test_a_damaged_manifest_is_told(store, layers):
    """The layer and the field."""
    path = store / "manifests" / LIBRARY / "mine" / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"schemaVersion": 2, "layers": {layers}}}')
    assert told("mine") == f"{path}: layers[0].mediaType is missing, it names what the layer is: damaged"


def test_other_names_are_told_with_what_is_here(store):
    """Tags of that model; the command that brings one that is not here."""
    for tag in ("8b", "70b"):
        put_manifest(store, f"{LIBRARY}/granite9/{tag}", [("model", small_gguf(store.parent))])
    assert told("granite9:3b") == (
        "granite9:3b: Ollama has no such tag here, give one of those it has: granite9:70b and granite9:8b"
    )
    assert (
        told("ollama/nosuch")
        == "ollama/nosuch: Ollama has no such model here; ollama pull nosuch brings it (all of it)"
    )
    assert told(store) == (
        f"{store}: is Ollama's store, give a model by its name: ollama/granite9:70b and ollama/granite9:8b"
    )
    assert told(store / "manifests" / LIBRARY / "granite9").endswith("has several tags, give one of them: 70b and 8b")


@pytest.mark.parametrize("inside", ["manifests", "."])
def test_a_store_that_is_closed_to_us_is_told(store, monkeypatch, inside):
    """As that of Ollama's service may be, which has a user of its own; other names are looked for as ever."""
    put_manifest(store, f"{LIBRARY}/mine/latest", [("model", small_gguf(store.parent))])
    stat = os.stat

    def closed(path, **options):
        if Path(path) == store / inside or store / inside in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", closed)
    assert told("ollama/mine") == (
        f"ollama/mine: Ollama's store {store} cannot be read: ask for the right to, or set OLLAMA_MODELS"
    )
    assert load_model("llama3.1:8b").model.name == "llama-3-8b"


@pytest.mark.parametrize(
    "data", [b"{{ .Prompt }}", b'{"stop": ["x"]}', b'{"model_format": "gguf", "model_family": "llama"}', b"MIT License"]
)
def test_another_blob_is_told(store, data):
    """A template, parameters, a licence: what the model is called in Ollama leads to the right one."""
    blob = store / "blobs" / put_blob(store, data).replace(":", "-")
    assert "in Ollama, as in ollama/llama3.1:8b" in told(blob)


def test_names_of_devices_and_runtimes_are_not_looked_for(store):
    """Only models lie in stores."""
    put_manifest(store, f"{LIBRARY}/vllm/latest", [("model", small_gguf(store.parent))])
    assert load_runtime("vllm").name == "vllm"
