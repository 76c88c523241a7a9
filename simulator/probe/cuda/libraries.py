"""The driver and cuBLAS, called through ctypes.

numba has no matrix product for tensor cores, and its own way of starting a kernel takes Python several times as long as
the driver, so it would be Python that is timed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# A kernel that returns at once, for any GPU since Maxwell: the driver compiles it for the one that it finds.
_NOTHING = b".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry nothing()\n{\n\tret;\n}\n"

_R_32F, _R_16F, _R_8I, _R_32I, _R_16BF = 0, 2, 3, 10, 14  # cudaDataType, library_types.h
_COMPUTE_32F, _COMPUTE_32I, _COMPUTE_TF32 = 68, 72, 77  # cublasComputeType_t, cublas_api.h
_AS_IS, _TRANSPOSED, _DEFAULT_ALGORITHM = 0, 1, -1


class CallError(RuntimeError):
    """A function of the driver or of cuBLAS returned something other than success."""


def check_status(status: int, what: str) -> None:
    """Raises CallError unless *status* is success."""
    if status:
        # 2 is CUDA_ERROR_OUT_OF_MEMORY of the driver, 3 CUBLAS_STATUS_ALLOC_FAILED.
        is_memory = status == (3 if what.startswith("cublas") else 2)
        raise CallError(f"{what} results in {'OUT_OF_MEMORY' if is_memory else f'error {status}'}")


def load_driver() -> Any:
    """The driver's library, which numba has loaded already."""
    return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")


def driver_launcher(driver: Any) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Two functions on the current context: one starts so many kernels that do nothing, the other waits for all."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    check_status(driver.cuModuleLoadData(ctypes.byref(module), _NOTHING), "cuModuleLoadData")
    check_status(driver.cuModuleGetFunction(ctypes.byref(function), module, b"nothing"), "cuModuleGetFunction")
    # Grid of 1 x 1 x 1 blocks of 1 x 1 x 1 threads, no shared memory, the default stream, no arguments.
    arguments = (function, 1, 1, 1, 1, 1, 1, 0, None, None, None)

    def launch(count: int) -> None:
        start, status = driver.cuLaunchKernel, 0
        for _ in range(count):
            status = status or start(*arguments)
        check_status(status, "cuLaunchKernel")

    def wait() -> None:
        check_status(driver.cuCtxSynchronize(), "cuCtxSynchronize")

    return launch, wait


@dataclass(frozen=True)
class Product:
    """A product of two matrices of one number format, as cuBLAS names it."""

    inputs: int
    output: int
    compute: int
    least_capability: tuple[int, int]  # below it there are no tensor cores for the format
    how: str


PRODUCTS = {
    "tf32": Product(_R_32F, _R_32F, _COMPUTE_TF32, (8, 0), "f32 rounded to TF32"),
    "f16": Product(_R_16F, _R_16F, _COMPUTE_32F, (7, 0), "sums in f32"),
    "bf16": Product(_R_16BF, _R_16BF, _COMPUTE_32F, (8, 0), "sums in f32"),
    "int8": Product(_R_8I, _R_32I, _COMPUTE_32I, (7, 5), "sums in int32"),
}


def load_cublas() -> Any | None:
    """cuBLAS from wherever it is installed (PyTorch and CuPy bring the same wheels), None where it is not.

    numba-cuda's own finder looks through Python packages, conda, the system's libraries and CUDA_HOME.
    """
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib
    except ImportError:
        return None
    try:
        return ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    except (RuntimeError, OSError):
        return None


class Multiplier:
    """cuBLAS at work on square matrices of *side* rows, in the current context."""

    def __init__(self, cublas: Any, side: int):
        self._cublas, self._side = cublas, side
        self._handle = ctypes.c_void_p()
        check_status(cublas.cublasCreate_v2(ctypes.byref(self._handle)), "cublasCreate_v2")

    def multiply(self, product: Product, first: int, second: int, out: int) -> None:
        """out = first transposed * second, at these addresses; both are read along their columns, the fastest way."""
        number = ctypes.c_int32 if product.compute == _COMPUTE_32I else ctypes.c_float
        one, zero, side = number(1), number(0), self._side
        status = self._cublas.cublasGemmEx(
            self._handle, _TRANSPOSED, _AS_IS, side, side, side, ctypes.byref(one),
            ctypes.c_void_p(first), product.inputs, side, ctypes.c_void_p(second), product.inputs, side,
            ctypes.byref(zero), ctypes.c_void_p(out), product.output, side, product.compute, _DEFAULT_ALGORITHM,
        )  # fmt: skip
        check_status(status, "cublasGemmEx")
