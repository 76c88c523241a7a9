"""Speculative decoding as it is asked for: who drafts, how many tokens in a step, and how many of them are kept."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from simulator.errors import InputError, hint, printable
from simulator.spec.arguments import expect, whole, within
from simulator.spec.figure import Figure
from simulator.spec.routing import Routing
from simulator.spec.schema import Field, Spec
from simulator.units import GIGA

MTP, NGRAM, DRAFT = "mtp", "ngram", "draft"
KINDS = (MTP, NGRAM, DRAFT)
MAX_DRAFTED = 64  # what llama.cpp's own examples of n-gram drafts go up to (docs/speculative.md, b11549)
_EXAMPLES = {MTP: "mtp:3@0.7", NGRAM: "ngram:4@0.5", DRAFT: "qwen3-0.6b:4@0.6"}
_LENGTH, _DRAFTED = "length:", "drafted:"


class Text(NamedTuple):
    """A kind of text, and how often what is drafted of it is kept."""

    name: str
    acceptance: float  # the chance of a drafted token, where all before it were kept
    source: str


_TEACHER = (
    "https://github.com/tenstorrent/vllm/issues/442: Qwen3.8-27B's own block on given texts, greedy, one token drafted"
)
_PAPER = "arXiv 2211.17192, table 2: T5-XXL drafted by T5-small, greedy"
# Answers: 0.80 of two drafted tokens kept over code and explanations that the model itself writes. What is read out of given texts is
# drafted worse than what a model would have said.
TEXTS: dict[str, tuple[Text, ...]] = {
    MTP: (
        Text("code", 0.91, _TEACHER),
        Text("own answers", 0.86, "https://github.com/sudoingX/qwen38-mtp: Qwen3.8-27B in llama.cpp, 0.80 of two kept"),
        Text("factual", 0.61, _TEACHER),
        Text("prose", 0.49, _TEACHER),
    ),
    DRAFT: (Text("translation", 0.75, _PAPER), Text("summary", 0.65, _PAPER)),
    NGRAM: (
        Text("edits of code", 0.70, "https://github.com/vllm-project/vllm/pull/24344: 2.96 tokens a step, 5 drafted"),
        Text("other text", 0.60, "https://github.com/vllm-project/vllm/issues/19254: 2.16 tokens a step, 3 drafted"),
    ),
}


def expected_tokens(acceptance: float, drafted: int) -> float:
    """Mean tokens of a sequence that a step yields: those kept of *drafted* ones, and one of the model's own.

    (1 - a^(k+1)) / (1 - a), each drafted token kept with the same chance *acceptance* where all before it were (Leviathan et al.,
    arXiv 2211.17192, equation 1); k + 1 where all are.
    """
    acceptance = within("acceptance", acceptance, 0, 1)
    return math.fsum(acceptance**kept for kept in range(drafted + 1))


def acceptance_of_length(length: float, drafted: int) -> float:
    """The chance with which *drafted* tokens yield *length* tokens a step: what vLLM prints as mean acceptance length."""
    low, high = 0.0, 1.0
    for _ in range(60):  # halvings: to the last bit of a float
        middle = (low + high) / 2
        low, high = (middle, high) if expected_tokens(middle, drafted) < length else (low, middle)
    return high


@dataclass(frozen=True)
class Speculation:
    """One way to speculate.

    Args:
        kind: mtp: blocks of the model's own that predict further tokens; ngram: what followed the last tokens when they stood
            before; draft: a smaller model.
        tokens: drafted in each step for each sequence, 0 for none.
        acceptance: the chance that a drafted token is kept where all before it were, between 0 and 1; None: by kinds of text.
        draft: the smaller model, by name or path.
        draft_weights: the format of its weights; None: as its file has them, or what the runtime's users choose.
    """

    kind: str
    tokens: int
    acceptance: float | None = None
    draft: str | None = None
    draft_weights: str | None = None

    def __post_init__(self):
        expect("kind", self.kind, str, f"one of {', '.join(KINDS)}")
        if self.kind not in KINDS:
            raise InputError(f"speculation {printable(self.kind, 40)!r} is unknown, {hint(self.kind, KINDS)}")
        object.__setattr__(self, "tokens", whole("drafted tokens", self.tokens, 0, MAX_DRAFTED))
        if self.acceptance is not None:
            object.__setattr__(self, "acceptance", within("acceptance", self.acceptance, 0, 1))
        expect("draft", self.draft, (str, os.PathLike, type(None)), "a model's name or path, or None")
        expect("draft_weights", self.draft_weights, (str, type(None)), "the name of a format, or None")
        if (self.draft is not None) != (self.kind == DRAFT):
            raise InputError(f"a draft model belongs to the kind {DRAFT}, and to no other")
        if self.draft_weights is not None and self.draft is None:
            raise InputError("draft weights belong to a draft model, and none is named")

    @property
    def name(self) -> str:
        """As it is written on the command line: mtp:3@0.7."""
        rate = "" if self.acceptance is None else f"@{self.acceptance:.4g}"
        return f"{self.draft or self.kind}:{self.tokens}{rate}"

    @property
    def texts(self) -> tuple[Text, ...]:
        """Kinds of text with published rates, where no rate is given."""
        return TEXTS[self.kind] if self.acceptance is None else ()


def parse_speculation(text: str) -> Speculation:
    """What `--speculate` says: mtp:3@0.7, ngram:4@0.5, and mtp:3 for every kind of text."""
    expect("text", text, str, f"a text such as {_EXAMPLES[MTP]}")
    who, tokens, rate = _parts("--speculate", text, _EXAMPLES[MTP])
    if who not in (MTP, NGRAM):
        known = (_EXAMPLES[MTP], _EXAMPLES[NGRAM])
        raise InputError(
            f"--speculate {printable(text, 60)!r} is unknown, {hint(text, known)}; a smaller model is named by --draft"
        )
    return Speculation(who, *_numbers("--speculate", text, tokens, rate))


def parse_draft(text: str) -> Speculation:
    """What `--draft` says: a model, how many tokens it drafts, and how often they are kept, as qwen3-0.6b:4@0.6."""
    expect("text", text, str, f"a text such as {_EXAMPLES[DRAFT]}")
    who, tokens, rate = _parts("--draft", text, _EXAMPLES[DRAFT])
    return Speculation(DRAFT, *_numbers("--draft", text, tokens, rate), draft=who)


def asked_for(speculate: str | None, draft: str | None, draft_weights: str | None = None) -> Speculation | None:
    """What `--speculate` or `--draft` says, None where neither is given; *draft_weights*: the format of the draft's weights."""
    if speculate is not None and draft is not None:
        raise InputError("--speculate and --draft are two ways to draft: give one of them")
    if draft is not None:
        return replace(parse_draft(draft), draft_weights=draft_weights)
    if draft_weights is not None:
        raise InputError("--draft-weights: there is no draft model whose weights these could be; name one with --draft")
    return None if speculate is None else parse_speculation(speculate)


def _parts(option: str, text: str, example: str) -> tuple[str, str, str | None]:
    """Name, number and rate: names may hold colons and signs of their own, so the last ones count."""
    match = re.fullmatch(r"(?P<who>.+?):(?P<tokens>[^:@/\\]*)(?:@(?P<rate>[^@/\\]*))?", text.strip(), re.DOTALL)
    if not match or not match["tokens"].strip():
        raise InputError(
            f"{option} {printable(text, 60)!r}: how many tokens are drafted in a step is missing, as in {example}"
        )
    return match["who"].strip(), match["tokens"].strip(), match["rate"]


def _numbers(option: str, text: str, tokens: str, rate: str | None) -> tuple[int, float | None]:
    where = f"{option} {printable(text, 60)!r}"
    if not re.fullmatch(r"\d{1,9}", tokens, re.ASCII) or not 1 <= int(tokens) <= MAX_DRAFTED:
        raise InputError(f"{where}: between 1 and {MAX_DRAFTED} tokens can be drafted in a step, got {tokens[:40]}")
    return int(tokens), None if rate is None else _told_rate(where, rate.strip().lower(), int(tokens))


def _told_rate(where: str, rate: str, tokens: int) -> float:
    """The chance of a token that `0.7`, `length:2.4` or `drafted:0.58` tells."""
    if rate.startswith(_LENGTH):
        length = _number(where, rate.removeprefix(_LENGTH))
        if not 1 <= length <= tokens + 1:
            raise InputError(f"{where}: {tokens} drafted tokens yield a length from 1 to {tokens + 1}, got {length:g}")
        return acceptance_of_length(length, tokens)
    if rate.startswith(_DRAFTED):
        share = _number(where, rate.removeprefix(_DRAFTED))
        share = within(f"{where}: the share kept of all drafted tokens", share, 0, 1)
        return acceptance_of_length(1 + share * tokens, tokens)
    return within(f"{where}: the chance that a drafted token is kept", _number(where, rate), 0, 1)


def _number(where: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{where}: a rate from 0 to 1 belongs after @, or {_LENGTH}2.4 or {_DRAFTED}0.58 as programs print them"
        ) from None


class Drafting(Spec):
    """How a runtime speculates.

    `is_apart`: whoever drafts is run as a model of its own. It passes over all verified tokens before it drafts, and each of its passes
    costs what a step does beside its operations. Elsewhere the first pass that drafts reads the verified tokens, and all are a part of
    the step. `sampling_ns`: what choosing a token takes the host for each token of the vocabulary, nanoseconds; None: a GPU chooses, or it
    is not known. `vocabularies_apart`: by how many tokens those of the two models may differ at most; None: not known. `cautions`: by
    vendor of a GPU, or vendor and `mixtures` for models with experts alone, what measurements say against the forecast there.
    """

    is_apart: bool = False
    sampling_ns: Figure | None = None
    vocabularies_apart: int | None = Field(None, ge=0)
    flags: dict[str, str] = Field({}, max_length=len(KINDS))  # by kind; {tokens} and {draft} stand for what was asked
    cautions: dict[str, str] = Field({}, max_length=64)

    def sampling_s(self, n_logits: int) -> float:
        """Seconds to choose a token among so many."""
        return self.sampling_ns.value * n_logits / GIGA if self.sampling_ns else 0.0

    def told(self, speculation: Speculation) -> str:
        """What to add to the runtime's command; empty where that is not known."""
        flags = self.flags.get(speculation.kind, "")
        return flags.replace("{tokens}", str(speculation.tokens)).replace("{draft}", speculation.draft or "")


@dataclass(frozen=True)
class SharedExperts:
    """All *tokens* that a step verifies of a sequence need the same experts; those of several sequences as `within` has it."""

    within: Routing
    tokens: int

    @property
    def name(self) -> str:
        """That of what holds among sequences."""
        return self.within.name

    @property
    def assumption(self) -> str:
        """That of what holds among sequences, and within one."""
        return f"{self.within.assumption}; the tokens that are verified of a sequence share their experts"

    def distinct(self, ffn: Any, batch: Any) -> Any:
        """Mean number of distinct experts that *batch* tokens touch."""
        return self.within.distinct(ffn, batch / self.tokens)

    def served(self, ffn: Any, batch: Any) -> Any:
        """Mean number of experts that serve a token."""
        return self.within.served(ffn, batch / self.tokens)
