"""Devices by name or file, alone, several of a kind, or as the parts of one machine: `2xrtx-3090+ryzen-7950x`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.spec.hardware import Hardware
from simulator.spec.library import find, is_file, look_up, names, shelf
from simulator.spec.links import Link
from simulator.spec.names import MAX_TEXT, listed, split_count, with_count
from simulator.spec.schema import Field, Spec, rule_for
from simulator.spec.shipped import load_spec
from simulator.spec.textfiles import MAX_YAML_BYTES, read_text
from simulator.units import GI

MAX_PARTS = 16
LEAST_RAM_GIB, MAX_RAM_GIB = 0.01, 100_000
AS_ASKED = "as asked"  # how the size of a memory is known
SOLDERED = ("sbc", "phone", "apple", "igpu")  # classes of devices whose memory nobody changes


class Machine(Spec):
    """GPUs with the host that they stand in, as a file of somebody's own names them."""

    name: str = Field(min_length=1, max_length=200)
    title: str = ""
    parts: tuple[str, ...] = Field(min_length=1, max_length=MAX_PARTS)  # names, or paths of device files
    ram_gib: float | None = Field(None, gt=0, le=MAX_RAM_GIB)  # of the host
    notes: str = ""

    @rule_for("ram_gib", before=True)
    @staticmethod
    def _check_given(ram_gib: Any) -> Any:
        if ram_gib is None:
            raise ValueError("GiB of the host's RAM are needed, or leave the field out")
        return ram_gib


def load_hardware(given: str | Path) -> Hardware:
    """A device by shipped name or YAML file, several as `2xrtx-3090`, or a machine of parts as `rtx-3090+ryzen-7950x`.

    InputError if it is unusable.
    """
    if isinstance(given, str) and "+" in given and not is_file(Path(given)):
        return join([_counted(name.strip()) for name in _names(given)], printable(given))
    try:
        return _counted(given)
    except InputError:
        if isinstance(given, str) and not is_file(Path(given)):
            _refuse_unjoined(given)
        raise


def _refuse_unjoined(text: str) -> None:
    """InputError for devices in a row without a plus between them."""
    words = [word for word in re.split(r"[\s,]+", text[:MAX_TEXT]) if word]
    for number in range(1, len(words)):
        parts = [" ".join(words[:number]), " ".join(words[number:])]
        if all(look_up(split_count(part)[1], shelf("hardware")).name for part in parts):
            raise InputError(
                f"{printable(text)}: several devices of one machine are joined by a plus: {'+'.join(parts)}"
            )


def _names(text: str) -> list[str]:
    names = text.split("+")
    if not all(name.strip() for name in names):
        raise InputError(f"{printable(text)}: a device is missing at a plus, write rtx-3090+ryzen-7950x")
    if len(names) > MAX_PARTS:
        raise InputError(f"{len(names):,} parts are too many for one machine (at most {MAX_PARTS})")
    return names


def _counted(given: str | Path) -> Hardware:
    count, one = counted_device(given) if isinstance(given, str) else (None, given)
    device = _load(find(one, shelf("hardware"), "hardware"))
    if count is None:
        return device
    if device.beside:
        raise InputError(
            f"{count} x {device.machine_name}: is a machine of several devices; name one of it, or several parts in its file"
        )
    return device.model_copy(update={"_asked": count})


def _load(path: Path) -> Hardware:
    if not _is_machine(path):
        return load_spec(path, Hardware)
    machine = load_spec(path, Machine)
    whole = join([_part(name, path) for name in machine.parts], f"{path}: parts")
    if machine.ram_gib:
        whole = with_ram(whole, machine.ram_gib * GI, f"{path}: ram_gib")
    return whole.called(machine.name, machine.title)


def _part(name: str, path: Path) -> Hardware:
    """One of the parts that the file at *path* names."""
    given = _beside(name, path)
    try:
        own = find(counted_device(given)[1], shelf("hardware"), "hardware")
    except InputError as error:
        raise InputError(f"{path}: parts: {error}") from None
    if is_file(own) and own.samefile(path):
        raise InputError(f"{path}: parts: names itself ({printable(name)}): name the devices that it is made of")
    if is_file(own) and _is_machine(own):
        raise InputError(f"{path}: parts: {printable(name)} is a machine of parts itself: name its parts instead")
    return _counted(given)


def _is_machine(path: Path) -> bool:
    """Whether a file names the parts of a machine."""
    if path.parent == shelf("hardware"):
        return False
    return any(line.startswith("parts:") for line in read_text(path, MAX_YAML_BYTES).splitlines())


def _beside(name: str, path: Path) -> str:
    """A file that stands beside the machine's own is found from anywhere."""
    other = path.parent / name
    return str(other) if is_file(other) else name


def join(parts: Sequence[Hardware], where: str) -> Hardware:
    """One machine of some devices: GPUs and at most one CPU, their host; InputError names what cannot stand together."""
    hosts = [part for part in parts if part.kind == "cpu"]
    devices = [part for part in parts if part.kind != "cpu"]
    inner = next((part for part in parts if part.beside), None)
    if inner is not None:
        raise InputError(f"{where}: {inner.machine_name} is a machine of parts itself: name its parts instead")
    if len(hosts) > 1 or (hosts and hosts[0].count > 1):
        raise InputError(f"{where}: a machine has one host, these are more: {', '.join(each.label for each in hosts)}")
    if hosts and not devices:
        return hosts[0]
    shared = next((part for part in devices if not part.has_own_memory), None)
    if shared is not None and len(parts) > 1:
        raise InputError(
            f"{where}: the GPU of {shared.name} has no memory of its own: it is forecast alone, or as several of its machines"
        )
    return devices[0].alone().joined((*devices[1:], *hosts))


def with_ram(hardware: Hardware, n_bytes: float, how: str = AS_ASKED) -> Hardware:
    """The same machine with so many bytes of RAM; InputError for a card whose host is not named, and for more than is soldered on."""
    part = hardware.host or hardware
    if n_bytes > part.main_memory.capacity_bytes:
        refuse_soldered(part, n_bytes, "ram" if how == AS_ASKED else how)
    if hardware.host is not None:
        others = tuple(part.with_memory(n_bytes, how) if part.kind == "cpu" else part for part in hardware.beside)
        return hardware.joined(others)
    if hardware.has_own_memory:
        raise InputError(f"RAM of {hardware.label}: whose it is has to be known: {host_remedy(hardware)}")
    return hardware.with_memory(n_bytes, how)


def refuse_soldered(hardware: Hardware, n_bytes: float, where: str) -> None:
    """InputError where the memory of a device or a host stands on its board, and is of another size."""
    part = hardware.host or hardware
    own_bytes = part.main_memory.capacity_bytes
    if part.device_class not in SOLDERED or n_bytes == own_bytes:
        return
    told = f"{where} {n_bytes / GI:g}: the memory of {part.name} is soldered on, {own_bytes / GI:.4g} GiB"
    sizes = _sizes(part.name)
    if len(sizes) > 1:
        raise InputError(f"{told}: name the size that is meant, {listed(sizes)}")
    raise InputError(
        f"{told}: leave it out; one with another size is described in a file of its own (docs/own-device.md)"
    )


def _sizes(name: str) -> list[str]:
    """The shipped devices that are the same but for the size of their memory, the smallest first."""
    rest = re.sub(r"\d+gb$", "", name)
    sizes = {other: re.fullmatch(rf"{re.escape(rest)}(\d+)gb", other) for other in names(shelf("hardware"))}
    found = {other: int(size[1]) for other, size in sizes.items() if size}
    return sorted(found, key=found.__getitem__) if name in found else []


def link_between(one: Hardware, other: Hardware) -> Link | None:
    """The link over which two parts of a machine reach each other: PCIe, as slow as the slower one's; None if no file names one."""
    found = [_bus(part) for part in (one, other)]
    known = [link for link in found if link is not None]
    gpu_has_none = any(link is None and part.kind == "gpu" for link, part in zip(found, (one, other), strict=True))
    return None if gpu_has_none or not known else min(known, key=lambda link: link.bytes_per_s)


def _bus(part: Hardware) -> Link | None:
    """The fastest of its links to a host."""
    buses = [link for link in part.links if link.name.startswith(("PCIe", "NVLink-C2C"))]
    return max(buses, key=lambda link: link.gb_per_s.value, default=None)


# Hosts that are taken where nobody names one: of cards in a desktop, and of those in a server.
USUAL_HOST, USUAL_SERVER = "ryzen-7950x", "epyc-9654"


def usual_host_of(hardware: Hardware) -> str:
    """The name of a host as cards of such a class have it."""
    return USUAL_SERVER if hardware.device_class == "datacenter-gpu" else USUAL_HOST


def written_with_host(hardware: Hardware) -> str:
    """How cards with a usual host beside them are written; empty where there is a host already, or none reaches them."""
    if hardware.host is not None or not hardware.has_own_memory:
        return ""
    host = load_hardware(usual_host_of(hardware))
    is_reached = all(link_between(part, host) for part in hardware.parts)
    return f"{written(hardware)}+{host.name}" if is_reached else ""


def written(hardware: Hardware) -> str:
    """A machine as a command takes it: by the names of its parts, or of the files that those have which nobody ships."""
    shipped = names(shelf("hardware"))
    rows = ([*row] for _, row in groupby(hardware.parts, key=lambda part: part.name))
    return "+".join(
        with_count(sum(part.count for part in row), row[0].name if row[0].name in shipped else "FILE.yaml")
        for row in rows
    )


def host_remedy(cards: Hardware) -> str:
    """What to write for cards that name no host; where none reaches them, what their file would have to say."""
    machine = written_with_host(cards)
    if machine:
        return f"name the host with it, as in {machine} (roofcast list hardware cpu)"
    alone = next(part.name for part in cards.parts if _bus(part) is None)
    return f"name the host with it, and in a device file of your own the PCIe link that the file of {alone} does not name (links)"


def shared_memory_told(hardware: Hardware) -> str:
    """That the GPU of a machine has no RAM beside it, and what is its CPU alone."""
    twin = f"{hardware.name}-cpu"
    other = f", or take its CPU alone, {twin}" if twin in names(shelf("hardware")) else ""
    return f"the GPU of {hardware.label} computes in the memory of the whole machine, nothing is split: leave that out{other}"


def counted_device(given: str) -> tuple[int | None, str]:
    """How many of which device: a file or device whose own name begins with a number is one."""
    folder = shelf("hardware")
    is_one = is_file(folder / f"{given.lower()}.yaml") or is_file(Path(given)) or look_up(given, folder).name
    return (None, given) if is_one else split_count(given)


def refuse_several(hardware: Hardware, what: str) -> None:
    """InputError where a name stands for several devices, and *what* is of one."""
    if hardware.beside:
        raise InputError(f"{what} is of one device, not of {hardware.label}: name one part of it")
    if hardware.asked and hardware.asked > 1:
        raise InputError(f"{what} is of one device, not of {hardware.asked} x {hardware.name}: leave the number out")
