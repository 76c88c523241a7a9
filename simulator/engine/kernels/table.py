"""Which kernels there are, and the tasks that they are given."""

from __future__ import annotations

from functools import cache

import numpy as np

from simulator.engine.compiled import compile_kernel
from simulator.engine.kernels import (
    attention,
    convolution,
    delta_net,
    experts_beside,
    gated_attention,
    inputs,
    latent,
    layer_inputs,
    logits,
    look_up,
    mamba,
    mapped,
    matrices,
    router,
    slow_memory,
    sparse_inputs,
    store,
)

_MAKERS = {
    "matmul": matrices.matmul,
    "activated": matrices.activated,
    "gated": matrices.gated,
    "columns": sparse_inputs.columns,
    "store": store.store,
    "attend": attention.attend,
    "latent_store": latent.store,
    "latent_attend": latent.attend,
    "look_up": look_up.look_up,
}
_PLAIN = {
    "finish": logits.finish,
    "prepare": inputs.prepare,
    "select": sparse_inputs.select,
    "merge": attention.merge,
    "route": router.route,
    "join_experts": experts_beside.join_experts,
    "mix_inputs": layer_inputs.mix_inputs,
    "gate_inputs": layer_inputs.gate_inputs,
    "narrow": latent.narrow,
    "latent_merge": latent.merge,
    "ask": mapped.ask,
    "begin_slow": slow_memory.begin_slow,
    "end_slow": slow_memory.end_slow,
    "convolve": convolution.convolve,
    "delta_rule": delta_net.delta_rule,
    "scan": mamba.scan,
    "norm_groups": mamba.norm_groups,
    "take_apart": gated_attention.take_apart,
    "gate_heads": gated_attention.gate_heads,
}
_FIELDS = {  # of tasks, by the letter before their names
    "L": vars(logits),
    "M": vars(matrices),
    "P": vars(inputs),
    "A": vars(attention),
    "R": vars(router),
    "B": vars(experts_beside),
    "S": vars(sparse_inputs),
    "K": vars(latent),
    "N": vars(latent),
    "Q": vars(mapped),
    "W": vars(slow_memory),
    "C": vars(convolution),
    "D": vars(delta_net),
    "H": vars(mamba),
    "G": vars(gated_attention),
    "E": vars(look_up),
    "I": vars(layer_inputs),
}


def task(kind: str, **fields: int) -> np.ndarray:
    """A task of one kind (the letter before its fields' names), its other fields 0; an unknown field is a KeyError."""
    names = _FIELDS[kind]
    numbers = np.zeros(names[f"{kind}_LENGTH"], np.int64)
    for name, value in fields.items():
        numbers[names[f"{kind}_{name.upper()}"]] = value
    return numbers


@cache
def kernel(kind: str, *names: str) -> int:
    """Address of a compiled kernel: its kind, then the formats and the target it is written for."""
    function = _MAKERS[kind](*names) if kind in _MAKERS else _PLAIN[kind]
    return compile_kernel(function, "-".join((kind, *names)))
