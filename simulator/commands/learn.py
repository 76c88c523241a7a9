"""What `validate --against FILE --learn MACHINE.yaml` does with the measurements: learns from them, and writes the device file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from simulator.commands.learned_file import device_to_learn, save_learned
from simulator.errors import InputError, printable
from simulator.importers.records import Published, Skipped
from simulator.judge.learning import learn
from simulator.report.learned import is_worse, learned_lines, not_learned_lines
from simulator.spec.learned import section_name
from simulator.units import counted


def learn_from(
    measured: Sequence[Published], given: str, target: str, source: str, told: Sequence[Skipped] = ()
) -> list[str]:
    """Learns, writes *target*, and says how much better forecasts get; *told*: rows whose reason has been printed.

    What makes forecasts worse is told and not written.

    InputError where nothing can be learned.
    """
    hardware = device_to_learn(given, target)
    found, skipped = learn(measured, hardware)
    if not found:
        counts = Counter(each.reason for each in (*skipped, *told)).most_common(1)
        why = f": {counted(counts[0][1], 'row')}: {counts[0][0]}" if counts else ""
        raise InputError(f"--learn {printable(target)}: nothing can be learned from {printable(source)}{why}")
    sections, lines = {}, []
    for (runtime, api), learning in found.items():
        learned = learning.learned(hardware, f"{printable(source)}, {date.today().isoformat()}")
        name = section_name({**hardware.learned, **sections}, runtime, api)
        if not is_worse(learning):
            sections[name] = learned
        lines += learned_lines(runtime, learning, learned, printable(target))
    if sections:
        save_learned(given, target, hardware, sections)
    known = {(each.id, each.reason) for each in told}
    return [*lines, *not_learned_lines([each for each in skipped if (each.id, each.reason) not in known])]
