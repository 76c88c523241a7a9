"""Records of a router's choices, as `generate --record-routing` writes them, of a few tokens each."""

import json

import numpy as np

from simulator.spec.recorded import Recorded

HEAD = {"routing_record": 1, "model": "made up", "layers": [1, 2], "experts": [4, 4], "active": [2, 2], "tokens": 3}
ROWS = (
    {"token": 7, "prompt": True, "experts": [[0, 1], [2, 3]]},
    {"token": 9, "prompt": True, "experts": [[1, 0], [0, 3]]},
    {"token": 7, "prompt": False, "experts": [[2, 1], [0, 1]]},
)


def written(path, head=HEAD, rows=ROWS):
    """The path of such a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *rows)), encoding="utf-8")
    return path


def recorded(*layers, n_experts):
    """A record of such choices, by layer and token."""
    chosen = tuple(np.array(layer, np.int64) for layer in layers)
    n_tokens = len(chosen[0])
    n = len(layers)
    return Recorded(
        "r.jsonl", "made up", tuple(range(n)), (n_experts,) * n, tuple(each.shape[1] for each in chosen),
        tuple(range(n_tokens)), 1, chosen,
    )  # fmt: skip
