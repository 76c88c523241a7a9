"""In which formats the weights of a measured row are: what it calls them, what its software means by that, and their size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from simulator.errors import printable
from simulator.importers.dialects import meant
from simulator.importers.records import Record, Unusable
from simulator.importers.sizes import Choice, parse, published_size, with_formats
from simulator.spec.hardware import Hardware
from simulator.spec.model import Loaded
from simulator.spec.recipes import RECIPES
from simulator.spec.runtime import Runtime
from simulator.units import GI

Sizes = dict[tuple[str, str], set[float]]  # bytes of the weights by model and formats


def stated_sizes(records: Iterable[Record]) -> Sizes:
    """The bytes of the weights, as rows state them."""
    found: Sizes = defaultdict(set)
    for record in records:
        if record.text("weights_gib"):
            found[_of_size(record)].add(record.number("weights_gib", 0, 1e6) * GI)
    return found


def formats_of(record: Record, loaded: Loaded, runtime: Runtime, device: Hardware, sizes: Sizes) -> Choice:
    """The formats by name, where the size does not tell otherwise; *sizes* are those of all rows."""
    name = record.text("weights")
    if not name:
        raise Unusable("the format of the weights is not stated")
    weights = parse(_meant(record.text("runtime"), name, loaded, runtime, device))
    label = weights.name if weights else None
    size, remarks = _size(record, loaded, label, sizes)
    if label is None and not size:
        raise Unusable(f"weights {printable(name)} are unknown and their size is not stated")
    bits = 8 * size / loaded.model.params_of_file if size else None
    choice = with_formats(loaded, label, bits, record.text("date"))
    return replace(choice, assumed=(*remarks, *choice.assumed))


def _meant(software: str, name: str, loaded: Loaded, runtime: Runtime, device: Hardware) -> str:
    """A format by the name that it has here, where the software has an own idea of it that its runtime knows."""
    weights = parse(name)
    if weights is None:
        return name
    own = meant(name, weights.name, runtime, loaded.model, software)
    return name if runtime.refusal(device, own) else own


def _size(record: Record, loaded: Loaded, label: str | None, sizes: Sizes) -> tuple[float, tuple[str, ...]]:
    """Bytes of the file, and a remark where the row does not state them; 0 where nobody knows."""
    if record.text("weights_gib"):
        return record.number("weights_gib", 0, 1e6) * GI, ()
    if label is not None and label not in RECIPES:
        return 0.0, ()  # what the mix is, its name tells
    others = sizes.get(_of_size(record), set())
    if len(others) == 1:
        return next(iter(others)), ("size of the weights not stated: that of other rows",)
    found = published_size(loaded.model, label or record.text("weights"))
    return (found[0], (f"size of the weights not stated: that of {found[1]}",)) if found else (0.0, ())


def _of_size(record: Record) -> tuple[str, str]:
    return record.text("model").lower(), record.text("weights").lower()
