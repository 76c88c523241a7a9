"""What software adds to the hardware: kernels that reach a share of bandwidth and peak, launches, a cost per step."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Literal

from simulator.errors import InputError, hint
from simulator.spec.backend import Backend, fitted_backend, with_speeds
from simulator.spec.cache_rules import CacheRules
from simulator.spec.exchange import Exchange
from simulator.spec.factors import APIS, Place, fitted, generation
from simulator.spec.figure import Figure
from simulator.spec.hardware import CPU_KERNELS, Hardware
from simulator.spec.library import RUNTIMES, find, names
from simulator.spec.mixes import MIXES, PURE, formats_in, parse_weights
from simulator.spec.names import is_same
from simulator.spec.own_figures import learned_of
from simulator.spec.quant import FORMATS, parse_cache_format
from simulator.spec.requirement import Requirement
from simulator.spec.schema import Field, Spec, rule, rule_for
from simulator.spec.serving import Serving
from simulator.spec.shipped import load_spec
from simulator.spec.speculation import Drafting
from simulator.units import MICRO

# Standard deviation of the logarithm of what a forecast leaves out, whatever the figures: kernels' shapes, clocks, other load.
MODEL_SPREAD = 0.05
# What a runtime's check command may name.
PLACEHOLDERS = (
    "file",
    "model",
    "weights",
    "cache",
    "keys",
    "values",
    "context",
    "batches",
    "threads",
    "cells",
    "parallel",
)


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
    micro_batch: int = Field(0, ge=0, le=10_000_000)  # tokens of a prompt in a step at most; 0: as in a server's step
    drafting: Drafting = Drafting.model_construct()
    # By a CPU's widest instructions: formats that are copied out of the file's map into an order of their own, so that memory must
    # hold them.
    repacks: dict[str, tuple[str, ...]] = Field({}, max_length=16)
    maps_file: bool = False  # on a CPU, weights stay in the file's map, so that the system can drop and read them again
    scratch_tokens: int = Field(0, ge=0, le=1_000_000)  # rows of logits that its compute buffer holds
    scratch_of_graph: bool = False  # that buffer is as large as the largest micro-batch of so many tokens needs
    memory_share: float = Field(1.0, gt=0, le=1)  # of what a device can give
    # Whether it can keep weights in the memory of a GPU's host, and then computes them there or brings them over in each step.
    uses_host: Literal["", "computes", "crosses"] = ""
    # Tokens at once from which weights that lie in a host's memory are brought to the GPU, which computes them; None: never.
    brings_from: int | None = Field(None, ge=1, le=1_000_000)
    brings_experts_by_use: bool = False  # experts only where each of them gets so many tokens in the mean
    passes_at_once: int = Field(1, ge=1, le=64)  # of a prompt, on several GPUs that have other layers each
    # Of what passes through the layers from one part of a machine to another, beside the link's own.
    move_us: Figure | None = None
    # Embeddings whose rows are looked up stay in the memory of the machine around a card.
    keeps_lookup_on_host: bool = False
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
        if self.apis and self.backends:
            raise ValueError("apis, backends: one of them, kernels known from measurements or figures of their own")
        unknown = next((api for found in self.apis.values() for api in found if api not in APIS), None)
        if unknown is not None:
            raise ValueError(f"apis: {unknown}: there is no such API, {hint(unknown, APIS)}")
        for month in filter(None, (self.early_until, self.flash_since)):
            if not re.fullmatch(r"\d{4}-\d\d", month):
                raise ValueError(f"a year and a month are needed, as 2025-08, got {month!r}")
        for key, other in self.same_as.items():
            if other not in self.backends and not self.like:
                raise ValueError(f"same_as: {key}: there is no backend {other}, {hint(other, self.backends)}")
        known = {*FORMATS, *MIXES}
        for name in (*self.formats_require, *self.instead, *self.instead.values(), *self.loads, *self.caches):
            if name.removeprefix(PURE) not in known:
                raise ValueError(f"{name}: unknown format, {hint(name, sorted(known))}")

    @rule_for("repacks")
    @staticmethod
    def _check_repacks(repacks: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key, formats in repacks.items():
            if key not in CPU_KERNELS:
                raise ValueError(f"{key} is no kind of CPU, {hint(key, CPU_KERNELS)}")
            unknown = next((each for each in formats if each not in FORMATS), None)
            if unknown is not None:
                raise ValueError(f"{key}: {unknown}: unknown format, {hint(unknown, FORMATS)}")
        return repacks

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
        conditions = Conditions(api, date, flash_attention)
        return self.model_copy(update={"_conditions": conditions, "exchange": self.exchange.at(date)})

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
            is_hbm=hardware.main_memory.name.upper().startswith("HBM"),
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
        return with_speeds(found, hardware.engine) if self.is_engine and hardware.engine else found

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
        return fitted_backend(place, values, self.has_vector_kernels, self.arithmetic, own)

    def _has_backend(self, hardware: Hardware) -> bool:
        return bool(self._api(hardware)) if self.apis else self._backend(hardware) is not None

    def refusal(self, hardware: Hardware, formats: str = "", of: Literal["weights", "cache"] = "weights") -> str:
        """Why this runtime cannot run on a device, or not with *formats* (a name, as in mxfp4+bf16); empty where it can.

        What is not known of a device is not held against it.
        """
        if not self._has_backend(hardware):
            what = "CPUs" if hardware.kind == "cpu" else f"GPUs of {hardware.vendor or 'an unnamed vendor'}"
            how = f" with {self._conditions.api}" if self._conditions.api and hardware.kind == "gpu" else ""
            return f"runtime {self.name} has no figures for {what}{how}"
        needed = self._required(hardware)
        if needed and needed.is_met_by(hardware) is False:
            return f"runtime {self.name} does not run on {hardware.name}: {needed.unmet(hardware)}"
        for name in formats_in(formats) if of == "weights" else formats.split("/"):
            if not self._has(name, of):
                return f"runtime {self.name} {'loads no weights' if of == 'weights' else 'keeps no cache'} in {name}"
            unmet = self.unmet(hardware, name)
            if unmet:
                return unmet
        return ""

    def unmet(self, hardware: Hardware, name: str) -> str:
        """Why a device has no kernels for the format called *name*; empty where it has, or nobody knows."""
        needed = self._required(hardware, name)
        if needed is None or needed.is_met_by(hardware) is not False:
            return ""
        return f"runtime {self.name} does not run {name} on {hardware.name}: {needed.unmet(hardware)}"

    def strange(self, kernels: Iterable[str]) -> list[str]:
        """Those of some formats which it is not known to load."""
        return [name for name in kernels if not self._has(name, "weights")]

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

    def without_repacking(self) -> Runtime:
        """The same runtime where it is told to copy no weights out of the file's map (--no-repack)."""
        return self.model_copy(update={"repacks": {}})

    def repacked(self, hardware: Hardware) -> tuple[str, ...]:
        """Formats whose weights it copies into an order of their own on a device."""
        return self.repacks.get(hardware.architecture.name, ()) if hardware.architecture else ()

    def scratch_bytes(self, vocab: int) -> float:
        """Working memory beside weights and cache: the logits of its largest step dominate."""
        return 4.0 * self.scratch_tokens * vocab


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
    if own.backends and not base.backends:
        raise InputError(
            f"runtime {own.name}: backends: {own.like} has none, its kernels are known from measurements; leave like: {own.like} out, or "
            "backends, for which apis, launches and step_us can be given"
        )
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
