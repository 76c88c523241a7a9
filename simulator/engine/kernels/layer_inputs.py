"""Inputs of each layer's own (Gemma 4): made of a token's two embeddings, and gated into the residual stream after every layer."""

from __future__ import annotations

from simulator.engine.kernels.arithmetic import float_of, gate, norm_factor, quantise
from simulator.engine.simd import floats_at, integers_at

# Fields of tasks. `I_STATE` is the address of [number of rows], `I_INPUTS` that of each row's inputs of all layers, `I_MADE` that of as
# many that a matrix made; `I_GATES`, `I_OUTPUT` and `I_RECORDS` are of one layer, number `I_LAYER`.
I_STATE, I_WIDTH, I_N_LAYERS, I_INPUTS, I_MADE, I_NORM, I_EPSILON, I_MADE_SCALE, I_INPUT_SCALE, I_SCALE, I_LAYER, I_GATES, \
    I_ACTIVATION, I_OUTPUT, I_RECORDS, I_RECORD_STRIDE, I_LENGTH = range(17)  # fmt: skip


def mix_inputs(task, thread, n_threads):
    """inputs = scale * (norm(made scale * made) + input scale * inputs), each layer's by themselves."""
    t = integers_at(task, I_LENGTH)
    n, n_layers = t[I_WIDTH], t[I_N_LAYERS]
    made_scale, input_scale, scale = float_of(t[I_MADE_SCALE]), float_of(t[I_INPUT_SCALE]), float_of(t[I_SCALE])
    norm = floats_at(t[I_NORM], n)
    for item in range(thread, integers_at(t[I_STATE], 1)[0] * n_layers, n_threads):
        inputs, made = floats_at(t[I_INPUTS] + 4 * item * n, n), floats_at(t[I_MADE] + 4 * item * n, n)
        for i in range(n):
            made[i] *= made_scale
        factor = norm_factor(made, n, float_of(t[I_EPSILON]))
        for i in range(n):
            inputs[i] = scale * (made[i] * factor * norm[i] + input_scale * inputs[i])


def gate_inputs(task, thread, n_threads):
    """output = act(gates) * the layer's inputs; also as int8."""
    t = integers_at(task, I_LENGTH)
    n, n_layers = t[I_WIDTH], t[I_N_LAYERS]
    for row in range(thread, integers_at(t[I_STATE], 1)[0], n_threads):
        inputs = floats_at(t[I_INPUTS] + 4 * (row * n_layers + t[I_LAYER]) * n, n)
        gates, out = floats_at(t[I_GATES] + 4 * row * n, n), floats_at(t[I_OUTPUT] + 4 * row * n, n)
        for i in range(n):
            out[i] = inputs[i]
        gate(gates, out, n, t[I_ACTIVATION])
        if t[I_RECORDS]:
            quantise(out, t[I_RECORDS] + row * t[I_RECORD_STRIDE], n, 0, n)
