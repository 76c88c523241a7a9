"""What servers take beside operations: found again where it is known, and written where forecasts read it."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.calibration import serving
from simulator.calibration.serving import MARK, PRIORS, Case, cases_of
from simulator.importers.serving import load_serving
from simulator.judge.serving_left_out import LEFT_OUT, PARAMETERS, pair_name, server_runtime_for, with_values
from simulator.spec.library import RUNTIMES, SERVED
from simulator.spec.runtime import load_runtime

KNOWN = {"request_ms": 25.0, "eager_us": 60.0, "eager_experts_us": 800.0}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Two models on H100s under vLLM, of one without experts, as if their servers took what is KNOWN."""
    measured = [
        each
        for each in load_serving(SERVED).published
        if (each.hardware.name, each.runtime.name) == ("h100-sxm", "vllm") and each.traffic.concurrency in (4, 16)
    ]
    found = []
    for each in cases_of(measured):
        first_s = tuple(np.exp(each.off(KNOWN)) * np.array(each.measured_s))
        found.append(replace(each, measured_s=first_s))
    return found


def test_what_servers_take_is_met_again(cases):
    """The times to the first token of KNOWN are met within 5 %, far nearer than by what was known before."""
    found = serving._fit(cases, PRIORS)
    off = np.concatenate([each.off(found) for each in cases])
    assert np.median(np.abs(off)) < 0.05
    before = np.concatenate([each.off({name: PRIORS[name][0] for name in PARAMETERS}) for each in cases])
    assert np.median(np.abs(before)) > 0.1


def test_without_rows_it_stays_with_what_was_known():
    """The priors."""
    assert serving._fit([], PRIORS) == pytest.approx({name: PRIORS[name][0] for name in PARAMETERS})


def test_values_are_written_after_the_line_that_says_so(tmp_path):
    """In the place of those that stood there; the rest of the file stays."""
    path = tmp_path / "vllm.yaml"
    path.write_text((RUNTIMES / "vllm.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for value in (7, 9):
        serving._write({**KNOWN, "request_ms": value, "scale/fp8": 1.5}, path, "to 3 rows")
    text = path.read_text(encoding="utf-8")
    assert text.count("request_ms") == text.count(MARK) == 1
    found = load_runtime(path)
    assert found.serving.request_ms.value == 9
    assert found.serving.eager_us.value == 60
    assert {name: each.value for name, each in found.serving.prompt_scales.items()} == {"fp8": 1.5}
    assert found.requires == load_runtime("vllm").requires
    path.write_text("name: x\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no line that says"):
        serving._write(KNOWN, path, "")


def test_left_out_values_are_others_than_all():
    """Of a device and a model that were fitted on; a device that never was has those of all."""
    runtime = load_runtime("vllm")
    assert pair_name("b200", "minimax-m2") in LEFT_OUT.read_text(encoding="utf-8")
    without = server_runtime_for(runtime, "b200", "minimax-m2").serving
    assert without.eager_us.value != runtime.serving.eager_us.value
    assert without.chunk_tokens == runtime.serving.chunk_tokens
    assert server_runtime_for(runtime, "rtx-4090", "minimax-m2") is runtime
    assert server_runtime_for(load_runtime("llama.cpp"), "b200", "minimax-m2").name == "llama.cpp"


def test_values_take_the_place_of_those_in_the_file():
    """All of them; a format that is not named takes no longer than its operations."""
    found = with_values(load_runtime("vllm").serving, {**KNOWN, "scale/nvfp4": 2.0})
    assert [getattr(found, name).value for name in PARAMETERS] == list(KNOWN.values())
    assert list(found.prompt_scales) == ["nvfp4"]
