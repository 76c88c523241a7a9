"""What a user names, opened: a model by its name or by a file of whatever kind, a routing by its name or a file."""

import json
from pathlib import Path

import pytest
from gguf_files import write as write_gguf
from messages import CONFIG, MODEL
from stored import small_gguf

from simulator.errors import InputError
from simulator.importers.open import load_model, load_routing, starts_with_gguf
from simulator.spec.routing import Popular, Trace, Uniform, Worst

EIGHT_B = 8_030_261_248  # weights of Llama 3 8B


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one: what is named in it is a relative path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- models ----


def test_a_shipped_name_is_a_model(folder):
    """Without formats, for a shipped file states none, and known by no path of the user's."""
    loaded = load_model("llama-3-8b")
    assert loaded.model.total_params == EIGHT_B
    assert (loaded.weights, loaded.notes, loaded.path) == (None, (), None)


def test_a_shipped_name_wins_over_a_file_of_that_name(folder):
    """A file beside us that happens to be called as a model does not take its place; as a path it is that file."""
    (folder / "llama-3-8b").write_text(MODEL)
    assert load_model("llama-3-8b").model.name == "llama-3-8b"
    assert load_model("./llama-3-8b").model.name == load_model(Path("llama-3-8b")).model.name == "small"


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine.txt", "mine"])
def test_a_yaml_is_a_model_whatever_its_name(folder, name):
    """What is neither a GGUF nor JSON is read as YAML."""
    (folder / name).write_text(MODEL)
    assert load_model(name).model.name == "small"
    assert load_model(folder / name).model.name == "small"


@pytest.mark.parametrize("name", ["tiny.gguf", "TINY.GGUF", "sha256-0a1b", "tiny.yaml", "tiny.json"])
def test_a_gguf_is_known_by_its_first_letters(folder, name):
    """Ollama keeps them under a checksum; no suffix makes something else of one. Its own formats come with it."""
    write_gguf(folder / name)
    loaded = load_model(name)
    assert (loaded.model.d_model, loaded.model.vocab, len(loaded.model.stack)) == (64, 96, 2)
    assert loaded.weights is not None
    assert loaded.path == Path(name)


@pytest.mark.parametrize("name", ["cut.gguf", "CUT.GGUF"])
def test_what_is_called_gguf_is_read_as_one(folder, name):
    """So that a damaged one is called damaged, and no YAML with strange letters."""
    (folder / name).write_text(MODEL)
    with pytest.raises(InputError) as refused:
        load_model(name)
    assert (
        str(refused.value) == f"{name}: not a GGUF file, which starts with the letters GGUF; fetch or convert it anew"
    )


def test_a_name_cannot_command_the_terminal(folder):
    """Control characters of a file's name are written out in remarks and in refusals, which are of one line."""
    name = "a\nb\x1b[31m.gguf"
    data = small_gguf(folder)
    (folder / name).write_bytes(data[:-2000])
    assert load_model(name).notes[0].startswith("a\\nb\\x1b[31m.gguf holds ")
    (folder / name).write_bytes(data[:100])
    with pytest.raises(InputError) as refused:
        load_model(name)
    assert str(refused.value).startswith("a\\nb\\x1b[31m.gguf: the file ends inside its header")


@pytest.mark.parametrize("given", ["config.json", ".", "params.json"])
def test_a_config_is_opened_by_its_name_or_its_folder(folder, given):
    """Two layers of width 64."""
    for name in ("config.json", "params.json"):
        (folder / name).write_text(json.dumps(CONFIG))
    model = load_model(given).model
    assert (model.d_model, model.vocab, len(model.stack)) == (64, 96, 2)


def test_safetensors_are_refused_with_what_to_give_instead(folder):
    """They hold no shapes of layers, however good they are."""
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError) as refused:
        load_model("model.safetensors")
    assert str(refused.value) == (
        "model.safetensors: is a file of weights: give the folder with its config.json, which tells the shapes"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("llama-9-8b", "unknown model 'llama-9-8b' (give a file, or see roofcast list models)"),
        ("none.gguf", "none.gguf: no such file"),
        ("none/config.json", "none/config.json: no such file"),
        (Path("llama-3-8b"), "unknown model 'llama-3-8b' (give a file, or see roofcast list models)"),
        ("empty", "empty: there is no config.json in this folder"),
    ],
)
def test_what_is_not_there_is_told(folder, given, message):
    """A name or a path; a Path is never a shipped name."""
    (folder / "empty").mkdir()
    with pytest.raises(InputError) as refused:
        load_model(given)
    assert str(refused.value).startswith(message)


def test_only_a_readable_file_starts_with_gguf(folder):
    """Nothing that is missing, a folder, too short or something else does; none of them is an error here."""
    (folder / "short").write_bytes(b"GGU")
    (folder / "other").write_bytes(b"xGGUF")
    write_gguf(folder / "right")
    found = {name: starts_with_gguf(folder / name) for name in ("right", "short", "other", "none", ".")}
    assert found == {"right": True, "short": False, "other": False, "none": False, ".": False}


# ---- routings ----


@pytest.mark.parametrize(("text", "kind"), [("uniform", Uniform), (" worst ", Worst), ("zipf:1.2", Popular)])
def test_a_routing_is_known_by_its_name(text, kind):
    """With a number behind some, and blanks around all."""
    assert isinstance(load_routing(text), kind)


def test_a_routing_is_read_from_a_file(folder):
    """A histogram and a trace; blanks around the name do not count, and the routing is called as the file is."""
    (folder / "counts.json").write_text('{"counts": [3, 1, 0]}')
    (folder / "trace.csv").write_text("token,layer,expert\n0,0,1\n1,0,2\n")
    histogram, trace = load_routing(" counts.json "), load_routing("trace.csv")
    assert (histogram.name, histogram.popularity) == ("counts.json", (3, 1, 0))
    assert isinstance(trace, Trace)
    assert (trace.name, trace.tokens, trace.uses) == ("trace.csv", 2, ((0, 1, 1),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none.csv", "none.csv: no such file"),
        ("counts.txt", "routing 'counts.txt' is unknown"),  # only JSON and CSV are files of choices
        ("unifrom", "routing 'unifrom' is unknown, did you mean uniform?"),
        ("", "routing '' is unknown"),
    ],
)
def test_a_routing_that_is_none_is_refused(folder, text, message):
    """A misspelt name, a file that is missing or of another kind."""
    (folder / "counts.txt").write_text('{"counts": [3, 1, 0]}')
    with pytest.raises(InputError) as refused:
        load_routing(text)
    assert str(refused.value).startswith(message)
