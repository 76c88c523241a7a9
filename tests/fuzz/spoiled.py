"""Bytes of files that are wrong: those of any text, and those of a GGUF header."""

import random
import struct

from fuzz.gguf_headers import architectures, draft_of, spoil, written
from fuzz.mutations import BYTE_MUTATIONS, recode
from fuzz.values import LENGTHS


def spoiled(rng: random.Random, data: bytes, share: float = 0.07) -> bytes:
    """A *share* of them is spoiled byte by byte."""
    return rng.choice((*BYTE_MUTATIONS, recode))(rng, data) if rng.random() < share else data


def gguf_bytes(rng: random.Random) -> bytes:
    draft = draft_of(rng.choice(architectures())).copy()
    if rng.random() < 0.7:
        spoil(rng, draft)
    return damaged(rng, written(draft))


def damaged(rng: random.Random, data: bytes) -> bytes:
    """A third of them with wrong lengths or other bytes."""
    if rng.random() < 0.75:
        return data
    if rng.random() < 0.4:
        return rng.choice(BYTE_MUTATIONS)(rng, data)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, (code, size) = rng.choice((8, 16, 24, rng.randrange(24, len(data) + 1))), rng.choice((("<Q", 8), ("<I", 4)))
        changed[at : at + size] = struct.pack(code, rng.choice(LENGTHS) % 2 ** (8 * size))
    return bytes(changed)
