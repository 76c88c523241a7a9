"""The list of architectures says what reading a file does: it is read, or refused for the same reason."""

import json

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.families.config import config_classes
from simulator.families.gguf import architecture_of, names_of_llama_cpp
from simulator.importers.architectures import CONFIG, GGUF, known_architectures, of_configs, of_gguf_files
from simulator.importers.huggingface import load_huggingface
from simulator.importers.quantised.methods.table import METHODS


def listed(capsys, *words):
    """The lines after the head."""
    with pytest.raises(SystemExit) as end:
        main(["list", "architectures", *words])
    assert not end.value.code
    return capsys.readouterr().out.splitlines()[1:]


def test_what_is_listed_of_configs_is_what_reading_one_does(tmp_path):
    """A config of nothing but its type: refused as the list says, or by what its keys lack or by nothing; any other is unknown."""
    file = tmp_path / "config.json"
    known = {each.name: each for each in of_configs()}
    told = []
    for name in {*config_classes(), *known}:
        file.write_text(json.dumps({"model_type": name}))
        try:
            load_huggingface(file)
        except InputError as error:
            said = str(error)
            is_refused = name in known and not known[name].is_read
            assert not is_refused or said.endswith(f"is {known[name].says}")
            assert is_refused or (name not in known) == (" is unknown, so its bytes" in said), said
            told.append(said)
        else:
            assert known[name].is_read
    assert len(told) > 100


def test_what_is_listed_of_gguf_files_is_what_is_known():
    """What is read has its table of tensors; what is refused has a reason; llama.cpp's list is whole."""
    known = {each.name: each for each in of_gguf_files()}
    assert not [name for name, each in known.items() if each.is_read and architecture_of(name) is None]
    assert set(names_of_llama_cpp()) <= known.keys()
    assert len(names_of_llama_cpp()) == 156  # LLM_ARCH_NAMES of llama.cpp b11549 but "(unknown)"


def test_every_one_is_described_in_a_line():
    """Nothing is empty, and those that are read stand first."""
    every = known_architectures()
    assert all(each.says and "\n" not in each.says and not each.says.endswith(".") for each in every)
    assert {each.file for each in every} == {CONFIG, GGUF, f"{CONFIG}, {GGUF}"}
    assert [each.is_read for each in every] == sorted((each.is_read for each in every), reverse=True)


def test_words_narrow_the_list(capsys):
    """In any spelling; what has just that name comes first, then what is read, then what is refused."""
    lines = listed(capsys, "gemma 3")
    assert [line.split()[0] for line in lines[:4]] == ["gemma3", "gemma3_text", "gemma3n", "gemma3n_text"]
    assert "Gemma 3: norms of query and key" in lines[0]
    assert listed(capsys, "bert")[0].split()[0] == "bert"


def test_what_is_refused_says_why(capsys):
    """With the sentence that reading one gives."""
    (line,) = listed(capsys, "reformer")
    assert line.split()[:2] == ["reformer", "config.json"]
    assert "refused: one whose attention sorts tokens into buckets" in line
    assert any("refused: a projector" in line for line in listed(capsys, "clip"))


def test_an_unknown_one_says_what_to_do_and_means_no_other(capsys):
    """One sentence, exit status 2; no other architecture is proposed, which would have other layers."""
    with pytest.raises(SystemExit) as end:
        main(["list", "architectures", "lamma"])
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert said.err.startswith(
        "roofcast: roofcast list architectures lamma: no architecture that is known here is called that"
    )
    assert "describe the model in a YAML file" in said.err
    assert "did you mean" not in said.err


def test_devices_are_hardware(capsys):
    """People call them so."""
    for what in ("devices", "hardware"):
        with pytest.raises(SystemExit):
            main(["list", what, "pi5"])
    first, second = capsys.readouterr().out.split("hardware ")[1:]
    assert first == second


def test_formats_name_what_checkpoints_state(capsys):
    """Every method that is understood."""
    with pytest.raises(SystemExit):
        main(["list", "formats"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"(quant_method): {', '.join(sorted(METHODS))}" in said
