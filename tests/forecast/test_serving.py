"""A server under constant load: what a token waits for, and what the first one does."""

import math
from dataclasses import replace

import pytest

from simulator.errors import InputError
from simulator.forecast.server_steps import Server
from simulator.forecast.serving import lengths, serve_all
from simulator.importers.open import load_model
from simulator.spec.figure import Figure
from simulator.spec.layout import Layout
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime
from simulator.spec.serving import Serving, Told, Traffic
from simulator.spec.workload import Workload

PLAIN = Serving(chunk_tokens=8192)  # takes nothing beside operations


def serve(server, traffic):
    """One traffic by itself."""
    return serve_all(server, [traffic])[0]


def server(
    n_devices: int = 1, serving: Serving = PLAIN, name: str = "llama-3-8b", layout: Layout | None = None
) -> Server:
    """A model on H100s under vLLM's kernels, scheduled as *serving* says."""
    runtime = load_runtime("vllm").model_copy(update={"serving": serving})
    hardware, load = load_hardware("h100-sxm").times(n_devices), Workload(parse_weights("fp8"), cache=FORMATS["bf16"])
    return Server(load_model(name).model, hardware, runtime, load, layout or Layout(n_devices))


def test_one_user_waits_for_the_prompt_and_the_request():
    """Nobody else is there: a prompt, and 7 ms until it is read and the token is back."""
    here = server(serving=Serving(request_ms=Figure(value=7)))
    found = serve(here, Traffic(1, 1024, 256))
    prompt_s = here.step_seconds(replace(here.load, batch=1, context=0, tokens=1024))
    assert found.seconds_to_first == pytest.approx(prompt_s + 0.007)
    assert found.prompt_s == pytest.approx(prompt_s)
    assert found.seconds_per_token == pytest.approx(found.step_s, rel=0.001)


def test_a_token_waits_for_the_prompts_of_others():
    """With 32 requests of 256 tokens each step has 32 / 256 prompts in it in the mean, which add what they take alone, or less."""
    found = serve(server(), Traffic(32, 1024, 256))
    added_s = found.seconds_per_token - found.step_s
    assert 0.6 < added_s / (32 / 256 * found.prompt_s) < 1.05
    assert found.batch in (30, 31, 32)  # hardly two of them are having their prompts read


def test_long_answers_leave_hardly_any_prompts():
    """At 100,000 tokens of answer a token takes a step, half the answer deep."""
    found = serve(server(), Traffic(2, 128, 100_000))
    assert found.seconds_per_token == pytest.approx(found.step_s, rel=1e-3)


def test_prompts_of_their_own_steps_stall_decoding_longer():
    """A step that decodes too reads the weights once for both; one of its own reads them again and is launched again."""
    mixed, apart = (
        serve(server(serving=Serving(mixes_prompts=each)), Traffic(16, 512, 512, 0.5)) for each in (True, False)
    )
    assert mixed.step_s == apart.step_s
    assert apart.seconds_per_token > mixed.seconds_per_token


def test_a_prompt_longer_than_a_chunk_takes_several_steps():
    """8,192 tokens in chunks of 2,048 read the weights four times, in steps of their own."""
    whole, parts = (
        serve(server(serving=Serving(mixes_prompts=False, chunk_tokens=each)), Traffic(1, 8192, 64))
        for each in (8192, 2048)
    )
    assert whole.seconds_to_first < parts.seconds_to_first < 1.5 * whole.seconds_to_first


def test_the_host_begins_operations_that_are_no_graph():
    """At 1 ms for each operation that is what is added; in a CUDA graph nothing is."""
    slow = Serving(eager_us=Figure(value=1000))
    here = server(serving=slow)
    n_operations = sum(each.op.count * each.op.launches for each in here.timed(replace(here.load, tokens=128)))
    plain = serve(server(), Traffic(1, 128, 64)).seconds_to_first
    assert serve(here, Traffic(1, 128, 64)).seconds_to_first == pytest.approx(plain + 1e-3 * n_operations)
    graph = serve(here, Traffic(1, 128, 64, told=Told(graph_tokens=128)))
    assert graph.seconds_to_first == pytest.approx(plain)


def test_layers_of_experts_take_the_host_longer():
    """27 layers of 26 with experts: 26 ms more at 1 ms each."""
    one, more = (
        serve(server(serving=Serving(eager_us=Figure(value=500), **extra), name="deepseek-v2-lite"), Traffic(1, 64, 64))
        for extra in ({}, {"eager_experts_us": Figure(value=1000)})
    )
    assert more.seconds_to_first - one.seconds_to_first == pytest.approx(0.026)


def test_a_format_takes_prompts_longer():
    """Twice as long in fp8: nearly so in all, since kernels begin as before; bf16 is another format."""
    plain, twice, other = (
        serve(server(serving=Serving(prompt_scales=scales)), Traffic(1, 8192, 64)).seconds_to_first
        for scales in ({}, {"fp8": Figure(value=2)}, {"bf16": Figure(value=2)})
    )
    assert 1.95 * plain < twice < 2 * plain
    assert other == plain


def test_more_users_wait_longer_for_both():
    """Neither the first token nor the others come sooner with more users, whose lengths differ."""
    found = [serve(server(), Traffic(users, 1024, 512, 0.5)) for users in (1, 2, 4, 8, 16, 32, 64, 128)]
    for name in ("seconds_to_first", "seconds_per_token"):
        times = [getattr(each, name) for each in found]
        assert times == sorted(times), name


def test_the_first_token_waits_for_the_others_at_the_start():
    """Of ten requests of a user one comes with all others: about half of their prompts, one time in ten."""
    many = serve(server(), Traffic(64, 1024, 4096, 0.8))
    wait_s = many.prompt_s * 64 / 2 / 10
    assert wait_s < many.seconds_to_first < wait_s + 3 * many.prompt_s


def test_requests_that_find_no_place_wait():
    """An 80 GB card holds so many caches of 8,192 + 512 tokens; twice as many wait for about as long as a request takes."""
    here = server()
    most = int(here.most_requests(8192 + 512))
    full, over = (serve(here, Traffic(each, 8192, 1024)) for each in (most, 2 * most))
    assert not full.is_full
    assert over.is_full
    assert over.seconds_per_token == pytest.approx(full.seconds_per_token, rel=0.1)
    request_s = 1023 * over.seconds_per_token
    assert 0.8 * request_s < over.seconds_to_first < 1.2 * request_s


def test_a_server_takes_no_more_requests_than_it_was_told():
    """Eight of sixteen wait for the others."""
    free, told = (serve(server(), Traffic(16, 256, 256, told=Told(max_requests=each))) for each in (None, 8))
    assert (free.is_full, told.is_full) == (False, True)
    assert told.batch <= 8
    assert told.seconds_to_first > 255 * told.seconds_per_token * 0.8


def test_what_does_not_fit_has_no_times():
    """A model larger than its card."""
    found = serve(server(name="llama-3.1-405b"), Traffic(1, 128, 128))
    assert found.batch == 0
    assert math.isnan(found.seconds_per_token)


def test_many_at_once_are_as_one_by_one():
    """Whatever their prompts and answers, in the order given."""
    here = server(2)
    traffics = [Traffic(users, prompt, answer) for users in (4, 64) for prompt in (128, 8192) for answer in (128, 1024)]
    for one, found in zip(traffics, serve_all(here, traffics), strict=True):
        alone = serve(here, one)
        assert found.batch == alone.batch
        assert found.seconds_per_token == pytest.approx(alone.seconds_per_token, rel=0.02)
        assert found.seconds_to_first == pytest.approx(alone.seconds_to_first, rel=0.02)


def test_groups_with_sequences_of_their_own_keep_latents_once():
    """Eight groups hold as many latents as eight devices that share each matrix hold copies of: room for far more requests."""
    shared = server(8, name="deepseek-v2-lite")
    apart = server(8, name="deepseek-v2-lite", layout=Layout(data=8, expert=8))
    assert apart.most_requests(4096) > 6 * shared.most_requests(4096)


def test_lengths_are_spread_evenly():
    """From 80 to 100 % of 1,000 and 500, and all alike where nothing is said."""
    spread = lengths(Traffic(50, 1000, 500, least_share=0.8))
    assert len(spread) == 500
    for place, most in enumerate((1000, 500)):
        of_one = sorted(each[place] for each in spread)
        assert 0.8 * most <= of_one[0] < 0.805 * most
        assert 0.995 * most < of_one[-1] <= most
        assert sum(of_one) / 500 == pytest.approx(0.9 * most, rel=0.002)
    assert set(lengths(Traffic(5, 1000, 500))) == {(1000, 500)}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("output_tokens", 1), ("input_tokens", 0), ("concurrency", 10**6), ("least_share", 1.5), ("least_share", 0)],
)
def test_traffic_is_checked(field, wrong):
    """A sentence, not a division by zero or an hour's wait."""
    given = {"concurrency": 1, "input_tokens": 128, "output_tokens": 128, field: wrong}
    with pytest.raises(InputError, match=field):
        Traffic(**given)


def test_very_long_prompts_and_many_users_end():
    """A hundred thousand users, or prompts of ten million tokens in chunks of 8,192, are gone through in seconds."""
    here = server(8)
    assert serve(here, Traffic(100_000, 16, 16)).seconds_to_first > 0
    assert serve(here, Traffic(4, 500_000, 16)).seconds_to_first > 0
