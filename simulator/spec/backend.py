"""A runtime on one kind of device: what its kernels reach of bandwidth and peak, what its launches and steps cost."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.spec.engine_speeds import EngineSpeeds
from simulator.spec.factors import Place
from simulator.spec.figure import BY_DEFINITION, Figure
from simulator.spec.hardware import PEAK_FORMATS, Hardware
from simulator.spec.kernels import Kernels
from simulator.spec.quant import FORMATS, Format
from simulator.spec.schema import Field, Spec, rule, rule_for
from simulator.units import MICRO

FITTED_TO = "fitted to published measurements: roofcast score"
FITTED_SHARE = Figure.model_construct(value=1.0, provenance="fitted", source=FITTED_TO)
# Backends put together from factors, each with the dictionary of those: while it is kept, no other has its id.
_COMPOSED: dict[tuple, tuple[Mapping[str, float], Backend]] = {}
# Products of f16 summed in f16: tensor cores of GeForce cards do that twice as fast as with sums in f32 (whitepapers of TU102, GA102,
# AD102, GB202), those of other cards as fast.
SHORT_SUMS = "f16-f16"
ONE = Figure.model_construct(value=1.0, provenance="measured", source=BY_DEFINITION)


class Backend(Spec):
    """A runtime on one kind of device. Shares are keyed by format, `default` for the rest; all lie between 0 and 1."""

    bandwidth_share: dict[str, Figure] = Field({}, max_length=200)
    expert_share: Figure | None = None  # times the bandwidth share, where experts are gathered
    peak_share: dict[str, Figure] = Field({}, max_length=200)
    arithmetic: dict[str, tuple[str, ...]] = Field(
        {}, max_length=200
    )  # number formats to compute in, the first that the device has
    launch_us: Figure | None = None  # where the device file has none
    launch_share: Figure | None = None  # kernels launched, of those that a plain graph has
    step_us: Figure | None = None  # once per token: sampling, host, scheduler
    speeds: EngineSpeeds | None = None  # roofcast's own engine, where the device file has its measured kernels
    _kernels: Kernels | None = None  # of a runtime that was fitted to measurements

    @property
    def kernels(self) -> Kernels | None:
        """What was fitted to published measurements; None where the figures here hold."""
        return self._kernels

    @rule_for("bandwidth_share", "peak_share")
    @staticmethod
    def _check_shares(shares: dict[str, Figure]) -> dict[str, Figure]:
        for name, figure in shares.items():
            if name not in FORMATS and name not in ("default", "low_bits"):
                raise ValueError(f"{name}: unknown format")
            if figure.value > 1:
                raise ValueError(f"{name}: a share cannot exceed 1")
        return shares

    @rule_for("arithmetic")
    @staticmethod
    def _check_arithmetic(arithmetic: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, formats in arithmetic.items():
            unknown = [each for each in formats if each not in (*PEAK_FORMATS, SHORT_SUMS)]
            if unknown or not formats:
                raise ValueError(f"{name}: unknown number format {unknown}, known: {', '.join(PEAK_FORMATS)}")
        return arithmetic

    @rule
    def _check(self) -> None:
        if self.expert_share and self.expert_share.value > 1:
            raise ValueError("expert_share cannot exceed 1")

    def bandwidth_share_of(self, fmt: Format, is_expert: bool) -> Figure:
        """The share of the device's sustained bandwidth that kernels of this format reach."""
        figure = _of(self.bandwidth_share, fmt)
        if not (is_expert and self.expert_share):
            return figure
        return _weaker(figure, self.expert_share, figure.value * self.expert_share.value)

    def peak_share_of(self, fmt: Format) -> Figure:
        """The share of the device's peak that kernels of this format reach."""
        return _of(self.peak_share, fmt)

    def peak_of(self, fmt: Format, hardware: Hardware, threads: int | None) -> Figure | None:
        """The peak of the number format that this runtime computes in; None where the device file has none."""
        wide = "f32" if fmt.bits > 16 else "f16" if fmt.bits == 16 else "default"
        order = self.arithmetic.get(fmt.kernel) or self.arithmetic.get(wide) or self.arithmetic.get("default") or ()
        # Where the device file has none of these, what it has: a forecast must not know less than its ceiling.
        found = (_peak(hardware, each, threads) for each in (*order, *usable_arithmetic(fmt)))
        return next((figure for figure in found if figure), None)


def _peak(hardware: Hardware, number_format: str, threads: int | None) -> Figure | None:
    if number_format != SHORT_SUMS:
        return hardware.peak(number_format, threads)
    capability = hardware.architecture.compute_capability if hardware.architecture else None
    is_geforce = hardware.device_class == "consumer-gpu" and capability is not None and capability >= 7.5
    figure = hardware.peak("f16", threads)
    return figure.times(2.0) if figure and is_geforce else figure


def usable_arithmetic(fmt: Format) -> tuple[str, ...]:
    """Number formats that a product with such weights may be computed in without losing what they hold, fastest first."""
    if fmt.bits > 16:
        return ("tf32", "f32")
    if fmt.bits == 16:
        return (*((SHORT_SUMS,) if fmt.kernel == "f16" else ()), "f16", "bf16", "tf32", "f32")
    if fmt.bits >= 8:
        return ("fp8", "int8", SHORT_SUMS, "f16", "bf16", "tf32", "f32")
    return ("fp4", "int4", "fp8", "int8", SHORT_SUMS, "f16", "bf16", "tf32", "f32")


def ceiling_peak(fmt: Format, hardware: Hardware, threads: int | None, chosen: Figure | None) -> float | None:
    """The most operations a second any software could reach on such weights."""
    found = [_peak(hardware, each, threads) for each in usable_arithmetic(fmt)]
    return max((figure.value for figure in (*found, chosen) if figure), default=None)


def fitted_backend(
    place: Place,
    values: Mapping[str, float],
    has_vector: bool,
    arithmetic: Mapping[str, tuple[str, ...]],
    own: tuple[tuple[str, float], ...] = (),
) -> Backend:
    """The backend whose kernels reach what factors (logarithms by name) say of a place; the same one whenever asked again.

    *own*: factors of the device's own, which were measured on it.
    """
    key = (place, has_vector, tuple(arithmetic.items()), id(values), own)
    if key not in _COMPOSED:
        kernels = Kernels(place, values, has_vector)
        kernels = kernels.with_own(dict(own)) if own else kernels
        launch = Figure.model_construct(value=kernels.launch_s / MICRO, provenance="fitted", source=FITTED_TO)
        step = Figure.model_construct(value=kernels.step_s / MICRO, provenance="fitted", source=FITTED_TO)
        backend = Backend.model_construct(arithmetic=arithmetic, launch_share=ONE, launch_us=launch, step_us=step)
        _COMPOSED[key] = values, backend.model_copy(update={"_kernels": kernels})
    return _COMPOSED[key][1]


def with_speeds(base: Backend, speeds: EngineSpeeds) -> Backend:
    """A backend with what was measured on the device itself."""
    return base.model_copy(update={"speeds": speeds, "step_us": speeds.step_us or base.step_us})


def launch_seconds(backend: Backend, hardware: Hardware, threads: int | None = None) -> Figure | None:
    """Seconds that one operation of a plain graph costs before it works; None for a runtime without overhead."""
    if backend.kernels:
        return backend.launch_us.times(MICRO)
    if backend.launch_share is None:
        return None
    measured = backend.speeds.phase_us if backend.speeds else {}
    nearest = min(measured, key=lambda count: abs(count - (threads or hardware.threads or 1)), default=None)
    base = measured[nearest] if nearest else hardware.launch_us or backend.launch_us
    return base.times(MICRO * backend.launch_share.value) if base else None


def _of(shares: dict[str, Figure], fmt: Format) -> Figure:
    if fmt.kernel in shares:
        return shares[fmt.kernel]
    if fmt.bits < 4 and "low_bits" in shares:
        return shares["low_bits"]
    return shares.get("default", ONE)


_ORDER = ("measured", "datasheet", "fitted", "estimated")


def _weaker(one: Figure, other: Figure, value: float) -> Figure:
    """A product of two figures is as good as the worse of them."""
    worse = max(one, other, key=lambda figure: _ORDER.index(figure.provenance))
    return worse.model_copy(update={"value": value})
