"""What models, devices and formats are called in a chart: what all of it share stands above, what tells them apart at each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from simulator.forecast.scenario import Scenario


def model_name(base: Scenario) -> str:
    """As people call it."""
    return base.loaded.model.title or base.loaded.model.name


def device_name(base: Scenario) -> str:
    """As people call it."""
    return base.hardware.full_title


def format_name(base: Scenario) -> str:
    """Of the weights, as a command takes it."""
    return base.load.weights.name


def told_apart(bases: Sequence[Scenario]) -> list[Scenario]:
    """The same scenarios, with its name in the title of each device and model that shares its title with another one."""
    devices = {base.hardware.label: device_name(base) for base in bases}
    models = {base.loaded.model.name: model_name(base) for base in bases}
    return [
        replace(
            base,
            hardware=_titled(base.hardware, base.hardware.label, devices),
            loaded=replace(base.loaded, model=_titled(base.loaded.model, base.loaded.model.name, models)),
        )
        for base in bases
    ]


def _titled(entry: Any, name: str, titles: dict[str, str]) -> Any:
    """A device or a model; *titles* are all there are, by name."""
    title = titles[name]
    if list(titles.values()).count(title) == 1:
        return entry
    return entry.model_copy(update={"title": f"{title} ({entry.name})"})


def by_device(bases: Sequence[Scenario]) -> dict[str, list[Scenario]]:
    """Scenarios by device, in the order given."""
    return grouped(bases, device_name)


def grouped(bases: Sequence[Scenario], name: Callable[[Scenario], str]) -> dict[str, list[Scenario]]:
    """Scenarios by what *name* calls them, in the order given."""
    found: dict[str, list[Scenario]] = {}
    for base in bases:
        found.setdefault(name(base), []).append(base)
    return found


def colours_of(names: Iterable[str]) -> dict[str, int]:
    """The number of a colour for each name, in the order given."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def shared_name(names: Iterable[str]) -> str:
    """A name that all share; nothing where they differ."""
    found = list(dict.fromkeys(names))
    return found[0] if len(found) == 1 else ""


def listed(names: Iterable[str], most: int = 3) -> str:
    """So many names, and how many more there are."""
    found = list(dict.fromkeys(names))
    return (
        ", ".join(found) if len(found) <= most else f"{', '.join(found[: most - 1])} and {len(found) - most + 1} more"
    )


def subtitle(bases: Sequence[Scenario]) -> str:
    """The model and the device, as far as all share them."""
    model, fmt, device = (shared_name(map(name, bases)) for name in (model_name, format_name, device_name))
    return " on ".join(filter(None, (", ".join(filter(None, (model, fmt))), device)))


def panel_title(base: Scenario, bases: Sequence[Scenario], names: Sequence[Callable[[Scenario], str]] = ()) -> str:
    """What tells a panel from the others."""
    names = names or (model_name, format_name, device_name)
    return ", ".join(name(base) for name in names if len({name(each) for each in bases}) > 1)


def line_name(base: Scenario, bases: Sequence[Scenario]) -> str:
    """What tells a scenario from the others: its model, where that is shared its device, and the format where it differs."""
    is_of_devices = shared_name(map(model_name, bases)) and not shared_name(map(device_name, bases))
    name_of = device_name if is_of_devices else model_name
    if shared_name(map(format_name, bases)):
        return name_of(base)
    same = [each for each in bases if name_of(each) == name_of(base)]
    # A model in another format on every device is one colour and one name; each panel tells its format.
    apart = len(same) > len({device_name(each) for each in same})
    return f"{name_of(base)}, {format_name(base)}" if apart or shared_name(map(format_name, same)) else name_of(base)


def _untold_format(base: Scenario, bases: Sequence[Scenario]) -> str:
    """The format of a line, where neither its name nor the subtitle has it."""
    is_told = shared_name(map(format_name, bases)) or line_name(base, bases).endswith(f", {format_name(base)}")
    return "" if is_told else format_name(base)


def panel_note(group: Sequence[Scenario], bases: Sequence[Scenario], batch: int, context: int) -> str:
    """What the names of a panel's lines leave out: their formats there, and which of them have no line since they do not fit."""
    fitting, others = [], []
    for base in group:
        fmt = _untold_format(base, bases)
        is_fitting = bool(base.at(batch, context).fits)
        told = line_name(base, bases) + (f" in {fmt}" if fmt else "")
        if not is_fitting:
            others.append(f"{told} does not fit")
        elif fmt:
            fitting.append(told)
    return "; ".join(filter(None, (", ".join(fitting), *others)))
