"""Pictures look as those that somebody has looked at."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread, imsave
from samples import sample

from simulator.report.drawing.device import draw as draw_device
from simulator.report.drawing.picture import draw_chart
from simulator.report.drawing.style import styled

PICTURES = Path(__file__).parent / "pictures"
KINDS = (
    "speed",
    "batch",
    "context",
    "experts",
    "bytes",
    "formats",
    "roofline",
    "sparsity",
    "speculation",
    "split",
    "routing",
    "measured",
    "device",
)
TOLERANCE = 1.5  # root of the mean square of the differences of colours, from 0 to 255


def picture(kind):
    """A sample at a third of the usual size."""
    with styled():
        figure = draw_device(sample(kind).panels[0].device) if kind == "device" else draw_chart(sample(kind))
    return pixels(figure)


def pixels(figure):
    """Red, green and blue from 0 to 255."""
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=50)
    buffer.seek(0)
    return imread(buffer)[..., :3] * 255


def far_off(one, other):
    """Root of the mean square of the difference, of squares of 3 by 3 dots: another release may set a letter a dot further on."""
    height, width = (size // 3 * 3 for size in one.shape[:2])
    difference = (one - other)[:height, :width].reshape(height // 3, 3, width // 3, 3, 3).mean(axis=(1, 3))
    return float(np.sqrt(np.mean(difference**2)))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_look_as_they_did(kind):
    """Beside one that somebody has looked at; ROOFCAST_DRAW_ANEW=1 draws new ones to be looked at."""
    found, path = picture(kind), PICTURES / f"{kind}.png"
    if os.environ.get("ROOFCAST_DRAW_ANEW"):
        PICTURES.mkdir(exist_ok=True)
        imsave(path, found / 255)
    reference = imread(path)[..., :3] * 255
    assert found.shape == reference.shape
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]  # all of it may stand a dot further on, too
    assert min(far_off(np.roll(found, move, (0, 1)), reference) for move in moves) < TOLERANCE


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "device"])
def test_a_change_is_seen(kind):
    """The tolerance is not so wide that other values would pass: those of the first line or bars a fifth lower."""
    chart = sample(kind)
    panel, (line, *others) = chart.panels[0], chart.panels[0].series
    lower = replace(line, y=tuple(value and value * 0.8 for value in line.y), marks=())
    changed = replace(chart, panels=(replace(panel, series=(lower, *others)), *chart.panels[1:]))
    with styled():
        found = pixels(draw_chart(changed))
    reference = picture(kind)
    assert found.shape != reference.shape or far_off(found, reference) > TOLERANCE
