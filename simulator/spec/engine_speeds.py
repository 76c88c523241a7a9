"""What roofcast's own engine does on a device, as its profile says."""

from __future__ import annotations

from simulator.spec.figure import Figure, ThreadCount
from simulator.spec.quant import FORMATS
from simulator.spec.schema import Field, Spec, rule_for


class KernelSpeed(Spec):
    """What a kernel of the engine reaches with so many tokens at once, beside a pure read of the same working set."""

    cached_gop_per_s: Figure  # operations with the weights in each core's own cache; a multiply-add is two
    cache_share: Figure | None = None  # of a pure read's speed, weights in the cache that all share
    memory_share: Figure  # the same, weights in main memory
    # Of the pure reads beside it, where those were not the ones of `read_gb_per_s`.
    cache_gb_per_s: Figure | None = None
    memory_gb_per_s: Figure | None = None
    start_us: Figure | None = (
        None  # by column: what each matrix takes beside its bytes, of which the shares then hold nothing
    )
    again_gop_per_s: Figure | None = None  # attention by further tokens of one sequence, in a core's own cache


class EngineSpeeds(Spec):
    """What roofcast's own engine does on a device, measured kernel by kernel, for some thread counts."""

    path: str = ""  # the instructions that its kernels are written for
    # A pure read of the working sets that kernels were measured at: in each core's cache, in the shared one, in memory.
    read_gb_per_s: dict[ThreadCount, tuple[Figure, Figure, Figure]] = Field({}, max_length=16)
    kernels: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field({}, max_length=16)  # format, tokens
    columns: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field(
        {}, max_length=16
    )  # zero inputs left out
    # The same in tiles of fewer rows than kernels take at once; as above where none were measured.
    small_tiles: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field({}, max_length=16)
    attention: dict[ThreadCount, dict[str, dict[ThreadCount, KernelSpeed]]] = Field(
        {}, max_length=16
    )  # queries of a key
    # What each matrix takes beside its bytes, in memory and in the cache that all share; the kernels' shares of a read hold
    # for matrices of these sizes.
    start_us: dict[ThreadCount, Figure] = Field({}, max_length=16)
    matrix_mib: float = Field(4.0, gt=0, le=1e6)
    shared_start_us: dict[ThreadCount, Figure] = Field({}, max_length=16)
    shared_matrix_mib: float = Field(1.0, gt=0, le=1e6)
    phase_us: dict[ThreadCount, Figure] = Field(
        {}, max_length=16
    )  # starting a kernel on all threads, waiting for the last
    # A step of two small models, by which the machine is compared with itself at another time.
    reference_us: dict[ThreadCount, dict[str, Figure]] = Field({}, max_length=16)
    # What those models were made for: bytes of the last cache, and of what was read as memory. Without them nobody knows their sizes.
    cache_mib: float | None = Field(None, gt=0, le=1e6)
    buffer_mib: float | None = Field(None, gt=0, le=1e6)
    step_us: Figure | None = None  # once a step, outside the kernels
    cold_step_us: Figure | None = None  # the same where the weights have left nothing else in the caches
    shared_step_us: Figure | None = None  # the same where they have left nothing else in each core's own caches
    item_ns: dict[ThreadCount, dict[str, Figure]] = Field({}, max_length=16)  # of one thread; keys as in ops.WORK

    @rule_for("kernels", "columns", "small_tiles", "attention")
    @staticmethod
    def _check_formats(kernels: dict[int, dict[str, dict]]) -> dict[int, dict[str, dict]]:
        for by_format in kernels.values():
            for name, speeds in by_format.items():
                if name not in FORMATS:
                    raise ValueError(f"{name}: unknown format")
                if not speeds:
                    raise ValueError(f"{name}: at least one number of tokens is needed")
        return kernels
