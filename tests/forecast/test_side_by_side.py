"""Mixers side by side, and indices beside keys: each is shared among devices, copied and read as it is."""

import pytest

from simulator.forecast.decode import cache_bytes_held, decode_ops
from simulator.forecast.parallel import messages, spread_ops
from simulator.spec.cache_rules import AS_ARCHITECTURE, CacheRules
from simulator.spec.layout import Layout
from simulator.spec.mixes import parse_weights
from simulator.spec.model import Model
from simulator.spec.runtime import load_runtime
from simulator.spec.schema import check
from simulator.spec.workload import Workload

STATE = {"kind": "mamba2", "n_heads": 8, "head_dim": 32, "n_groups": 1, "d_state": 16, "conv": 4}
ATTENTION = {"kind": "grouped_query", "n_heads": 8, "n_kv_heads": 2, "head_dim": 32}
BOTH = {"kind": "parallel", "parts": [STATE, ATTENTION]}
INDEXED = {**ATTENTION, "picks": 64, "index_heads": 4, "index_dim": 16}
LOAD = Workload(parse_weights("bf16"), batch=1, context=1023)
STATE_BYTES = 4 * (8 * 32 * 16 + 3 * (8 * 32 + 2 * 16))  # the matrices, and 3 inputs of the convolution
KEYS = 2 * 2 * 2 * 32  # a token's keys and values of 2 heads in f16


def model_of(*mixers, **more):
    """A model with a layer for each."""
    layers = [{"attention": mixer, "ffn": {"kind": "gated", "d_ff": 512}} for mixer in mixers]
    return check({"name": "m", "d_model": 256, "vocab": 512, "layers": layers, **more}, Model, "m.yaml")


def caches(model, rules=AS_ARCHITECTURE):
    """The operations over what is kept."""
    return [op for op in decode_ops(model, LOAD, rules) if op.part == "cache"]


def test_each_part_is_an_operation_of_its_own():
    """What two layers would do one after the other, and a kernel for their sum."""
    parts, single = caches(model_of(BOTH)), caches(model_of(STATE, ATTENTION))
    for part, alone in zip(parts, single, strict=True):
        assert (part.name, part.cost, part.work, part.pieces) == (alone.name, alone.cost, alone.work, alone.pieces)
    assert sum(op.launches for op in parts) == sum(op.launches for op in single) + 1
    assert [work.items for work in parts[1].work] == [8, 2]


def test_a_state_is_shared_where_keys_are_kept_twice():
    """16 devices: 2 key heads, so each is read and held 8 times; the state once."""
    model, layout = model_of(BOTH), Layout(tensor=16)
    state, keys = (op for op in spread_ops(decode_ops(model, LOAD), layout, load_runtime("vllm")) if op.part == "cache")
    assert state.cost.cache_read_bytes == STATE_BYTES
    assert keys.cost.cache_read_bytes == 8 * 1024 * KEYS
    assert cache_bytes_held(model, LOAD, n_devices=16) == STATE_BYTES + 8 * 1024 * KEYS


def test_copies_are_made_of_the_part_that_they_hold_for():
    """Two more of the state, each read and written."""
    state, keys = caches(model_of(BOTH), CacheRules(copies={"mamba2": 2}))
    assert (state.cost.activation_bytes, keys.cost.activation_bytes) == (2 * 2 * STATE_BYTES, 0)


def test_mixes_see_how_many_queries_share_a_key():
    """Four: q2_k gives such values q4_k."""
    model, weights = model_of(BOTH), parse_weights("q2_k")
    layer = model.stack[0]
    (values,) = [each for each in layer.tensors(256, False) if each.role == "attn_v"]
    slot = model.slot(0, layer, values)
    assert (slot.queries_per_kv, weights.choose(slot).name) == (4, "q4_k")


def test_the_keys_of_an_index_lie_whole_on_each_device():
    """Two devices: 64 picked tokens of one key head each, and 1024 keys of 16 values twice."""
    model = model_of(INDEXED)
    (alone,) = caches(model)
    (op,) = [
        op for op in spread_ops(decode_ops(model, LOAD), Layout(tensor=2), load_runtime("vllm")) if op.part == "cache"
    ]
    index = 1024 * 16 * 2
    assert alone.cost.cache_read_bytes == 64 * KEYS + index
    assert op.cost.cache_read_bytes == 64 * KEYS + 2 * index
    assert op.cost.cache_write_bytes == KEYS + 2 * 16 * 2
    assert cache_bytes_held(model, LOAD, n_devices=2) == 1024 * KEYS + 2 * index


def test_so_does_the_index_beside_latents_that_are_kept_as_whole_keys():
    """Two devices: keys and values of 4 heads are shared out, the index is not."""
    latent = {
        "kind": "latent", "n_heads": 4, "q_rank": 64, "kv_rank": 64, "qk_nope_dim": 32, "qk_rope_dim": 16, "v_dim": 32,
        "expanded": True, "index": {"picks": 64, "n_heads": 4, "head_dim": 16},
    }  # fmt: skip
    keys, index = 4 * (32 + 16 + 32) * 2, 16 * 2
    model = model_of(latent)
    rules = CacheRules(expands_latents=True)
    assert cache_bytes_held(model, LOAD, rules, n_devices=2) == 1024 * (keys + 2 * index)
    ops = spread_ops(decode_ops(model, LOAD, rules), Layout(tensor=2), load_runtime("vllm"))
    (op,) = [op for op in ops if op.part == "cache"]
    assert op.cost.cache_read_bytes == 64 * keys + 2 * 1024 * index


def test_a_smaller_head_has_a_smaller_bias_and_fewer_rows_to_gather():
    """384 of 512 rows."""
    small, whole = (model_of(ATTENTION, head_bias=True, head_rows=rows) for rows in (384, None))
    assert whole.total_params - small.total_params == 128 * (256 + 1)
    (parts,) = [
        op for op in messages(small, LOAD, load_runtime("vllm"), Layout(tensor=2)) if op.name == "parts of the head"
    ]
    assert parts.message.n_bytes == 384 * 2
    assert small.active_params("without_embeddings") == whole.active_params("without_embeddings") - 128


@pytest.mark.parametrize("n_devices", [1, 16])
def test_parts_hold_what_they_hold_alone(n_devices):
    """Side by side or one after the other."""
    both, single = model_of(BOTH), model_of(STATE, ATTENTION)
    assert cache_bytes_held(both, LOAD, n_devices=n_devices) == cache_bytes_held(single, LOAD, n_devices=n_devices)
