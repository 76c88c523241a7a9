"""What is written is the same in every run: whatever the order of sets, and wherever in memory things lie."""

import os
import subprocess
import sys

from places import ROOT

# Layers with experts of many sizes, whose mean is a sum of many terms; and a picture with many panels, drawn among
# holes in memory of the size that the variables of a solver have.
CODE = """
import hashlib, random, sys
import kiwisolver
from samples import crowd
from simulator import scenario
from simulator.report.charts.experts import experts_chart
from simulator.report.drawing.files import encode
from simulator.report.drawing.picture import draw_chart
from simulator.report.drawing.style import styled
from simulator.spec.model import Loaded, Model

attention = {"kind": "grouped_query", "n_heads": 4, "n_kv_heads": 2, "head_dim": 16}
layers = [{"attention": attention, "ffn": {"kind": "experts", "n_experts": n, "n_active": 3, "d_expert": 32}} for n in range(7, 27)]
model = Model.model_validate({"name": "uneven", "d_model": 64, "vocab": 256, "layers": layers})
base = scenario(Loaded(model), "pi5-16gb", weights="q8_0")
(panel,) = experts_chart([base], (3, 5, 7)).panels
print(panel.series[0].y, [float(base.at(batch, 16).distinct_experts) for batch in (3, 5, 7)])
shuffled = random.Random(int(sys.argv[1]))
for _ in range(3):
    holes = [kiwisolver.Variable("x") for _ in range(shuffled.randrange(3000, 6000))]
    shuffled.shuffle(holes)
    del holes[: len(holes) * 2 // 3]
    with styled():
        print(hashlib.sha256(encode(draw_chart(crowd("sparsity", 9)), "svg")).hexdigest())
"""


def written(seed):
    """The lines that one process prints."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    env = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", CODE, str(seed)], capture_output=True, text=True, check=True, env=env)
    return done.stdout.splitlines()


def test_two_runs_write_the_same():
    """With other hashes and another memory: the same values to the last digit, and the same picture each time."""
    one, other = written(1), written(2)
    assert one == other
    assert len(set(one[1:])) == 1
