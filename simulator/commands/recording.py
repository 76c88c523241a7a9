"""What `generate --record-routing` writes: the experts that a model's own router picked for a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simulator.engine.generate import Generation
from simulator.engine.step import Engine
from simulator.errors import InputError, printable
from simulator.importers.open import load_model
from simulator.importers.routing_record import SUFFIX, record_text
from simulator.report.record import write_whole
from simulator.spec.recorded import Recorded


def check_recording(
    target: str | None, routing: str, speculate: str | None, model: str, *, has_own_weights: bool
) -> None:
    """InputError, before anything is decoded, where there is no choice of a real router to be recorded, or no place for it."""
    if target is None:
        return
    option = f"--record-routing {printable(target)}"
    if not has_own_weights:
        raise InputError(
            f"{option}: {printable(model)} gets random weights, and what their router picks tells nothing of a real one; give a GGUF file"
        )
    if not load_model(model).model.experts:
        raise InputError(f"{option}: {printable(model)} has no experts to choose from, leave it out")
    if routing.strip() != "own":
        raise InputError(
            f"{option}: with --routing {printable(routing)} the router picks nothing, leave one of them out"
        )
    if speculate is not None:
        raise InputError(
            f"{option}: with --speculate drafts that are taken back would be recorded, leave one of them out"
        )
    if Path(target).suffix != SUFFIX:
        raise InputError(f"{option}: a name that ends in {SUFFIX} is needed")


def write_record(target: str, engine: Engine, prompt: Sequence[int], found: Generation) -> None:
    """The tokens that went through the model, each with its experts: the prompt's, and of those generated all but the last."""
    steps = found.chosen or []
    layers = list(engine.network.expert_layers())
    chosen = tuple(np.concatenate([step[place] for step in steps]) for place in range(len(layers)))
    tokens = (*map(int, prompt), *found.tokens)[: len(chosen[0])]
    recorded = Recorded(
        target,
        engine.model.title or engine.model.name,
        tuple(index for index, _ in layers),
        tuple(ffn.n_experts for _, ffn in layers),
        tuple(ffn.n_active for _, ffn in layers),
        tokens,
        len(prompt),
        chosen,
    )
    write_whole(Path(target), record_text(recorded))
