"""What decoding and reading a prompt draw and cost: joules for a token, and the price of a million, each with an interval.

Watts are measured while a device decoded, where its file has that; else a share of its limit. A share is known from published
measurements: of a whole machine with one card, of a card of a server alone by its own sensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.forecast.interval import Z80
from simulator.forecast.prediction import Prediction
from simulator.forecast.request import RequestForecast
from simulator.spec.arguments import between, expect
from simulator.spec.figure import Figure
from simulator.spec.hardware import Hardware
from simulator.units import MEGA

MOST_WATTS, MOST_PRICE = 1e9, 1e9
HOUR_S, KWH_J = 3600.0, 3.6e6

# Peak of a whole machine with one card that decodes one sequence, over the card's limit: the median of 14 cards in desktops and on
# boards (geerlingguy/ai-benchmarks), and the standard deviation of its logarithm among the cards.
_DESKTOP, _DESKTOP_SPREAD = 1.07, 0.46
_PEAK_TOLD = " at its peak, an upper estimate"
_DESKTOP_TOLD = (
    f"1.07 of the card's limit, the whole machine{_PEAK_TOLD}, as the median of 14 cards (geerlingguy/ai-benchmarks)"
)
# What a card of a desktop alone draws in the mean while it decodes one sequence, over its limit, by its own sensor: RTX 3080 0.67,
# 4090 0.71, 5090 0.75, 3090 0.93, 5060 Ti 0.96 (one of 370 W by its own limit; sources in their files). Each lies within 1.5
# standard deviations of what the other four say, four of five within 1.3.
_CARD, _CARD_SPREAD = 0.8, 0.16
_CARD_TOLD = "0.8 of the card's limit, the card alone, as five GeForce cards decode (their files name the sources)"
# Of a card of a server alone, over its limit, by sequences at once: H200 137 to 300 of 700 W (arXiv 2605.11999), H100 267 W with one
# sequence, H200 517 W and B200 606 of 1000 W with 128 (api.serialalice.pt/alice-benchmark), H100 480 W with 64 and 520 with 128
# (gist of lhl, vLLM, bf81a9c7). In between by the logarithm of the batch.
_SERVER_BATCHES, _SERVER_SHARES, _SERVER_SPREAD = (1, 128), (0.35, 0.7), 0.25
_SERVER_TOLD = (
    "0.35 of the card's limit with one sequence to 0.7 with 128, the card alone, as on H100, H200 and B200 (arXiv 2605.11999, "
    "api.serialalice.pt/alice-benchmark, gist.github.com/lhl/bf81a9c7)"
)
# Of reading a prompt: H200 662 of 700 W, H100 680 of 700 W (api.serialalice.pt/alice-benchmark), RTX 5090 600 of 600 W, RTX 3090 331 of
# 370 W. A desktop has its other parts beside.
_SERVER_PROMPT, _SERVER_PROMPT_SPREAD = 0.95, 0.1
_SERVER_PROMPT_TOLD = (
    "0.95 of the card's limit, the card alone, as H100, H200 and RTX 5090 read prompts (api.serialalice.pt/alice-benchmark, "
    "github.com/noonghunna/club-3090)"
)
_DESKTOP_PROMPT, _DESKTOP_PROMPT_SPREAD = 1.25, 0.25
_DESKTOP_PROMPT_TOLD = (
    "1.25 of the card's limit: the card near it, as H100 and H200 read prompts, and the machine around it"
)
# Of a card alone that works, and of one that waits for others, which have other layers: six RTX 3090 in turns draw 129 of 350 W each
# (llmgarage.ai, power limits), which is one at 0.9 of its limit and five at this share.
_WORKING, _WAITING = 0.9, 0.26
# Of a host that computes what stands in its RAM nobody measured the watts beside a card: they are not added.
_NO_HOST_TOLD = "; the CPU is not in it"
_WAITING_HOST_TOLD = "; the CPU is in it as it waits, not what it draws when it works"
# Of other models than were measured: the standard deviation of the logarithm within the 11 devices of which several were, at least.
_MEASURED_SPREAD = 0.10
# By which decoding may draw less than the peak of a run that read a prompt, in logarithms, at the end that one in ten falls short of.
_BELOW_PEAK = math.log(_SERVER_PROMPT / _CARD) + Z80 * _CARD_SPREAD
_GIVEN_SPREAD = 0.0


@dataclass(frozen=True)
class Tariff:
    """What somebody pays, in any one currency, and what their machine draws; None: not known, or it does not matter.

    Args:
        watts: of the whole machine, while it decodes and while it reads prompts.
        price_per_hour: of the whole machine, rented or written off.
        price_per_kwh: of electricity.
    """

    watts: float | None = None
    price_per_hour: float | None = None
    price_per_kwh: float | None = None

    def __post_init__(self):
        for name, most in (("watts", MOST_WATTS), ("price_per_hour", MOST_PRICE), ("price_per_kwh", MOST_PRICE)):
            given = getattr(self, name)
            if _is_nothing(given):
                raise InputError(f"{name} must be a number above 0, got 0; {_LEFT_OUT[name]}")
            if given is not None:
                between(name, given, 1e-9, most)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given."""
        return all(getattr(self, each.name) is None for each in fields(self))


_LEFT_OUT = {
    "watts": "leave it out for what its file or cards like it say",
    "price_per_hour": "leave it out of a machine that costs nothing by the hour: a price per kWh alone tells what electricity costs",
    "price_per_kwh": "leave it out of electricity that costs nothing: a price per hour alone tells what the machine costs",
}


def _is_nothing(given: Any) -> bool:
    return isinstance(given, int | float | np.number) and not isinstance(given, bool) and given == 0


UNTOLD = Tariff()  # nobody says what anything costs


@dataclass(frozen=True)
class Watts:
    """What a machine draws, with the standard deviation of its logarithm, and how that is known."""

    value: Any  # of a number or an array of batches
    spread: float
    told: str
    below: float = 0.0  # logarithm by which it may be less beside, at the lower end of an 80 % interval: of a peak

    @property
    def provenance(self) -> str:
        """Given, measured or estimated."""
        return self.told.partition(" ")[0].strip(":,;(")


def decode_watts(hardware: Hardware, batch: Any, given: float | None = None) -> Watts | None:
    """Of a machine that decodes so many sequences at once; None where neither its file nor anybody tells."""
    return _watts(hardware, np.asarray(batch) / hardware.layout.data, given, of_prompt=False)


def prompt_watts(hardware: Hardware, given: float | None = None, stages_at_once: float = 1.0) -> Watts | None:
    """Of a machine that reads a prompt, whose passes overlap on so many stages in the mean."""
    return _watts(hardware, 1, given, of_prompt=True, stages_at_once=stages_at_once)


def _watts(
    hardware: Hardware, batch: Any, given: float | None, of_prompt: bool, stages_at_once: float = 1.0
) -> Watts | None:
    """*batch*: sequences of each device."""
    if given is not None:
        return Watts(given, _GIVEN_SPREAD, "given: --watts")
    if hardware.layout.n_devices > 1 and hardware.kind == "cpu":
        return None  # machines of their own, of which one was measured
    cards = [part for part in hardware.parts if part.kind == "gpu" or part is hardware]
    alone = [_of_part(part, batch, of_prompt) for part in cards]
    if None in alone:
        return None
    if len(hardware.parts) == hardware.layout.n_devices == 1:
        return alone[0]
    pairs = list(zip(cards, alone, strict=True))
    share = min(1.0, hardware.layout.n_at_once * stages_at_once / sum(part.count for part in cards))
    drawn = [_drawn(part, one, share, of_prompt) for part, one in pairs]
    if any(each is None for each in drawn):
        return None
    around = max(one.value - _working(part, one, of_prompt) if _is_of_machine(part) else 0.0 for part, one in pairs)
    total = around + sum(each * part.count for each, part in zip(drawn, cards, strict=True))
    return _estimated(pairs, total, hardware)


def _estimated(pairs: list[tuple[Hardware, Watts]], total: Any, hardware: Hardware) -> Watts:
    """Of a machine that is not the one that was measured, or that shares were published of, whatever the order of its cards."""
    around = [_is_of_machine(part) for part, _ in pairs]
    is_measured = any(each.provenance == "measured" for _, each in pairs)
    spreads = [each.spread for _, each in pairs]
    if hardware.host or any(around) != all(around) or (is_measured and any(around)):
        spreads.append(_DESKTOP_SPREAD)
    elif is_measured:
        spreads.append(_CARD_SPREAD)
    told = pairs[0][1].told
    if is_measured or len({each.told for _, each in pairs}) > 1:
        ones = {f"one {part.name}, {each.told.removeprefix('estimated: ')}" for part, each in pairs}
        told = f"estimated for {hardware.label} from {'; '.join(sorted(ones))}"
    if hardware.host:
        told += _WAITING_HOST_TOLD if any(around) else _NO_HOST_TOLD
    return Watts(total, max(spreads), told, max(each.below for _, each in pairs))


def _working(card: Hardware, alone: Watts, of_prompt: bool) -> Any:
    """What a card draws while it works, without the machine around it."""
    limit = card.power.limit_w
    if limit is None or not _is_of_machine(card):
        return alone.value
    return np.minimum(alone.value, limit.value * (_SERVER_PROMPT if of_prompt else _WORKING))


def _drawn(card: Hardware, alone: Watts, share: float, of_prompt: bool) -> Any:
    """What it draws in the mean if it works *share* of the time; None where nobody knows what it waits with."""
    working, limit = _working(card, alone, of_prompt), card.power.limit_w
    if share == 1:
        return working
    return None if limit is None else share * working + (1 - share) * _WAITING * limit.value


def _is_of_machine(part: Hardware) -> bool:
    """Whether the watts of a card are those of a machine with one of it, rather than its own."""
    power = part.power
    if power.prompt_w or power.decode_w:
        return power.of == "machine"
    return part.device_class != "datacenter-gpu"


def _of_part(part: Hardware, batch: Any, of_prompt: bool) -> Watts | None:
    power = part.power
    if power is None:
        return None
    measured = power.prompt_w if of_prompt else power.decode_w
    if measured:
        is_peak = power.decode_is == "peak" and not of_prompt
        whose = "the whole machine" if power.of == "machine" else "the device alone"
        told = f"measured of {whose}{_PEAK_TOLD if is_peak else ''}: {measured.how or measured.source}"
        return Watts(measured.value, _spread_of(measured), told, _BELOW_PEAK if is_peak else 0.0)
    if power.decode_w and power.of == "machine":  # the peak of a run that read a prompt, too
        spread = max(2 * _MEASURED_SPREAD, _spread_of(power.decode_w))
        return Watts(power.decode_w.value, spread, "estimated: as measured while it decodes")
    if power.limit_w is None or not part.has_own_memory:
        return None
    share, spread, told = _share(part, batch, of_prompt)
    below = _BELOW_PEAK if _is_of_machine(part) and not of_prompt else 0.0
    return Watts((power.limit_w.value * share)[()], spread, f"estimated: {told}", below)


def _share(part: Hardware, batch: Any, of_prompt: bool) -> tuple[Any, float, str]:
    """Of a card's limit, with the standard deviation of its logarithm, and in words."""
    if _is_of_machine(part):
        if of_prompt:
            return np.float64(_DESKTOP_PROMPT), _DESKTOP_PROMPT_SPREAD, _DESKTOP_PROMPT_TOLD
        return np.float64(_DESKTOP), _DESKTOP_SPREAD, _DESKTOP_TOLD
    if of_prompt:
        return np.float64(_SERVER_PROMPT), _SERVER_PROMPT_SPREAD, _SERVER_PROMPT_TOLD
    if part.device_class != "datacenter-gpu":
        return np.float64(_CARD), _CARD_SPREAD, _CARD_TOLD
    share = np.interp(np.log(batch), np.log(_SERVER_BATCHES), _SERVER_SHARES)
    return share, _SERVER_SPREAD, _SERVER_TOLD


def _spread_of(figure: Figure) -> float:
    return max(figure.known_spread or 0.0, _MEASURED_SPREAD)


@dataclass(frozen=True)
class Amount:
    """A number with its 80 % interval; no upper end, None: at least the number."""

    value: float
    low: float
    high: float | None


@dataclass(frozen=True)
class Spending:
    """What a million tokens of one kind take, on one machine at one rate; None: not known.

    Args:
        tokens_per_s: of all sequences together.
        slower, faster: by which that may differ with 80 % probability; slower is None of a rate that is an upper bound.
    """

    tokens_per_s: float
    slower: float | None
    faster: float
    watts: Watts | None
    tariff: Tariff

    @property
    def watts_between(self) -> Amount | None:
        """What the machine draws."""
        return None if self.watts is None else self._amount(float(self.watts.value), 1.0, 1.0)

    @property
    def joules_per_token(self) -> Amount | None:
        """Energy of a token."""
        if self.watts is None:
            return None
        return self._amount(float(self.watts.value) / self.tokens_per_s, self.slower, self.faster)

    @cached_property
    def cost_per_million(self) -> Amount | None:
        """Price of a million tokens: of the machine for so long, and of the electricity, as far as prices and watts are known."""
        parts = [each for each in (self._of_time, self._of_energy) if each]
        if not parts:
            return None
        ends = [[getattr(each, name) for each in parts] for name in ("value", "low", "high")]
        return Amount(*(None if None in each else math.fsum(each) for each in ends))

    @property
    def leaves_out_electricity(self) -> bool:
        """Whether it has a price, and the watts are not known."""
        return self.tariff.price_per_kwh is not None and self.watts is None

    @property
    def _of_time(self) -> Amount | None:
        price = self.tariff.price_per_hour
        if price is None:
            return None
        cost = price / HOUR_S / self.tokens_per_s * MEGA
        return Amount(cost, cost / self.faster, None if self.slower is None else cost * self.slower)

    @property
    def _of_energy(self) -> Amount | None:
        price, joules = self.tariff.price_per_kwh, self.joules_per_token
        if price is None or joules is None:
            return None
        ends = (joules.value, joules.low, joules.high)
        return Amount(*(None if each is None else MEGA * each / KWH_J * price for each in ends))

    def _amount(self, value: float, slower: float | None, faster: float) -> Amount:
        """Errors of watts and of the rate are independent of each other."""
        drawn, below = (Z80 * self.watts.spread, float(self.watts.below)) if self.watts else (0.0, 0.0)
        down = math.exp(math.hypot(math.log(faster), drawn, below))
        up = None if slower is None else math.exp(math.hypot(math.log(slower), drawn))
        return Amount(value, value / down, None if up is None else value * up)


def spending(point: Prediction, tariff: Tariff = UNTOLD) -> Spending | None:
    """Of a generated token, of a forecast at a single point; None where it does not fit."""
    expect("point", point, Prediction, "a forecast, as Scenario.at makes one")
    expect("tariff", tariff, Tariff, "a Tariff, as Tariff(price_per_hour=2) makes one")
    if np.ndim(point.tokens_per_s):
        raise InputError("spending: a forecast at one batch and context is needed, not over a grid of points")
    if not point.fits:
        return None
    rate = float(point.tokens_per_s)
    low, high = (float(each) for each in point.interval())
    slower = None if point.is_upper_bound else rate / low
    watts = decode_watts(point.hardware, int(point.load.batch), tariff.watts)
    return Spending(rate, slower, high / rate, watts, tariff)


def prompt_spending(request: RequestForecast, hardware: Hardware, tariff: Tariff = UNTOLD) -> Spending | None:
    """Of a token of a prompt that is read on a machine which does nothing else; None where it does not fit."""
    expect("request", request, RequestForecast, "a forecast of a request, as forecast_request makes one")
    expect("hardware", hardware, Hardware, "a Hardware, as load_hardware makes one")
    expect("tariff", tariff, Tariff, "a Tariff, as Tariff(price_per_hour=2) makes one")
    if not request.reading.fits:
        return None
    rate = request.reading.tokens_per_s
    low, high = request.reading.interval()
    stretches = request.reading.stretches
    slower = None if any(each.point.is_upper_bound for each in stretches) else rate / low
    watts = prompt_watts(hardware, tariff.watts, 1 / stretches[0].repeats)
    return Spending(rate, slower, high / rate, watts, tariff)
