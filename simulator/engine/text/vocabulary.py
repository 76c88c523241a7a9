"""From the keys of a GGUF file to its tokenizer: each key checked, and known by name what files do not say of special tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

from simulator.engine.text import byte_pairs, sentence_pieces
from simulator.engine.text.byte_pairs import BEGIN_BY_DEFAULT, SPLITS, ByteLetters
from simulator.engine.text.sentence_pieces import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from simulator.engine.text.tokenizer import Tokenizer
from simulator.errors import InputError, describe, hint
from simulator.importers.gguf_header import Unread, read_long_keys
from simulator.units import counted

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
_CUT_OUT = (CONTROL, USER_DEFINED, UNKNOWN)
_WORDS = {str: "text", int: "whole number", float: "number"}


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
            adds_bos=self._flag("add_bos_token", not is_pairs or pre in BEGIN_BY_DEFAULT),
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
        if not set(map(type, value)) <= ({int, float} if kind is float else {kind}):  # whole numbers are numbers, too
            raise InputError(f"{self.path}: {key} holds something that is no {_WORDS[kind]}: damaged")
        if length is not None and len(value) < length:
            raise InputError(f"{self.path}: {key} has {len(value):,} entries for {counted(length, 'token')}: damaged")
        return value[:length]

    def _pre(self) -> str:
        pre = self.keys.get("tokenizer.ggml.pre", "default")
        if isinstance(pre, str) and pre in SPLITS:
            return pre
        known = (isinstance(pre, str) and hint(pre, SPLITS)) or f"known: {', '.join(SPLITS)}"
        raise InputError(f"{self.path}: tokenizer.ggml.pre is {describe(pre)}, which is not known here, {known}")

    def _kinds(self, tokens: list[str]) -> list[int]:
        """Each token's type, the file's word for it corrected where llama.cpp goes by the name."""
        is_given = "tokenizer.ggml.token_type" in self.keys
        kinds = self._list("token_type", int, len(tokens)) if is_given else [NORMAL] * len(tokens)
        names = {text: i for i, text in enumerate(tokens)}
        for text in (*_ENDS, *_CONTROLS, *_SHOWN):
            if text in names:
                kinds[names[text]] = USER_DEFINED if text in _SHOWN else CONTROL
        for text in _no_ends(names):
            kinds[names[text]] = USER_DEFINED if text == "<|end|>" else NORMAL
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

    # ---- how text becomes tokens ----

    def _pairs(self, tokens: list[str], kinds: list[int], pre: str) -> Callable[[str], list[int]]:
        numbers = {text: i for i, text in enumerate(tokens)}
        for text, kind in zip(tokens, kinds, strict=True):
            if "\ufffd" in text and kind == NORMAL:  # the letters that stand for bytes are all below U+0144
                raise InputError(f"{self.path}: tokenizer.ggml.tokens has an entry that is no UTF-8: damaged")
        pairs = (each.partition(" ") for each in self._list("merges", str))
        # A merge of or to what is no token can never be made.
        merges = [(a, b) for a, _, b in pairs if a in numbers and b in numbers and a + b in numbers]
        return byte_pairs.splitter(numbers, merges, pre)

    def _sentence_pieces(self, tokens: list[str], kinds: list[int]) -> Callable[[str], list[int]]:
        scores = self._list("scores", float, len(tokens))
        unknown = self._token("unknown", len(tokens), kinds.index(UNKNOWN) if UNKNOWN in kinds else 0)
        try:
            return sentence_pieces.splitter(tokens, scores, kinds, unknown or 0)
        except (RuntimeError, ValueError, OverflowError) as error:
            raise InputError(f"{self.path}: its vocabulary cannot be used ({describe(str(error))})") from None


def _no_ends(names: Container[str]) -> list[str]:
    """Ends by name that are none beside others: gpt-oss closes each channel with <|end|>, Gemma 4 knows </s> as text."""
    calls, returns = {"<|call|>", "<|calls|>"}, {"<|return|>", "<|flush|>"}
    closes = any(text in names for text in calls) and any(text in names for text in returns)
    found = ["<|end|>"] if closes and "<|end|>" in names else []
    return [*found, "</s>"] if "<|tool_response>" in names and "</s>" in names else found


def _pieces(tokens: list[str], kinds: list[int], is_pairs: bool) -> Iterator[bytes]:
    """What each token writes: text for normal and user-defined ones, one byte for bytes, nothing for all others."""
    letters = ByteLetters()
    for text, kind in zip(tokens, kinds, strict=True):
        if kind == USER_DEFINED:
            yield text.encode()
        elif kind == BYTE:
            match = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", text)
            yield bytes([int(match[1], 16)]) if match else text.encode()
        elif kind != NORMAL:
            yield b""
        elif is_pairs:
            yield text.translate(letters).encode("latin-1")
        else:
            yield text.replace("\u2581", " ").encode()
