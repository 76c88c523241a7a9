"""What disturbs measuring a machine, in sentences: its state, and other programs at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator.machine.files import CPUS, Tree, natural
from simulator.machine.host import Host
from simulator.units import counted

HOT_C = 80  # a Pi 5 begins to slow down here
BUSY_SHARE = 0.15  # of the processor's time: beyond it other programs disturb what is measured
LOOK_S = 0.4
SLOW_GOVERNORS = {"powersave", "conservative"}
SELF_DRIVEN = {"intel_pstate", "amd-pstate-epp"}  # their "powersave" is the normal mode, which rises to the full clock


def describe_state(host: Host) -> tuple[str, ...]:
    """What a user should know, and may want to change, before this machine is measured; nothing where all is well."""
    return tuple(_remarks(host))


def _remarks(host: Host) -> Iterator[str]:
    yield from host.throttling
    slow = SLOW_GOVERNORS.intersection((host.governor or "").split(", "))
    if slow and host.frequency_driver not in SELF_DRIVEN:
        remedy = f"echo performance | sudo tee /{CPUS}/cpu*/cpufreq/scaling_governor"
        yield f"the frequency governor {' and '.join(sorted(slow))} keeps the clock low: {remedy}"
    if host.temperature_c is not None and host.temperature_c >= HOT_C:
        yield f"the processor is at {host.temperature_c:.0f} °C, where it may slow down: let it cool first"
    if host.cpu_quota is not None:
        most = max(1, int(host.cpu_quota))
        yield f"a control group allows {host.cpu_quota:.3g} of {counted(host.n_threads, 'hardware thread')}: measure with at most {most}"
    if host.virtual:
        yield f"this is a virtual machine ({host.virtual}): others may share its memory bandwidth, and figures vary"


def remark_on_others(root: Path = Path("/"), sleep: Callable[[float], object] = time.sleep) -> tuple[str, ...]:
    """A sentence where other programs are at work just now, while this one only waits."""
    before = _ticks(Tree(root))
    sleep(LOOK_S)
    after = _ticks(Tree(root))
    if before is None or after is None or after[1] <= before[1]:
        return ()
    share = 1 - (after[0] - before[0]) / (after[1] - before[1])
    if share <= BUSY_SHARE:
        return ()
    return (
        f"other programs take {share:.0%} of the processor: stop them, they take time and bandwidth from what is measured",
    )


def _ticks(tree: Tree) -> tuple[int, int] | None:
    """Ticks that all processors have idled (or waited for a disk), and all their ticks, since the start."""
    words = tree.text("proc/stat").partition("\n")[0].split()
    ticks = [natural(word) for word in words[1:9]]
    if len(ticks) < 5 or words[0] != "cpu" or None in ticks:
        return None
    return ticks[3] + ticks[4], sum(ticks)
