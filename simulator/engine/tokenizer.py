"""Text to tokens and back, from the vocabulary inside a GGUF file.

Byte-pair vocabularies run in the tokenizers library, SentencePiece ones in sentencepiece; what is done here is what a GGUF
leaves to its reader: which pattern splits the text first, and that special tokens are cut out before.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, hint
from simulator.importers.gguf_header import Unread, read_long_keys
from simulator.units import counted

# GGUF's types of tokens, which are sentencepiece's.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6

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
_SPLITS = {name: patterns for names, patterns in _SHARED for name in names.split()}
_BEGIN_BY_DEFAULT = (*_LIKE_LLAMA3, "tekken")
_WHOLE_WORDS = (*_BEGIN_BY_DEFAULT, *_LIKE_GLM4)  # a piece that is a token is not merged

# Files say too little about their special tokens: like llama.cpp, these are known by their names, whatever type a file gives.
_ENDS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>",
    "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>",
    "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[", "<|ifm|im_end|>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
    "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>", "<|plamo:file_separator|>",
)  # fmt: skip
_END_KEYS = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")
_CONTROLS = (
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>",
)  # fmt: skip
_SHOWN = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")  # written out although they steer
_CUT_OUT = (_CONTROL, _USER_DEFINED, _UNKNOWN)
_SPACES = " \t\n\v\f\r"
_WORDS = {str: "text", int: "whole number", float: "number"}


@dataclass(frozen=True)
class Tokenizer:
    """A file's vocabulary, and how it is used."""

    pieces: tuple[bytes, ...]  # what each token writes
    special: tuple[tuple[str, int], ...]  # tokens that text may name, longest first
    strips: frozenset[int]  # those of them that swallow the spaces after them
    bos: int | None
    eos: int | None
    adds_bos: bool
    adds_eos: bool
    adds_space: bool  # before the text, and after each special token
    end_tokens: frozenset[int]
    chat_template: str | None
    name: str
    split: Callable[[str], list[int]]  # text without special tokens to tokens

    @property
    def vocab(self) -> int:
        """Tokens."""
        return len(self.pieces)

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Tokens of a text; names of special tokens in it become those tokens."""
        text = text.encode("utf-8", "replace").decode("utf-8")  # halves of surrogate pairs
        tokens: list[int] = [self.bos] if add_special and self.adds_bos and self.bos is not None else []
        end: list[int] = [self.eos] if add_special and self.adds_eos and self.eos is not None else []
        follows_special = True
        for part in self._parts(text):
            if isinstance(part, int):
                tokens.append(part)
                follows_special = True
                continue
            tokens += self.split(" " + part if self.adds_space and follows_special else part)
            follows_special = False
        return tokens + end

    def _parts(self, text: str) -> list[str | int]:
        """The text cut at special tokens, of which the longest are cut out first."""
        parts: list[str | int] = [text] if text else []
        for name, token in self.special:
            if name not in text:
                continue
            cut: list[str | int] = []
            for part in parts:
                if isinstance(part, int):
                    cut.append(part)
                    continue
                first, *others = part.split(name)
                cut += [first] if first else []
                for piece in others:
                    rest = piece.lstrip(_SPACES) if token in self.strips else piece
                    cut += [token, rest] if rest else [token]
            parts = cut
        return parts

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        return b"".join(self.piece(token) for token in tokens).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """What one token writes."""
        if not 0 <= token < self.vocab:
            raise InputError(f"{self.name}: token {token} is outside the vocabulary of {self.vocab:,}")
        return self.pieces[token]

    def stream(self) -> Stream:
        """Text of tokens that come one by one."""
        return Stream(self)

    def encode_chat(self, message: str) -> list[int]:
        """A user's message in the model's chat template, up to where the answer begins; InputError without template."""
        text, begin = self._chat(message), self._text_of(self.bos)
        return self.encode(text, add_special=not (begin and text.startswith(begin)))

    def _chat(self, message: str) -> str:
        if not self.chat_template:
            raise InputError(f"{self.name}: the file has no chat template (tokenizer.chat_template); leave --chat out")
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        names = {"bos_token": self._text_of(self.bos), "eos_token": self._text_of(self.eos)}
        try:
            template = environment.from_string(self.chat_template)
            return template.render(messages=[{"role": "user", "content": message}], add_generation_prompt=True, **names)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise InputError(f"{self.name}: its chat template cannot be rendered ({error})") from None

    def _text_of(self, token: int | None) -> str:
        return next((name for name, number in self.special if number == token), "")


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


class Stream:
    """Text of tokens one by one: a character comes when its last byte does."""

    def __init__(self, tokenizer: Tokenizer):
        self._piece = tokenizer.piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """What one more token completes."""
        return self._decoder.decode(self._piece(token))

    def end(self) -> str:
        """What is left."""
        return self._decoder.decode(b"", final=True)


# ---- from a file ----


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a GGUF file; InputError if it is missing, damaged, or of a kind that is not known."""
    return _Reader(path, read_long_keys(path, "")).load()


class _Reader:
    """From a file's keys to its tokenizer, each key checked."""

    def __init__(self, path: Path, keys: dict[str, Any]):
        self.path, self.keys = path, keys

    def load(self) -> Tokenizer:
        """The tokenizer."""
        kind = self.keys.get("tokenizer.ggml.model")
        if kind is None:
            raise InputError(f"{self.path}: has no vocabulary (tokenizer.ggml.model is missing)")
        if kind not in ("gpt2", "llama"):
            raise InputError(
                f"{self.path}: tokenizer.ggml.model is {describe(kind)}; gpt2 (byte pairs) and llama (SentencePiece) are known"
            )
        is_pairs = kind == "gpt2"
        pre = self._pre() if is_pairs else ""
        tokens = [text or f"[EMPTY_{i}]" for i, text in enumerate(self._list("tokens", str))]
        kinds = self._kinds(tokens)
        special = [(text, i) for i, text in enumerate(tokens) if kinds[i] in _CUT_OUT]
        return Tokenizer(
            pieces=tuple(_pieces(tokens, kinds, is_pairs)),
            special=tuple(sorted(special, key=lambda each: -len(each[0].encode()))),
            strips=self._strips(special),
            bos=self._token("bos", len(tokens), None if is_pairs else 1),
            eos=self._token("eos", len(tokens), None if is_pairs else 2),
            adds_bos=self._flag("add_bos_token", not is_pairs or pre in _BEGIN_BY_DEFAULT),
            adds_eos=self._flag("add_eos_token", False),
            adds_space=not is_pairs and self._flag("add_space_prefix", True),
            end_tokens=self._ends(tokens, is_pairs),
            chat_template=self._template(),
            name=str(self.path),
            split=self._pairs(tokens, kinds, pre) if is_pairs else self._sentence_pieces(tokens, kinds),
        )

    # ---- keys ----

    def _list(self, name: str, kind: type, length: int | None = None) -> list:
        key = f"tokenizer.ggml.{name}"
        value = self.keys.get(key)
        if not isinstance(value, list) or not value or isinstance(value, Unread):
            raise InputError(
                f"{self.path}: {key} is {'missing' if value is None else 'not a list'}: damaged, or no text model"
            )
        if set(map(type, value)) != {kind}:
            raise InputError(f"{self.path}: {key} holds something that is no {_WORDS[kind]}: damaged")
        if length is not None and len(value) < length:
            raise InputError(f"{self.path}: {key} has {len(value):,} entries for {counted(length, 'token')}: damaged")
        return value[:length]

    def _pre(self) -> str:
        pre = self.keys.get("tokenizer.ggml.pre", "default")
        if isinstance(pre, str) and pre in _SPLITS:
            return pre
        known = (isinstance(pre, str) and hint(pre, _SPLITS)) or f"known: {', '.join(_SPLITS)}"
        raise InputError(f"{self.path}: tokenizer.ggml.pre is {describe(pre)}, which is not known here, {known}")

    def _kinds(self, tokens: list[str]) -> list[int]:
        """Each token's type, the file's word for it corrected where llama.cpp goes by the name."""
        is_given = "tokenizer.ggml.token_type" in self.keys
        kinds = self._list("token_type", int, len(tokens)) if is_given else [_NORMAL] * len(tokens)
        names = {text: i for i, text in enumerate(tokens)}
        for text in (*_ENDS, *_CONTROLS, *_SHOWN):
            if text in names:
                kinds[names[text]] = _USER_DEFINED if text in _SHOWN else _CONTROL
        for text in _no_ends(names):
            kinds[names[text]] = _USER_DEFINED if text == "<|end|>" else _NORMAL
        return kinds

    def _strips(self, special: list[tuple[str, int]]) -> frozenset[int]:
        # Phi-3's special tokens swallow spaces, which files do not say: llama.cpp goes by the model's name.
        name = str(self.keys.get("general.name", "")).lower()
        if "phi-3" not in name and "phi3" not in name:
            return frozenset()
        return frozenset(token for text, token in special if text not in ("<unk>", "<s>", "<|endoftext|>"))

    def _token(self, name: str, count: int, default: int | None) -> int | None:
        value = self.keys.get(f"tokenizer.ggml.{name}_token_id", default)
        if value is None or value in (2**32 - 1, -1):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise InputError(
                f"{self.path}: tokenizer.ggml.{name}_token_id is {describe(value)}, the vocabulary has {counted(count, 'token')}"
            )
        return value

    def _flag(self, name: str, default: bool) -> bool:
        value = self.keys.get(f"tokenizer.ggml.{name}", default)
        if not isinstance(value, bool | int):
            raise InputError(f"{self.path}: tokenizer.ggml.{name} is {describe(value)}, true or false is needed")
        return bool(value)

    def _template(self) -> str | None:
        value = self.keys.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None

    def _ends(self, tokens: list[str], is_pairs: bool) -> frozenset[int]:
        names = {text: i for i, text in enumerate(tokens)}
        by_name = {names[text] for text in _ENDS if text in names} - {names[text] for text in _no_ends(names)}
        by_key = {self._token(key, len(tokens), 2 if key == "eos" and not is_pairs else None) for key in _END_KEYS}
        return frozenset(by_name | by_key - {None})

    # ---- byte pairs ----

    def _pairs(self, tokens: list[str], kinds: list[int], pre: str) -> Callable[[str], list[int]]:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        numbers = {text: i for i, text in enumerate(tokens)}
        for text, kind in zip(tokens, kinds, strict=True):
            if "\ufffd" in text and kind == _NORMAL:  # the letters that stand for bytes are all below U+0144
                raise InputError(f"{self.path}: tokenizer.ggml.tokens has an entry that is no UTF-8: damaged")
        pairs = (each.partition(" ") for each in self._list("merges", str))
        # A merge of or to what is no token can never be made.
        merges = [(a, b) for a, _, b in pairs if a in numbers and b in numbers and a + b in numbers]
        model = models.BPE(vocab=numbers, merges=merges, ignore_merges=pre in _WHOLE_WORDS)
        run = Tokenizer(model)
        cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _SPLITS[pre]]
        run.pre_tokenizer = pre_tokenizers.Sequence(
            [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        return lambda text: run.encode(text, add_special_tokens=False).ids

    # ---- SentencePiece ----

    def _sentence_pieces(self, tokens: list[str], kinds: list[int]) -> Callable[[str], list[int]]:
        from sentencepiece import SentencePieceProcessor

        scores = self._list("scores", float, len(tokens))
        unknown = self._token("unknown", len(tokens), kinds.index(_UNKNOWN) if _UNKNOWN in kinds else 0)
        run = SentencePieceProcessor()
        try:
            run.LoadFromSerializedProto(_model_proto(tokens, scores, kinds, unknown or 0))
        except (RuntimeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.path}: its vocabulary cannot be used ({describe(str(error))})") from None
        return lambda text: run.EncodeAsIds(text)


def _no_ends(names: Container[str]) -> list[str]:
    """Ends by name that are none beside others: gpt-oss closes each channel with <|end|>, Gemma 4 knows </s> as text."""
    calls, returns = {"<|call|>", "<|calls|>"}, {"<|return|>", "<|flush|>"}
    closes = any(text in names for text in calls) and any(text in names for text in returns)
    found = ["<|end|>"] if closes and "<|end|>" in names else []
    return [*found, "</s>"] if "<|tool_response>" in names and "</s>" in names else found


def _pieces(tokens: list[str], kinds: list[int], is_pairs: bool) -> Iterator[bytes]:
    """What each token writes: text for normal and user-defined ones, one byte for bytes, nothing for all others."""
    letters = _ByteLetters()
    for text, kind in zip(tokens, kinds, strict=True):
        if kind == _USER_DEFINED:
            yield text.encode()
        elif kind == _BYTE:
            match = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", text)
            yield bytes([int(match[1], 16)]) if match else text.encode()
        elif kind != _NORMAL:
            yield b""
        elif is_pairs:
            yield text.translate(letters).encode("latin-1")
        else:
            yield text.replace("\u2581", " ").encode()


class _ByteLetters(dict):
    """The letters that stand for bytes in byte-level vocabularies: printable ones for themselves, others from 256 on."""

    def __init__(self):
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [byte for byte in range(256) if byte not in shown]
        super().__init__({byte: byte for byte in shown} | {256 + number: byte for number, byte in enumerate(hidden)})

    def __missing__(self, letter: int) -> str:
        return chr(letter).encode("utf-8", "replace").decode("latin-1")  # one that stands for itself


# sentencepiece's ModelProto, written field by field: pieces (text, score, type), the kind of model, and no normalising.


@cache
def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _model_proto(tokens: list[str], scores: list[float], kinds: list[int], unknown: int) -> bytes:
    # All but bytes may come out of a merge: special tokens have been cut out of the text before, where they stand whole.
    ends = {kind: _number(3, kind) for kind in (_NORMAL, _UNKNOWN, _BYTE)}
    numbers, score_tag = struct.pack(f"<{len(scores)}f", *scores), _varint(2 << 3 | 5)
    parts = []
    for place, (text, kind) in enumerate(zip(tokens, kinds, strict=True)):
        end = ends[_UNKNOWN if place == unknown else _BYTE if kind == _BYTE else _NORMAL]
        parts.append(_field(1, _field(1, text.encode()) + score_tag + numbers[4 * place : 4 * place + 4] + end))
    byte_pairs, byte_fallback = _number(3, 2), _number(35, 1)
    parts.append(_field(2, byte_pairs + byte_fallback + _number(40, unknown)))
    parts.append(_field(3, _field(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)))
    return b"".join(parts)
