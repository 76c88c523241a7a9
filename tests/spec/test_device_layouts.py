"""How people write that devices share a model, and what is said where it cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.spec.layout import Layout, parse_parallel


@pytest.mark.parametrize(
    ("text", "n_devices", "layout"),
    [
        ("tensor", 8, Layout(8)),
        ("tensor8", 8, Layout(8)),
        ("layer", 4, Layout(pipeline=4)),
        ("pipeline", 4, Layout(pipeline=4)),
        ("expert", 8, Layout(8, expert=8)),
        ("data", 4, Layout(data=4)),
        ("tensor4xexpert2", 8, Layout(8, expert=2)),  # moe_tp 4 and moe_ep 2 of TensorRT-LLM: attention is cut by 8
        ("pipeline2xtensor4", 8, Layout(4, pipeline=2)),
        ("pp2 x TP", 8, Layout(4, pipeline=2)),
        ("data8xexpert8", 8, Layout(data=8, expert=8)),
        ("dataxexpert", 8, Layout(data=8, expert=8)),
        ("data2xtensor4xexpert", 8, Layout(4, data=2, expert=8)),  # vLLM: experts over all of them
        ("pipeline2*data2*tensor2*expert4", 8, Layout(2, 2, 4, 2)),
    ],
)
def test_words_and_products_of_them(text, n_devices, layout):
    """A word alone has all devices; without data, attention is cut by all that share a layer."""
    assert parse_parallel(text, n_devices) == layout
    assert layout.n_devices == n_devices


@pytest.mark.parametrize(
    ("text", "n_devices", "message"),
    [
        ("tensr", 8, "'tensr' is unknown, did you mean tensor?"),
        ("row", 2, "'row' is unknown, known: tensor, layer, pipeline, expert, data"),
        ("tensor4", 8, "tensor 4 is for 4 devices, not for 8: change one of them, or take 4 devices"),
        ("tensor3xpipeline", 8, "8 devices cannot be divided by tensor 3"),
        ("tensorxpipeline", 8, "tensor and pipeline both stand without a number: give one of them, as in tensor2"),
        ("tensor2xtensor4", 8, "tensor is given twice"),
        ("tensor0", 8, "tensor0: from 1 to 100,000 devices can be given"),
        ("tensor99999999999", 8, "from 1 to 100,000 devices can be given"),
        ("tensor8xexpert8", 8, "whole experts on each of 8 devices that share the rest are expert8"),
        ("data2xtensor4xexpert3", 8, "8 devices that share a layer cannot be divided into 3 groups of experts"),
        ("tensor4x", 8, "'' is unknown"),
        ("", 8, "say how devices share the model, as in tensor, layer"),
        ("x" * 300, 8, "say how devices share the model"),
        (8, 8, "say how devices share the model"),
    ],
)
def test_what_cannot_be_is_told_with_its_remedy(text, n_devices, message):
    """An unknown word with the nearest known one, a product with its number, and never a traceback."""
    with pytest.raises(InputError) as told:
        parse_parallel(text, n_devices)
    assert message in str(told.value)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_a_layout_is_written_as_it_is_read(tensor, data, expert, pipeline):
    """Whatever is told of a layout, its text means the same."""
    if (tensor * data) % expert == 0:
        layout = Layout(tensor, data, expert, pipeline)
        assert parse_parallel(str(layout), layout.n_devices) == layout


@given(st.text(alphabet="tensorpipliexdat0123456789*x ", max_size=30), st.integers(1, 64))
def test_any_text_is_a_layout_of_all_devices_or_refused(text, n_devices):
    """Nothing else is raised, and no layout has another number of devices."""
    try:
        found = parse_parallel(text, n_devices)
    except InputError:
        return
    assert found.n_devices == n_devices
