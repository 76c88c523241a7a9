"""A choice among measurements by what is written of them: `device_class=apple`, `batch=1`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simulator.errors import InputError, hint, printable
from simulator.importers.records import Published, Skipped
from simulator.importers.serving import ServedPublished
from simulator.importers.speculating import PublishedSpeculation
from simulator.importers.split import SplitPublished

Either = Published | ServedPublished | SplitPublished | PublishedSpeculation | Skipped


def _device(each: Either) -> Iterable[str]:
    yield each.origin.device
    if isinstance(each, Published) and each.hardware is not None:
        yield from (each.hardware.name, each.hardware.label)


def _device_class(each: Either) -> Iterable[str]:
    yield each.origin.device_class
    if isinstance(each, Published) and each.hardware is not None:
        yield each.hardware.device_class


def _model(each: Either) -> Iterable[str]:
    yield each.origin.model
    if isinstance(each, Published):
        yield each.loaded.model.name


def _runtime(each: Either) -> Iterable[str]:
    yield each.origin.runtime
    if isinstance(each, Published):
        yield each.runtime


def _conditions(name: str) -> Callable[[Either], Iterable[str]]:
    """Of a field that only a measurement has which may be forecast."""
    return lambda each: [str(getattr(each, name))] if isinstance(each, Published) else []


# What may be asked for, each with the words that stand for it.
FIELDS: dict[str, Callable[[Either], Iterable[str]]] = {
    "device": _device,
    "device_class": _device_class,
    "model": _model,
    "runtime": _runtime,
    "batch": lambda each: [each.origin.batch, *_conditions("batch")(each)],
    "mode": lambda each: [each.origin.mode],
    "usable": lambda each: ["yes" if each.origin.is_usable else "no"],
    "weights": _conditions("weights"),
    "context": _conditions("context"),
    "api": _conditions("api"),
    "id": lambda each: [each.id],
}


@dataclass(frozen=True)
class Only:
    """One condition: a field, and what it has to be, in any spelling of capitals."""

    field: str
    value: str

    def holds(self, each: Either) -> bool:
        """Whether a measurement is one of them."""
        return self.value in {text.lower() for text in FIELDS[self.field](each)}


def parse_only(text: str) -> Only:
    """`field=value`; InputError for a field that there is not."""
    field, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not value:
        raise InputError(f"--only {printable(text, 60)}: write a field and its value, as in --only device_class=apple")
    if field not in FIELDS:
        raise InputError(
            f"--only {printable(text, 60)}: no field is called {printable(field, 40)}, {hint(field, FIELDS)}"
        )
    return Only(field, value.lower())


def matches(each: Either, only: Sequence[Only]) -> bool:
    """Whether one condition of each field that is named holds."""
    fields = {condition.field for condition in only}
    return all(any(condition.holds(each) for condition in only if condition.field == field) for field in fields)


def refuse_no_match(every: Sequence[Either], only: Sequence[Only]) -> None:
    """InputError where no measurement is left of *every*, with what there is instead."""
    if only and not any(matches(each, only) for each in every):
        field = next((each.field for each in only if not any(matches(one, [each]) for one in every)), only[-1].field)
        values = ", ".join(each.value for each in only if each.field == field)
        raise InputError(f"--only {field}={printable(values, 60)}: no measurement has that; {_told(every, field)}")


def _told(every: Sequence[Either], field: str) -> str:
    """What is there instead."""
    texts = {text for each in every for text in FIELDS[field](each) if text}
    shown = ", ".join(sorted(texts)[:12])
    return f"known: {printable(shown, 200)}{' ...' if len(texts) > 12 else ''}" if texts else "nothing says"
