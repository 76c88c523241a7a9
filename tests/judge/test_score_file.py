"""A file of measurements read and judged, by parameters that are changed for each device and model."""

import pytest
from own_csv import csv_of

from simulator.judge.scored import score_file

SERVED = """\
id,device,runtime,model,weights,input_tokens,output_tokens,concurrency,tensor_parallel,gemm_format,ttft_ms,tpot_ms
a,h100-sxm,vllm,llama-3-8b,bf16,1024,256,8,1,bf16,100,9
b,h100-sxm,vllm,llama-3-8b,bf16,1024,256,16,1,bf16,100,9
"""


@pytest.fixture
def asked():
    """What was asked for, and a function that asks for it: it changes no runtime."""
    found = []

    def fitted(runtime, device, model):
        found.append((runtime.name, device, model))
        return runtime

    return found, fitted


def test_each_device_and_model_has_parameters_of_its_own(tmp_path, asked):
    """Asked for once where rows differ in batch alone; the forecast is with the runtime that is given back."""
    found, fitted = asked
    path = tmp_path / "m.csv"
    path.write_text(csv_of({}, {"id": "b", "batch": "2"}, {"id": "c", "device": "rtx-4090", "backend": "cuda"}))
    scored = score_file(path, fitted=fitted)
    assert found == [("llama.cpp", "pi5-16gb", "llama-3-8b"), ("llama.cpp", "rtx-4090", "llama-3-8b")]
    assert len(scored.decode.rows) == 3
    other = score_file(
        path, fitted=lambda runtime, _device, _model: runtime.model_copy(update={"title": "x", "name": "other"})
    )
    assert {row.runtime for row in other.decode.rows} == {"other"}


def test_servers_have_them_too(tmp_path, asked):
    """One runtime for all rows of a device and a model."""
    found, fitted = asked
    path = tmp_path / "served.csv"
    path.write_text(SERVED)
    assert len(score_file(path, fitted=fitted).served.rows) == 2
    assert found == [("vllm", "h100-sxm", "llama-3-8b")]
