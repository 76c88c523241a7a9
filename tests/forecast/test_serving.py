"""A server under constant load: what a token waits for, and what the first one does."""

import math

import pytest

from simulator.errors import InputError
from simulator.forecast.serving import REQUESTS_PER_USER, Server, serve, serve_all
from simulator.importers.open import load_model
from simulator.spec.layout import Layout
from simulator.spec.machine import load_hardware
from simulator.spec.mixes import parse_weights
from simulator.spec.quant import FORMATS
from simulator.spec.runtime import load_runtime
from simulator.spec.serving import Serving, Traffic
from simulator.spec.workload import Workload


def server(
    n_devices: int = 1, serving: Serving | None = None, name: str = "llama-3-8b", layout: Layout | None = None
) -> Server:
    """A model on H100s under vLLM, or under a server that mixes as *serving* says."""
    runtime = load_runtime("vllm")
    if serving:
        runtime = runtime.model_copy(update={"serving": serving})
    hardware, load = load_hardware("h100-sxm").times(n_devices), Workload(parse_weights("fp8"), cache=FORMATS["bf16"])
    return Server(load_model(name).model, hardware, runtime, load, layout or Layout(n_devices))


def test_a_token_waits_for_the_prompts_of_others():
    """With B requests of O tokens, each step has B / O prompts in it: step + B / O * what a prompt adds."""
    found = serve(server(), Traffic(32, 1024, 256))
    assert found.seconds_per_token == pytest.approx(found.step_s + found.batch / 256 * found.prompt_s, rel=0.02)
    assert found.batch in (31, 32)  # hardly one of them is having its prompt read


def test_long_answers_leave_hardly_any_prompts():
    """At 100,000 tokens of answer a token takes a step, half the answer deep."""
    found = serve(server(), Traffic(2, 128, 100_000))
    assert found.seconds_per_token == pytest.approx(found.step_s, rel=1e-3)


def test_prompts_of_their_own_steps_stall_decoding_longer():
    """A step that decodes too reads the weights once for both; one of its own reads them again and is launched again."""
    mixed, apart = (serve(server(serving=Serving(mixes_prompts=each)), Traffic(16, 512, 512)) for each in (True, False))
    assert mixed.step_s == apart.step_s
    assert apart.prompt_s > mixed.prompt_s + 0.5 * mixed.step_s
    assert apart.seconds_per_token > mixed.seconds_per_token


def test_a_prompt_longer_than_a_chunk_takes_several_steps():
    """8,192 tokens in chunks of 2,048 read the weights four times, if in steps of their own."""
    whole, parts = (
        serve(server(serving=Serving(mixes_prompts=False, chunk_tokens=each)), Traffic(4, 8192, 1024))
        for each in (8192, 2048)
    )
    assert whole.prompt_s < parts.prompt_s < 1.5 * whole.prompt_s


def test_the_first_token_waits_for_the_others_at_the_start():
    """Of ten requests of a user one comes with all others': half of their prompts, one time in ten."""
    one, many = (serve(server(), Traffic(each, 1024, 4096)) for each in (1, 64))
    assert one.seconds_to_first > one.prompt_s
    assert many.seconds_to_first > many.prompt_s * 64 / 2 / REQUESTS_PER_USER


def test_requests_that_find_no_place_wait():
    """An 80 GB card holds so many caches of 8,192 + 512 tokens; whoever comes beyond waits for one of them to end."""
    here = server()
    most = int(here.most_requests(8192 + 512))
    full, over = (serve(here, Traffic(each, 8192, 1024)) for each in (most, 2 * most))
    assert not full.is_full
    assert over.is_full
    assert over.seconds_per_token == pytest.approx(full.seconds_per_token)
    request_s = 1024 * over.seconds_per_token + over.prompt_s
    assert over.seconds_to_first - full.seconds_to_first == pytest.approx(request_s, rel=0.01)


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
        assert found.seconds_per_token == pytest.approx(alone.seconds_per_token)
        assert found.seconds_to_first == pytest.approx(alone.seconds_to_first)


def test_groups_with_sequences_of_their_own_keep_latents_once():
    """Eight groups hold as many latents as eight devices that share each matrix hold copies of: room for far more requests."""
    shared = server(8, name="deepseek-v2-lite")
    apart = server(8, name="deepseek-v2-lite", layout=Layout(data=8, expert=8))
    assert apart.most_requests(4096) > 6 * shared.most_requests(4096)


def test_traffic_is_checked():
    """A sentence, not a division by zero."""
    with pytest.raises(InputError, match="output_tokens"):
        Traffic(1, 128, 1)
