"""Small vocabularies: merges, special tokens among text, what begins and ends it, and what each token writes."""

import pytest
from vocabularies import LETTERS, pairs_file, pieces_file

from simulator.engine.text.vocabulary import load_tokenizer
from simulator.errors import InputError


def test_merges_and_special_tokens(tmp_path):
    """`the` is merged in two steps, ` ` stands for itself, and a special token is cut out of the text."""
    tokenizer = load_tokenizer(pairs_file(tmp_path / "a.gguf"))
    n = len(LETTERS)
    assert tokenizer.encode("the") == [n + 1]
    assert tokenizer.encode("th<|end|>e") == [n, n + 2, LETTERS.index("e")]
    assert tokenizer.encode(" t") == [n - 1, LETTERS.index("t")]
    assert tokenizer.end_tokens == {n + 2}
    assert tokenizer.decode([n + 1, n + 2]) == "the"


def test_sentence_pieces_merge_by_score(tmp_path):
    """The pair with the highest score first: `ab` before `bc`; unknown letters become bytes; a space leads the text."""
    names, scores = ["<s>", "</s>", "a", "b", "c", "ab", "bc"], [0.0, 0.0, -5.0, -5.0, -5.0, -1.0, -2.0]
    tokenizer = load_tokenizer(pieces_file(tmp_path / "a.gguf", names, [3, 3, 1, 1, 1, 1, 1], scores))
    assert tokenizer.encode("abc") == [258, 257, 263, 262]  # <s>, space, ab, c
    assert tokenizer.encode("\u00e9", add_special=False) == [257, 1 + 0xC3, 1 + 0xA9]
    assert tokenizer.decode([257, 263, 262]) == " abc"


# names, their types: control 3, normal 1, user-defined 4, unused 5; the texts' tokens are llama.cpp's.
NAMES = ["<s>", "</s>", "<|user|>", "a", "b", "c", "\u2581a", "ab", "\u2581ab", "\u2581\u2581", "<x>", "<q>"]
TYPES = [3, 3, 3, 1, 1, 1, 1, 1, 4, 4, 5, 1]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ab", [266]),  # merged with the space that leads, although that is a special token
        (" ab", [267, 265]),
        ("a b", [264, 257, 262]),
        ("  ab", [267, 266]),
        ("ab<|user|>ab", [266, 260, 266]),  # a space after each special token
        ("<|user|> ab", [260, 267, 265]),
        ("<unk>ab", [0, 266]),  # the unknown token may be named too
        ("c<x>c", [257, 263, 61, 121, 63, 263]),  # an unused one may not
        ("abc", [266, 263]),
        ("", []),
        (" ", [267]),
        ("ab</s>", [266, 259]),
    ],
)
def test_special_tokens_among_sentence_pieces(tmp_path, text, tokens):
    """What is cut out of the text, what merges, and where a space is put before."""
    assert load_tokenizer(pieces_file(tmp_path / "a.gguf", NAMES, TYPES)).encode(text) == [258, *tokens]


def test_special_tokens_of_phi_3_swallow_spaces(tmp_path):
    """By the model's name, as in llama.cpp; <s> does not, and other models' tokens do not."""
    phi = load_tokenizer(pieces_file(tmp_path / "a.gguf", NAMES, TYPES, add_name="Phi-3 mini"))
    assert phi.encode("<|user|> \n ab<s> ab", add_special=False) == [260, 266, 258, 267, 265]
    other = load_tokenizer(pieces_file(tmp_path / "b.gguf", NAMES, TYPES, add_name="Phi-2"))
    assert other.encode("<|user|> ab", add_special=False) == [260, 267, 265]


def test_only_some_tokens_write_text(tmp_path):
    """Normal and user-defined tokens write theirs, bytes one byte; control, unknown and unused ones write nothing."""
    tokenizer = load_tokenizer(pieces_file(tmp_path / "a.gguf", NAMES, TYPES))
    assert tokenizer.decode([260, 0, 268]) == ""
    assert tokenizer.decode([264, 266, 1 + 0x21]) == " a\u2581ab!"
    with pytest.raises(InputError, match="token 270 is outside the vocabulary of 270"):
        tokenizer.decode([270])
    with pytest.raises(InputError, match="token -1 is outside"):
        tokenizer.stream().feed(-1)


def test_what_the_file_says_of_begin_and_end(tmp_path):
    """add_bos_token and add_eos_token; without them a SentencePiece text begins with <s>, and no text ends with </s>."""
    keys = {"add_add_bos_token": False, "add_add_eos_token": True, "add_add_space_prefix": False}
    tokenizer = load_tokenizer(pieces_file(tmp_path / "a.gguf", NAMES, TYPES, **keys))
    assert tokenizer.encode("ab") == [265, 259]
    assert tokenizer.encode("ab", add_special=False) == [265]


@pytest.mark.parametrize(
    ("names", "ends"),
    [
        (["<|im_end|>", "<|im_start|>"], ["<|im_end|>"]),
        (["<|end|>", "<|call|>"], ["<|end|>", "<|call|>"]),
        (["<|end|>", "<|call|>", "<|return|>"], ["<|call|>", "<|return|>"]),  # gpt-oss
        (["<|end|>", "<|calls|>", "<|flush|>"], ["<|calls|>", "<|flush|>"]),
        (["</s>", "<eos>"], ["</s>", "<eos>"]),
        (["</s>", "<|tool_response>"], ["<|tool_response>"]),  # Gemma 4
        (["<|file_sep|>", "<|fim_prefix|>"], ["<|file_sep|>"]),
    ],
)
@pytest.mark.parametrize("kind", [1, 3])
def test_what_ends_an_answer(tmp_path, names, ends, kind):
    """Known by their names, whatever their type, beside the file's own end: llama.cpp's ends of the same vocabularies."""
    tokens = [*LETTERS, *names, "<zz>"]
    change = {"tokens": tokens, "types": [1] * len(LETTERS) + [kind] * len(names) + [3], "eos": len(tokens) - 1}
    tokenizer = load_tokenizer(pairs_file(tmp_path / "a.gguf", change))
    assert {tokens[token] for token in tokenizer.end_tokens} == {*ends, "<zz>"}
    assert tokenizer.encode(ends[0]) == [tokens.index(ends[0])]
