"""How a server mixes reading prompts with decoding."""

from __future__ import annotations

from simulator.spec.schema import Field, Spec


class Serving(Spec):
    """What its scheduler does while requests arrive."""

    chunk_tokens: int = Field(8192, ge=1, le=10_000_000)  # of prompts in one step at most
    mixes_prompts: bool = True  # prompts are read in steps that decode, too; else decoding waits for them
    source: str = ""
    how: str = ""
