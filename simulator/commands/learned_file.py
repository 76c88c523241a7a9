"""The device file that `validate --learn` writes: as it stood, comments too, with what was learned in place of the section before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.commands.hardware_file import fields_text
from simulator.errors import InputError, printable
from simulator.probe.merge import fields_of
from simulator.report.record import check_target, write_whole
from simulator.spec.hardware import Hardware
from simulator.spec.learned import Learned
from simulator.spec.library import find, is_shipped, shelf
from simulator.spec.machine import counted_device, load_hardware, refuse_several
from simulator.spec.schema import check
from simulator.spec.textfiles import MAX_YAML_BYTES, read_text
from simulator.spec.yamlfiles import parse_yaml

NOTE = "# {name} as it comes with roofcast, with what was learned on one: `roofcast validate {name} --against FILE --learn {file}`\n"
HEAD = "# Learned by `roofcast validate --learn`, which writes it anew for each runtime: comments in this section are not kept.\n"
FIELD = "learned:"


def device_to_learn(given: str, target: str) -> Hardware:
    """The device that something is learned of: as the file *target* has it, where there is one, else as *given*.

    InputError where that cannot be written, or is of another device.
    """
    path, shown = Path(target), f"--learn {printable(target)}"
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{shown}: a hardware file ends in .yaml, as in mine.yaml")
    if not path.parent.is_dir():
        raise InputError(f"{shown}: there is no folder {printable(str(path.parent))}")
    if is_shipped(path.absolute()):
        raise InputError(f"{shown}: is a file that comes with roofcast, give a name of your own")
    device = load_hardware(given)
    refuse_several(device, "what --learn writes")
    check_target(target, "--learn")
    if not path.exists():
        return device
    if not path.is_file():
        raise InputError(f"{shown}: is a pipe or a device, a hardware file is needed")
    own = load_hardware(path)
    if (own.name, own.kind) != (device.name, device.kind):
        raise InputError(
            f"{shown}: describes another device ({printable(own.name)}, not {printable(device.name)}); give another file name"
        )
    return own


def save_learned(given: str, target: str, hardware: Hardware, learned: Mapping[str, Learned]) -> None:
    """Writes the device file with these sections in place of those of the same names; a new file begins as that of *given*.

    InputError where fields and comments do not go together so that the file still says what it said.
    """
    path = Path(target)
    text = read_text(path, MAX_YAML_BYTES) if path.exists() else _text_of(given, path)
    sections = {**hardware.learned, **learned}
    told = {name: each.model_dump(exclude_unset=True, exclude_none=True) for name, each in sections.items()}
    text = with_section(text, HEAD + fields_text({"learned": told}))
    _check_unchanged(text, hardware.model_copy(update={"learned": sections}), str(path))
    write_whole(path, text)


def _text_of(given: str, path: Path) -> str:
    source = find(counted_device(given)[1], shelf("hardware"), "hardware")
    text = read_text(source, MAX_YAML_BYTES)
    return NOTE.format(name=source.stem, file=path.name) + text if is_shipped(source) else text


def with_section(text: str, section: str) -> str:
    """The text of a file with another section `learned`, which is the last where there was none."""
    lines = text.splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if line.startswith(FIELD)), None)
    if start is None:
        return text.rstrip("\n") + "\n" + section
    end = next((n for n, line in enumerate(lines) if n > start and not line[:1].isspace()), len(lines))
    while not lines[end - 1].strip():  # an empty line belongs to what follows
        end -= 1
    start -= start > 0 and lines[start - 1] == HEAD
    return "".join(lines[:start]) + section + "".join(lines[end:])


def _check_unchanged(text: str, wanted: Hardware, where: str) -> None:
    """InputError unless the text says what it said before, and what was learned."""
    try:
        data, node = parse_yaml(text, where)
        found = check(data, Hardware, where, node)
    except InputError as error:
        raise InputError(
            f"{where}: what was learned cannot be written below its fields ({error}); write each field on a line of its own"
        ) from None
    if fields_of(found) != fields_of(wanted):
        raise InputError(
            f"{where}: what was learned cannot be written among its fields; write each on a line of its own"
        )
