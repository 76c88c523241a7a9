"""Vocabularies that cannot be used: keys that are missing or of the wrong kind, files cut short, templates that fail."""

import struct

import pytest
from vocabularies import pairs_file

from simulator.engine.text.vocabulary import load_tokenizer
from simulator.errors import InputError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "bert"}, "tokenizer.ggml.model is 'bert'; gpt2 (byte pairs) and llama (SentencePiece) are known"),
        ({"pre": "qwen3x"}, "tokenizer.ggml.pre is 'qwen3x', which is not known here, did you mean"),
        ({"pre": "%%%%"}, "tokenizer.ggml.pre is '%%%%', which is not known here, known: default, gpt-2, mpt, olmo,"),
        ({"tokens": None}, "tokenizer.ggml.tokens is missing"),
        ({"merges": None}, "tokenizer.ggml.merges is missing"),
        (
            {"tokens": [b"a", b"\xff\xfe"], "types": None, "eos": 0},
            "tokenizer.ggml.tokens has an entry that is no UTF-8",
        ),
        ({"types": [1, 1]}, "tokenizer.ggml.token_type has 2 entries for 98 tokens"),
        ({"eos": 5000}, "tokenizer.ggml.eos_token_id is 5000, the vocabulary has 98 tokens"),
        ({"model": "llama"}, "tokenizer.ggml.scores is missing"),
        ({"model": "llama", "scores": [1.0]}, "tokenizer.ggml.scores has 1 entries for 98 tokens"),
        ({"model": "llama", "scores": [1.0] * 98}, "its vocabulary cannot be used"),  # no bytes to fall back on
    ],
)
def test_a_vocabulary_that_cannot_be_used(tmp_path, change, message):
    """One sentence that names the file and the key."""
    path = pairs_file(tmp_path / "bad.gguf", change)
    with pytest.raises(InputError) as caught:
        load_tokenizer(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["model", "pre", "tokens", "token_type", "merges", "eos_token_id", "add_bos_token"])
def test_a_key_of_the_wrong_kind(tmp_path, key):
    """A list of numbers in the place of something else is named, and no traceback."""
    path = pairs_file(tmp_path / "bad.gguf")
    keys = (
        path.read_bytes()
    )  # they reach to the file's end, so one more is put there: of two with one name the last counts
    count = struct.unpack_from("<Q", keys, 16)[0] + 1
    name = f"tokenizer.ggml.{key}".encode()
    entry = struct.pack("<Q", len(name)) + name + struct.pack("<IIQ2f", 9, 6, 2, 1.0, 2.0)  # a list of two floats
    path.write_bytes(keys[:16] + struct.pack("<Q", count) + keys[24:] + entry)
    with pytest.raises(InputError, match=f"tokenizer.ggml.{key}"):
        load_tokenizer(path)


def test_a_vocabulary_cut_short(tmp_path):
    """A file that ends inside its vocabulary is said to be damaged, wherever it ends."""
    whole = pairs_file(tmp_path / "a.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in range(0, 1200, 37):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError):
            load_tokenizer(cut)


def test_a_template_that_fails_is_one_sentence(tmp_path):
    """Templates come with files from anywhere: they run sandboxed, and their mistakes are reported."""
    template = "{{ messages.__class__.__mro__ }}"
    path = pairs_file(tmp_path / "a.gguf", None, add_chat_template=template)
    with pytest.raises(InputError, match="chat template cannot be rendered"):
        load_tokenizer(path).encode_chat("Hi")
