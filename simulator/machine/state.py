"""How the processor is set and how it fares just now: its clock, what governs it, its heat, what holds it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from simulator.machine.files import CPUS, Tree, decimal
from simulator.machine.host import Frequency
from simulator.machine.programs import Run
from simulator.units import MEGA

MAX_TEMPERATURE_C = 150  # what reads higher, or 0 and below, is a sensor that is off
COOL = "give it a heat sink and a fan"
THROTTLING = (  # bits 0 to 3 of the Pi's firmware: what is, what was (16 bits higher), what helps
    ("the supply voltage is too low", "the supply voltage was too low", "use the power supply made for this board"),
    ("the clock is capped", "the clock was capped", "see to its cooling and its power supply"),
    ("the processor is throttled", "the processor was throttled", "see to its cooling and its power supply"),
    ("the soft temperature limit slows it down", "the soft temperature limit slowed it down", COOL),
)


def read_frequency(tree: Tree, processors: Iterable[dict[str, str]], usable: frozenset[int]) -> Frequency:
    """The clock; without the files of cpufreq only the current one, as /proc/cpuinfo has it."""

    def hertz(name: str) -> list[float]:
        counts = (tree.count(f"{CPUS}/cpu{cpu}/cpufreq/{name}") for cpu in usable)
        return [1e3 * count for count in counts if count]

    told = (decimal(each.get("cpu MHz", "")) for each in processors)
    current = hertz("scaling_cur_freq") or [MEGA * mhz for mhz in told if mhz]
    return Frequency(
        max(current, default=None),
        min(hertz("cpuinfo_min_freq"), default=None),
        max(hertz("cpuinfo_max_freq"), default=None),
    )


def setting(tree: Tree, usable: frozenset[int], name: str) -> str | None:
    """A word of cpufreq; all of them where the cores differ."""
    words = {tree.text(f"{CPUS}/cpu{cpu}/cpufreq/{name}").strip() for cpu in usable}
    return ", ".join(sorted(word for word in words if re.fullmatch("[a-z][a-z0-9_-]{0,30}", word))) or None


def read_temperature(tree: Tree) -> float | None:
    """Degrees Celsius at the hottest sensor in the processor."""
    zones = tree.find("sys/class/thermal/thermal_zone*")
    inside = [zone for zone in zones if re.search("cpu|soc|x86_pkg", tree.text(f"{zone}/type"), re.IGNORECASE)]
    files = [f"{zone}/temp" for zone in inside] + list(_sensors(tree))
    readings = [(tree.count(file) or 0) / 1000 for file in files]
    return max((reading for reading in readings if 0 < reading < MAX_TEMPERATURE_C), default=None)


def _sensors(tree: Tree) -> Iterator[str]:
    """Files of a PC's sensors. AMD's Tctl is no temperature: it steers the fan, on some models 27 degrees too high."""
    for folder in tree.find("sys/class/hwmon/hwmon*"):
        driver = tree.text(f"{folder}/name").strip()
        for file in tree.find(f"{folder}/temp*_input") if driver in ("coretemp", "k10temp") else ():
            label = tree.text(f"{file.removesuffix('input')}label")
            if driver == "coretemp" or label.startswith(("Tdie", "Tccd")):
                yield file


def read_throttling(tree: Tree, board: str | None, run: Run) -> tuple[str, ...]:
    """What a Raspberry Pi's firmware says of its clock; what holds now is not told again as having been."""
    told = run(("vcgencmd", "get_throttled")) if "Raspberry Pi" in (board or "") else ""
    # The file comes second: the kernel calls it deprecated and logs a warning on the first read.
    files = tree.find("sys/devices/platform/soc*/soc*:firmware/get_throttled")
    texts = [told, *(tree.text(file) for file in files)]
    matches = [re.fullmatch(r"\s*(?:throttled=)?(?:0x)?([0-9a-f]{1,8})\s*", text) for text in texts]
    numbers = (int(match[1], 16) for match in matches if match)
    return tuple(_throttling_sentences(next((bits for bits in numbers if not bits & ~0xF000F), 0)))


def _throttling_sentences(bits: int) -> Iterator[str]:
    for bit, (now, before, remedy) in enumerate(THROTTLING):
        if bits >> bit & 1:
            yield f"{now} now: {remedy}"
        elif bits >> bit + 16 & 1:
            yield f"{before} at some time since the boot: {remedy}"
