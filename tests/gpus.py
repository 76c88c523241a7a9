"""GPUs without a GPU: one that is made up, libraries that note what they are asked, and numba's simulator."""

import json
import os
import subprocess
import sys

from places import ROOT

from simulator.probe.cuda.device import Gpu
from simulator.units import GI, MI

UUID = "GPU-6a1b2c3d-0000-0000-0000-000000000000"
CARD = Gpu(0, "NVIDIA H100 80GB HBM3", (9, 0), 132, 80 * GI, 78 * GI, l2_bytes=48 * MI, clock_hz=1.98e9)
# numba decides at import whether it simulates, so these run in a process of their own. Its own simulator is enough: numba-cuda
# need not be installed. A thread of the GPU is one of Python there, so there are few of them and little to do.
START = """
import json
import numpy as np
from numba import cuda
from simulator.probe.cuda import kernels

BLOCKS, THREADS = 2, 3

def numbers(n_vectors, seed):
    return np.random.default_rng(seed).integers(-8, 8, 4 * n_vectors).astype(np.float32)

def say(**found):
    print(json.dumps(found))
"""


def simulate(code, start=START):
    """What a program prints as JSON with numba's simulator in place of a GPU."""
    done = subprocess.run(
        [sys.executable, "-c", "from patching import change\n" + start + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(ROOT / "tests")},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Library:
    """A library whose functions note their calls and return what a test wants."""

    def __init__(self, **returns):
        self.calls, self.returns = [], returns

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, arguments))
            return self.returns.get(name, 0)

        return call
