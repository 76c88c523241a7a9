"""SentencePiece vocabularies, which run in the library of that name, given one as its own kind of file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

# GGUF's types of tokens, which are sentencepiece's.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def splitter(tokens: list[str], scores: list[float], kinds: list[int], unknown: int) -> Callable[[str], list[int]]:
    """What turns text into tokens; RuntimeError, ValueError or OverflowError where the library refuses the vocabulary."""
    from sentencepiece import SentencePieceProcessor

    run = SentencePieceProcessor()
    run.LoadFromSerializedProto(_model_proto(tokens, scores, kinds, unknown))
    return lambda text: run.EncodeAsIds(text)


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
    ends = {kind: _number(3, kind) for kind in (NORMAL, UNKNOWN, BYTE)}
    numbers, score_tag = struct.pack(f"<{len(scores)}f", *scores), _varint(2 << 3 | 5)
    parts = []
    for place, (text, kind) in enumerate(zip(tokens, kinds, strict=True)):
        end = ends[UNKNOWN if place == unknown else BYTE if kind == BYTE else NORMAL]
        parts.append(_field(1, _field(1, text.encode()) + score_tag + numbers[4 * place : 4 * place + 4] + end))
    byte_pairs, byte_fallback = _number(3, 2), _number(35, 1)
    parts.append(_field(2, byte_pairs + byte_fallback + _number(40, unknown)))
    parts.append(_field(3, _field(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)))
    return b"".join(parts)
