"""Which device a published measurement was made on, by the name that it has in its collection."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.records import Processor, Record, Unusable
from simulator.spec.hardware import Hardware
from simulator.spec.library import look_up, shelf
from simulator.spec.machine import counted_device, load_hardware
from simulator.spec.names import MAX_DEVICES, is_same, with_count


def counted_name(record: Record) -> str:
    """The device's name, with how many of it there were where another column says that."""
    name = record.text("device")
    count = record.count("device_count", 1, MAX_DEVICES, default=1)
    if not name or count == 1 or _counted(name)[0] > 1 or _n_gpus(name) == count:
        return name
    return with_count(count, name)


def _n_gpus(name: str) -> int:
    """GPUs of the machine that a name of several parts means, each counted by itself; 0 of a device alone."""
    machine = _device_called(name) if "+" in name else None
    return sum(part.count for part in machine.parts if part.kind == "gpu") if machine else 0


def chosen_device(name: str, chosen: Hardware | None) -> Hardware | None:
    """The device that the user chose, if the row is of it or does not say; None where nobody chose."""
    if chosen and name and not _is_of(name, chosen):
        raise Unusable(f"of another device than {chosen.label}")
    return chosen


def _is_of(name: str, device: Hardware) -> bool:
    """Whether a name is, or may be, that of a device, and of as many of it."""
    own = (device.name, *device.aliases)
    if device.beside:
        return is_same(name, device.label)
    if any(is_same(name, with_count(device.count, each)) for each in own):
        return True
    count, one = _counted(name)
    is_it = any(is_same(one, each) for each in own) or device.name in look_up(one, shelf("hardware")).candidates
    return is_it and count == device.count


@lru_cache(maxsize=4096)
def _counted(name: str) -> tuple[int, str]:
    """How many of which device a name means; one where it cannot be read so."""
    try:
        count, one = counted_device(name)
    except InputError:
        return 1, name
    return count or 1, one


def device_of(name: str, ran_on: Processor) -> tuple[Hardware, tuple[str, ...]]:
    """The device of a row, of the processor that ran; where its name leaves something open, the usual one, and a remark on that."""
    device = _device_called(name)
    if device is None:
        return _device_of_several(name, ran_on)
    device = _beside(device, ran_on)
    _, one = _counted(name)
    if any(is_same(one, each) for each in device.stands_for):
        return device, (f"{name} taken for {device.name}, the one that most are sold as",)
    return device, ()


def _device_of_several(name: str, ran_on: Processor) -> tuple[Hardware, tuple[str, ...]]:
    """Of the devices that a name may mean, the one that stands for it, else the largest of those that differ in size only."""
    count, one = _counted(name)
    meant = [_device_called(with_count(count, each)) for each in look_up(one, shelf("hardware")).candidates]
    meant = [each for each in meant if each is not None and ran_on in ("", each.kind)]
    for device in meant:
        if any(is_same(one, each) for each in device.stands_for):
            return device, (f"{name} taken for {device.name}, the one that most are sold as",)
    if len(meant) < 2 or len({_without_size(each) for each in meant}) > 1:
        return named(_device_called, "hardware", _part_without_file(name)), ()
    device = max(meant, key=lambda each: each.main_memory.capacity_bytes)
    return device, (f"memory of the {name} not stated: {device.name}",)


def _part_without_file(name: str) -> str:
    """Of a machine's parts the first that no file is of; the name itself of anything else."""
    return next((part for part in map(str.strip, name.split("+")) if part and _device_called(part) is None), name)


def _beside(device: Hardware, ran_on: Processor) -> Hardware:
    """The other processor of the same machine, where that ran and has a file: `m4-cpu` beside `m4`, and the other way round."""
    if ran_on in ("", device.kind):
        return device
    own = [re.sub(r"-[cg]pu$", "", each) for each in (device.name, *device.aliases)]
    others = (_device_called(with_count(device.count, other)) for each in own for other in (f"{each}-{ran_on}", each))
    return next((other for other in others if other is not None and other.kind == ran_on), device)


def _without_size(device: Hardware) -> str:
    """What decides how fast a device is, as text to compare."""
    levels = [
        (level.name, level.gb_per_s, level.datasheet_gb_per_s, level.gb_per_s_by_threads) for level in device.memory
    ]
    return repr((device.kind, device.cores, device.threads, device.peaks_tflops, device.launch_us, levels))


def named(find: Callable[[str], Any], kind: str, name: str) -> Any:
    """What *find* finds by a name; Unusable where that is nothing."""
    found = find(name)
    if found is None:
        raise Unusable(f"no {kind} file is called {printable(name)}" if name else f"the {kind} is not stated")
    return found


@lru_cache(maxsize=4096)
def _device_called(name: str) -> Hardware | None:
    try:
        return load_hardware(name)
    except InputError:
        return None
