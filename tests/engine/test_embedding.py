"""The embeddings of tokens, which the team looks up: what gguf's own code makes of the same bytes."""

from types import SimpleNamespace

import numpy as np
import pytest
from blocks import BYTE_SCALES, FLOATS, SCALES, draw_rows, values_of
from products import BEST, PATHS, packed

from simulator.engine import cpu
from simulator.engine.embedding import embedding_tape
from simulator.engine.formats.table import LAYOUTS
from simulator.engine.network import Buffers

KNOWN = [fmt for fmt in LAYOUTS if fmt in (*FLOATS, *SCALES, *BYTE_SCALES)]
TOKENS = (36, 0, 17, 17, 5)  # of 37; the last panel is not full


@pytest.mark.parametrize(
    ("fmt", "path_name"),
    [*((fmt, BEST) for fmt in KNOWN), *((fmt, name) for fmt in ("bf16", "q4_0") for name in PATHS)],
)
def test_each_token_gets_its_row(fmt, path_name, team, draw):
    """Rows 36, 0, 17, 17 and 5 to the last bit or, where a minimum is taken away, to a rounding of either; no row more."""
    columns = 3 * max(32, LAYOUTS[fmt].block)
    raw = draw_rows(draw, fmt, 37, columns)
    buffers = Buffers()
    network = SimpleNamespace(buffers=buffers, limits=SimpleNamespace(rows=6), n_threads=team.n_threads)
    buffers.new("state", (8,), np.int64)[0] = len(TOKENS)
    x = buffers.new("x", (6, columns))
    x[5] = 7.25
    matrix = packed(team, cpu.PATHS[path_name], raw, fmt, columns)
    tape = embedding_tape(network, matrix, path_name)
    buffers["ids"][: len(TOKENS)] = TOKENS
    team.run(tape)
    expected = values_of(raw, fmt)[list(TOKENS)]
    size = np.abs(expected).max()
    assert np.abs(x[:5] - expected).max() <= 1e-6 * size
    assert (x[5] == 7.25).all()
