"""Which experts a batch touches: those that were chosen are read and no other, and as many as the closed form says."""

import numpy as np
import pytest
import tiny
from narrow import narrowed

from simulator.engine.routing import choose_experts
from simulator.engine.step import Engine
from simulator.importers.open import load_model
from simulator.spec.layers.ffn import Experts
from simulator.spec.model import Model
from simulator.spec.routing import parse_routing

# ---- read ----

# One expert: gate and up 32 x 64 and down 64 x 32 in blocks of 32 with 34 bytes; a shared one is twice as wide.
ONE_EXPERT = 3 * 32 * 64 // 32 * 34
SHARED = 2 * ONE_EXPERT


@pytest.fixture(scope="module")
def moe_path(tmp_path_factory):
    """Three layers of 16 experts, 3 of them active, and a shared one, in q8_0."""
    path = tmp_path_factory.mktemp("moe") / "moe.gguf"
    return tiny.write(path, "qwen2moe", "q8_0", n_layers=3, n_experts=16)


@pytest.fixture(scope="module")
def moe(moe_path):
    """An engine of it."""
    with Engine(moe_path, threads=2, batch=32, context=8) as engine:
        yield engine


@pytest.fixture
def trace(tmp_path):
    """40 recorded tokens in 3 layers, concentrated on low numbers."""
    draw, rows = np.random.default_rng(5), ["token,layer,expert"]
    for token in range(40):
        for layer in range(3):
            chosen = draw.choice(16, 3, replace=False, p=np.arange(16, 0, -1) / 136)
            rows += [f"{token},{layer},{expert}" for expert in chosen]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("routing", ["own", "uniform", "zipf:1.2", "trace"])
def test_a_step_reads_the_distinct_experts_and_no_other(moe, trace, routing, batch):
    """To the byte, summed over the layers; attention, router, shared expert and head are read once, whatever the batch."""
    choose = choose_experts(str(trace) if routing == "trace" else routing, moe.model, seed=batch)
    moe.reset()
    asked = []

    def remember(*arguments):
        """What the routing said, noted."""
        asked.append(choose(*arguments))
        return asked[-1]

    step = moe.decode(range(batch), routing=remember if choose else None)
    chosen = asked or step.experts
    assert len(chosen) == 3
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(chosen, step.experts, strict=True))
    distinct = [len(set(each.ravel().tolist())) for each in chosen]
    assert step.distinct_experts == tuple(distinct)
    assert min(distinct) >= 3
    assert step.read.experts == sum(distinct) * ONE_EXPERT
    assert step.read.shared == 3 * SHARED
    assert step.read.router == 3 * 16 * 64 * 4
    assert step.read.attention == 3 * (2 * 64 + 2 * 32) * 64 // 32 * 34
    assert step.read.head == 64 * 64 // 32 * 34


def test_a_trace_is_followed_in_its_order(moe, trace):
    """Tokens of successive steps are those of the record, in each layer; after the last comes the first."""
    rows = np.loadtxt(trace, delimiter=",", skiprows=1, dtype=np.int64).reshape(40, 3, 3, 3)[..., 2]
    choose = choose_experts(str(trace), moe.model)
    moe.reset()
    steps = [moe.decode(range(n), routing=choose).experts for n in (30, 7, 5)]
    for layer in range(3):
        followed = np.concatenate([step[layer] for step in steps])
        assert np.array_equal(followed, rows[np.arange(42) % 40, layer])


def test_all_tokens_on_the_same_experts_read_three(moe):
    """32 tokens and 3 experts in each of 3 layers: 9 are read, not 288."""
    moe.reset()
    step = moe.decode(range(32), routing=lambda _layer, n, _n_experts, _n_active: np.tile([15, 0, 7], (n, 1)))
    assert step.distinct_experts == (3, 3, 3)
    assert step.read.experts == 9 * ONE_EXPERT


# ---- chosen ----

MANY = Experts(n_experts=64, n_active=8, d_expert=32)
BATCHES = (1, 2, 4, 8, 16, 32)
DRAWS = 300


def draws_of(text):
    """Distinct experts of one layer: [DRAWS, batches]."""
    attention = {"kind": "grouped_query", "n_heads": 2, "n_kv_heads": 1, "head_dim": 16}
    layers = [{"attention": attention, "ffn": MANY.model_dump()}]
    model = Model.model_validate({"name": "many", "d_model": 32, "vocab": 32, "layers": layers})
    choose = choose_experts(text, model, seed=11)
    return np.array([[len(np.unique(choose(0, n, 64, 8))) for n in BATCHES] for _ in range(DRAWS)])


@pytest.mark.parametrize("text", ["uniform", "zipf:0.6", "zipf:1.2", "zipf:3"])
def test_batches_touch_as_many_experts_as_the_closed_form_says(text):
    """The mean of 300 draws is within 4 of its standard errors of the forecast's formula; one token touches exactly k."""
    found = draws_of(text)
    expected = parse_routing(text).distinct(MANY, np.array(BATCHES))
    standard_errors = found.std(axis=0, ddof=1) / DRAWS**0.5
    assert (found[:, 0] == 8).all()
    assert (np.abs(found.mean(axis=0) - expected) <= 4 * standard_errors + 1e-9).all()


def test_uniform_batches_by_hand():
    """64 (1 - (56/64)^B): 8, 15, 26.485, 42.008, 56.444, 63.108."""
    expected = np.array([8, 15, 26.4844, 42.0099, 56.4439, 63.1073])
    found = draws_of("uniform")
    assert np.abs(found.mean(axis=0) - expected).max() < 4 * found.std(axis=0, ddof=1).max() / DRAWS**0.5 + 1e-3


def test_every_token_gets_different_experts():
    """Eight of 64, none twice, also where popularity leaves little choice."""
    for text in ("uniform", "zipf:3"):
        chosen = choose_experts(text, narrowed(load_model("qwen3-30b-a3b").model), seed=2)(0, 500, 16, 4)
        assert chosen.shape == (500, 4)
        assert all(len(set(row)) == 4 for row in chosen.tolist())
        assert chosen.min() == 0
        assert chosen.max() == 15


def test_popularity_pairs_any_two_experts():
    """16 experts with nearly equal chances of a quarter: experts 0 and 1 meet as often as in fair draws."""
    chosen = choose_experts("zipf:0.01", narrowed(load_model("qwen3-30b-a3b").model), seed=3)(0, 2000, 16, 4)
    together = sum({0, 1} <= set(row) for row in chosen.tolist())
    # 4/16 * 3/15 = 5 %; systematic sampling in random order comes near it. Four standard errors of 2000 draws are 2 %.
    assert 0.02 < together / 2000 < 0.08
