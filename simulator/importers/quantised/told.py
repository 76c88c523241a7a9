"""What is said of a checkpoint's formats: files that are not here, what stays wide, and sources that contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.errors import InputError, printable
from simulator.importers.quantised.files import Files
from simulator.importers.quantised.layouts import like_bits
from simulator.importers.quantised.methods.table import rules_of
from simulator.importers.quantised.planes import exact
from simulator.importers.quantised.stated import Key, Table, slots
from simulator.importers.quantised.statement import Rules, Statement, statements_beside
from simulator.spec.model import Model, tensor_bytes
from simulator.spec.quant import Format
from simulator.units import counted

_WIDE = 12  # bits of a weight: more are not quantised
_MOST = 0.5  # of the weights' bytes: so many in 16 bits under a format of 4 or 8 are worth a remark
_APART = 0.2  # how far the bits in the files may be from those that are stated, which leave out odd shapes and padding


def label(method: str, name: str) -> str:
    """What weights are called: the library and its format, each once."""
    if name == method:
        return f"{method} checkpoint"
    return name if method in name else f"{method} {name}"


def missing(files: Files) -> tuple[str, ...]:
    """The files that an index or their neighbours name and that are not here."""
    if not files.missing:
        return ()
    listed = ", ".join(
        printable(name) + (", a Git LFS pointer" if name in files.pointers else "") for name in files.missing[:2]
    ) + (", ..." if len(files.missing) > 2 else "")
    verb = "is" if len(files.missing) == 1 else "are"
    return (f"{counted(len(files.missing), 'safetensors file')} of the checkpoint {verb} not here ({listed})",)


def left_wide(model: Model, table: Table, where: str) -> tuple[str, ...]:
    """A remark where most bytes of a quantised model are not quantised, naming the largest of what is left out."""
    sizes: Counter[str] = Counter()
    total = 0.0
    for key, _, tensor in slots(model):
        if key in table:
            n_bytes = tensor_bytes(tensor, table[key])
            total += n_bytes
            if table[key].bits > _WIDE and not tensor.is_vector:
                sizes[tensor.role] += n_bytes
    share = sum(sizes.values()) / total if total else 0
    if share <= _MOST:
        return ()
    listed = ", ".join(role for role, _ in sizes.most_common(3)) + (", ..." if len(sizes) > 3 else "")
    return (f"{share:.0%} of the weights' bytes stay in 16 bits or more: {where} does not quantise {listed}",)


def against_files(model: Model, predicted: Table, held: Sequence[Key], table: Table, stated: str) -> str:
    """The remark on files that hold other formats than what is stated; empty where they agree."""
    n_weights = by_statement = by_files = 0.0
    keys = frozenset(held)
    for key, _, tensor in slots(model):
        if key in keys and not tensor.is_vector and predicted[key].bits <= _WIDE:
            n_weights += tensor.params
            by_statement += tensor_bytes(tensor, predicted[key])
            by_files += tensor_bytes(tensor, table[key])
    if not n_weights or abs(by_files / by_statement - 1) <= _APART:
        return ""
    ours, theirs = (f"{8 * n_bytes / n_weights:.2f} bits" for n_bytes in (by_statement, by_files))
    return f"{stated} ({ours} a weight), the files hold {theirs} of the same matrices: counted as the files hold them"


def against_each_other(file: Path, config: dict[str, Any], first: Statement, rules: Rules) -> tuple[str, ...]:
    """Remarks on files beside the config that state something else."""
    notes = []
    for other in statements_beside(file, config):
        if other.where == first.where:
            continue
        try:
            name = rules_of(other).name
        except InputError:
            name = other.method
        if name != rules.name and not set(name.split("/")) <= set(rules.name.replace(", rest ", "/").split("/")):
            notes.append(
                f"{first.where} states {label(first.method, rules.name)}, {other.where} states {label(other.method, name)}: "
                "the former is counted where no file tells it"
            )
    return tuple(notes)


def by_sum(model: Model, table: Table, n_bytes: float, name: str) -> dict[Key, Format]:
    """All matrices in a format called *name* of as many bits as *n_bytes* in all leave them, vectors as in *table*."""
    vectors = sum(tensor_bytes(tensor, table[key]) for key, _, tensor in slots(model) if tensor.is_vector)
    n_weights = sum(tensor.params for _, _, tensor in slots(model) if not (tensor.is_vector or tensor.is_again))
    bits = 8 * (n_bytes - vectors) / n_weights
    found, like = dict(table), "bf16" if bits > _WIDE else like_bits(bits)
    for key, _, tensor in slots(model):
        if not tensor.is_vector:
            each = tensor.rows * tensor.columns
            found[key] = exact(name, like, bits / 8 * each, each)
    return found
