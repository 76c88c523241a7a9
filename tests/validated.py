"""The JSON that a run of validate writes."""

import json
from pathlib import Path

ROW = {
    "id": "dense q8_0 b1", "model": "dense", "weights": "q8_0", "batch": 1, "context": 128, "threads": 2, "routing": None,
    "sparsity": None, "tokens_per_s_measured": 100.0, "tokens_per_s": 110.0, "tokens_per_s_low": 90.0, "tokens_per_s_high": 120.0,
    "seconds": [0.009, 0.010, 0.011],
}  # fmt: skip


def written(path: Path, rows, **more) -> Path:
    """The JSON of a run."""
    path.write_text(json.dumps({"hardware": "mine", "rows": rows} | more))
    return path
