"""Measured kernels beside ours, on tables of a few rows that the test writes itself."""

import numpy as np
import pytest

from simulator.calibration import kernel_tables
from simulator.calibration.kernel_tables import Table, package_folder, touched_experts
from simulator.calibration.tables import layers, left_out_error, main, matrices, nearest_line, report
from simulator.errors import InputError
from simulator.spec.machine import load_hardware
from simulator.spec.runtime import load_runtime

SIZES = (1024, 2048, 4096, 8192, 16384)


def gemms(seconds=lambda n_bytes: 5e-6 + n_bytes / 2.5e12):
    """bf16 matrices of 25 shapes that one token meets, as vLLM would have them on an H100."""
    n, k = (each.ravel() for each in np.meshgrid(SIZES, SIZES))
    n, k = np.append(n, 512), np.append(k, 512)  # narrower than what is compared
    columns = {"n": n, "k": k, "m": np.ones_like(n), "gemm_dtype": np.full(n.size, "bfloat16")}
    return Table("h100_sxm", "vllm", "1.0", columns | {"latency": 1e3 * seconds(2.0 * n * k)})


def experts(source="fused_moe", n_tokens=(1, 2, 4, 8)):
    """A layer of 128 experts of which each token uses 8, 2048 wide, 768 hidden."""
    names = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
    rows = np.array([(n, 2048, 768, 8, 128, 1, 1) for n in n_tokens])
    columns = dict(zip(names, rows.T, strict=True)) | {"latency": np.full(len(rows), 0.1)}
    named = {"moe_dtype": "bfloat16", "distribution": "balanced", "kernel_source": source}
    return Table("h100_sxm", "vllm", "1.0", columns | {key: np.full(len(rows), text) for key, text in named.items()})


def test_a_line_is_found_again():
    """Kernels that take 5 us and read 2.5 TB/s are found to do so, and lines through other shapes fit each."""
    (kernel,) = matrices(gemms())
    line = nearest_line(kernel.n_bytes, kernel.table.seconds)
    assert (line.start_s, line.bytes_per_s) == pytest.approx((5e-6, 2.5e12), rel=1e-3)
    assert left_out_error(kernel.shapes, kernel.n_bytes, kernel.table.seconds) < 1e-3


def test_one_shape_cannot_be_left_out():
    """A line needs other shapes."""
    assert np.isnan(left_out_error(np.ones(4), np.ones(4), np.ones(4)))


def test_our_matrix_is_a_launch_and_its_bytes():
    """No faster than at the datasheet's rate, and slower by no more than a few launches and a part of that."""
    (kernel,) = matrices(gemms())
    least = kernel.n_bytes / load_hardware("h100-sxm").main_memory.ceiling_bytes_per_s()
    place = load_runtime("vllm").backend(load_hardware("h100-sxm")).kernels
    assert np.all(kernel.ours > least + place.launch_s)
    assert np.all(kernel.ours < 1.7 * least + 3 * place.launch_s / place.place.launches)


def test_experts_that_a_cache_could_hold_are_left_out():
    """8 experts of 3 x 2048 x 768 in bf16 are 75 MB, less than twice the L2 of 50 MiB; 16 to 64 are more."""
    (kernel,) = layers(experts())
    assert kernel.n_tokens.tolist() == [2, 4, 8]
    assert kernel.n_bytes.tolist() == [2 * 3 * 2048 * 768 * touched for touched in (16, 32, 64)]


def test_experts_without_a_gate_have_two_matrices():
    """A third less is read."""
    (gated,), (plain,) = layers(experts(n_tokens=(8,))), layers(experts("moe_nongated", n_tokens=(8,)))
    assert plain.n_bytes == pytest.approx(2 / 3 * gated.n_bytes)
    assert plain.ours < gated.ours


def test_tokens_touch_experts():
    """Balanced: none is shared until all are used; a power law shares some; one token touches just its own."""
    assert touched_experts(4, 128, 8, "balanced") == 32
    assert touched_experts(100, 128, 8, "balanced") == 128
    assert touched_experts(1, 128, 8, "power_law_1.2") == 8
    assert 16 < touched_experts(4, 128, 8, "power_law_1.2") < 32


def test_report_has_a_line_for_each_kind():
    """What is right to a tenth stands as 0.0 % beside the best line."""
    (kernel,) = matrices(gemms())
    text = "\n".join(report("One matrix", [kernel]))
    assert "h100_sxm" in text
    assert "5.0 us + 75% of the datasheet's bandwidth: 0.0%" in text


def test_a_missing_package_is_told(monkeypatch, tmp_path, capsys):
    """One sentence with what to install, and status 2; a folder that is not the package is named."""
    monkeypatch.setattr(kernel_tables.importlib.util, "find_spec", lambda _: None)
    assert main([]) == 2
    assert "pip install '.[tables]'" in capsys.readouterr().err
    with pytest.raises(InputError, match="has no folder systems/data"):
        package_folder(str(tmp_path))


def test_tables_are_found_by_version(tmp_path):
    """0.5.6 comes before 0.5.14."""
    folder = tmp_path / "systems" / "data" / "h100_sxm" / "gemm" / "sglang"
    for version in ("0.5.14", "0.5.6.post2"):
        (folder / version).mkdir(parents=True)
        (folder / version / "gemm_perf.parquet").touch()
    found = kernel_tables.tables(package_folder(str(tmp_path)), "gemm", read=lambda _: {})
    assert [each.version for each in found] == ["0.5.6.post2", "0.5.14"]
