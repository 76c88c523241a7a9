"""Text to tokens and back, from the vocabulary inside a GGUF file.

Byte-pair vocabularies run in the tokenizers library, SentencePiece ones in sentencepiece; what is done here is what a GGUF
leaves to its reader: which pattern splits the text first, and that special tokens are cut out before.
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, describe, hint
from simulator.importers.gguf_header import Unread, read_long_keys

_PREFIX = "tokenizer."
_CONTROL, _USER_DEFINED, _UNKNOWN, _BYTE = 3, 4, 2, 6  # GGUF's token types, which are sentencepiece's

# Patterns by which text is cut before merging, by the name that a file gives (tokenizer.ggml.pre).
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+"
    r"((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")
_SPLITS: dict[str, tuple[str, ...]] = {
    "default": _DEFAULT,
    **dict.fromkeys(("gpt-2", "mpt", "olmo", "phi-2", "jais"), (_GPT2,)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), (r"\p{N}", _GPT2)),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe"), (_LLAMA3,)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2"), (_QWEN2,)),
    "tekken": (_TEKKEN,),
}
_WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3", "falcon3", "tekken")  # a piece that is a token is not merged
_BEGIN_BY_DEFAULT = ("llama-bpe", "llama3", "llama-v3", "falcon3", "tekken")

_ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot|>", "</s>",
    "<eos>", "<EOT>",
)  # fmt: skip


@dataclass(frozen=True)
class Tokenizer:
    """A file's vocabulary, and how it is used."""

    pieces: tuple[bytes, ...]  # what each token writes
    special: tuple[tuple[str, int], ...]  # tokens that text may name, longest first
    bos: int | None
    eos: int | None
    adds_bos: bool
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
        follows_special = True
        for part in self._parts(text):
            if isinstance(part, int):
                tokens.append(part)
                follows_special = True
                continue
            tokens += self.split(" " + part if self.adds_space and follows_special else part)
            follows_special = False
        return tokens

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
                for number, piece in enumerate(part.split(name)):
                    cut += ([token] if number else []) + ([piece] if piece else [])
            parts = cut
        return parts

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens."""
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")

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
        self._pieces = tokenizer.pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """What one more token completes."""
        return self._decoder.decode(self._pieces[token])

    def end(self) -> str:
        """What is left."""
        return self._decoder.decode(b"", final=True)


# ---- from a file ----


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a GGUF file; InputError if it is missing, damaged, or of a kind that is not known."""
    return _Reader(path, read_long_keys(path, _PREFIX)).load()


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
        tokens = self._list("tokens", str)
        kinds = (
            self._list("token_type", int, len(tokens))
            if "tokenizer.ggml.token_type" in self.keys
            else [1] * len(tokens)
        )
        is_pairs = kind == "gpt2"
        pre = self.keys.get("tokenizer.ggml.pre", "default")
        split = self._pairs(tokens, pre) if is_pairs else self._sentence_pieces(tokens, kinds)
        special = [(text, i) for i, text in enumerate(tokens) if kinds[i] in (_CONTROL, _USER_DEFINED) and text]
        begins = not is_pairs or pre in _BEGIN_BY_DEFAULT
        bos = self._token("bos_token_id", len(tokens), None if is_pairs else 1)
        eos = self._token("eos_token_id", len(tokens), None if is_pairs else 2)
        return Tokenizer(
            pieces=tuple(_pieces(tokens, kinds, is_pairs)),
            special=tuple(sorted(special, key=lambda each: -len(each[0]))),
            bos=bos,
            eos=eos,
            adds_bos=self._flag("add_bos_token", begins),
            adds_space=not is_pairs and self._flag("add_space_prefix", True),
            end_tokens=self._ends(tokens, kinds, eos),
            chat_template=self._template(),
            name=str(self.path),
            split=split,
        )

    # ---- keys ----

    def _list(self, name: str, kind: type, length: int | None = None) -> list:
        key = f"tokenizer.ggml.{name}"
        value = self.keys.get(key)
        if not isinstance(value, list) or not value or isinstance(value, Unread):
            raise InputError(
                f"{self.path}: {key} is {'missing' if value is None else 'not a list'}: damaged, or no text model"
            )
        if not all(isinstance(each, kind) for each in value):
            raise InputError(f"{self.path}: {key} holds something that is no {'text' if kind is str else 'number'}")
        if length is not None and len(value) != length:
            raise InputError(f"{self.path}: {key} has {len(value):,} entries for {length:,} tokens: damaged")
        return value

    def _token(self, name: str, count: int, default: int | None) -> int | None:
        value = self.keys.get(f"tokenizer.ggml.{name}", default)
        if value is None or value in (2**32 - 1, -1):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise InputError(
                f"{self.path}: tokenizer.ggml.{name} is {describe(value)}, the vocabulary has {count:,} tokens"
            )
        return value

    def _flag(self, name: str, default: bool) -> bool:
        return bool(self.keys.get(f"tokenizer.ggml.{name}", default))

    def _template(self) -> str | None:
        value = self.keys.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None

    def _ends(self, tokens: list[str], kinds: list[int], eos: int | None) -> frozenset[int]:
        named = {self._token(f"{name}_token_id", len(tokens), None) for name in ("eot", "eom")}
        known = {i for i, text in enumerate(tokens) if text in _ENDS and kinds[i] in (_CONTROL, _USER_DEFINED)}
        return frozenset({eos, *named, *known} - {None})

    # ---- byte pairs ----

    def _pairs(self, tokens: list[str], pre: Any) -> Callable[[str], list[int]]:
        if pre not in _SPLITS:
            raise InputError(
                f"{self.path}: tokenizer.ggml.pre is {describe(pre)}, which is not known here, {hint(pre, _SPLITS)}"
            )
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        numbers = {text: i for i, text in enumerate(tokens)}
        pairs = (each.split(" ", 1) for each in self._list("merges", str))
        # A merge of or to what is no token can never be made.
        merges = [tuple(pair) for pair in pairs if len(pair) == 2 and {*pair, "".join(pair)} <= numbers.keys()]
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
        unknown = self._token("unknown_token_id", len(tokens), kinds.index(_UNKNOWN) if _UNKNOWN in kinds else 0)
        run = SentencePieceProcessor()
        try:
            run.LoadFromSerializedProto(_model_proto(tokens, scores, kinds, unknown or 0))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self.path}: its vocabulary cannot be used ({describe(str(error))})") from None
        return lambda text: run.EncodeAsIds(text)


def _pieces(tokens: list[str], kinds: list[int], is_pairs: bool) -> Iterator[bytes]:
    """What each token writes; control tokens write nothing."""
    table = _bytes_of_letters()
    for text, kind in zip(tokens, kinds, strict=True):
        if kind == _CONTROL:
            yield b""
        elif kind == _USER_DEFINED:
            yield text.encode()
        elif is_pairs:
            yield b"".join(table.get(letter) or letter.encode() for letter in text)
        elif kind == _BYTE:
            match = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", text)
            yield bytes([int(match[1], 16)]) if match else text.encode()
        else:
            yield text.replace("\u2581", " ").encode()


def _bytes_of_letters() -> dict[str, bytes]:
    """The letters that stand for bytes in byte-level vocabularies: printable ones for themselves, others from 256 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): bytes([byte]) for byte in shown} | {chr(256 + n): bytes([b]) for n, b in enumerate(hidden)}


# sentencepiece's ModelProto, written field by field: pieces (text, score, type), the kind of model, and no normalising.


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
    parts = []
    for number, (text, score, kind) in enumerate(zip(tokens, scores, kinds, strict=True)):
        if number == unknown:
            kind = _UNKNOWN
        elif kind in (_USER_DEFINED, _UNKNOWN):  # the former are cut out of the text before; of the latter there is one
            kind = _CONTROL
        piece = _field(1, text.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", score) + _number(3, kind)
        parts.append(_field(1, piece))
    byte_pairs, byte_fallback = _number(3, 2), _number(35, 1)
    parts.append(_field(2, byte_pairs + byte_fallback + _number(40, unknown)))
    parts.append(_field(3, _field(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)))
    return b"".join(parts)
