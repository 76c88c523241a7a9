"""The runtime that is taken for a file where nobody names one: the first that loads its formats."""

from dataclasses import replace

import pytest

from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model
from simulator.report.remarks import assumptions
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Loaded
from simulator.spec.quant import FORMATS


def stated(name, path=None):
    """Qwen3 8B as a checkpoint in a format, or as the file *path*."""
    assert name in FORMATS
    weights = replace(parse_weights(name), name=f"{name} of a file", kernels=(name,))
    return Loaded(load_model("qwen3-8b").model, weights, path=path)


@pytest.mark.parametrize(
    ("name", "device", "runtime"),
    [
        ("fp8", "rtx-4090", "vllm"),
        ("int4-g128", "rtx-4090", "vllm"),
        ("affine4-g64", "m1-max-32", "mlx"),
        ("bf16", "rtx-4090", "llama.cpp"),
        ("fp8", "pi5-16gb", "llama.cpp"),
    ],
)
def test_a_checkpoint_is_run_by_what_loads_it(name, device, runtime):
    """vLLM on GPUs, MLX on Apple's; the usual one where it loads the format, or where none of these runs."""
    assert scenario(stated(name), device).runtime.name == runtime


def test_a_gguf_file_of_ik_llama_cpp_is_run_by_that(tmp_path):
    """Never by one for checkpoints."""
    assert scenario(stated("iq4_ks", tmp_path / "m.gguf"), "rtx-4090").runtime.name == "ik_llama.cpp"


def test_why_is_said_and_a_named_runtime_stays():
    """With the remark that it is not known to load the format."""
    chosen, named = scenario(stated("fp8"), "rtx-4090"), scenario(stated("fp8"), "rtx-4090", runtime="llama.cpp")
    assert "vLLM, since llama.cpp is not known to load fp8" in list(assumptions(chosen, [chosen.at(1, 0)]))
    assert named.runtime.name == "llama.cpp"
    assert named.remarks == ("llama.cpp is not known to load fp8: counted as if it did",)
    assert scenario(stated("fp8"), "rtx-4090", weights="q4_k_m").runtime.name == "llama.cpp"
