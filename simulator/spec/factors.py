"""What kernels reach, as a product of few factors: of the API, the processor's generation, the format, the software.

A quantity such as the share of bandwidth is its first factor, in the quantity's own unit, times others near 1 that say how
a generation, a format or a program differs. Each has a prior: what is known of it before any measurement. Those that
measurements tell something of are fitted (`python -m simulator.calibration`) and stand in `runtimes/fitted.json`; the others
stay where their prior puts them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from typing import NamedTuple

from simulator.spec.library import RUNTIMES
from simulator.spec.measured_kernels import MEASURED, TABLED

FITTED = RUNTIMES / "fitted.json"


class Factor(NamedTuple):
    """A factor's name, and its prior: the median, and the standard deviation of its logarithm."""

    name: str
    median: float = 1.0
    spread: float = 0.2


APIS = ("cpu", "cuda", "rocm", "vulkan", "metal", "sycl", "opencl")


@dataclass(frozen=True)
class Place:
    """What factors tell apart of where and how operations run."""

    kind: str  # cpu or gpu
    api: str  # of APIS
    generation: str  # of the processor
    device_class: str
    vendor: str
    kernels: str  # whose kernels they are
    program: str  # what runs them
    is_early: bool = False  # before the software's kernels became what they are
    has_flash: bool = True  # attention without its scores in memory
    is_measured: bool = True  # the device's bandwidth was
    is_hbm: bool = False  # memory so fast that a kernel has to keep very much of it on the way
    n_sockets: int = 1
    is_learned: bool = False  # from measurements on the device itself: `spec/learned.py`
    launches: float = 1.0  # kernels of those that a plain graph has
    step_s: float = 1e-4  # what a step is thought to cost beside them


# Formats whose blocks are unpacked alike.
_FAMILIES = {
    "f32": "wide", "f16": "wide", "bf16": "wide", "q8_0": "eight", "int8": "eight", "fp8": "eight", "q4_0": "q4", "q4_1": "q4",
    "q5_0": "q5", "q5_1": "q5", "iq4_nl": "iq4", "iq4_xs": "iq4", "q4_k": "q4k", "q5_k": "q5k", "q6_k": "q6k", "q3_k": "q3k",
    "q2_k": "q2k", "mxfp4": "mxfp4", "nvfp4": "mxfp4", "fp4": "mxfp4",
}  # fmt: skip


def family(name: str, bits: float) -> str:
    """The family of a format called *name* with *bits* for each weight."""
    if name in _FAMILIES:
        return _FAMILIES[name]
    if name.startswith(("tq", "ternary", "i2_s", "tl", "iq1_bn", "iq2_bn")):
        return "ternary"
    if name.startswith(("aqlm", "quip", "qtip")):
        return "codebook"
    if name.startswith("tmac"):
        return "grouped"
    if name.startswith("iq"):
        return "iq"
    if name.endswith("bpw"):
        return "q3k" if bits < 4 else "q4k" if bits < 5.5 else "q6k" if bits < 7.5 else "eight"
    if bits < 7:
        return "grouped" if bits >= 3.5 else "low"
    return "eight" if bits < 12 else "wide"


_GENERATIONS = (
    ("sm_6", "pascal"), ("sm_70", "volta"), ("sm_75", "turing"), ("sm_80", "sm_80"), ("sm_8", "ampere"), ("sm_90", "hopper"),
    ("sm_10", "blackwell-hbm"), ("sm_12", "blackwell"), ("gfx90", "cdna"), ("gfx94", "cdna"), ("gfx95", "cdna"),
    ("gfx115", "rdna35"), ("gfx11", "rdna3"), ("gfx12", "rdna4"), ("gfx10", "rdna2"),
)  # fmt: skip


def generation(architecture: str) -> str:
    """The generation of a processor that compilers call *architecture*: sm_86 is ampere, sm_89 ada."""
    if architecture == "sm_89":
        return "ada"
    return next((name for start, name in _GENERATIONS if architecture.startswith(start)), architecture or "unknown")


# Products of 8 bits that a lane for 32 does at once: a vector unit's most, with weights of few bits.
LANE_PRODUCTS = 4
# Tokens that matrix kernels compute at least, however few there are.
TILES = {"cpu": 1, "metal": 32, "vulkan": 32}
OTHER_TILE = 16
# Tokens up to which llama.cpp takes its kernels for few of them with packed weights, whether or not those for many were faster:
# `ggml_cuda_should_use_mmvq`, `mul_mat_vec_max_cols` of Vulkan, and `ggml_metal_op_mul_mat` of b11549, whose kernels end at 16 rows.
VECTOR_TOKENS = {"cuda": 8, "rocm": 8, "vulkan": 8, "metal": 16}
# Queries that attention multiplies at once with a key, at least, where it does not take them one by one; GPUs', as matrices.
QUERY_TILES = {"cpu": 32}
# Kernels for few tokens that go through pairs of a token and its expert read an expert's weights again for each; how much of
# that comes from a cache is not known: 0, none is read again, to 1, all of it. Metal's and Vulkan's go through pairs, CUDA's through
# pairs of one expert close after each other, a CPU through experts.
READ_AGAIN = {"cpu": 0.0, "metal": 1.0, "vulkan": 0.7}
OTHER_READ_AGAIN = 0.5

# ---- the factors of each quantity ----


def _distinct(listed: Callable[..., Iterator[Factor]]) -> Callable[..., tuple[Factor, ...]]:
    """Each factor once, with its measured prior if it has one: on a CPU the kind of device and the API are one."""

    @wraps(listed)
    def found(*where: object) -> tuple[Factor, ...]:
        by_name: dict[str, Factor] = {}
        for factor in listed(*where):
            by_name.setdefault(factor.name, Factor(factor.name, *MEASURED.get(factor.name, factor[1:])))
        return tuple(by_name.values())

    return found


# By how much a device's own differs from what the other factors say of it: as devices that a fit left out scatter.
OWN = {
    "bandwidth": 0.15, "core": 0.2, "cache": 0.4, "vector": 0.4, "further": 0.3, "matrix": 0.4, "attention": 0.4, "attended": 0.4,
    "launch": 0.4, "step": 0.6, "sequence": 0.6,
}  # fmt: skip
OWN_KIND = 0.6  # of that, for one kind of weights or cache beside the others


def _own(at: Place, quantity: str, *kinds: str) -> Iterator[Factor]:
    """What measurements on the device itself say of a quantity, and of the *kinds* of weights or cache that it is of."""
    if at.is_learned:
        yield Factor(f"own/{quantity}", 1, OWN[quantity])
        for kind in filter(None, kinds):
            yield Factor(f"own/{quantity}/{kind}", 1, OWN[quantity] * OWN_KIND)


_API_LAUNCH_S = {"cpu": 6e-6, "cuda": 2.5e-6, "rocm": 4e-6, "vulkan": 2.5e-6, "metal": 4.5e-6, "sycl": 5e-6}
# What one core reads by itself, GB/s: limited by the lines that it can wait for at once.
_CORE_GB_PER_S = {"server-cpu": 10.0, "desktop-cpu": 36.0, "laptop-cpu": 25.0, "apple": 75.0, "igpu": 25.0}


@_distinct
def bandwidth(at: Place, fmt: str, is_expert: bool) -> Iterator[Factor]:
    """Of the share of the sustained bandwidth at which weights of a family of formats are read."""
    yield from _own(at, "bandwidth", fmt, "experts" if is_expert else "")
    yield Factor(f"bandwidth/{at.kind}", 0.88, 0.15)
    yield Factor(f"bandwidth/{at.api}", 1, 0.1)
    yield Factor(f"bandwidth/{at.api}/{at.generation}", 1, 0.08)
    yield Factor(f"bandwidth/{at.kernels}/{at.kind}", 1, 0.2 if at.kernels != "llama.cpp" else 0.02)
    yield Factor(f"bandwidth/{at.kind}/{fmt}", 1, 0.1)
    yield Factor(f"bandwidth/{at.api}/{fmt}", 1, 0.08)
    if at.is_hbm:
        yield Factor("bandwidth/hbm", 1, 0.1)
        yield Factor(f"bandwidth/{at.kernels}/hbm", 1, 0.25)
    if not at.is_measured:
        yield Factor(f"bandwidth/unmeasured/{at.device_class}", 1, 0.08)
    if at.is_early and at.kind == "gpu":
        yield Factor(f"bandwidth/early/{at.api}", 0.95, 0.15)
    if at.n_sockets > 1:
        yield Factor("bandwidth/sockets", 0.45, 0.35)
    if is_expert:
        yield Factor(f"bandwidth/experts/{at.api}", 1, 0.15)
        yield Factor(f"bandwidth/experts/{at.kernels}/{at.kind}", 1, 0.12)


@_distinct
def cached(at: Place, is_quantised: bool, is_state: bool) -> Iterator[Factor]:
    """Of the share of the sustained bandwidth at which caches and recurrent states are read."""
    yield from _own(at, "cache", "state" if is_state else "quantised" if is_quantised else "")
    yield Factor(f"cache/{at.kind}", 0.65, 0.4)
    yield Factor(f"cache/{at.api}", 1, 0.3)
    yield Factor(f"cache/{at.api}/{at.generation}", 1, 0.12)
    yield Factor(f"cache/{at.kernels}/{at.kind}", 1, 0.5)
    if is_state:
        yield Factor(f"cache/state/{at.api}", 1, 0.3)
        return
    if not at.has_flash:
        yield Factor(f"cache/scores/{at.kind}", 0.6, 0.4)
        yield Factor(f"cache/scores/{at.api}", 1, 0.25)
    if is_quantised:
        yield Factor(f"cache/quantised/{at.api}", 0.75, 0.35)
    if at.is_early:
        yield Factor(f"cache/early/{at.api}", 1, 0.2)


@_distinct
def core(at: Place) -> Iterator[Factor]:
    """Of what one core of a CPU reads, bytes per second."""
    yield from _own(at, "core")
    yield Factor(f"core/{at.device_class}", 1e9 * _CORE_GB_PER_S.get(at.device_class, 9.0), 0.3)


@_distinct
def vector(at: Place, fmt: str) -> Iterator[Factor]:
    """Of the share of the peak of `LANE_PRODUCTS` at which weights are unpacked and multiplied with one token."""
    yield from _own(at, "vector", fmt)
    yield Factor(f"vector/{at.kind}", 0.15 if at.kind == "cpu" else 0.04, 0.7)
    yield Factor(f"vector/{at.api}", 1, 0.4 if at.kind == "gpu" else 0.01)
    yield Factor(f"vector/{at.api}/{at.generation}", 1, 0.25)
    yield Factor(f"vector/{at.vendor}/{at.generation}", 1, 0.25 if at.kind == "cpu" else 0.01)
    yield Factor(f"vector/{at.kind}/{fmt}", 1, 0.45)
    yield Factor(f"vector/{at.generation}/{fmt}", 1, 0.15)
    yield Factor(f"vector/{at.kernels}/{at.kind}", 1, 0.4 if at.kernels != "llama.cpp" else 0.02)
    yield Factor(f"vector/{at.kernels}/{at.kind}/{fmt}", 1, 0.25)
    if at.is_early and at.kind == "cpu":
        yield Factor("vector/early/cpu", 0.7, 0.3)
        yield Factor(f"vector/early/cpu/{at.generation}", 1, 0.5)


@_distinct
def further(at: Place, fmt: str) -> Iterator[Factor]:
    """Of what each further token costs beside the first, whose cost holds the unpacking."""
    yield from _own(at, "further", fmt)
    yield Factor(f"further/{at.kind}", 0.5, 0.5)
    yield Factor(f"further/{at.api}", 1, 0.35 if at.kind == "gpu" else 0.01)
    yield Factor(f"further/{at.kernels}/{at.kind}", 1, 0.35)
    yield Factor(f"further/{at.api}/{fmt}", 1, 0.2)


def _tabled(at: Place, fmt: str, is_expert: bool) -> Iterator[Factor]:
    """The same of kernels whose products were measured by themselves."""
    yield Factor(f"matrix/of {at.kernels}/{fmt}", 0.49, 0.2)
    yield from _own(at, "matrix", fmt)
    if is_expert:
        yield Factor(f"matrix/of {at.kernels}/experts/{fmt}", 1, 0.3)
        yield Factor(f"matrix/of {at.kernels}/experts/{at.generation}/{fmt}", 1, 0.2)


@_distinct
def matrix(at: Place, fmt: str, is_expert: bool = False) -> Iterator[Factor]:
    """Of the share of the peak for matrices that products with many tokens reach."""
    if at.kind == "gpu" and at.kernels in TABLED:
        yield from _tabled(at, fmt, is_expert)
        return
    yield from _own(at, "matrix", fmt)
    yield Factor(f"matrix/{at.kind}", 0.25 if at.kind == "cpu" else 0.4, 0.5 if at.kind == "cpu" else 0.15)
    yield Factor(f"matrix/{at.api}", 1, 0.2)
    yield Factor(f"matrix/{at.api}/{at.generation}", 1, 0.3)
    if at.kind == "gpu":
        yield Factor(f"matrix/{at.api}/{at.device_class}", 1, 0.2)  # held back by power, or by short sums
    elif at.n_sockets > 1:
        yield Factor("matrix/sockets", 0.5, 0.5)
    yield Factor(f"matrix/{at.kernels}/{at.kind}", 1, 0.4)
    packed = "wide" if fmt == "wide" else "packed"
    yield Factor(f"matrix/{at.api}/{packed}", 1, 0.3)
    yield Factor(f"matrix/{at.api}/{fmt}", 1, 0.2)
    yield Factor(f"matrix/{at.generation}/{packed}", 1, 0.2)
    yield Factor(f"matrix/{at.kernels}/{at.kind}/{fmt}", 1, 0.25)
    yield Factor(f"matrix/{at.kernels}/{at.generation}/{packed}", 1, 0.2)
    if is_expert:
        yield Factor(f"matrix/experts/{at.api}", 1, 0.3)
        yield Factor(f"matrix/experts/{at.kernels}/{at.kind}/{packed}", 1, 0.8)
        yield Factor(f"matrix/experts/{at.kernels}/{at.generation}/{fmt}", 1, 0.2)
    if at.is_early and packed == "packed":  # others went through BLAS before, too
        yield Factor(f"matrix/early/{at.api}", 0.8, 0.4)


@_distinct
def fill(at: Place) -> Iterator[Factor]:
    """Of the tokens by which kernels for many compute more than there are: their tiles are large, and the last is not full."""
    yield Factor(f"fill/{at.kind}", 4 if at.kind == "cpu" else 40, 0.6)
    yield Factor(f"fill/{at.api}", 1, 0.4)


@_distinct
def attended(at: Place, is_quantised: bool, is_state: bool) -> Iterator[Factor]:
    """Of the share of the peak for matrices at which attention multiplies many queries with what is cached."""
    yield from _own(at, "attended", "state" if is_state else "quantised" if is_quantised else "")
    yield Factor(f"attended/{at.kind}", 0.08 if at.kind == "cpu" else 0.25, 0.5)
    yield Factor(f"attended/{at.api}", 1, 0.4)
    yield Factor(f"attended/{at.api}/{at.generation}", 1, 0.3)
    yield Factor(f"attended/{at.kernels}/{at.kind}", 1, 0.4)
    if is_state:
        yield Factor(f"attended/state/{at.api}", 0.5, 0.8)
        return
    if not at.has_flash:
        yield Factor(f"attended/scores/{at.api}", 0.5, 0.5)
    if is_quantised:
        yield Factor(f"attended/quantised/{at.api}", 0.8, 0.4)
    if at.is_early:
        yield Factor(f"attended/early/{at.api}", 1, 0.3)


@_distinct
def attention(at: Place, is_quantised: bool) -> Iterator[Factor]:
    """Of the share of the peak of `LANE_PRODUCTS` at which attention multiplies with what is cached."""
    yield from _own(at, "attention", "quantised" if is_quantised else "")
    yield Factor(f"attention/{at.kind}", 0.08, 0.8)
    yield Factor(f"attention/{at.api}", 1, 0.4)
    yield Factor(f"attention/{at.kernels}/{at.kind}", 1, 0.4)
    if at.kind == "cpu":
        yield Factor(f"attention/cpu/{at.generation}", 1, 0.25)
    if not at.has_flash:
        yield Factor(f"attention/scores/{at.api}", 0.7, 0.4)
    if is_quantised:
        yield Factor(f"attention/quantised/{at.api}", 0.75, 0.4)
        yield Factor(f"attention/quantised/{at.kernels}/{at.api}/{'flash' if at.has_flash else 'scores'}", 1, 0.8)


@_distinct
def launch(at: Place, is_expert: bool = False) -> Iterator[Factor]:
    """Of the seconds that each operation takes before it works."""
    yield from _own(at, "launch")
    yield Factor(f"launch/{at.api}", _API_LAUNCH_S.get(at.api, 5e-6), 0.4)
    yield Factor(f"launch/{at.api}/{at.generation}", 1, 0.2)
    yield Factor(f"launch/{at.kernels}/{at.kind}", at.launches, 0.5 if at.kernels != "llama.cpp" else 0.02)
    if at.is_early:
        yield Factor(f"launch/early/{at.kind}", 1.3, 0.25)
    if is_expert and at.kind == "gpu":
        # Pairs of tokens and experts are sorted, counted and padded, and the sum is made, around the matrices.
        yield Factor(f"launch/experts/{at.kernels}", 1, 0.4)


@_distinct
def step(at: Place) -> Iterator[Factor]:
    """Of the seconds that each step takes whatever the model: sampling, scheduling, the host."""
    yield from _own(at, "step")
    yield Factor(f"step/{at.kind}", 1e-4, 0.5)
    yield Factor(f"step/{at.program}/{at.kind}", at.step_s / 1e-4, 0.8)


@_distinct
def submit(at: Place) -> Iterator[Factor]:
    """Of the seconds that a GPU waits for each kernel of a step that reads a prompt, of which no graph was recorded."""
    yield Factor("submit", 2e-6, 0.8)
    yield Factor(f"submit/{at.program}", 1, 0.6)


@_distinct
def link(at: Place) -> Iterator[Factor]:
    """Of what passing results among devices takes, over what their links' latency and bandwidth say."""
    yield Factor("link", 1, 0.1)
    yield Factor(f"link/{at.program}", 1, 0.5)
    if at.is_early:
        yield Factor(f"link/early/{at.program}", 1.5, 0.6)


@_distinct
def sequence(at: Place) -> Iterator[Factor]:
    """Of the seconds that each sequence of a batch takes in each step beside that."""
    yield from _own(at, "sequence")
    yield Factor("sequence", 1e-5, 0.8)
    yield Factor(f"sequence/{at.program}", 1, 0.6)


# ---- their values ----


@cache
def fitted() -> Mapping[str, float]:
    """Natural logarithms of the fitted factors, by name."""
    if not FITTED.is_file():
        return {}
    return {name: math.log(each["value"]) for name, each in json.loads(FITTED.read_text())["factors"].items()}


def product(factors: Iterable[Factor], values: Mapping[str, float]) -> float:
    """What factors come to; those without a fitted value count as their prior has it."""
    return math.exp(math.fsum(values.get(each.name, math.log(each.median)) for each in factors))


def share(factors: Iterable[Factor], values: Mapping[str, float]) -> float:
    """A share of what hardware sustains, which no product of factors makes more than all of it: it nears 1 from below."""
    return share_of(math.log(product(factors, values)))


SHARPNESS = 20.0  # how near to 1 a share bends away from it: a product of 1 becomes 0.966


def share_of(log_product: float) -> float:
    """The share that a product's logarithm stands for."""
    bent = SHARPNESS * log_product
    return math.exp(log_product if bent < -30 else -math.log1p(math.exp(-bent)) / SHARPNESS)
