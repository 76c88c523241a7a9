"""What stands outside the layers of a GGUF file: inputs of each layer's own, residual streams, tables, and what is only held."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from simulator.importers.gguf_file import GgufFile
from simulator.importers.gguf_header import FileTensor
from simulator.importers.gguf_states import as_listed
from simulator.spec.layers.residual import AltUp, HyperConnections, PerLayerInput
from simulator.spec.model import Model
from simulator.spec.schema import check
from simulator.units import format_bytes

_MOST_ROWS = 9_000_000  # of one tensor of a model
# Heads for something else than the next token, and what nobody reads.
_IDLE = re.compile(r".*\.input_scale|cls.*|dense_\d.*|token_types.*|d2t|per_layer_token_embd")


def streams_and_inputs(file: GgufFile, d_model: int) -> dict[str, Any]:
    """Inputs of each layer's own, and several residual streams."""
    outside, first, found = file.outside, file.blocks.get(0, {}), {}
    if "per_layer_token_embd" in outside:
        gate = first.get("inp_gate")
        width = file.count("embedding_length_per_layer_input", gate.rows if gate else None)
        found["per_layer_input"] = {"width": width, "vocab": outside["per_layer_token_embd"].rows}
    if "altup_proj" in outside:
        n = file.count("altup.num_inputs", outside["altup_proj"].rows // d_model + 1)
        found["streams"] = {"kind": "altup", "n": n, "laurel_rank": file.need(first, "laurel_l", "blk.0.").rows}
    elif _is_mixed_as_deepseek(file):
        found["streams"] = {"kind": "hyper_connections", "n": outside["output_hc_fn"].rows}
    return found


def roles_of_all_layers(fields: dict[str, Any], d_model: int, where: str) -> frozenset[str]:
    """The roles of what each layer has of these."""
    parts = []
    if "per_layer_input" in fields:
        parts.append(check(fields["per_layer_input"], PerLayerInput, where))
    if "streams" in fields:
        kind = AltUp if fields["streams"]["kind"] == "altup" else HyperConnections
        parts.append(check(fields["streams"], kind, where))
    return frozenset(tensor.role for part in parts for tensor in part.tensors(d_model))


def _is_mixed_as_deepseek(file: GgufFile) -> bool:
    if "output_hc_fn" not in file.outside:
        return False
    n = file.outside["output_hc_fn"].rows
    return all(block["hc_attn_fn"].rows == (2 + n) * n for block in file.blocks.values() if "hc_attn_fn" in block)


def tensors_held(file: GgufFile) -> dict[str, FileTensor]:
    """What is held and never read, as few tensors: all of one format and row length together."""
    rows: Counter[tuple[int, Any]] = Counter()
    for tensor in file.held:
        rows[tensor.columns, tensor.format] += tensor.rows
    found = {}
    for number, ((columns, fmt), total) in enumerate(rows.items()):
        for part, first in enumerate(range(0, total, _MOST_ROWS)):
            name = f"held.{number}.{part}"
            found[name] = FileTensor(
                name, (columns, min(_MOST_ROWS, total - first)), fmt if not first else replace(fmt, matrix_bytes=0)
            )
    return found


def blocks_that_predict(file: GgufFile) -> dict[str, int | None]:
    """How many blocks of the file predict further tokens, `blk.92.nextn.eh_proj.weight` and others of one number, and as which layer.

    Those without experts are as the first layer, where that has none either (MiMo-V2, Step 3.5).
    """
    names = [tensor.name for tensor in file.held if tensor.name.startswith("blk.")]
    numbers = {name.split(".")[1] for name in names if ".nextn." in name}
    is_dense = numbers and not any("_exps." in name or ".ffn_gate_inp." in name for name in names)
    first, last = (file.blocks.get(number, {}) for number in (0, max(file.blocks, default=0)))
    is_first = is_dense and "ffn_gate_inp" in last and "ffn_gate_inp" not in first
    return {"mtp_blocks": len(numbers), "mtp_layer": 0 if is_first else None}


def held_remarks(file: GgufFile) -> list[str]:
    """What of the file no step reads, and what is left out."""
    found = []
    held = sum(tensor.nbytes for tensor in file.held)
    if held:
        what = (
            "an encoder"
            if any(tensor.name.startswith("enc.") for tensor in file.held)
            else "prediction of several tokens"
        )
        found.append(f"{format_bytes(held)} of {file.path.name} are for {what}: held, not read in a step")
    senses = sum(tensor.nbytes for tensor in file.senses)
    if senses:
        prefixes = sorted({tensor.name.partition(".")[0] + ".*" for tensor in file.senses})
        found.append(
            f"{format_bytes(senses)} of {file.path.name} see and hear ({', '.join(prefixes)}): left out, text alone is counted"
        )
    if file.key("pooling_type"):
        found.append("the file asks for pooling, as models do that make vectors of texts: counted as if it wrote")
    return found


def beside_layers(file: GgufFile, data: dict[str, Any], held: dict[str, FileTensor]) -> list[dict[str, Any]]:
    """Every tensor outside the layers that the model does not have by its fields."""
    model = check({**data, "layers": data["layers"][:1], "repeats": []}, Model, str(file.path))
    taken = {tensor.role for tensor in model.shapes[0][2]}
    rest = [role for role in file.outside if role not in taken]
    found = [as_listed(role, file.outside[role], bool(_IDLE.fullmatch(role))) for role in rest]
    return [*found, *(as_listed(role, tensor, idle=True) for role, tensor in held.items())]
