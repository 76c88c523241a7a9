"""Tokenizers of real models: the tokens that llama.cpp makes of the same texts, round trips, streams, chat templates."""

import pytest

from simulator.engine.text.vocabulary import load_tokenizer
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
