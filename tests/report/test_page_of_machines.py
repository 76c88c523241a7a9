"""A page's data of machines of several parts."""

import base64
import json

import numpy as np

from simulator.report.grid import build_grids
from simulator.report.page_data import as_data


def test_a_mixture_on_the_parts_of_a_machine():
    """Each format is placed by itself, and what memory holds depends on the batch: the page has it point by point."""
    grids = build_grids(["gpt-oss-20b"], ["rtx-3060+ryzen-5600x"], batches=(1, 4), weights=("mxfp4_moe", "q8_0"))
    data = json.loads(json.dumps(as_data(grids)))
    for each, shown in zip(data["pairs"][0]["formats"], grids.pairs[0].formats, strict=True):
        n_rows, _, packed = data["pool"][each["held"]]
        memory = np.frombuffer(base64.b64decode(packed), "<f4")
        assert each["fixed"] == 0
        assert n_rows == 2
        assert memory[0] == np.float32(np.asarray(shown.surfaces[0].point.memory_bytes).flat[0])
