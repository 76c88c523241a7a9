"""Boards of round numbers, and a model whose step reads round bytes, for plans that can be worked out by hand."""

from simulator import load_model
from simulator.spec.hardware import Hardware

# A step reads both layers' matrices and the head: 2 x (2 x 1024 x 1024 + 2 x 1024 x 512 + 3 x 1024 x 4096) + 1024 x 32000 weights,
# attention of 8 heads of 128 with 4 of keys and values, in f16, and norms.
MODEL = """\
name: round
d_model: 1024
vocab: 32000
layers:
  - count: 2
    attention: {kind: grouped_query, n_heads: 8, n_kv_heads: 4, head_dim: 128}
    ffn: {kind: gated, d_ff: 4096}
"""
WEIGHTS = 2 * (2 * 1024 * 1024 + 2 * 1024 * 512 + 3 * 1024 * 4096) + 1024 * 32000


def model(folder):
    """It, as it is loaded from a file."""
    path = folder / "round.yaml"
    path.write_text(MODEL)
    return load_model(path)


def board(name, gb_per_s, gib=4, **more):
    """A board whose memory is read at that rate, by its datasheet and as measured."""
    fields = {
        "name": name, "class": "sbc", "kind": "cpu", "cores": 4, "peaks_tflops": {"f32": 1.0, "f16": 2.0},
        "memory": [{"name": "DRAM", "capacity_gib": gib, "datasheet_gb_per_s": gb_per_s, "gb_per_s": gb_per_s, "reserved_gib": 0.5}],
    }  # fmt: skip
    return Hardware(**fields, **more)
