"""The tokenizers: the tokens that llama.cpp makes of the same texts, round trips, streams, and what a file can do wrong."""

import gguf
import numpy as np
import pytest

from simulator.engine.tokenizer import load_tokenizer
from simulator.errors import InputError

# Text, its tokens for SmolLM2 (byte pairs) and for Gemma 3 (SentencePiece): compared with llama.cpp b11549 on the same files,
# by the number of tokens and by equal probabilities of the next token for the text and for the list.
# fmt: off
GOLDEN = [
    ('Hello, world!',
     [19556, 28, 905, 17],
     [2, 9259, 236764, 1902, 236888]),
    ('  leading spaces',
     [216, 2899, 5600],
     [2, 138, 26016, 9952]),
    ('tabs\tand\t\ttabs',
     [100, 7366, 197, 397, 197, 197, 100, 7366],
     [2, 39218, 255968, 624, 255969, 39218]),
    ('\n\n\n\n',
     [22342],
     [2, 110]),
    ("don't I'M",
     [12420, 982, 339, 23, 61],
     [2, 13246, 236789, 236745, 564, 236789, 236792]),
    ('1234567890',
     [33, 34, 35, 36, 37, 38, 39, 40, 41, 32],
     [2, 236770, 236778, 236800, 236812, 236810, 236825, 236832, 236828, 236819, 236771]),
    ('x=y+z; // comment',
     [104, 45, 105, 27, 106, 43, 13241, 5189],
     [2, 236781, 236784, 236762, 236862, 236802, 236793, 973, 5739]),
    ('def f(x):\n    return x**2\n',
     [1604, 275, 24, 104, 727, 472, 1003, 1792, 828, 34, 198],
     [2, 2063, 517, 236769, 236781, 1473, 107, 140, 2060, 1123, 1018, 236778, 107]),
    ('\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467',
     [10813, 242, 218, 15107, 235, 119, 321, 231, 10813, 235, 119, 321, 231, 10813, 235, 117],
     [2, 242398, 236743, 243767, 237243, 243767, 237243, 244814]),
    ('\u4f60\u597d\uff0c\u4e16\u754c',
     [18645, 250, 48392, 138, 12831, 7906, 240, 178, 239, 230],
     [2, 144626, 236900, 12811]),
    ('\ud55c\uad6d\uc5b4',
     [33085, 246, 181, 130, 251, 183, 240, 129],
     [2, 114216, 237430]),
    ('na\xefve caf\xe9',
     [3546, 46494, 37366],
     [2, 1789, 238527, 560, 33443]),
    ('<|im_start|>user\nhi<|im_end|>\n',
     [1, 4093, 198, 6004, 2, 198],
     [2, 236820, 236909, 548, 236779, 3041, 111038, 2364, 107, 2202, 236820, 236909, 548, 236779, 643, 111038, 107]),
    ('<start_of_turn>user\nhi<end_of_turn>\n',
     [44, 3738, 79, 1714, 79, 20589, 46, 4093, 198, 6004, 44, 486, 79, 1714, 79, 20589, 46, 198],
     [2, 105, 2364, 107, 2202, 106, 107]),
    ('https://example.com/?q=1',
     [4687, 1742, 7434, 30, 824, 35005, 97, 45, 33],
     [2, 2574, 1411, 8358, 236761, 854, 23438, 236809, 236784, 236770]),
    ('\xa0nbsp\u200b',
     [15442, 94, 32093, 321, 229],
     [2, 432, 398, 11539, 237141]),
    ('\xbd \u20ac \u2122',
     [16738, 24927, 4636, 222, 112],
     [2, 238612, 11361, 95217]),
    ('---===***',
     [5583, 28733, 24299],
     [2, 7243, 22909, 13513]),
    ('{"a": [1, null]}',
     [39428, 81, 1799, 933, 33, 28, 10034, 28852],
     [2, 14937, 236746, 1083, 870, 236770, 236764, 2303, 21111]),
    ('a  b   c    d',
     [81, 216, 278, 256, 265, 333, 287],
     [2, 236746, 138, 236763, 139, 236755, 140, 236753]),
    ('\r\nlines\r\n',
     [201, 198, 5110, 2738],
     [2, 251, 107, 8721, 251, 107]),
    ('\U0001d518\U0001d52b',
     [23159, 238, 242, 23159, 238, 121],
     [2, 478, 395, 386, 390, 478, 395, 386, 409]),
    ('\u2581 low',
     [11007, 219, 1642],
     [2, 236743, 2708]),
    ('<bos>text',
     [44, 34761, 46, 2692],
     [2, 2, 1005]),
]
# fmt: on


@pytest.fixture(scope="module")
def smollm2(smollm2_file):
    """SmolLM2's tokenizer."""
    return load_tokenizer(smollm2_file)


@pytest.fixture(scope="module")
def gemma3(gemma3_file):
    """Gemma 3's tokenizer."""
    return load_tokenizer(gemma3_file)


@pytest.mark.fetch
@pytest.mark.parametrize(("text", "pairs", "pieces"), GOLDEN)
def test_tokens_are_those_of_llama_cpp(smollm2, gemma3, text, pairs, pieces):
    """The same tokens for words, numbers, spaces, code, emoji, other scripts and names of special tokens."""
    assert smollm2.encode(text) == pairs
    assert gemma3.encode(text) == pieces


@pytest.mark.fetch
@pytest.mark.parametrize("text", [text for text, _, _ in GOLDEN if "<" not in text and "\u2581" not in text])
def test_text_comes_back(smollm2, gemma3, text):
    """Decoding what was encoded gives the text, as a whole and token by token."""
    for tokenizer in (smollm2, gemma3):
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        stream = tokenizer.stream()
        assert "".join(stream.feed(token) for token in tokens) + stream.end() == text


@pytest.mark.fetch
def test_a_stream_holds_back_half_a_character(smollm2):
    """An emoji of several tokens comes with its last one; what is never finished comes at the end as a mark."""
    tokens = smollm2.encode("\U0001f600")
    assert len(tokens) > 1
    stream = smollm2.stream()
    assert [stream.feed(token) for token in tokens[:-1]] == [""] * (len(tokens) - 1)
    assert stream.feed(tokens[-1]) == "\U0001f600"
    stream.feed(tokens[0])
    assert stream.end() == "\ufffd"


@pytest.mark.fetch
def test_what_begins_and_ends_a_text(smollm2, gemma3):
    """Gemma's texts begin with its token 2, SmolLM2's with nothing; both know what ends an answer."""
    assert gemma3.encode("a", add_special=False) == gemma3.encode("a")[1:]
    assert gemma3.encode("")[:1] == [2]
    assert smollm2.encode("") == []
    assert smollm2.end_tokens >= {0, 2}  # <|endoftext|>, <|im_end|>
    assert gemma3.end_tokens >= {1, 106}  # <eos>, <end_of_turn>


@pytest.mark.fetch
def test_chat_puts_the_message_into_the_template(smollm2, gemma3):
    """The file's own template, up to where the assistant speaks; a file without one says so."""
    text = smollm2.decode(smollm2.encode_chat("Hi"))
    assert text.endswith("user\nHi\nassistant\n")
    with pytest.raises(InputError, match="no chat template"):
        gemma3.encode_chat("Hi")


# ---- small vocabularies ----

LETTERS = [chr(byte) for byte in range(33, 127)] + ["\u0120"]  # the last one stands for a space


def pairs_file(path, change=None, **keys):
    """A byte-pair vocabulary with two merges; *change* edits what is written, *keys* add to it."""
    fields = {
        "tokens": [*LETTERS, "th", "the", "<|end|>"],
        "types": [1] * len(LETTERS) + [1, 1, 3],
        "merges": ["t h", "q zz", "th e", "damaged"],  # two can never be made
        "model": "gpt2",
        "pre": "gpt-2",
        "eos": len(LETTERS) + 2,
    }
    fields |= change or {}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(fields["model"])
    if fields["pre"]:
        writer.add_tokenizer_pre(fields["pre"])
    if fields["tokens"]:
        writer.add_token_list(fields["tokens"])
    if fields["types"]:
        writer.add_token_types(fields["types"])
    if fields["merges"]:
        writer.add_token_merges(fields["merges"])
    if "scores" in fields:
        writer.add_token_scores(fields["scores"])
    writer.add_eos_token_id(fields["eos"])
    for name, value in keys.items():
        getattr(writer, name)(value)
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


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
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_, "\u2581", "a", "b", "c", "ab", "bc"]
    scores = [0.0] * 259 + [-5.0, -5.0, -5.0, -5.0, -1.0, -2.0]
    types = [2, 3, 3] + [6] * 256 + [1] * 6
    change = {
        "tokens": tokens,
        "types": types,
        "scores": scores,
        "merges": None,
        "model": "llama",
        "pre": None,
        "eos": 2,
    }
    tokenizer = load_tokenizer(pairs_file(tmp_path / "a.gguf", change, add_bos_token_id=1))
    assert tokenizer.encode("abc") == [1, 259, 263, 262]  # <s>, space, ab, c
    assert tokenizer.encode("\u00e9", add_special=False) == [259, 3 + 0xC3, 3 + 0xA9]
    assert tokenizer.decode([259, 263, 262]) == " abc"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "bert"}, "tokenizer.ggml.model is 'bert'"),
        ({"pre": "qwen3x"}, "tokenizer.ggml.pre is 'qwen3x', which is not known here, did you mean"),
        ({"tokens": None}, "tokenizer.ggml.tokens is missing"),
        ({"merges": None}, "tokenizer.ggml.merges is missing"),
        ({"types": [1, 1]}, "tokenizer.ggml.token_type has 2 entries for 98 tokens"),
        ({"eos": 5000}, "tokenizer.ggml.eos_token_id is 5000, the vocabulary has 98 tokens"),
        ({"model": "llama"}, "tokenizer.ggml.scores is missing"),
        ({"model": "llama", "scores": [1.0]}, "tokenizer.ggml.scores has 1 entries for 98 tokens"),
    ],
)
def test_a_vocabulary_that_cannot_be_used(tmp_path, change, message):
    """One sentence that names the file and the key."""
    path = pairs_file(tmp_path / "bad.gguf", change)
    with pytest.raises(InputError) as caught:
        load_tokenizer(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


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
