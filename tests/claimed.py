"""What tests of published claims ask: shipped models, and forecasts in a line."""

from simulator import Loaded, Model, load_model, scenario

GIGA = 1e9


def shipped(name) -> Model:
    """A model of the shelf."""
    return load_model(name).model


def rate(model, device, weights, context=128, **options) -> float:
    """Tokens per second of one sequence."""
    given = Loaded(model) if isinstance(model, Model) else model
    return float(scenario(given, device, weights=weights, **options).at(1, context).tokens_per_s)


def pi_rate(model, weights, context=128, **options) -> float:
    """The same on a Raspberry Pi 5 with llama.cpp."""
    return rate(model, "pi5-16gb", weights, context, runtime="llama.cpp", **options)


def equal_layers(name, d_model, vocab, n_layers, attention, ffn) -> Model:
    """A model of one kind of layer, with grouped queries."""
    layer = {"count": n_layers, "attention": {"kind": "grouped_query", **attention}, "ffn": ffn}
    return Model.model_validate({"name": name, "d_model": d_model, "vocab": vocab, "layers": [layer]})
