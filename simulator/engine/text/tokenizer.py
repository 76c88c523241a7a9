"""Text to tokens and back: special tokens are cut out first, what lies between goes through the vocabulary."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.errors import InputError

_SPACES = " \t\n\v\f\r"


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
