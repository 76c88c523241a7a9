"""Rows of servers: layouts as they were, formats, and what cannot be one server."""

import pytest

from simulator.errors import InputError
from simulator.importers.serving import load_serving
from simulator.spec.layout import Layout
from simulator.spec.serving import Told, Traffic

HEAD = (
    "id,device,runtime,runtime_version,model,weights,gemm_format,moe_format,input_tokens,output_tokens,concurrency,"
    "tensor_parallel,pipeline_parallel,attention_data_parallel,moe_tensor_parallel,moe_expert_parallel,ttft_ms,tpot_ms,"
    "least_share,cache,chunk_tokens,max_requests,poll_steps,wait_steps,wait_share,graph_tokens,draft_tokens"
)
ROW = {
    "id": "a", "device": "h200", "runtime": "vllm", "model": "deepseek-v3", "weights": "fp8", "gemm_format": "fp8",
    "moe_format": "fp8", "input_tokens": "1024", "output_tokens": "512", "concurrency": "4", "tensor_parallel": "8",
    "attention_data_parallel": "1", "moe_tensor_parallel": "8", "moe_expert_parallel": "1", "ttft_ms": "100", "tpot_ms": "10",
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """A function that reads a row with some fields changed."""

    def run(**changes):
        path = tmp_path / "serving.csv"
        path.write_text("\n".join([HEAD, ",".join((ROW | changes).get(name, "") for name in HEAD.split(","))]))
        return load_serving(path)

    return run


def parallel(tensor, data, cut, groups):
    """The four columns of a layout."""
    names = ("tensor_parallel", "attention_data_parallel", "moe_tensor_parallel", "moe_expert_parallel")
    return dict(zip(names, map(str, (tensor, data, cut, groups)), strict=True))


@pytest.mark.parametrize(
    ("columns", "layout", "users"),
    [
        ((8, 1, 8, 1), Layout(8), 4),
        ((8, 1, 1, 8), Layout(8, expert=8), 4),
        ((1, 8, 1, 8), Layout(data=8, expert=8), 4),
        ((64, 1, 8, 8), Layout(8, expert=8), 4),  # the same eight, multiplied
        ((1, 64, 8, 8), Layout(data=8, expert=8), 32),  # of each of the eight
        ((4, 4, 1, 16), Layout(4, expert=4), 16),
    ],
)
def test_layouts_are_those_of_the_board(read, columns, layout, users):
    """Eight devices that are written as 8 x 8 are eight; and the requests are those of all of them."""
    (found,) = read(**parallel(*columns)).published
    assert (found.layout, found.traffic) == (layout, Traffic(users, 1024, 512))
    assert found.seconds_per_token == pytest.approx(0.01)


def test_what_a_server_was_told_is_kept(read):
    """As the benchmark's script told it; what it was not told is left to the runtime, and lengths are those stated."""
    (plain,) = read().published
    assert plain.traffic == Traffic(4, 1024, 512)
    (told,) = read(
        least_share="0.8", cache="fp8", chunk_tokens="16384", max_requests="256", poll_steps="30", wait_steps="20",
        wait_share="0.9", graph_tokens="0",
    ).published  # fmt: skip
    assert told.traffic == Traffic(4, 1024, 512, 0.8, Told(16384, 256, 30, 20, 0.9, 0))
    assert told.cache == "fp8"
    assert "format of the cache not stated: fp8" not in told.assumed


def test_speculated_tokens_are_told(read):
    """The forecast does without, and says so."""
    (found,) = read(draft_tokens="3").published
    assert found.n_drafts == 3
    assert "3 tokens are speculated in each step: forecast without" in found.assumed


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("least_share", "1.2"), ("chunk_tokens", "0"), ("wait_share", "2"), ("poll_steps", "1.5"), ("concurrency", "1e9"),
     ("draft_tokens", "-1")],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(read, column, wrong):
    """With file, line and column."""
    with pytest.raises(InputError, match=rf"serving.csv:2: {column} is '{wrong}'"):
        read(**{column: wrong})


def test_formats_are_told_by_the_columns(read):
    """fp4 leaves DeepSeek's attention in bf16; without columns it is bf16 all over."""
    (fp4,) = read(weights="fp4", gemm_format="nvfp4", moe_format="nvfp4").published
    assert (fp4.weights, fp4.cache) == ("nvfp4+bf16", "fp8")
    (plain,) = read(weights="", gemm_format="", moe_format="", model="llama-3.1-8b-instruct").published
    assert (plain.weights, plain.loaded.model.name) == ("bf16", "llama-3-8b")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (parallel(36, 1, 36, 1), "devices of several servers, some of them for prompts alone, are counted together"),
        (parallel(64, 1, 64, 1), "devices of several servers, some of them for prompts alone, are counted together"),
        ({"pipeline_parallel": "2"}, "layers on several devices, one after the other, are not forecast for servers"),
        ({"device": "x1"}, "no hardware file is called x1"),
        ({"model": ""}, "the model is not stated"),
        ({"cache": "int3"}, "vLLM has no cache in int3"),
        ({"moe_format": "int2"}, "weights int2 are not forecast for servers"),
    ],
)
def test_other_rows_say_why(read, changes, reason):
    """One reason each."""
    found = read(**changes)
    assert found.published == ()
    assert [each.reason for each in found.skipped] == [reason]


def test_a_wrong_number_and_a_missing_column_are_told(read, tmp_path):
    """With file, line and column."""
    with pytest.raises(InputError, match=r"serving.csv:2: tpot_ms is 'fast'"):
        read(tpot_ms="fast")
    path = tmp_path / "other.csv"
    path.write_text("device,runtime\nh200,vllm\n")
    with pytest.raises(InputError, match="the columns model, input_tokens"):
        load_serving(path)
