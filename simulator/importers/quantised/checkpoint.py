"""A model in the formats of its checkpoint: exactly as its files' headers say, or as its config states.

Headers win over the statement. What is stated and not understood is refused, unless the files tell it or the user does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.quantised import told
from simulator.importers.quantised.files import Files, find_files
from simulator.importers.quantised.methods.table import rules_of
from simulator.importers.quantised.modules import place_of
from simulator.importers.quantised.planes import exact
from simulator.importers.quantised.stated import Chooser, Key, Table, by_rules, slots
from simulator.importers.quantised.statement import Rules, Statement, find_statement, stated_beside, stated_dtype
from simulator.importers.quantised.stored import PLAIN, Held, formats_of, held_by
from simulator.spec.model import Loaded, Model, tensor_bytes
from simulator.spec.quant import FORMATS, Format, Weights
from simulator.units import format_bytes

AS_STATED, AS_STORED = "as the checkpoint states them", "the files' own formats"
_AS_INDEXED, _BY_SUM = f"{AS_STATED}, the index agrees", "the average by the sum that the index has"
_NEGLIGIBLE = 0.02  # of a model's weights: so many may be missing or of another shape
_UNSEEN = 1e-5  # of the files' bytes: so little is not worth a remark
_SENSIBLE = (1.0, 33.0)  # bits of a weight, on average over a model
_NEAR = 0.1  # how far files with unknown names may be from what is stated
_CACHES = {
    "fp8": "fp8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "int8": "int8",
    "nvfp4": "nvfp4",
    "int4": "int4",
    "fp4": "nvfp4",
}


@dataclass(frozen=True)
class _Source:
    """A config with what it states."""

    file: Path
    config: dict[str, Any]
    statement: Statement | None
    rules: Rules | None
    refusal: str  # why what is stated is not understood
    wide: Format  # of what is not quantised
    numbers: Sequence[int]  # of the model's stored layers

    @property
    def name(self) -> str:
        """What the weights are called."""
        if self.statement is None or self.rules is None:
            return self.wide.name
        return told.label(self.statement.method, self.rules.name)

    def is_of_nothing(self, table: Table) -> bool:
        """Whether what is stated to be quantised is no matrix of the model."""
        is_stated = self.rules is not None and not self.rules.says_wide
        return is_stated and all(fmt is self.wide for fmt in table.values())

    @property
    def of_nothing(self) -> str:
        """The sentence for a statement that no matrix of the model is meant by."""
        where = self.statement.where if self.statement else f"{self.file}"
        return f"{where} states {self.name} and names no matrix of this model: give --weights"

    @property
    def cache(self) -> str | None:
        """The format that the checkpoint has scales of its cache for."""
        stated = self.rules.cache if self.rules else None
        if stated is None:
            beside = stated_beside(self.file).get("kv_cache_quant_algo")
            stated = beside.lower() if isinstance(beside, str) else None
        return _CACHES.get(stated, stated) if stated and stated != "none" else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the statement."""
        if self.statement is None or self.rules is None:
            return ()
        return (
            *self.rules.notes,
            *told.against_each_other(self.file, self.config, self.statement, self.rules),
        )

    def left_wide(self, model: Model, table: Table) -> tuple[str, ...]:
        """The remark where most of a model that is stated to be quantised is not."""
        if self.statement is None or self.rules is None or self.rules.says_wide:
            return ()
        return told.left_wide(model, table, self.statement.where)


def checkpoint(file: Path, config: dict[str, Any], model: Model, numbers: Sequence[int] = ()) -> Loaded:
    """The model of the config in *file* with the formats that its folder's files hold or state.

    *numbers*: those that the model's stored layers have in the config, where they are not counted through.
    """
    n_layers = model.n_stored_layers
    source = _source(file, config, numbers if len(numbers) == n_layers else range(n_layers))
    files = find_files(file.parent)
    if files.tensors or files.missing_names:
        return _from_files(source, files, model)
    if source.statement is None:
        return _unquantised(source, model, files)
    if source.rules is None:
        return _refused(model, (), source.refusal)
    table = by_rules(model, source.rules, source.wide, source.numbers)
    if source.is_of_nothing(table):
        return _refused(model, source.notes, source.of_nothing)
    weights = Weights(source.name, Chooser(table, source.wide), kernels=_kernels(model, table))
    notes = (*source.notes, *source.left_wide(model, table))
    return Loaded(model, weights, notes, cache=source.cache, choice=AS_STATED)


def _refused(model: Model, notes: Sequence[str], refusal: str) -> Loaded:
    """The shapes alone: a forecast needs formats that somebody names."""
    return Loaded(model, notes=(*notes, refusal), refusal=refusal)


def _source(file: Path, config: dict[str, Any], numbers: Sequence[int]) -> _Source:
    wide, statement, rules, refusal = FORMATS["bf16"], None, None, ""
    try:
        wide = FORMATS[stated_dtype(file, config) or "bf16"]
        statement = find_statement(file, config)
        rules = rules_of(statement) if statement else None
    except InputError as error:
        refusal = str(error)
        statement = statement or Statement("", {}, str(file))
    if statement is not None and wide.name == "fp8":  # what is left alone is as wide as libraries load it
        wide = FORMATS["bf16"]
    return _Source(file, config, statement, rules, refusal, wide, numbers)


def _unquantised(source: _Source, model: Model, files: Files) -> Loaded:
    """Only shapes: runtimes choose, from the stated number format on."""
    notes = told.missing(files)
    if source.wide.name in ("f32", "f64", "fp8"):
        model = model.model_copy(update={"native_weights": source.wide.name})
        notes += (
            f"{source.file.name} states {source.wide.name}; other weights are counted where the runtime loads it as such",
        )
    return Loaded(model, notes=notes)


# ---- from files ----


def _from_files(source: _Source, files: Files, model: Model) -> Loaded:
    if not files.tensors:
        return _from_index(source, files, model)
    held = held_by(model, files.tensors, source.numbers)
    notes = [*_remarks(source, files, held), *source.notes]
    if not held.n_found:
        return _without_names(source, files, model, notes)
    if files.is_complete:
        model, more = _checked(source, model, held)
        notes += more
        held = held_by(model, files.tensors, source.numbers) if more else held
    predicted = by_rules(model, source.rules, source.wide, source.numbers)
    table = formats_of(model, held, predicted, files.is_complete)
    if not files.is_complete:
        refusal = source.of_nothing if source.is_of_nothing(predicted) else source.refusal
        if refusal:
            return _refused(model, notes, refusal)
        table = _with_missing(source, model, files, table, predicted, notes)
    else_than_stated = _contradiction(source, model, held, predicted, table)
    notes += else_than_stated or source.left_wide(model, table)
    weights = Weights(
        _name(source, model, table, bool(else_than_stated)),
        Chooser(table, source.wide),
        held_bytes=held.predicting + held.unknown,
        kernels=_kernels(model, table),
    )
    return Loaded(model, weights, tuple(notes), cache=source.cache, choice=AS_STORED)


def _from_index(source: _Source, files: Files, model: Model) -> Loaded:
    """What is stated, where the sum in an index does not contradict; otherwise that sum, or a refusal."""
    notes = [*told.missing(files), *source.notes]
    predicted = by_rules(model, source.rules, source.wide, source.numbers)
    refusal = source.of_nothing if source.is_of_nothing(predicted) else source.refusal
    is_text = _is_text(source, files)
    if refusal and not (files.total_bytes and is_text):
        return _refused(model, notes, refusal)
    stated = _sum(model, _with_missing(source, model, files, {}, predicted, [], is_scaled=False))
    total = files.total_bytes
    is_near = not refusal and total is not None and abs(total / stated - 1) <= _NEAR
    is_possible = not refusal and (not total or (not is_text and total > stated * (1 - _NEAR)))
    if is_near or is_possible:
        table = _with_missing(source, model, files, {}, predicted, notes)
        choice, name = _AS_INDEXED if is_near and is_text else AS_STATED, _name(source, model, table, is_else=False)
        notes += source.left_wide(model, table)
    else:
        bits = 8 * total / model.total_params
        what = f"the index tells of {format_bytes(total)} in all, {bits:.2f} bits for each of the model's weights"
        if not is_text or not _SENSIBLE[0] <= bits <= _SENSIBLE[1]:
            return _refused(
                model, notes, f"{source.file}: {what}: give --weights, or put the safetensors files beside it"
            )
        choice, name = _BY_SUM, f"{bits:.2f}bpw"
        table = told.by_sum(model, predicted, total, name)
        notes.append(
            f"{refusal.partition(': give --weights')[0]}; {what}, which count"
            if refusal
            else f"{what}; {source.name} would be {format_bytes(stated)}: counted by the index"
        )
    weights = Weights(name, Chooser(table, source.wide), kernels=_kernels(model, table))
    return Loaded(model, weights, tuple(notes), cache=source.cache, choice=choice)


def _is_text(source: _Source, files: Files) -> bool:
    """Whether what is not here is all of the model that writes text."""
    n_layers = 1 + max(source.numbers)
    return not any(place_of(name, n_layers).kind for name in files.missing_names)


def _contradiction(source: _Source, model: Model, held: Held, predicted: Table, table: Table) -> tuple[str, ...]:
    """The remark where files and statement do not agree."""
    if source.statement is None or source.rules is None:
        return ()
    stated = f"{source.statement.where} states {source.name}"
    note = told.against_files(model, predicted, tuple(held.by_key), table, stated)
    return (note,) if note else ()


def _remarks(source: _Source, files: Files, held: Held) -> list[str]:
    """What the files hold, and what of it is not the text model."""
    by_dtype: Counter[str] = Counter()
    for tensor in files.tensors:
        by_dtype[tensor.dtype] += tensor.nbytes
    listed = ", ".join(f"{dtype} {format_bytes(n_bytes)}" for dtype, n_bytes in by_dtype.most_common())
    notes = [f"safetensors files: {listed}"] if listed else []
    notes += told.missing(files)
    if source.refusal:
        notes.append(f"{source.refusal.partition(': give --weights')[0]}; the files tell it")
    if held.elsewhere:
        notes.append(f"{format_bytes(held.elsewhere)} of vision or audio are left out")
    if held.predicting:
        notes.append(f"{format_bytes(held.predicting)} of layers that predict further tokens are held, not read")
    if held.twice:
        notes.append(f"{format_bytes(held.twice)} of a head that is the embedding again are left out")
    if held.n_found and held.unknown > _UNSEEN * held.total_bytes:
        first = printable(held.unknown_names[0][:80])
        notes.append(
            f"{format_bytes(held.unknown)} are held, not read: the model has nothing for {first}"
            + (f" and {len(held.unknown_names) - 1:,} more" if len(held.unknown_names) > 1 else "")
        )
    return notes


def _checked(source: _Source, model: Model, held: Held) -> tuple[Model, list[str]]:
    """The model, its head tied where the files have none; InputError where files and config are of different models."""
    notes = []
    if not model.tied_head and model.has_head and (0, "output") not in held.by_key:
        model = model.model_copy(update={"tied_head": True})
        notes.append("the files have no head: the embedding serves as one")
    absent = [(key, tensor) for key, _, tensor in slots(model) if not (tensor.is_vector or key in held.by_key)]
    wrong = sum(tensor.params for _, tensor in absent) + sum(abs(there - ours) for _, there, ours in held.misshapen)
    if wrong > _NEGLIGIBLE * model.total_params:
        if held.misshapen:
            name, there, ours = held.misshapen[0]
            told = f"tensor {printable(name[:80])} has {there:,} weights in the files, {ours:,} by the config"
        else:
            (layer, role), _ = absent[0]
            told = f"the files beside it have nothing of {role} in layer {layer}"
        raise InputError(f"{source.file}: {told}: they are not of the same model")
    if wrong:
        notes.append(f"config and files disagree on {wrong:,} weights; counted as the files hold them")
    return model, notes


def _without_names(source: _Source, files: Files, model: Model, notes: list[str]) -> Loaded:
    """Files whose tensors have unknown names: their sum, shared out as the statement or their number format has it."""
    by_dtype: Counter[str] = Counter()
    for tensor in files.tensors:
        by_dtype[tensor.dtype] += tensor.nbytes
    total, main = sum(by_dtype.values()), by_dtype.most_common(1)[0][0]
    wide = source.wide if source.rules else FORMATS.get({**PLAIN, "F8_E4M3": "fp8", "F8_E5M2": "fp8"}.get(main, ""))
    if wide is None or not total:
        refusal = (
            source.refusal
            or f"{source.file}: the files beside it are packed and name no tensor that is known: give --weights"
        )
        return _refused(model, notes, refusal)
    table = by_rules(model, source.rules, wide, source.numbers)
    counted_bytes = _sum(model, table)
    if abs(counted_bytes / total - 1) <= _NEAR:
        table = _scaled(model, table, total / counted_bytes)
    else:
        notes.append(
            f"the files hold {format_bytes(total)}, {format_bytes(counted_bytes)} are counted: parts of the model are elsewhere or extra"
        )
    name = source.name if source.rules else wide.name
    weights = Weights(name, Chooser(table, wide), kernels=_kernels(model, table))
    return Loaded(model, weights, tuple(notes), cache=source.cache, choice=AS_STORED)


def _sum(model: Model, table: dict[Key, Format]) -> float:
    return sum(tensor_bytes(tensor, table[key]) for key, _, tensor in slots(model) if key in table)


def _scaled(model: Model, table: dict[Key, Format], factor: float) -> dict[Key, Format]:
    """The same formats with so much more or less in each."""
    if factor == 1:
        return table
    found = {}
    for key, _, tensor in slots(model):
        if key in table:
            fmt, n_weights = table[key], tensor.rows * tensor.columns
            found[key] = exact(fmt.name, fmt.kernel, fmt.nbytes(tensor.rows, tensor.columns) * factor, n_weights)
    return found


def _with_missing(
    source: _Source,
    model: Model,
    files: Files,
    table: dict[Key, Format],
    predicted: dict[Key, Format],
    notes: list[str],
    is_scaled: bool = True,
) -> dict[Key, Format]:
    """What lies in files that are not here: as in another layer that is, or as stated, and as much in all as the index says."""
    siblings: dict[tuple[int, str, Format], Format] = {}
    places = [(id(layer), key) for key, layer, _ in slots(model)]
    for shape, key in places:
        if key in table:
            siblings.setdefault((shape, key[1], predicted[key]), table[key])
    plain = _plain_by_name(source, files)
    wide = next((fmt for key, fmt in predicted.items() if key[1].startswith(("norm", "output_norm"))), FORMATS["bf16"])
    gone: dict[Key, Format] = {}
    for shape, key in places:
        if key not in table:
            stated = wide if key in plain else predicted[key]
            gone[key] = siblings.get((shape, key[1], predicted[key]), stated)
    left = (files.total_bytes or 0) - sum(tensor.nbytes for tensor in files.tensors)
    is_text = is_scaled and _is_text(source, files)
    counted_bytes = _sum(model, gone)
    if files.total_bytes and is_text and counted_bytes and abs(left / counted_bytes - 1) <= _NEAR:
        gone = _scaled(model, gone, left / counted_bytes)
    elif files.total_bytes and is_text and counted_bytes:
        notes.append(
            f"the index tells of {format_bytes(max(left, 0))} in files that are not here, {format_bytes(counted_bytes)} are counted"
        )
    return {**table, **gone}


def _plain_by_name(source: _Source, files: Files) -> set[Key]:
    """Matrices that lie unpacked in files that are not here, as their names tell: nothing but a weight and a bias."""
    suffixes: dict[Key, set[str]] = {}
    indices: dict[int | None, list[int]] = {None: [0]}
    for index, number in enumerate(source.numbers):
        indices.setdefault(number, []).append(index)
    for name in files.missing_names:
        place = place_of(name, 1 + max(source.numbers))
        for index in indices.get(place.layer, ()):
            for role in dict.fromkeys(role for roles in place.roles for role in roles):
                suffixes.setdefault((index, role), set()).add(place.suffix)
    return {key for key, found in suffixes.items() if found <= {"weight", "bias"}}


def _kernels(model: Model, table: dict[Key, Format]) -> tuple[str, ...]:
    """The formats whose kernels read the quantised matrices."""
    found = (table[key].kernel for key, _, tensor in slots(model) if key in table and not tensor.is_vector)
    return tuple(name for name in dict.fromkeys(found) if name not in PLAIN.values())


def _name(source: _Source, model: Model, table: dict[Key, Format], is_else: bool) -> str:
    """What the weights are called: a number format that nearly all are in, or what is stated."""
    sizes: Counter[str] = Counter()
    for key, _, tensor in slots(model):
        if key in table:
            sizes[table[key].name] += tensor_bytes(tensor, table[key])
    (main, most), *_ = sizes.most_common(1)
    if most >= 0.99 * sum(sizes.values()) and main in PLAIN.values():
        return main
    return source.name if source.rules and not is_else else f"{main} file"
