"""What docs/serving.md says of runtimes is what their files have."""

import re

import pytest
from places import ROOT

from simulator.spec.runtime import load_runtime

PAGE = " ".join((ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", ["vllm", "sglang", "tensorrt-llm"])
def test_servers_do_what_the_page_says(name):
    """Tokens of a step, prompts beside those that decode, whole or in chunks, a cache that is given up; what a request takes besides."""
    serving = load_runtime(name).serving
    many, other = (
        int(each.replace(",", ""))
        for each in re.search(r"\(([\d,]+) in vLLM and TensorRT-LLM, ([\d,]+) in SGLang\)", PAGE).groups()
    )
    assert serving.chunk_tokens == (other if name == "sglang" else many)
    assert serving.mixes_prompts == (name != "sglang")
    assert "in SGLang decoding waits for them" in PAGE
    assert serving.splits_prompts == (name != "tensorrt-llm")
    assert "TensorRT-LLM does not split a prompt" in PAGE
    assert serving.reserves_answers == (name == "tensorrt-llm")
    assert serving.is_fitted
    assert "takes some 20 ms of HTTP" in PAGE
    assert serving.request_ms.value == pytest.approx(20, abs=2.5)
