"""compressed-tensors (llm-compressor): groups of modules, each with a scheme, and modules that are left out."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError, describe, printable
from simulator.importers.quantised import layouts
from simulator.importers.quantised.modules import Module
from simulator.importers.quantised.patterns import Patterns
from simulator.importers.quantised.planes import ALL, Layout, Plane, constant, layout
from simulator.importers.quantised.statement import Rules, Statement
from simulator.spec.quant import Format

_FLOATS = ("float-quantized", "naive-quantized")
_SPARSE = ("sparse-24-bitmask", "sparse-bitmask", "sparse-24")
# Classes that stand for layers of a kind; others hold no weights that a step reads as a matrix.
_LINEAR = ("Linear", "LinearBase", "ColumnParallelLinear", "RowParallelLinear", "QKVParallelLinear", "Conv1D")
_EMBEDDING = ("Embedding", "VocabParallelEmbedding")


@dataclass(frozen=True)
class _Group:
    """The modules of one scheme."""

    named: Patterns
    classes: frozenset[str]
    layout: Layout | None  # None: only activations are quantised


def read(stated: Statement) -> Rules:
    """Rules of `config_groups`; the first group that names a module has it, before one that names its class."""
    inner = stated.data.get("quantization_config")  # as sparseml wrote it, beside a sparsity_config
    if isinstance(inner, dict):
        own = stated.inner({"sparsity_config": stated.data.get("sparsity_config"), **inner}, "quantization_config")
        return read(own)
    status = stated.text("quantization_status")
    if status in ("initialized", "calibration"):
        raise stated.refuse(f"quantization_status {status}, before weights are quantised")
    ignored, sparse = stated.patterns("ignore"), _sparse(stated)
    groups = [_group(stated, name, each) for name, each in stated.part("config_groups").items()]

    def layout_of(module: Module) -> Format | None:
        if ignored.has(module):
            return sparse.layout_of(module)
        for group in groups:
            if group.named.has(module):
                return group.layout
        found = (group.layout for group in groups if _is_of(module, group.classes))
        return next(found, None) or sparse.layout_of(module)

    names = dict.fromkeys(group.layout.name for group in groups if group.layout)
    cache = stated.cache_scheme()
    how = stated.text("format")
    says_wide = not names and (how == "dense" or (not how and cache is not None))
    return Rules("/".join(names) or sparse.name, layout_of, cache, _unknown_classes(groups), says_wide)


def _unknown_classes(groups: list[_Group]) -> tuple[str, ...]:
    """A remark where a group is of a kind of layer that is none known."""
    known = (*_LINEAR, *_EMBEDDING)
    found = [
        each
        for group in groups
        for each in sorted(group.classes)
        if each not in known and "Expert" not in each and "MoE" not in each
    ]
    return (f"nothing of the model is a {printable(found[0][:60])}, which config_groups target",) if found else ()


def _sparse(stated: Statement) -> Rules:
    """What is pruned and not quantised: half of its values and a bit for each, where `sparsity_config` says so."""
    own = stated.inner(stated.part("sparsity_config"), "sparsity_config")
    how = own.text("format", "dense")
    if how == "dense":
        return Rules("16 bits", lambda _: None)
    if how not in _SPARSE:
        raise stated.refuse(f"the sparse format {how[:40]!r}")
    main = layouts.sparse_bitmask(layout("bf16", "bf16", Plane(layouts.F16)), _share(own))
    targets = own.listed("targets") or ["Linear"]
    classes = frozenset(each for each in targets if isinstance(each, str) and each[:1].isupper())
    named = Patterns(f"{own.where}.targets", [each for each in targets if each not in classes], own.effort)
    ignored = own.patterns("ignore", default=("lm_head",))

    def layout_of(module: Module) -> Format | None:
        is_one = named.has(module) or _is_of(module, classes)
        return main if is_one and not ignored.has(module) else None

    return Rules(main.name, layout_of)


def _share(own: Statement) -> float:
    """Of the values that are kept: half where two of four are, otherwise what is left of all."""
    pruned = own.data.get("global_sparsity")
    if own.text("format").startswith("sparse-24") or not isinstance(pruned, int | float):
        return 0.5
    return min(max(1 - pruned, 0.01), 1.0)


def _is_of(module: Module, classes: frozenset[str]) -> bool:
    if module.is_embedding:
        return bool(classes.intersection(_EMBEDDING))
    if module.is_router:
        return False
    if module.is_expert and any("Expert" in name or "MoE" in name for name in classes):
        return True
    return bool(classes.intersection(_LINEAR))


def _group(stated: Statement, name: str, data: object) -> _Group:
    scheme = stated.inner(data, f"config_groups.{name}")
    targets = scheme.listed("targets") or []
    if not all(isinstance(each, str) for each in targets):
        raise InputError(f"{scheme.where}.targets is {describe(targets)}, names of modules are needed")
    classes = frozenset(each for each in targets if each[:1].isupper() and each.isidentifier())
    named = Patterns(f"{scheme.where}.targets", [each for each in targets if each not in classes], scheme.effort)
    return _Group(named, classes, _layout(stated, scheme))


def _layout(stated: Statement, scheme: Statement) -> Layout | None:
    if scheme.data.get("weights") is None:
        return None
    weights = scheme.inner(scheme.data["weights"], "weights")
    bits, kind = weights.bits("num_bits", default=8), weights.text("type", "int")
    how = scheme.text("format") or stated.text("format")
    activations = scheme.part("input_activations")
    if how in ("", "mixed-precision"):
        how = _inferred(bits, kind, weights, bool(activations))
    if how == "dense":
        return None
    found = _scheme(how, bits, kind, weights)
    if found is None:
        raise stated.refuse(f"the format {how!r} of {bits} bits ({kind})")
    sparsity = stated.part("sparsity_config")
    if sparsity.get("format") in _SPARSE:
        found = layouts.sparse_bitmask(found, _share(stated.inner(sparsity, "sparsity_config")))
    is_static = bool(activations) and activations.get("dynamic") is False
    if how in ("nvfp4-pack-quantized", "nvfp4-e5m3-pack-quantized"):
        return found.and_also(constant(4)) if activations and how == "nvfp4-pack-quantized" else found
    return found.and_also(constant(2)) if is_static else found


def _inferred(bits: int, kind: str, weights: Statement, has_activations: bool) -> str:
    """What the library takes for such a scheme where no format is named."""
    if kind == "float" and bits == 4:
        return "mxfp4-pack-quantized" if weights.data.get("group_size") == 32 else "nvfp4-pack-quantized"
    if kind == "float":
        return "mxfp8-quantized" if weights.data.get("group_size") == 32 else "float-quantized"
    return "int-quantized" if has_activations else "pack-quantized"


def _scheme(how: str, bits: int, kind: str, weights: Statement) -> Layout | None:
    rows, columns = _tile(weights)
    is_symmetric = weights.flag("symmetric", True)
    if how == "pack-quantized" and kind == "int":
        return layouts.packed_int(bits, columns or None, is_symmetric, rows)
    if how in ("int-quantized", "naive-quantized") and kind == "int":
        return layouts.whole_int(columns or None, is_symmetric, rows)
    if how in _FLOATS and kind == "float" and bits == 8:
        return layouts.fp8(rows, columns, layouts.F16)
    if how == "nvfp4-pack-quantized" and bits == 4:
        return layouts.nvfp4()
    if how == "nvfp4-e5m3-pack-quantized" and bits == 4:
        return layouts.nvfp4(n_scalars=0)
    if how == "mxfp4-pack-quantized" and bits == 4:
        return layouts.mxfp4()
    if how == "mxfp8-quantized" and bits == 8:
        return layouts.mxfp8()
    if how == "marlin-24" and kind == "int":
        return layouts.sparse_marlin(bits, columns or None)
    return None


def _tile(weights: Statement) -> tuple[int, int]:
    """Rows and columns of weights that share a scale."""
    group = weights.group("group_size")
    strategy = weights.text("strategy") or ("group" if group else "tensor")
    if strategy == "block":
        block = weights.data.get("block_structure")
        sides = block.split("x") if isinstance(block, str) else block
        if isinstance(sides, list) and len(sides) == 2:
            found = [int(each) if str(each).strip().isdecimal() else 0 for each in sides]
            if all(0 < each <= 10**6 for each in found):
                return found[0], found[1]
        raise InputError(f"{weights.where}.block_structure is {describe(block)}, two sizes are needed")
    if strategy in ("group", "tensor_group"):
        return 1, group or ALL
    if strategy == "channel":
        return 1, ALL
    if strategy == "tensor":
        return ALL, ALL
    raise InputError(f"{weights.where}.strategy is {describe(strategy)}, which is unknown")
