"""Models made for timing: as many layers of one shape as make up a size."""

from __future__ import annotations

from simulator.spec.model import Model

BYTES_PER_WEIGHT = 34 / 32  # of q8_0, in which sizes are meant


def sized_model(name: str, nbytes: float, d_model: int, layer: dict, vocab: int, max_context: int) -> Model:
    """The model of such layers, at least one, whose weights come nearest to so many bytes in q8_0.

    *layer*: its attention and its feed-forward network, as a model's file has them.
    """

    def of(n_layers: int) -> Model:
        data = {"name": name, "d_model": d_model, "vocab": vocab, "tied_head": True, "max_context": max_context}
        return Model.model_validate(data | {"layers": [{"count": n_layers, **layer}]})

    one, two = (of(n).total_params * BYTES_PER_WEIGHT for n in (1, 2))
    return of(max(1, round((nbytes - one) / (two - one)) + 1))
