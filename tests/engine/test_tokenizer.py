"""The tokenizers: the tokens that llama.cpp makes of the same texts, round trips, streams, and what a file can do wrong."""

import struct

import gguf
import numpy as np
import pytest

from simulator.engine.tokenizer import load_tokenizer
from simulator.errors import InputError

# Text, its tokens for SmolLM2 (byte pairs) and for Gemma 3 (SentencePiece): what llama.cpp b11549 makes of it with the same
# files, its server asked to add and to parse special tokens.
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
    ('',
     [],
     [2]),
    ('Hello\n\n\nWorld  \n  end',
     [19556, 1116, 198, 11265, 256, 3805, 1112],
     [2, 9259, 109, 14447, 138, 107, 138, 643]),
    ('\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0661\u0662\u0663',
     [21706, 20602, 44626, 31462, 10805, 45726, 22208, 34966, 22208, 21706, 163, 230, 216, 164, 111, 164, 112, 164, 113],
     [2, 236873, 150345, 107602, 17193, 237108, 115241, 241303, 242044]),
    ('e\u0301 q\u0323\u0307',
     [85, 151, 219, 7329, 151, 113, 151, 225],
     [2, 236744, 238288, 3752, 239430, 243207]),
    ('\u0928\u092e\u0938\u094d\u0924\u0947',
     [30658, 35090, 38770, 16525, 26293, 30581],
     [2, 226767]),
    ('<unk>a<pad>',
     [44, 5131, 46, 81, 44, 16384, 46],
     [2, 3, 236746, 0]),
    ('supercalifragilisticexpialidociouszzzzzzzzzzzzzzzzzzzz',
     [14174, 5020, 342, 1808, 301, 40482, 104, 96, 409, 311, 42288, 3718, 3718, 3718, 3718, 3718, 3718, 3718, 3718, 3718,
      3718],
     [2, 12666, 1653, 584, 16100, 543, 3316, 4212, 706, 547, 100466, 9961, 9961, 9961, 9961, 9961, 9961, 9961, 9961, 9961,
      9961]),
    ('\t\tif (a[i] != 0x1F) {\n',
     [197, 197, 342, 365, 81, 75, 89, 77, 6541, 216, 32, 104, 33, 54, 25, 1662, 198],
     [2, 255969, 584, 568, 236746, 236840, 236747, 236842, 2843, 236743, 236771, 236781, 236770, 236811, 236768, 642, 107]),
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
    assert smollm2.end_tokens == {0, 2, 4}  # <|endoftext|>, <|im_end|>, <reponame>: llama.cpp's, as below
    assert gemma3.end_tokens == {1, 106, 212}  # <eos>, <end_of_turn>, </s>


@pytest.mark.fetch
def test_half_a_surrogate_pair_is_a_question_mark(smollm2, gemma3):
    """What cannot be written in UTF-8 is replaced, as Python's own "replace" does."""
    for tokenizer in (smollm2, gemma3):
        assert tokenizer.encode("a\udc00b") == tokenizer.encode("a?b")


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


def pieces_file(path, names, types, scores=None, **keys):
    """A SentencePiece vocabulary: <unk>, all bytes, a space (token 257) and, from 258 on, *names*."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *names]
    change = {
        "tokens": tokens,
        "types": [2] + [6] * 256 + [1, *types],
        "scores": [0.0] * 258 + (scores or [0.0] * len(names)),
        "merges": None,
        "model": "llama",
        "pre": None,
        "eos": tokens.index("</s>"),
    }
    return pairs_file(path, change, add_bos_token_id=tokens.index("<s>"), **keys)


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


# ---- where text is cut before merging ----

# Where llama.cpp b11549 cuts CUT for each name: found with a vocabulary in which every stretch of it is a token.
CUT = "I'M Bob'll 12345 `x_y=(-1);\n\n  a\tcaf\u00e9 e\u0301\u4f60\u597d iOSx.f\u3000"
# fmt: off
CUTS = {
    'default':
        "I|'|M| Bob|'|ll| |123|45| `|x|_|y|=(-|1|);|\n\n | a|\t|caf\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
    'gpt-2 mpt olmo phi-2 jais exaone4 gigachat granite-docling mellum trillion a.x-4.0':
        "I|'|M| Bob|'ll| 12345| `|x|_|y|=(-|1|);|\n\n | a|\t|caf\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
    'smollm starcoder refact command-r codeshell exaone mellum2 minerva-7b':
        "I|'|M| Bob|'ll| |1|2|3|4|5| `|x|_|y|=(-|1|);|\n\n | a|\t|caf\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
    'llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2 midm-2.0':
        "I|'M| Bob|'ll| |123|45| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e|\u0301\u4f60\u597d| iOSx|.f|\u3000",
    'glm4 glm5 chatglm-bpe dbrx smaug-bpe':
        "I|'M| Bob|'ll| |123|45| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e|\u0301\u4f60\u597d| iOSx|.f|\u3000",
    'qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan grok-2 solar-open kormo bailingmoe bailingmoe2 llada-moe':
        "I|'M| Bob|'ll| |1|2|3|4|5| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e|\u0301\u4f60\u597d| iOSx|.f|\u3000",
    'qwen35':
        "I|'M| Bob|'ll| |1|2|3|4|5| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e\u0301\u4f60\u597d| iOSx|.f|\u3000",
    'tekken':
        "I|'M| Bob|'ll| |1|2|3|4|5| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e|\u0301\u4f60\u597d| i|OSx|.f|\u3000",
    'gpt-4o llama4 kanana2 minimax-m2':
        "I'M| Bob'll| |123|45| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e|\u0301\u4f60\u597d| i|OSx|.f|\u3000",
    'deepseek-llm':
        "I|'|M| Bob|'|ll| |12345| `|x|_|y|=(-|1|);|\n|\n| | a|\tcaf|\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
    'deepseek-coder':
        "I|'|M| Bob|'|ll| |1|2|3|4|5| `|x|_|y|=|(-|1|);|\n|\n| | a|\tcaf\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
    'deepseek-v3 hunyuan-dense joyai-llm':
        "I|'M| Bob|'ll| |123|45| `|x|_y|=(-|1|);\n\n| | a|\tcaf\xe9| e\u0301|\u4f60\u597d| iOSx|.f|\u3000",
    'falcon':
        "I|'|M| Bob|'|ll| |123|45| |`|x|_|y|=(-|1|);|\n\n | a|\t|caf\xe9| e|\u0301|\u4f60\u597d| iOSx|.|f|\u3000",
}
# fmt: on


def letters(text):
    """A text in the letters that stand for its bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return "".join(chr(byte if byte in shown else 256 + hidden.index(byte)) for byte in text.encode())


@pytest.mark.parametrize(("pre", "cut"), [(name, cut) for names, cut in CUTS.items() for name in names.split()])
def test_text_is_cut_as_llama_cpp_cuts_it(tmp_path, pre, cut):
    """Any two neighbours merge, so each token is one piece of what the patterns have cut."""
    text = letters(CUT)
    stretches = {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    tokens = sorted(stretches, key=lambda each: (len(each), each))
    merges = [f"{each[:k]} {each[k:]}" for each in tokens for k in range(1, len(each))]
    change = {"tokens": tokens, "types": None, "merges": merges, "pre": pre, "eos": 0}
    tokenizer = load_tokenizer(pairs_file(tmp_path / "a.gguf", change))
    assert [tokenizer.decode([token]) for token in tokenizer.encode(CUT)] == cut.split("|")


@pytest.mark.parametrize(("pre", "whole"), [("llama-bpe", True), ("tekken", True), ("glm4", True), ("qwen2", False)])
def test_words_that_no_merge_makes(tmp_path, pre, whole):
    """Llama 3 and others take a piece that is a token as it is; elsewhere only merges lead there."""
    change = {"pre": pre, "merges": ["t h"]}
    tokens = load_tokenizer(pairs_file(tmp_path / "a.gguf", change)).encode("the", add_special=False)
    assert tokens == ([len(LETTERS) + 1] if whole else [len(LETTERS), LETTERS.index("e")])


@pytest.mark.parametrize(("pre", "begins"), [("llama-bpe", True), ("tekken", True), ("glm4", False), ("gpt-2", False)])
def test_texts_that_begin_with_a_token_unasked(tmp_path, pre, begins):
    """Where the file does not say, the kind of model does."""
    tokenizer = load_tokenizer(pairs_file(tmp_path / "a.gguf", {"pre": pre}, add_bos_token_id=7))
    assert tokenizer.encode("t")[:-1] == ([7] if begins else [])


# ---- what cannot be used ----


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
