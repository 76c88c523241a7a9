"""Whatever a caller in Python passes: any type of number is taken alike, and another kind of thing is refused in a sentence."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

import simulator
from simulator import (
    Goal,
    InputError,
    Request,
    ServiceGoal,
    at_random,
    forecast_request,
    load_hardware,
    load_model,
    load_runtime,
    plan_changes,
    scenario,
)
from simulator.forecast.scenario import Scenario
from simulator.spec.density import Density
from simulator.spec.mixes import parse_weights
from simulator.spec.speculation import Speculation
from simulator.spec.workload import Workload

LOADED, DEVICE, RUNTIME = load_model("qwen3-0.6b"), load_hardware("pi5-16gb"), load_runtime("llama.cpp")
LOAD = Workload(weights=parse_weights("q8_0"))
BASE = Scenario(LOADED, DEVICE, RUNTIME, LOAD)
MIXTURE = scenario("deepseek-v3", "h100-sxm", devices=16)

# Arguments with which each public name can be called. `Prediction` is what comes out, `InputError` what is raised.
CALLS = {
    "Hardware": DEVICE.model_dump(by_alias=True, exclude_unset=True),
    "Loaded": {"model": LOADED.model},
    "Model": LOADED.model.model_dump(exclude_unset=True),
    "Request": {"prompt": 512},
    "Runtime": RUNTIME.model_dump(exclude_unset=True),
    "Scenario": {"loaded": LOADED, "hardware": DEVICE, "runtime": RUNTIME, "load": LOAD},
    "Workload": {"weights": LOAD.weights},
    "forecast_request": {"base": BASE, "request": Request(512)},
    "largest_batch": {"base": BASE, "context": 128},
    "largest_context": {"base": BASE, "batch": 1},
    "load_hardware": {"given": "pi5-16gb"},
    "load_model": {"given": "qwen3-0.6b"},
    "load_sweep": {"given": {"models": "qwen3-0.6b", "devices": "pi5-16gb"}},
    "open_sweep": {"folder": "none"},
    "load_runtime": {"given": "llama.cpp"},
    "scenario": {"model": "qwen3-0.6b", "hardware": "pi5-16gb"},
    "Speculation": {"kind": "ngram", "tokens": 3},
    "parse_draft": {"text": "qwen3-0.6b:4@0.6"},
    "parse_speculation": {"text": "mtp:3@0.7"},
    "speculate": {"base": BASE, "speculation": Speculation("ngram", 3, 0.5)},
    "ServiceGoal": {"ttft_s": 1.0},
    "parse_goal": {"text": "ttft=2s"},
    "at_random": {"rate": 1.0, "prompt": 8, "generate": 2, "requests": 4},
    "by_users": {"users": 2, "prompt": 8, "generate": 2, "requests": 4},
    "of_trace": {"path": "none.csv"},
    "serve": {"base": BASE, "demand": at_random(1.0, 8, 2, requests=4)},
    "largest_rate": {"base": BASE, "prompt": 8, "generate": 2, "goal": ServiceGoal(1.0), "requests": 4},
    "largest_concurrency": {"base": BASE, "prompt": 8, "generate": 2, "goal": ServiceGoal(1.0), "most_users": 2},
    "Goal": {"at_least": 20},
    "plan": {"model": "qwen3-0.6b", "on": ["pi5-16gb"], "goal": Goal(1), "weights": ["q4_0"]},
    "plan_from": {"folder": "none", "goal": Goal(1), "model": "qwen3-0.6b", "on": ["pi5-16gb"], "weights": ["q4_0"]},
    "plan_changes": {"model": "qwen3-0.6b", "machine": "pi5-16gb", "goal": Goal(1), "weights": "q4_0"},
    "Tariff": {"watts": 10.0},
    "spending": {"point": BASE.at(1, 128)},
    "prompt_spending": {"request": forecast_request(BASE, Request(8, 2)), "hardware": BASE.hardware},
    "sweep": {"base": BASE, "batches": [1], "contexts": [128]},
    "with_density": {"full": BASE.at(1, 128), "density": Density(kind="fixed", value=0.5)},
}
SERVED = simulator.serve(BASE, at_random(1.0, 8, 2, requests=4))
SPECULATED = simulator.speculate(BASE, Speculation("ngram", 3, 0.5))
REQUESTED = forecast_request(BASE, Request(8, 2))
CHANGES = plan_changes(**CALLS["plan_changes"])
METHODS = {
    "at": (BASE.at, {"batch": 1, "context": 128}),
    "memory_bytes": (BASE.memory_bytes, {"batch": 1, "context": 128}),
    "fits": (BASE.fits, {"batch": 1, "context": 128}),
    "interval": (BASE.at(1, 128).interval, {"coverage": 0.9}),
    "factors": (BASE.at(1, 128).factors, {"coverage": 0.9}),
    "seconds_between": (REQUESTED.seconds_between, {"coverage": 0.9}),
    "first_between": (REQUESTED.first_between, {"coverage": 0.9}),
    "spread": (REQUESTED.reading.spread, {"coverage": 0.9}),
    "percentile": (SERVED.outcome.percentile, {"measure": "ttft", "percent": 50}),
    "tells": (SERVED.outcome.tells, {"measure": "ttft", "percent": 50}),
    "highest": (SERVED.outcome.highest, {"measure": "tpot"}),
    "times": (SERVED.outcome.times, {"measure": "e2e"}),
    "kept": (SERVED.outcome.kept, {"goal": ServiceGoal(1.0)}),
    "waiting_at": (SERVED.outcome.waiting_at, {"seconds": [0.0, 1.0]}),
    "between": (SERVED.between, {"measure": "ttft", "percent": 50}),
    "faster": (SERVED.demand.faster, {"times": 2.0}),
    "at_once": (SERVED.demand.at_once, {"n": 3}),
    "gain": (CHANGES.changes[0].gain, {"before": CHANGES.before}),
} | {
    name: (getattr(SPECULATED, name), {"acceptance": 0.5})
    for name in ("tokens_per_s", "speedup", "best")
} | {"interval of drafts": (SPECULATED.interval, {"acceptance": 0.5})}  # fmt: skip
FREE = {"keeps_what_fits"}  # anything is true or false
WRONG = (None, True, "4", b"x", 4, -1, 0, 1.5, float("nan"), 10**20, 10**5000, 1j, [], [1], [[1], [1, 2]], {}, int, len)


def calls():
    """Every public callable with each of its parameters: (name, function, arguments that work, parameter)."""
    found = {name: (getattr(simulator, name), arguments) for name, arguments in CALLS.items()} | METHODS
    for name, (function, arguments) in found.items():
        fields = getattr(function, "model_fields", None)
        signature = inspect.signature(function).parameters
        named = [each for each, parameter in signature.items() if parameter.kind is not parameter.VAR_KEYWORD]
        names = [field.alias or key for key, field in fields.items()] if fields else named
        yield from ((name, function, arguments, parameter) for parameter in names)


SWEEP = [pytest.param(*each[1:], id=f"{each[0]}-{each[3]}") for each in calls()]


def test_each_public_name_is_one_thing():
    """No two modules give the same name."""
    names = [name for names in simulator._PUBLIC.values() for name in names]
    assert sorted(set(names)) == sorted(names)


def test_the_sweep_calls_everything_that_is_public():
    """A new public name has to say here how it is called; the engine and sweeps into folders are called in tests of their own."""
    assert CALLS.keys() | {"Engine", "InputError", "Prediction", "run_sweep"} == set(simulator.__all__)


@pytest.mark.parametrize(("function", "arguments", "parameter"), [each for each in SWEEP if each.values[2] not in FREE])
def test_an_object_of_another_kind_is_refused_by_the_name_of_its_parameter(function, arguments, parameter):
    """One sentence with the parameter's name, whichever parameter of whichever public function it is."""
    with pytest.raises(InputError) as told:
        function(**arguments | {parameter: object()})
    kinds = {"given": ("model", "hardware", "runtime", "sweep")}  # `find` says what sort of name it looked for
    assert any(name in str(told.value) for name in kinds.get(parameter, (parameter,)))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 250


@pytest.mark.parametrize(("function", "arguments", "parameter"), SWEEP)
def test_nothing_but_input_errors_comes_back_for_a_wrong_kind(function, arguments, parameter):
    """Numbers for texts, lists for numbers, classes, nothing at all: accepted where it has a meaning, else refused."""
    for wrong in WRONG:
        try:
            function(**arguments | {parameter: wrong})
        except InputError as told:
            assert len(str(told)) < 500  # noqa: PT017 - some of the values are fine


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": "4"}, "threads on pi5-16gb must be a whole number, got '4'; leave it out for the default"),
        ({"threads": [4]}, "threads on pi5-16gb must be a whole number, got a list; leave it out for the default"),
        ({"devices": 1.5}, "devices must be a whole number, got 1.5; leave it out for the default"),
        ({"weights": 4}, "weights must be the name of a format or mix, such as 'q4_k_m', or a Weights, got 4"),
        ({"routing": [1]}, "routing must be a routing, as parse_routing makes one, got a list"),
        ({"cache": []}, "cache must be the name of a format, such as 'f16', got a list"),
        ({"context": "1k"}, "context must be a whole number, got '1k'"),
        ({"sparsity": 0.5}, "sparsity must be a Sparsity or None, got 0.5"),
        ({"model": None}, "model must be a name, a path, a Loaded or a Model, got nothing"),
        ({"hardware": 3}, "hardware must be a name, a path or a Hardware, got 3"),
        ({"runtime": RUNTIME.name.encode()}, "runtime must be a name, a path, a Runtime or None, got an object of type bytes"),
    ],
)  # fmt: skip
def test_what_is_needed_and_what_was_given(given, message):
    """The parameter, what it takes, and what came."""
    with pytest.raises(InputError) as told:
        scenario(**{"model": "qwen3-0.6b", "hardware": "pi5-16gb"} | given)
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("percentile", {"measure": "foo"}, "measure must be ttft, tpot or e2e, got 'foo'"),
        ("percentile", {"percent": 101}, "percent must be between 0 and 100, got 101"),
        ("tells", {"percent": "99"}, "percent must be a number between 0 and 100, got '99'"),
        ("between", {"measure": ["ttft"]}, "measure must be ttft, tpot or e2e, got a list"),
        (
            "kept",
            {"goal": "ttft=2s"},
            "goal must be a ServiceGoal, as ServiceGoal(ttft_s=2, tpot_s=0.05), got 'ttft=2s'",
        ),
        ("waiting_at", {"seconds": "now"}, "seconds must be a number or an array of them, got 'now'"),
        ("seconds_between", {"coverage": 95}, "coverage must be between 0.5 and 0.99, got 95"),
        ("speedup", {"acceptance": 1.5}, "acceptance must be between 0 and 1, got 1.5"),
    ],
)
def test_methods_of_results_say_what_they_take(method, given, message):
    """The argument, what is possible, and what came."""
    function, arguments = METHODS[method]
    function(**arguments)
    with pytest.raises(InputError) as told:
        function(**arguments | given)
    assert str(told.value) == message


INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64", "longdouble")


@pytest.mark.parametrize("kind", [*INTEGERS, *FLOATS])
def test_an_array_of_any_type_gives_what_single_numbers_give(kind):
    """A narrow type would overflow in the products of a forecast: 100 sequences of 100 tokens are 10,000 of both."""
    found = MIXTURE.at(np.array([1, 7, 100], kind), np.array(100, kind))
    wanted = [MIXTURE.at(batch, 100) for batch in (1, 7, 100)]
    for name in ("seconds_per_step", "tokens_per_s_low", "tokens_per_s_ceiling", "memory_bytes", "distinct_experts"):
        assert getattr(found, name).tolist() == [float(getattr(each, name)) for each in wanted], name
    assert found.load.batch.dtype == np.int64


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "float64"])
@pytest.mark.parametrize("name", ["deepseek-v3", "llama-3-70b"])
def test_the_largest_grid_overflows_nowhere(name, kind):
    """A million sequences at the deepest context: bytes and operations past 2**63, where int64 products would wrap."""
    base = scenario(name, "h100-sxm", devices=16)
    found = base.at(np.array([8192, 10**6], kind), np.array([[0], [10**8]], kind))
    for row, context in enumerate((0, 10**8)):
        for column, batch in enumerate((8192, 10**6)):
            one = base.at(batch, context)
            assert found.cost.flops[row, column] == one.cost.flops > 0
            assert found.seconds_given_memory[row, column] == one.seconds_given_memory
            assert found.memory_bytes[row, column] == one.memory_bytes


class Frame:
    """What looks like a column of somebody's table."""

    def __array__(self, dtype=None, copy=None):
        return np.array([1, 2], np.int16)


@pytest.mark.parametrize("given", [[1, 2], (1, 2), range(1, 3), Frame(), np.ma.array([1, 2])])
def test_what_numpy_makes_an_array_of_is_taken(given):
    """Lists, tuples, ranges, tables' columns, masked arrays in which nothing is masked: all are an array of int64."""
    found = BASE.at(given, 128)
    assert np.ravel(found.load.batch).tolist() == [1, 2]
    assert np.ravel(found.tokens_per_s).tolist() == [float(BASE.at(batch, 128).tokens_per_s) for batch in (1, 2)]


@pytest.mark.parametrize("given", [3, 3.0, np.int8(3), np.uint64(3), np.float32(3), np.array(3), np.array(3.0)])
def test_a_single_number_of_any_type_gives_single_results(given):
    """An array of no dimension is a number."""
    found = BASE.at(given, 128)
    assert found.load.batch == 3
    assert np.ndim(found.tokens_per_s) == 0
    assert found.bound == BASE.at(3, 128).bound


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ma.array([1, 2], mask=[0, 1]), "batch has masked elements: fill them or leave them out"),
        (np.array([], int), "batch is empty, at least one number is needed"),
        (range(0), "batch is empty, at least one number is needed"),
        (range(1, 10**12), "batch must be between 1 and 1,000,000, got 999,999,999,999"),
        (np.array([1, 0]), "batch must be between 1 and 1,000,000, got 0 to 1"),
        (np.array([2**64 - 1], np.uint64), "batch must be between 1 and 1,000,000, got 18,446,744,073,709,551,615"),
        ([1, 10**20], "batch must be between 1 and 1,000,000, got 1 to 100,000,000,000,000,000,000"),
        (np.array([1, 2.5]), "batch must be a whole number or an array of them, got 2.5"),
        (np.array([1, np.nan]), "batch must be a whole number or an array of them, got nan"),
        (np.array([1, np.inf]), "batch must be a whole number or an array of them, got inf"),
        (np.array([True]), "batch must be a whole number or an array of them, got an array of bool"),
        (np.array([1j]), "batch must be a whole number or an array of them, got an array of complex128"),
        (np.array(["1"]), "batch must be a whole number or an array of them, got an array of <U1"),
        (np.array([1], object), "batch must be a whole number or an array of them, got an array of object"),
        (True, "batch must be a whole number or an array of them, got true"),
    ],
)  # fmt: skip
def test_an_array_that_holds_no_counts_is_refused(given, message):
    """In a sentence: what it must be, and what it was."""
    with pytest.raises(InputError) as told:
        BASE.at(given, 128)
    assert str(told.value) == message


def test_shapes_that_do_not_go_together_are_refused():
    """Three batches and two contexts make a grid only where one of them stands upright."""
    with pytest.raises(InputError, match=r"must broadcast together, their shapes are \(3,\) and \(2,\)"):
        BASE.at([1, 2, 3], [0, 1])


def test_a_density_belongs_to_a_single_point():
    """A distribution over the steps of one batch at one context, not of a grid."""
    with pytest.raises(InputError, match="full must be the forecast of one point, got one of a grid"):
        simulator.with_density(BASE.at([1, 2], 128), Density(kind="fixed", value=0.5))


def test_a_format_that_does_not_suit_is_an_input_error_of_every_method():
    """Rows of 2,880 values do not divide into blocks of 128: forecast and memory say so alike."""
    odd = scenario("gpt-oss-20b", "h100-sxm", weights="affine4-g128", runtime="roofline")
    for method in (odd.at, odd.memory_bytes):
        with pytest.raises(InputError, match="2880 elements does not divide into affine4-g128 blocks of 128"):
            method(1, 128)


def test_a_workload_keeps_what_it_was_given():
    """Changing the caller's array afterwards changes nothing."""
    batches = np.array([1, 2])
    load = replace(LOAD, batch=batches)
    batches[:] = 7
    assert load.batch.tolist() == [1, 2]
