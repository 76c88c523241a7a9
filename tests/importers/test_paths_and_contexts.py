"""What is said of paths that lead nowhere, of files that end too early, of folders of folders; and contexts of any length."""

import pytest
from gguf_files import write
from messages import CONFIG
from stored import put_in_hub, small_gguf

from simulator.errors import InputError
from simulator.importers.open import load_model


def told(given):
    """What is said of a model that cannot be counted."""
    with pytest.raises(InputError) as refused:
        load_model(given)
    return str(refused.value)


@pytest.mark.parametrize("given", ["./nodir", "../nodir", "/nodir", "~/nodir", "nodir/"])
def test_a_path_is_no_unknown_name(tmp_path, monkeypatch, given):
    """Whatever starts or ends as no name does."""
    monkeypatch.chdir(tmp_path)
    assert told(given) == f"{given}: no such file or folder"


@pytest.mark.parametrize("text", ['{"model_type": "llama", "hidd', '{"model_type": "llama", "hidden_size": 64,', "{"])
def test_a_config_that_is_cut_off_is_to_be_fetched_again(tmp_path, text):
    """Within a word, behind a comma, at the start."""
    (tmp_path / "config.json").write_text(text)
    assert told(tmp_path).endswith("; is it cut off? then fetch it again")


def test_a_mistake_amid_a_config_is_not_called_cut_off(tmp_path):
    """There is more behind it."""
    (tmp_path / "config.json").write_text('{"model_type" "llama", "hidden_size": 64}')
    assert "cut off" not in told(tmp_path)


def test_a_folder_of_the_hub_lists_only_what_holds_a_model(tmp_path):
    """GGUF files are no config.json, and an empty repository is nothing."""
    cache = tmp_path / "hub"
    put_in_hub(cache, "Org/Shapes", {"config.json": str(CONFIG).replace("'", '"').encode()})
    (cache / "models--Org--Empty").mkdir()
    assert told(cache).endswith(
        "there is no config.json in this folder, but in folders in it, give one of them: models--Org--Shapes"
    )
    put_in_hub(cache, "Org/Files-GGUF", {"files.gguf": small_gguf(tmp_path)})
    assert told(cache).endswith(
        "there is no model in this folder, but in folders in it, give one of them: models--Org--Files-GGUF and models--Org--Shapes"
    )


@pytest.mark.parametrize("context", [4_000_000_000, 2**32 - 1])
def test_a_context_of_any_length_is_read(tmp_path, context):
    """It shapes no weight."""
    path = write(tmp_path / "m.gguf", keys={"llama.context_length": context})
    assert load_model(path).model.max_context == context
