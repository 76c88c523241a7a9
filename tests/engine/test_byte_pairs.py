"""Where text is cut before merging, by the name that a file gives its patterns."""

import pytest
from vocabularies import LETTERS, pairs_file

from simulator.engine.text.vocabulary import load_tokenizer

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
