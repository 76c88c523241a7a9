"""What the engine is given from Python: another kind of thing is refused in a sentence, before anything is loaded."""

import inspect

import numpy as np
import pytest

from simulator.engine.step import Engine
from simulator.errors import InputError
from simulator.spec.model import Model

ONE_LAYER = Model.model_validate(
    {
        "name": "one-layer",
        "d_model": 64,
        "vocab": 32,
        "layers": [
            {
                "attention": {"kind": "grouped_query", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64},
                "ffn": {"kind": "experts", "n_experts": 4, "n_active": 2, "d_expert": 64},
            }
        ],
    }
)
PARAMETERS = tuple(inspect.signature(Engine).parameters)
WRONG = {
    "model": (None, 3, [1], b"x", Model),
    "weights": (None, 4, [1]),
    "cache": (None, 4, []),
    "convert": (4, ["q8_0"]),
    "sparsity": (0.5, [1]),
    "path": (4, ["portable"]),
    "threads": ("4", 1.5, 0, -1, [4], True, float("nan")),
    "batch": ("4", None, 0, [1, 2], 1j),
    "context": ("1k", 0, 1.5, {}),
    "seed": ("x", None, -1, [1]),
    "progress": (3, "bar"),
    "team": (3, "all"),
    "experts_in": (3, b"x", ["here"]),
    "slow": (3, "all", (1, 1e9)),
    "ubatch": ("16", 0, -1, 1.5),
}


@pytest.fixture(scope="module")
def engine():
    """A small engine with random weights."""
    with Engine(ONE_LAYER, threads=1, batch=2, context=8, weights="f32") as opened:
        yield opened


@pytest.mark.parametrize("name", PARAMETERS)
def test_another_kind_of_argument_is_refused_by_its_name(name):
    """Every parameter: the sentence has its name, what is needed and what came."""
    for wrong in (object(), *WRONG[name]):
        with pytest.raises(InputError) as told:
            Engine(**{"model": ONE_LAYER, "threads": 1, "context": 8, "weights": "f32"} | {name: wrong})
        assert name in str(told.value)
        assert len(str(told.value)) < 200


@pytest.mark.parametrize("tokens", ["12", None, [1.5], [True], ["a"], [[1], [1, 2]], object(), [10**20], {}])
def test_tokens_are_whole_numbers(engine, tokens):
    """Of a prompt and of a step alike; none is rounded, and no text is counted."""
    for run in (engine.prompt, engine.decode):
        with pytest.raises(InputError, match="tokens must be whole numbers, got "):
            run(tokens)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda engine: engine.prompt([[1, 2]]), r"a prompt is one row of tokens, got an array of shape \(1, 2\)"),
        (lambda engine: engine.prompt(3), r"a prompt is one row of tokens, got an array of shape \(\)"),
        (lambda engine: engine.prompt([1], sequence="a"), "sequences must be whole numbers, got an array of <U1"),
        (lambda engine: engine.decode([1], sequences=[0.5]), "sequences must be whole numbers, got a list"),
        (lambda engine: engine.decode([1], routing=3), "routing must be a function, what choose found, or None, got 3"),
        (lambda engine: engine.decode([1], clock=3), "clock must be a function that tells the seconds, or None, got 3"),
        (lambda engine: engine.decode(3), "1 token for 1 sequence; 1 to 8 are possible"),
        (lambda engine: engine.pretend("3"), "n_tokens must be a whole number, got '3'"),
    ],
)
def test_the_arguments_of_a_step_are_checked_as_well(engine, call, message):
    """In a sentence, too."""
    with pytest.raises(InputError, match=message):
        call(engine)


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "uint64"])
def test_tokens_of_any_integer_type_decode_alike(engine, kind):
    """An array of a narrow type, a list and a range are the same tokens."""
    wanted = None
    for tokens in ([1, 2], range(1, 3), np.array([1, 2], kind)):
        engine.reset()
        found = engine.decode(tokens).logits
        wanted = found if wanted is None else wanted
        assert np.array_equal(found, wanted)
