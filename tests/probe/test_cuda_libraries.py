"""The driver and cuBLAS, as they are asked for kernels and for products of matrices."""

import ctypes

import pytest
from gpus import Library

from simulator.probe.cuda import libraries


def test_kernels_are_started_through_the_driver_and_waited_for():
    """Three launches of one block of one thread, without arguments, then one wait."""
    driver = Library()
    launch, wait = libraries.driver_launcher(driver)
    launch(3)
    wait()
    assert [name for name, _ in driver.calls] == [
        "cuModuleLoadData",
        "cuModuleGetFunction",
        *["cuLaunchKernel"] * 3,
        "cuCtxSynchronize",
    ]
    assert driver.calls[1][1][2] == b"nothing"
    assert driver.calls[2][1][1:] == (1, 1, 1, 1, 1, 1, 0, None, None, None)


def test_a_launch_that_fails_ends_the_measurement():
    """The first failure is told; nothing is started after it."""
    driver = Library(cuLaunchKernel=719)
    launch, _ = libraries.driver_launcher(driver)
    with pytest.raises(libraries.CallError, match="cuLaunchKernel results in error 719"):
        launch(5)
    assert [name for name, _ in driver.calls].count("cuLaunchKernel") == 1


@pytest.mark.parametrize(
    ("what", "status", "text"),
    [
        ("cuModuleLoadData", 2, "OUT_OF_MEMORY"),
        ("cuModuleLoadData", 3, "error 3"),
        ("cublasCreate_v2", 3, "OUT_OF_MEMORY"),
        ("cublasCreate_v2", 2, "error 2"),
    ],
)
def test_each_library_has_its_own_number_for_a_lack_of_memory(what, status, text):
    """CUDA_ERROR_OUT_OF_MEMORY is 2, CUBLAS_STATUS_ALLOC_FAILED is 3."""
    with pytest.raises(libraries.CallError) as caught:
        libraries.check_status(status, what)
    assert str(caught.value) == f"{what} results in {text}"


def test_matrix_products_are_asked_for_as_cublas_wants_them():
    """Types and compute types are those of library_types.h and cublas_api.h; whole numbers are scaled by whole numbers."""
    cublas = Library()
    multiplier = libraries.Multiplier(cublas, 64)
    for name in ("tf32", "f16", "bf16", "int8"):
        multiplier.multiply(libraries.PRODUCTS[name], 1, 2, 3)
    calls = [arguments for name, arguments in cublas.calls if name == "cublasGemmEx"]
    kinds = [(call[8], call[11], call[15], call[17], call[18]) for call in calls]
    assert kinds == [(0, 0, 0, 77, -1), (2, 2, 2, 68, -1), (14, 14, 14, 68, -1), (3, 3, 10, 72, -1)]
    assert {call[1:6] for call in calls} == {(1, 0, 64, 64, 64)}
    assert [type(call[6]._obj) for call in calls] == [ctypes.c_float] * 3 + [ctypes.c_int32]
    assert [(call[6]._obj.value, call[13]._obj.value) for call in calls] == [(1, 0)] * 4
    assert {(call[7].value, call[10].value, call[14].value) for call in calls} == {(1, 2, 3)}
