"""What software adds to the hardware: kernels that reach a share of bandwidth and peak, launches, a cost per step."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Literal

from simulator.errors import InputError, hint
from simulator.spec.cache_rules import CacheRules
from simulator.spec.engine_speeds import EngineSpeeds
from simulator.spec.exchange import Exchange
from simulator.spec.factors import Place, fitted, generation
from simulator.spec.figure import BY_DEFINITION, Figure
from simulator.spec.hardware import PEAK_FORMATS, Hardware
from simulator.spec.kernels import Kernels
from simulator.spec.library import RUNTIMES, find, names
from simulator.spec.mixes import MIXES, formats_in, parse_weights
from simulator.spec.names import is_same
from simulator.spec.own_figures import learned_of
from simulator.spec.quant import FORMATS, Format, parse_cache_format
from simulator.spec.schema import Field, Spec, rule, rule_for
from simulator.spec.serving import Serving
from simulator.spec.shipped import load_spec
from simulator.units import MICRO

# Standard deviation of the logarithm of what a forecast leaves out, whatever the figures: kernels' shapes, clocks, other load.
MODEL_SPREAD = 0.05
# What a runtime's check command may name.
PLACEHOLDERS = ("file", "model", "weights", "cache", "keys", "values", "context", "batches", "threads", "cells")
FITTED_TO = "fitted to published measurements: roofcast score"
FITTED_SHARE = Figure.model_construct(value=1.0, provenance="fitted", source=FITTED_TO)
_COMPOSED: dict[tuple, Backend] = {}  # backends put together from factors, which the dictionaries of those outlive
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
            unknown = [each for each in formats if each not in PEAK_FORMATS]
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
        found = (hardware.peak(each, threads) for each in (*order, *usable_arithmetic(fmt)))
        return next((figure for figure in found if figure), None)


def usable_arithmetic(fmt: Format) -> tuple[str, ...]:
    """Number formats that a product with such weights may be computed in without losing what they hold, fastest first."""
    if fmt.bits > 16:
        return ("tf32", "f32")
    if fmt.bits == 16:
        return ("f16", "bf16", "tf32", "f32")
    if fmt.bits >= 8:
        return ("fp8", "int8", "f16", "bf16", "tf32", "f32")
    return ("fp4", "int4", "fp8", "int8", "f16", "bf16", "tf32", "f32")


def ceiling_peak(fmt: Format, hardware: Hardware, threads: int | None, chosen: Figure | None) -> float | None:
    """The most operations a second any software could reach on such weights."""
    found = [hardware.peak(each, threads) for each in usable_arithmetic(fmt)]
    return max((figure.value for figure in (*found, chosen) if figure), default=None)


class Requirement(Spec):
    """What a GPU must be for a runtime, or a format of it, to have kernels for it; with neither field there are none."""

    at_least: float | None = Field(None, gt=0, le=1_000)  # compute capability
    one_of: tuple[str, ...] = Field((), max_length=100)  # architectures
    source: str = Field(min_length=1)
    how: str = ""

    def is_met_by(self, hardware: Hardware) -> bool | None:
        """Whether *hardware* will do; None where its file does not say what it is."""
        if self.at_least is None and not self.one_of:
            return False
        if hardware.architecture is None:
            return None
        if self.at_least is not None:
            capability = hardware.architecture.compute_capability
            return None if capability is None else capability >= self.at_least
        return hardware.architecture.name in self.one_of

    def unmet(self, hardware: Hardware) -> str:
        """In words, what is needed and what is there."""
        if hardware.architecture is None or (self.at_least is None and not self.one_of):
            return self.how
        if self.at_least is not None:
            return f"compute capability {self.at_least:.1f} is needed, this GPU has {hardware.architecture.compute_capability:.1f}"
        return f"{' or '.join(self.one_of)} is needed, this GPU is {hardware.architecture.name}"


@dataclass(frozen=True)
class Conditions:
    """How and when a runtime ran, where that is not as it runs today."""

    api: str = ""  # that a GPU was driven by
    date: str = ""  # 2024-05 or 2024-05-17
    flash_attention: bool | None = None


class Runtime(Spec):
    """Software that decodes.

    `apis` by vendor of a GPU, or cpu: what it computes with there, the usual one first; its kernels are then known from
    published measurements (`spec/factors.py`). Or `backends` by vendor or kind of device, the most particular first.
    """

    name: str = Field(min_length=1, max_length=200)
    title: str = ""
    aliases: tuple[str, ...] = Field((), max_length=20)
    runs_in: dict[str, str] = Field({}, max_length=20)  # programs that hold it and nothing else, and their titles
    nearest_to: tuple[str, ...] = Field((), max_length=100)  # other software, for which there are no figures
    sources: dict[str, str] = Field({}, max_length=200)
    like: str = ""  # a shipped runtime whose kernels it runs: that one's fields hold where these are left out
    apis: dict[str, tuple[str, ...]] = Field({}, max_length=16)
    kernels: str = ""  # whose kernels it runs; empty: its own, or of the runtime that it is like
    has_vector_kernels: bool = True  # for few tokens; without them, as few cost what a tile does
    launches: dict[str, Figure] = Field(
        {}, max_length=2
    )  # by cpu, gpu: kernels launched, of those that a plain graph has
    step_us: dict[str, Figure] = Field(
        {}, max_length=2
    )  # the same: what a step costs beside its kernels, before fitting
    early_until: str = ""  # year and month before which its kernels were others
    flash_since: str = ""  # year and month since which attention keeps no scores in memory, unless told otherwise
    arithmetic: dict[str, tuple[str, ...]] = Field({}, max_length=200)  # as a backend's
    backends: dict[str, Backend] = Field({}, max_length=64)
    same_as: dict[str, str] = Field({}, max_length=64)  # devices that take another backend's figures: {amd: nvidia}
    requires: dict[str, Requirement] = Field({}, max_length=64)  # of GPUs, by vendor
    formats_require: dict[str, dict[str, Requirement]] = Field(
        {}, max_length=64
    )  # by format of weights or cache, vendor
    loads: tuple[str, ...] = Field((), max_length=200)  # formats and mixes of weights; with none named, any
    caches: tuple[str, ...] = Field((), max_length=64)  # the same of the cache
    instead: dict[str, str] = Field({}, max_length=64)  # of a format that a device or this runtime cannot have
    weights: tuple[str, ...] = Field(min_length=1)  # what to load where the user names no format, best first
    compared: tuple[str, ...] = ()  # formats that people choose among, besides the first of `weights` that fits
    native_weights: dict[str, str] = Field({}, max_length=64)  # a checkpoint's own format, and what it is loaded as
    cache: str = "f16"
    cache_rules: CacheRules = CacheRules.model_construct()
    split: Literal["tensors", "layers"] = "tensors"  # how it uses several devices: all at once, or one after the other
    exchange: Exchange = Exchange.model_construct()  # among those devices
    serving: Serving = Serving.model_construct()
    scratch_tokens: int = Field(0, ge=0, le=1_000_000)  # rows of logits that its compute buffer holds
    memory_share: float = Field(1.0, gt=0, le=1)  # of what a device can give
    keeps_lookup_on_host: bool = (
        False  # embeddings whose rows are looked up stay in the memory of the machine around a card
    )
    # What the timing model leaves out, as a standard deviation of the logarithm.
    model_spread: float = Field(MODEL_SPREAD, ge=0, le=2)
    is_engine: bool = False  # roofcast's own: what a device file says of it holds before the figures here
    check: str = ""  # the command that measures what was forecast, at batch 1
    check_batch: str = ""  # the same for batches
    notes: str = ""
    _conditions = Conditions()
    _factors: Mapping[str, float] | None = None  # instead of the fitted ones

    @rule
    def _check(self) -> None:
        if self.like and (self.like == self.name or self.like not in names(RUNTIMES)):
            raise ValueError(f"like: {self.like}: there is no such runtime, {hint(self.like, names(RUNTIMES))}")
        if not (self.backends or self.apis or self.like):
            raise ValueError("backends: at least one is needed, or like: RUNTIME for those of another runtime")
        for month in filter(None, (self.early_until, self.flash_since)):
            if not re.fullmatch(r"\d{4}-\d\d", month):
                raise ValueError(f"a year and a month are needed, as 2025-08, got {month!r}")
        for key, other in self.same_as.items():
            if other not in self.backends and not self.like:
                raise ValueError(f"same_as: {key}: there is no backend {other}, {hint(other, self.backends)}")
        known = {*FORMATS, *MIXES}
        for name in (*self.formats_require, *self.instead, *self.instead.values(), *self.loads, *self.caches):
            if name not in known:
                raise ValueError(f"{name}: unknown format, {hint(name, sorted(known))}")

    @rule_for("weights", "compared", "native_weights")
    @staticmethod
    def _check_weights(names: tuple[str, ...] | dict[str, str]) -> tuple[str, ...] | dict[str, str]:
        for name in names.values() if isinstance(names, dict) else names:
            parse_weights(name)
        return names

    @rule_for("cache")
    @staticmethod
    def _check_cache(name: str) -> str:
        parse_cache_format(name)
        return name

    @rule_for("check", "check_batch")
    @staticmethod
    def _check_template(template: str) -> str:
        try:
            parts = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"{error}: a brace that is meant is written twice") from None
        for name, form, conversion in parts:
            if name not in PLACEHOLDERS or form or conversion:
                raise ValueError(f"{{{name}}} is unknown, known: {', '.join(f'{{{each}}}' for each in PLACEHOLDERS)}")
        return template

    def under(self, api: str = "", date: str = "", flash_attention: bool | None = None) -> Runtime:
        """The same runtime as it ran somewhere: on another API of the GPU, at a time, with flash attention or without."""
        return self.model_copy(update={"_conditions": Conditions(api, date, flash_attention)})

    def with_factors(self, values: Mapping[str, float]) -> Runtime:
        """The same runtime with other values of its factors (logarithms by name) than the fitted ones."""
        return self.model_copy(update={"_factors": values})

    def place(self, hardware: Hardware) -> Place:
        """Where and how its operations run on a device, as far as fitted factors tell that apart."""
        date = self._conditions.date
        is_early = bool(date and self.early_until and date < self.early_until)
        flash = self._conditions.flash_attention
        if flash is None:
            flash = not (date and self.flash_since and date < self.flash_since)
        return Place(
            kind=hardware.kind,
            api=self._api(hardware),
            generation=generation(hardware.architecture.name if hardware.architecture else ""),
            device_class=hardware.device_class,
            vendor=hardware.vendor,
            kernels=self.kernels or self.name,
            program=self.name,
            is_early=is_early,
            has_flash=flash,
            is_measured=hardware.main_memory.is_measured,
            n_sockets=hardware.sockets,
            launches=self.launches[hardware.kind].value if hardware.kind in self.launches else 1.0,
            step_s=self.step_us[hardware.kind].value * MICRO if hardware.kind in self.step_us else 1e-4,
        )

    def _api(self, hardware: Hardware) -> str:
        """What it computes with on a device; empty where it has nothing for such a one."""
        if hardware.kind == "cpu":
            return "cpu" if "cpu" in self.apis else ""
        found = self.apis.get(hardware.vendor, self.apis.get("gpu", ()))
        asked = self._conditions.api
        return asked if asked in found else found[0] if found and not asked else ""

    def backend(self, hardware: Hardware) -> Backend:
        """The part for a device; InputError where this runtime has no figures for such a device or does not run on it.

        A GPU's is looked for by vendor and kind of memory, then vendor, then among all GPUs; `default` holds for any device.
        """
        refusal = self.refusal(hardware)
        if refusal:
            others = "" if load_runtime("llama.cpp").refusal(hardware) else "llama.cpp, or "
            raise InputError(f"{refusal}; take {others}roofline for the hardware alone")
        found = self._backend(hardware)
        assert found is not None, "refused above"
        return _with_speeds(found, hardware.engine) if self.is_engine and hardware.engine else found

    def _backend(self, hardware: Hardware) -> Backend | None:
        if self.apis:
            return self._calibrated(hardware) if self._api(hardware) else None
        keys = ("cpu", "default")
        if hardware.kind == "gpu":
            memory = "hbm" if hardware.main_memory.name.upper().startswith("HBM") else "gddr"
            keys = (f"{hardware.vendor}-{memory}", hardware.vendor, "gpu", "default")
        names = (self.same_as.get(key, key) for key in keys)
        return next((self.backends[name] for name in names if name in self.backends), None)

    def _calibrated(self, hardware: Hardware) -> Backend:
        values = fitted() if self._factors is None else self._factors
        place = self.place(hardware)
        learned = learned_of(hardware, self.name, place.api)
        own = learned.factors if learned else ()
        key = (place, self.has_vector_kernels, id(values), own)
        if key not in _COMPOSED:
            kernels = Kernels(place, values, self.has_vector_kernels)
            kernels = kernels.with_own(dict(own)) if own else kernels
            launch = Figure.model_construct(value=kernels.launch_s / MICRO, provenance="fitted", source=FITTED_TO)
            step = Figure.model_construct(value=kernels.step_s / MICRO, provenance="fitted", source=FITTED_TO)
            _COMPOSED[key] = Backend.model_construct(
                arithmetic=self.arithmetic, launch_share=ONE, launch_us=launch, step_us=step
            ).model_copy(update={"_kernels": kernels})
        return _COMPOSED[key]

    def refusal(self, hardware: Hardware, formats: str = "", of: Literal["weights", "cache"] = "weights") -> str:
        """Why this runtime cannot run on a device, or not with *formats* (a name, as in mxfp4+bf16); empty where it can.

        What is not known of a device is not held against it.
        """
        if self._backend(hardware) is None:
            what = "CPUs" if hardware.kind == "cpu" else f"GPUs of {hardware.vendor or 'an unnamed vendor'}"
            how = f" with {self._conditions.api}" if self._conditions.api and hardware.kind == "gpu" else ""
            return f"runtime {self.name} has no figures for {what}{how}"
        needed = self._required(hardware)
        if needed and needed.is_met_by(hardware) is False:
            return f"runtime {self.name} does not run on {hardware.name}: {needed.unmet(hardware)}"
        for name in formats_in(formats) if of == "weights" else formats.split("/"):
            if not self._has(name, of):
                return f"runtime {self.name} {'loads no weights' if of == 'weights' else 'keeps no cache'} in {name}"
            needed = self._required(hardware, name)
            if needed and needed.is_met_by(hardware) is False:
                return f"runtime {self.name} does not run {name} on {hardware.name}: {needed.unmet(hardware)}"
        return ""

    def _has(self, name: str, of: str) -> bool:
        """Whether it knows a format; what has no name of its own, such as 4.5bpw or a file's formats, stands for any."""
        known = self.loads if of == "weights" else self.caches
        return not known or name in known or not (name in FORMATS or name in MIXES)

    def is_sure(self, hardware: Hardware) -> bool:
        """Whether the device's file says enough to know that this runtime runs on it, or that it does not."""
        needed = self._required(hardware)
        return needed is None or needed.is_met_by(hardware) is not None

    def _required(self, hardware: Hardware, name: str | None = None) -> Requirement | None:
        by_vendor = self.requires if name is None else self.formats_require.get(name, {})
        return by_vendor.get(hardware.vendor) if hardware.kind == "gpu" else None

    def suited(self, formats: str, hardware: Hardware, of: Literal["weights", "cache"] = "weights") -> str:
        """*formats*, or what is loaded in their place where the runtime does not know them or the device has no kernels."""
        return self.instead.get(formats, formats) if self.refusal(hardware, formats, of) else formats

    def scratch_bytes(self, vocab: int) -> float:
        """Working memory beside weights and cache: the logits of its largest step dominate."""
        return 4.0 * self.scratch_tokens * vocab


def _with_speeds(base: Backend, speeds: EngineSpeeds) -> Backend:
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


def load_runtime(given: str | Path) -> Runtime:
    """A runtime by shipped name, that of a program it runs in, or YAML file; InputError if it is unusable."""
    try:
        path = find(given, RUNTIMES, "runtime")
    except InputError:
        if isinstance(given, str | Path):
            refuse_other_software(str(given))
        raise
    runtime = _shipped(path) if path.parent == RUNTIMES else _complete(load_spec(path, Runtime))
    program = next((title for name, title in runtime.runs_in.items() if is_same(name, str(given))), None)
    return runtime.model_copy(update={"title": f"{runtime.title} (in {program})"}) if program else runtime


@cache
def _shipped(path: Path) -> Runtime:
    return _complete(load_spec(path, Runtime))


_OF_ITS_OWN = ("name", "title", "aliases", "runs_in", "nearest_to", "like", "check", "check_batch", "notes")


def _complete(own: Runtime) -> Runtime:
    """A runtime with all that it shares with the one whose kernels it runs; each backend field by field."""
    if not own.like:
        return own
    base = _shipped(RUNTIMES / f"{own.like}.yaml")
    told = {name: getattr(own, name) for name in (*_OF_ITS_OWN, *own.given)}
    told.setdefault("kernels", base.kernels or base.name)
    backends = dict(base.backends)
    for key, backend in own.backends.items():
        if key not in backends:
            raise InputError(f"runtime {own.name}: backends: {own.like} has no backend {key}, {hint(key, backends)}")
        backends[key] = backends[key].model_copy(update={name: getattr(backend, name) for name in backend.given})
    return base.model_copy(update=told | {"backends": backends, "sources": base.sources | own.sources})


def refuse_other_software(given: str) -> None:
    """InputError for well-known software without figures, with what is nearest to it."""
    for name in names(RUNTIMES):
        runtime = _shipped(RUNTIMES / f"{name}.yaml")
        if any(is_same(each, given) for each in runtime.nearest_to):
            raise InputError(
                f"runtime {given!r} is not forecast, since no figures of it are known here; the nearest is {name}, or "
                "roofline for the hardware alone"
            )


_WELL_KNOWN = ("llama.cpp", "vllm", "mlx", "transformers")


def runtimes_with(hardware: Hardware, formats: str, of: Literal["weights", "cache"]) -> list[str]:
    """Shipped runtimes that run on a device with *formats*: well-known ones first, the hardware alone last."""
    found = [name for name in names(RUNTIMES) if not load_runtime(name).refusal(hardware, formats, of)]
    known = [*_WELL_KNOWN, *sorted({*found} - {*_WELL_KNOWN, "roofline"}), "roofline"]
    return sorted(found, key=known.index)


def default_runtime(hardware: Hardware) -> str:
    """What people run on such a device when they name nothing: the first that can run on it, at last the hardware alone."""
    return next(name for name in _usual(hardware) if not load_runtime(name).refusal(hardware))


def passed_over(hardware: Hardware) -> list[str]:
    """Why the default is not what people run on most devices of its class."""
    refusals = (load_runtime(name).refusal(hardware) for name in _usual(hardware))
    return list(takewhile(bool, refusals))


def _usual(hardware: Hardware) -> tuple[str, ...]:
    is_server = hardware.device_class == "datacenter-gpu" and hardware.vendor in ("nvidia", "amd")
    return ("vllm", "llama.cpp", "roofline") if is_server else ("llama.cpp", "roofline")
