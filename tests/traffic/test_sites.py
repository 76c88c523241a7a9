"""Servers of real models: one request alone is the plain request, room in memory, what is refused."""

from functools import cache

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.forecast.capacity import largest_batch
from simulator.forecast.request import Request, forecast_request
from simulator.forecast.scenario import scenario
from simulator.traffic.demand import Demand, at_random, by_users, of_trace
from simulator.traffic.largest import largest_rate
from simulator.traffic.outcome import ServiceGoal
from simulator.traffic.serve import serve
from simulator.traffic.site import site_of
from simulator.traffic.ticks import TICKS_PER_S


@cache
def base(model="llama-3-8b", hardware="rtx-4090", weights="q4_k_m", **more):
    """A model on a device."""
    return scenario(model, hardware, weights=weights, context=4000, **more)


@pytest.mark.parametrize(
    "here",
    [
        {},
        {"hardware": "h100-sxm", "weights": "fp8", "runtime": "roofline"},
        {"model": "qwen3-30b-a3b", "hardware": "rtx-3060+ryzen-7950x"},
        {"model": "llama-3-70b", "hardware": "rtx-3090", "devices": 2},
        {"model": "gemma-3-27b", "hardware": "m4-max-40"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("prompt", "generate"), [(300, 60), (3000, 400)])
def test_a_request_that_is_alone_takes_what_the_plain_one_does(here, prompt, generate):
    """At a rate next to none: its passes, and the steps of its answer, on one device, with experts in RAM, on two with passes at once."""
    plain = forecast_request(base(**here), Request(prompt, generate))
    demand = at_random(1e-6, prompt, generate, requests=2)
    found = site_of(base(**here), demand).run(demand)
    assert found.ttft.tolist() == pytest.approx([plain.seconds_to_first] * 2, rel=1e-6)
    assert found.tpot.tolist() == pytest.approx([plain.decoding.seconds / (generate - 1)] * 2, rel=2e-3)


def test_a_fitted_server_adds_what_it_was_fitted_to_take():
    """Steps that decode are those of the plain request; the prompt takes the request's own time more, and what the host does."""
    here = base(hardware="h100-sxm", weights="fp8", runtime="vllm")
    plain = forecast_request(here, Request(1024, 256))
    demand = at_random(1e-6, 1024, 256, requests=1)
    site = site_of(here, demand)
    (ttft,), (tpot,) = site.run(demand).ttft, site.run(demand).tpot
    assert tpot == pytest.approx(plain.decoding.seconds / 255, rel=1e-5)
    assert site.request_s == pytest.approx(here.runtime.serving.request_ms.value / 1000)
    step_s = ttft - site.request_s
    host_s = float(site.tables.host_s[0, -1])
    assert host_s > 0.005
    assert 0.5 * plain.seconds_to_first < step_s - host_s < plain.seconds_to_first


@pytest.mark.parametrize("runtime", ["vllm", "llama.cpp", "roofline"])
def test_the_cache_holds_as_many_requests_as_memory_does(runtime):
    """Of 2,000 tokens each, to within one."""
    here = base(hardware="h100-sxm", weights="fp8" if runtime != "llama.cpp" else "q8_0", runtime=runtime)
    room = site_of(here, by_users(1, 1500, 500)).room
    assert room.pages // room.pages_of(2000) == pytest.approx(largest_batch(here, 1999), abs=2)


def test_windows_and_states_are_counted_once():
    """Of a model whose layers have windows but for some a request has pages besides, and all fit that memory holds."""
    here = base(model="gemma-3-27b", hardware="h100-sxm", weights="bf16", runtime="vllm")
    room = site_of(here, by_users(1, 7000, 1000)).room
    assert room.request_pages > 0
    assert room.pages // room.pages_of(8000) == pytest.approx(largest_batch(here, 7999), rel=0.05)


def test_more_than_memory_holds_gives_its_cache_back_in_vllm_and_waits_elsewhere():
    """With 24 GB for Llama 3 8B in bf16 there is room for some 40,000 tokens; ten times as many come at once."""
    crowded = by_users(200, 500, 1500, requests=201)
    vllm, llama = (
        site_of(base(weights=weights, runtime=runtime), crowded).run(crowded)
        for runtime, weights in (("vllm", "bf16"), ("llama.cpp", "f16"))
    )
    assert vllm.sums.put_back > 0
    assert (llama.sums.put_back, llama.held_back_by) == (0, "cache full")
    assert 0.9 < vllm.sums.peak_cache <= 1
    assert 0.9 < llama.sums.peak_cache <= 1


def test_longer_steps_make_longer_times():
    """The interval: by faster and by slower steps, around the forecast."""
    found = serve(base(), by_users(4, 500, 100, requests=40))
    for measure in ("ttft", "tpot", "e2e"):
        low, high = found.between(measure, 95)
        assert low < found.outcome.percentile(measure, 95) < high
        assert found.between(measure, 99) is None  # of 36 requests
    assert found.steady is None
    assert not found.is_unstable
    assert serve(base(), by_users(4, 500, 100, requests=40), with_interval=False).between("ttft", 95) is None


def test_more_than_is_answered_is_unstable():
    """A hundred requests a second, of which few are answered: those beyond wait, and that is told."""
    found = serve(base(), at_random(100, 1000, 100, requests=300), with_interval=False)
    assert found.is_unstable
    assert found.growth == pytest.approx(found.demand.rate - found.capacity)
    assert found.outcome.sums.peak_queue > 100
    assert not serve(base(), at_random(0.1, 1000, 100, requests=50), with_interval=False).is_unstable


def test_what_does_not_fit_is_refused():
    """A model that is too large, and a request that is too long."""
    with pytest.raises(InputError, match=r"does not fit: it needs .* GiB of"):
        site_of(base(model="llama-3-70b", weights="f16"), by_users(1, 100, 100))
    with pytest.raises(InputError, match="does not fit in the cache, which holds"):
        serve(base(), by_users(1, 1_000_000, 100))


def test_a_trace_is_read_as_it_stands(tmp_path):
    """In the order of its times, the first at 0; what begins alike by name."""
    path = tmp_path / "trace.csv"
    path.write_text("time,prompt,generate,prefix,prefix_tokens\n12.5,100,5,a,64\n10,200,6,,\n")
    demand = of_trace(path)
    assert (demand.prompts, demand.answers) == ((200, 100), (6, 5))
    assert np.array(demand.asked).tolist() == [0, 25 * 10**14]
    assert demand.prefixes == (("", 0), ("a", 64))
    assert demand.rate == pytest.approx(1 / 2.5)  # one gap between two requests


def test_times_of_a_trace_count_from_any_moment(tmp_path):
    """Seconds since 1970, as logs have them, are those since the first request."""
    path = tmp_path / "trace.csv"
    path.write_text("time,prompt,generate\n1700000000.5,9,5\n1700000002.75,9,5\n")
    assert of_trace(path).asked == (0, round(2.25 * TICKS_PER_S))


def test_the_rate_is_that_of_the_gaps_between_requests():
    """Three requests 2 s apart are one each 2 s, from the first one's time on; after a first gap of 2 s there are as many gaps."""
    assert Demand((5,) * 3, (5,) * 3, tuple(each * TICKS_PER_S for each in (0, 2, 4))).rate == pytest.approx(0.5)
    assert Demand((5,) * 3, (5,) * 3, tuple(each * TICKS_PER_S for each in (2, 4, 6))).rate == pytest.approx(0.5)
    assert Demand((5,) * 3, (5,) * 3, (0,) * 3).rate is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,prompt\n1,2\n", "the column generate must be there, too"),
        ("time,prompt,generate\n", "no request is in it: give each a row of time, prompt, generate"),
        ("time,prompt,generate\n1,0,5\n", "trace.csv:2: prompt is '0'"),
        ("time,prompt,generate\n-1,5,5\n", "trace.csv:2: time is '-1'"),
        ("time,prompt,generate\nsoon,5,5\n", "trace.csv:2: time is 'soon'"),
        ("Time,Prompt,generate\n1,5,5\n", "the columns time, prompt must be there, in small letters: a trace has"),
        ("time,prompt,generate\n1,5,5\n1700000000,5,5\n", "comes 1,699,999,999 seconds after the first, at most 100,0"),
        ("time,prompt,generate\n1700000000000,5,5\n", "trace.csv:2: time is 1,700,000,000,000: are those milliseconds"),
        ("time,prompt,generate,prefix,prefix_tokens\n1,5,5,a,9\n", "prefix_tokens is 9, the whole prompt has 5 tokens"),
        ("time,prompt,generate,prefix,prefix_tokens\n1,5,5,,3\n", "prefix is missing"),
        ("time,prompt,generate,prefix\n1,5,5,a\n", "trace.csv:2: prefix is a and prefix_tokens is missing"),
        ("time,prompt,generate,prefix,prefix_tokens\n1,5,5,a,\n", "trace.csv:2: prefix is a and prefix_tokens is miss"),
    ],
)
def test_mistakes_in_a_trace_are_told_by_line(text, told, tmp_path):
    """In a sentence."""
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        of_trace(tmp_path / "trace.csv")


def test_a_capacity_does_not_depend_on_how_many_are_asked_for():
    """Twenty requests fill no server; it is not faster for that, nor is the rate up to which a goal is kept higher."""
    here = base(hardware="h100-sxm", weights="bf16")
    few, many = (serve(here, at_random(2.0, 1024, 256, requests=n), with_interval=False) for n in (20, 400))
    assert few.capacity == many.capacity
    assert few.capacity * 256 < here.at(400, 1024).tokens_per_s
    found = largest_rate(here, 1024, 256, ServiceGoal(2.0), requests=20)
    assert found.most == few.capacity
    assert len(found.outcome) == 2000
