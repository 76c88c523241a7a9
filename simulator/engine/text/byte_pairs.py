"""Byte-pair vocabularies, which run in the tokenizers library: a GGUF leaves to its reader which patterns split the text first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

# Patterns by which text is cut before merging, and which of them stand behind the names that files give
# (tokenizer.ggml.pre). Patterns of one name are applied one after the other, each to what the one before has cut.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_SHORTENED = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_LLAMA3 = _SHORTENED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35 = _SHORTENED + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LOWER_END = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+"  # a word whose capitals come first
_UPPER_START = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*"
_AFTER_WORDS = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = rf"{_LOWER_END}|{_UPPER_START}|\p{{N}}{_AFTER_WORDS}"
_GPT4O = rf"{_LOWER_END}{_SHORTENED}?|{_UPPER_START}{_SHORTENED}?|\p{{N}}{{1,3}}{_AFTER_WORDS}"
_IDEOGRAPHS = "(?:(?!\\s)[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff])+"  # wide spaces lie between them
_CASED = (  # letters with a capital and a small form, as of the Unicode version that DeepSeek's authors had
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
    "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-"
    "\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_DEEPSEEK = (
    r"[\r\n]",
    rf"\s?[{_CASED}]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3001-\u3002]+",
    r"\s+$",
    _IDEOGRAPHS,
    r"\p{N}+",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _IDEOGRAPHS, r"\p{N}")
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
)
_FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")

_LIKE_LLAMA3 = ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2", "midm-2.0")
_LIKE_GLM4 = ("glm4", "glm5")
_SHARED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("default", _DEFAULT),
    ("gpt-2 mpt olmo phi-2 jais exaone4 gigachat granite-docling mellum trillion a.x-4.0", (_GPT2,)),
    ("smollm starcoder refact command-r codeshell exaone mellum2 minerva-7b", (r"\p{N}", _GPT2)),
    (" ".join((*_LIKE_LLAMA3, *_LIKE_GLM4)) + " chatglm-bpe dbrx smaug-bpe", (_LLAMA3,)),
    (
        "qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan grok-2 solar-open kormo bailingmoe bailingmoe2 llada-moe",
        (_QWEN2,),
    ),
    ("qwen35", (_QWEN35,)),
    ("tekken", (_TEKKEN,)),
    ("gpt-4o llama4 kanana2 minimax-m2", (_GPT4O,)),
    ("deepseek-llm", _DEEPSEEK),
    ("deepseek-coder", _DEEPSEEK_CODER),
    ("deepseek-v3 hunyuan-dense joyai-llm", _DEEPSEEK3),
    ("falcon", _FALCON),
)
SPLITS = {name: patterns for names, patterns in _SHARED for name in names.split()}
BEGIN_BY_DEFAULT = (*_LIKE_LLAMA3, "tekken")
_WHOLE_WORDS = (*BEGIN_BY_DEFAULT, *_LIKE_GLM4)  # a piece that is a token is not merged


def splitter(numbers: Mapping[str, int], merges: list[tuple[str, str]], pre: str) -> Callable[[str], list[int]]:
    """What turns text into tokens.

    Args:
        numbers: of each token, in the letters that stand for bytes.
        merges: pairs of tokens whose union is one, the earliest first.
        pre: the name of the patterns, one of SPLITS.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    run = Tokenizer(models.BPE(vocab=numbers, merges=merges, ignore_merges=pre in _WHOLE_WORDS))
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS[pre]]
    run.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return lambda text: run.encode(text, add_special_tokens=False).ids


class ByteLetters(dict):
    """The letters that stand for bytes in byte-level vocabularies: printable ones for themselves, others from 256 on."""

    def __init__(self):
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [byte for byte in range(256) if byte not in shown]
        super().__init__({byte: byte for byte in shown} | {256 + number: byte for number, byte in enumerate(hidden)})

    def __missing__(self, letter: int) -> str:
        return chr(letter).encode("utf-8", "replace").decode("latin-1")  # one that stands for itself
