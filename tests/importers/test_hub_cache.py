"""Models in the cache of the Hugging Face hub, in LM Studio's folder and in llama.cpp's cache, by `org/name`."""

import json

import pytest
from messages import CONFIG
from stored import REVISION, put_in_hub, small_gguf

from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.importers.places import hub

CONFIG_JSON = json.dumps(CONFIG).encode()
OTHER = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, where HF_HUB_CACHE leads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def told(given):
    """What is said of a model that cannot be counted."""
    with pytest.raises(InputError) as refused:
        load_model(given)
    return str(refused.value)


# ---- the hub's cache ----


@pytest.mark.parametrize(
    "given",
    [
        "Org/Name-1B", "org/name-1b", "https://huggingface.co/Org/Name-1B", "hf.co/Org/Name-1B",
        "https://huggingface.co/Org/Name-1B/tree/main",
    ],
)  # fmt: skip
def test_a_repository_in_the_cache_is_opened_by_its_name(cache, given):
    """Width 64, called as the repository is and not as its revision; said where it lies. Links lead to the blobs."""
    snapshot = put_in_hub(cache, "Org/Name-1B", {"config.json": CONFIG_JSON})
    loaded = load_model(given)
    assert (loaded.model.d_model, loaded.model.name) == (64, "Name-1B")
    assert loaded.notes[0].endswith(f"in the cache of Hugging Face's hub: {snapshot / 'config.json'}")


def test_its_folders_and_files_are_opened_too(cache):
    """The repository's folder, a snapshot, a file in it: one model of one name."""
    snapshot = put_in_hub(cache, "Org/Name-1B", {"config.json": CONFIG_JSON})
    for given in (snapshot.parent.parent, snapshot, snapshot / "config.json"):
        assert load_model(given).model.name == "Name-1B"


def test_the_revision_of_main_is_taken(cache):
    """Not another one that has been fetched."""
    put_in_hub(
        cache, "Org/Name", {"config.json": json.dumps({**CONFIG, "hidden_size": 128}).encode()}, OTHER, ref="old"
    )
    put_in_hub(cache, "Org/Name", {"config.json": CONFIG_JSON})
    assert load_model("Org/Name").model.d_model == 64


def test_without_main_the_only_revision_is_taken(cache):
    """As one that was fetched by its checksum; of two, none is chosen. A ref leads nowhere but to a revision."""
    snapshot = put_in_hub(cache, "Org/Name", {"config.json": CONFIG_JSON}, ref="")
    assert load_model("Org/Name").model.d_model == 64
    put_in_hub(cache, "Org/Name", {"config.json": CONFIG_JSON}, OTHER, ref="")
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("../../..")
    assert "has several revisions and refs/main names none of them" in told("Org/Name")


def test_a_repository_here_is_taken_before_a_shipped_model(cache):
    """`Qwen/Qwen3-8B` is the shipped one as long as it is not here."""
    assert load_model("Qwen/Qwen3-8B").model.name == "qwen3-8b"
    put_in_hub(cache, "Qwen/Qwen3-8B", {"config.json": CONFIG_JSON})
    loaded = load_model("Qwen/Qwen3-8B")
    assert loaded.model.d_model == 64
    assert "to count the shipped qwen3-8b instead, write qwen3-8b" in loaded.notes


def test_one_of_which_only_a_tokenizer_is_here_is_the_shipped_model(cache):
    """With a remark; without a shipped one, with the command that brings its config."""
    for name in ("Qwen/Qwen3-8B", "Org/Name"):
        put_in_hub(cache, name, {"tokenizer.json": b"{}"})
    loaded = load_model("Qwen/Qwen3-8B")
    assert loaded.model.name == "qwen3-8b"
    assert "taken as the shipped qwen3-8b; Qwen/Qwen3-8B lies here, too, but not to be counted" in loaded.notes[0]
    assert "there is no config.json in this folder" in told("Org/Name")


def test_a_link_to_a_file_that_is_gone_is_told(cache):
    """As it is after blobs have been deleted by hand."""
    snapshot = put_in_hub(cache, "Org/Name", {"config.json": CONFIG_JSON})
    (snapshot / "config.json").resolve().unlink()
    assert told("Org/Name") == (
        f"{snapshot}: its config.json leads to a file that is gone: "
        "hf download Org/Name config.json brings its config (a few kB)"
    )
    assert told(str(snapshot / "config.json")).endswith(
        "config.json: is a link to a file that is gone: fetch that again"
    )


def test_what_is_not_here_is_answered_with_the_command(cache):
    """Nothing is fetched. A repository of GGUF files has no config."""
    assert told("Org/Zzzz-9B") == (
        "Org/Zzzz-9B: no such file, and in no store here (Hugging Face, LM Studio, llama.cpp, Ollama): "
        "hf download Org/Zzzz-9B config.json brings its config (a few kB), then give this name again"
    )
    assert "hf download Org/Zzzz-9B-GGUF brings its files" in told("Org/Zzzz-9B-GGUF")


def test_a_data_set_is_no_model(cache):
    """The folder says so."""
    folder = cache / "datasets--org--name"
    folder.mkdir(parents=True)
    assert told(folder) == f"{folder}: is a data set of the hub, not a model"


@pytest.mark.parametrize(
    ("variables", "cache"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/c", "HF_HOME": "/b"}, "/c"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/d"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/d"}, "/d/huggingface/hub"),
        ({"HOME": "/e"}, "/e/.cache/huggingface/hub"),
        ({"HF_HOME": "~/f", "HOME": "/e"}, "/e/f/hub"),
        ({"HF_HOME": "$HERE/g", "HERE": "/h"}, "/h/g/hub"),
    ],
)
def test_the_cache_lies_where_huggingface_hub_keeps_it(monkeypatch, variables, cache):
    """The order of its variables, in huggingface_hub 2.4's constants.py."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert [str(path) for path in hub.caches()] == [cache]


# ---- GGUF files of repositories ----


@pytest.fixture
def quants(cache, tmp_path):
    """A repository of two formats, one of them in a folder of its own, with a projector."""
    one, other = small_gguf(tmp_path), small_gguf(tmp_path, tied=True)
    files = {
        "Name-Q4_K_M.gguf": one,
        "BF16/Name-BF16.gguf": other,
        "mmproj-F16.gguf": b"GGUF",
        "config.json": CONFIG_JSON,
    }
    return put_in_hub(cache, "Org/Name-GGUF", files)


@pytest.mark.parametrize("tag", ["Q4_K_M", "q4_k_m", "Name-Q4_K_M.gguf"])
def test_a_format_behind_the_name_tells_the_file(quants, tag):
    """As llama.cpp takes it: `-hf org/name:Q4_K_M`. What lies beside is said."""
    loaded = load_model(f"Org/Name-GGUF:{tag}")
    assert loaded.path == quants / "Name-Q4_K_M.gguf"
    assert "mmproj-F16.gguf beside it: left out, no text token streams it" in loaded.notes


def test_a_file_of_a_repository_is_found_by_its_address(quants):
    """As it is copied from a web page."""
    for given in (
        "Org/Name-GGUF/BF16/Name-BF16.gguf",
        "https://huggingface.co/Org/Name-GGUF/blob/main/BF16/Name-BF16.gguf",
    ):
        loaded = load_model(given)
        assert (loaded.path, loaded.model.tied_head) == (quants / "BF16" / "Name-BF16.gguf", True)


def test_of_several_formats_none_is_chosen(quants):
    """They are listed, and how to ask for one; an unknown one likewise. A config beside them does not decide."""
    assert told("Org/Name-GGUF") == (
        f"{quants}: holds several GGUF models, give one of them, as in Org/Name-GGUF:BF16: "
        "BF16/Name-BF16.gguf and Name-Q4_K_M.gguf"
    )
    assert told("Org/Name-GGUF:Q8_0") == (
        "Org/Name-GGUF:Q8_0: no GGUF file here has that in its name; those here: BF16/Name-BF16.gguf and Name-Q4_K_M.gguf"
    )


# ---- LM Studio and llama.cpp ----


def test_lm_studio_keeps_repositories_by_their_name(tmp_path, monkeypatch):
    """`~/.lmstudio/models/org/name/`, or where its pointer leads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    data = small_gguf(tmp_path)
    for base, name in ((tmp_path / ".lmstudio", "first"), (tmp_path / "moved", "second")):
        folder = base / "models" / "org" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-Q4_K_M.gguf").write_bytes(data)
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'moved'}\n")
    for name in ("first", "second"):
        loaded = load_model(f"org/{name}")
        assert (loaded.path.name, loaded.model.d_model) == (f"{name}-Q4_K_M.gguf", 64)
        assert loaded.notes[0].startswith(f"org/{name} of LM Studio: ")


def test_llama_cpp_kept_files_under_the_repositorys_name(tmp_path, monkeypatch):
    """`org_name_FILE.gguf`, before it took to the hub's cache; in that, its own variable counts."""
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path))
    (tmp_path / "org_name-GGUF_name-Q4_K_M.gguf").write_bytes(small_gguf(tmp_path))
    (tmp_path / "org_name-GGUF_mmproj-F16.gguf").write_bytes(b"GGUF")
    (tmp_path / "manifest=org=name-GGUF=latest.json").write_text("{}")
    assert load_model("org/name-GGUF").path == tmp_path / "org_name-GGUF_name-Q4_K_M.gguf"
    put_in_hub(tmp_path, "org/later-GGUF", {"later-Q8_0.gguf": small_gguf(tmp_path)})
    assert load_model("org/later-GGUF").path.name == "later-Q8_0.gguf"
    assert REVISION in str(load_model("org/later-GGUF:Q8_0").path)
