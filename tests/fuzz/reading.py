"""The child process that reads inputs: a line for each that is begun, and one for what is wrong with how it ends.

python -m fuzz.reading FIRST COUNT
"""

import contextlib
import io
import json
import math
import os
import re
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from fuzz.case import Input
from fuzz.child import KILLED_AFTER_S, PYTHON, limit_memory, problem_of_result, run_command
from fuzz.readers import made
from simulator.errors import InputError, plain_line
from simulator.forecast.scenario import scenario
from simulator.importers.measurements import load_measurements
from simulator.importers.open import load_model, load_routing
from simulator.importers.serving import is_serving, load_serving
from simulator.spec.hardware import Hardware
from simulator.spec.machine import load_hardware
from simulator.spec.model import weight_bytes
from simulator.spec.runtime import Runtime, load_runtime

CPU_S = 2.0  # no input may take longer
WAITED_S = 120  # for one that waits for what never comes, on a machine with other work
MAX_MESSAGE = 400  # characters
OF_YAML = 6  # lines of a message: such a file has one for each of several mistakes
WHOLE_COMMAND = 40  # one of so many inputs goes through the whole command as well
STORES = {"HF_HUB_CACHE": "hub", "OLLAMA_MODELS": "ollama", "LLAMA_CACHE": "llama", "HOME": "home"}


class Bench:
    """What inputs are read with: one GPU and its runtime, a small board for GGUF files."""

    def __init__(self):
        self.gpu, self.vllm = load_hardware("h100-sxm"), load_runtime("vllm")
        self.board, self.llama_cpp = load_hardware("rtx-4090"), load_runtime("llama.cpp")
        self.small = load_model("qwen3-8b")
        self.is_read = False  # whether the input itself was read, so that a refusal is of what follows from it

    def read(self, each: Input) -> None:
        """The input as its kind is read, and what follows from it; InputError where it is refused."""
        self.is_read = False
        READ[each.kind](self, each)

    def forecast(self, loaded, hardware: Hardware, runtime: Runtime) -> None:
        """A forecast of it, which has to be one that can be."""
        self.is_read = True
        base = scenario(loaded, hardware, runtime=runtime)
        if base.load.weights and not 0 < weight_bytes(loaded.model, base.load.weights) < 1e19:
            raise AssertionError(f"{weight_bytes(loaded.model, base.load.weights)} bytes of weights")
        for batch, context in ((1, 100), (8, 4096)):
            check_forecast(base.at(batch, context))

    def model(self, each: Input) -> None:
        """A model from elsewhere."""
        loaded = load_model(each.given)
        for text in (
            loaded.model.name,
            loaded.model.title or "",
            *loaded.notes,
            loaded.refusal or "",
            loaded.choice or "",
        ):
            if not text.isprintable():
                raise AssertionError(f"not printable: {text[:200]!r}")
        is_gguf = loaded.path is not None
        self.forecast(loaded, self.board if is_gguf else self.gpu, self.llama_cpp if is_gguf else self.vllm)

    def own_model(self, each: Input) -> None:
        """A YAML file of a model."""
        self.forecast(load_model(each.given), self.gpu, self.vllm)

    def device(self, each: Input) -> None:
        """A YAML file of a device."""
        self.forecast(self.small, load_hardware(each.given), self.llama_cpp)

    def runtime(self, each: Input) -> None:
        """A YAML file of a runtime."""
        self.forecast(self.small, self.gpu, load_runtime(each.given))

    def benchmark(self, each: Input) -> None:
        """Output of a program, with what it leaves open given."""
        check_rows(load_measurements(Path(each.given), self.board, self.small, "q4_k_m"))

    def benchmark_only(self, each: Input) -> None:
        """The same, nothing given but the device."""
        check_rows(load_measurements(Path(each.given), self.board))

    def measurements(self, each: Input) -> None:
        """A table in our own layout, of single requests or of a server."""
        path = Path(each.given)
        check_rows(load_serving(path) if is_serving(path) else load_measurements(path))

    def routing(self, each: Input) -> None:
        """A file of counts or choices."""
        load_routing(each.given)


READ = {
    "model": Bench.model, "own model": Bench.own_model, "device": Bench.device, "runtime": Bench.runtime, "benchmark": Bench.benchmark,
    "benchmark-only": Bench.benchmark_only, "measurements": Bench.measurements, "routing": Bench.routing,
}  # fmt: skip


def check_forecast(point) -> None:
    """Rates that can be, in their order; none where it does not fit."""
    if not point.fits:
        return
    rates = [float(each) for each in (point.tokens_per_s, point.tokens_per_s_ceiling)]
    if any(not 0 < rate < math.inf for rate in rates) or rates[0] > rates[1] * (1 + 1e-9):
        raise AssertionError(f"rates {rates}")


def check_rows(found) -> None:
    """Rows that are compared have a rate; those that are not have a reason in a line."""
    for row in found.published:
        if hasattr(row, "tokens_per_s") and not 0 < row.tokens_per_s < math.inf:
            raise AssertionError(f"a rate of {row.tokens_per_s}")
    for row in found.skipped:
        if not row.reason or not row.reason.isprintable():
            raise AssertionError(f"a reason that is {row.reason[:200]!r}")


def problem_of(bench: Bench, each: Input) -> tuple[str, str]:
    """What became of an input (read, refused) and what is wrong with that; a slow one has a second try, for others may be in the way."""
    for _ in range(2):
        began = time.process_time()
        outcome, problem = _tried(bench, each)
        seconds = time.process_time() - began
        if problem or seconds < CPU_S:
            return outcome, problem
    return outcome, f"takes {seconds:.1f} s"


def _tried(bench: Bench, each: Input) -> tuple[str, str]:
    try:
        bench.read(each)
    except InputError as error:
        problem = problem_of_message(str(error), each)
        if not problem and not bench.is_read and not names_file(str(error), each):
            problem = f"names no file: {error}"
        return "refused", problem
    except Exception as error:  # noqa: BLE001 - which one it is, is the finding
        last = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]
        ]
        return "failed", f"{type(error).__name__}: {str(error)[:200]} ({' '.join(last)})"
    return "read", ""


def problem_of_message(message: str, each: Input) -> str:
    """A refusal is a line that may be printed, without Python's words."""
    lines = message.split("\n")
    is_by_line = all(re.search(r":\d+: |: [\d,]+ more mistakes?$", line) for line in lines)
    if len(lines) > (OF_YAML if is_by_line else 1):
        return f"{len(lines)} lines: {message[:300]!r}"
    for line in lines:
        if not line.strip() or not line.isprintable() or len(line) > MAX_MESSAGE:
            return f"a message of {len(line)} characters: {line[:200]!r}"
        own = re.sub(r'"[^"]*"', "", line)  # without what the file says
        if PYTHON.search(own) or "Cannot allocate" in own:
            return f"words of Python or of the system: {line[:300]!r}"
    return ""


def names_file(message: str, each: Input) -> bool:
    """Whether a message begins with the file or folder that it is about, or has the name that was given; long ones are shortened."""
    paths = {Path(name) for name in (each.given, *each.files, *each.links)}
    paths |= {parent for path in paths for parent in path.parents}
    known = [plain_line(str(place)) for path in paths if path != Path() for place in (path, path.absolute())]
    if any(message.startswith(name if len(name) < 100 else name[:60]) for name in (*known, ".: ")):
        return True
    return len(each.given) > 1 and plain_line(each.given.removeprefix("hf.co/"))[:60] in message


def problem_of_command(each: Input) -> str:
    """The same through the whole command, with its table or its JSON."""
    words = {
        "model": ("simulate", each.given, "h100-sxm", "--batch", "1", "--runtime", "vllm"),
        "own model": ("simulate", each.given, "h100-sxm", "--batch", "1,3", "--json", "-"),
        "device": ("simulate", "qwen3-8b", each.given, "--batch", "1"),
        "benchmark": ("validate", "rtx-4090", "--against", each.given, "--model", "qwen3-8b", "--weights", "q4_k_m"),
        "benchmark-only": ("validate", "rtx-4090", "--against", each.given),
    }.get(each.kind)
    if words is None:
        return ""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run_command(words)
        except Exception as error:  # noqa: BLE001
            return f"{words[0]}: {type(error).__name__}: {str(error)[:200]}"
    if "needs more memory" in err.getvalue():
        return f"{words[0]}: {err.getvalue()[:200]}"
    found = problem_of_result(status, out.getvalue(), err.getvalue(), "--json" in words)
    return f"{words[0]}: {found}" if found else ""


def put(each: Input) -> None:
    """The files of an input into the empty folder `in`, which becomes the working folder."""
    for name, data in each.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a link or a folder may have the name already
            path.write_bytes(data)
    for name, size in each.sizes.items():
        os.truncate(name, size)
    for name, target in each.links.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            path.symlink_to(target)


def run(first: int, count: int) -> None:
    """Inputs from number *first* on; with each what became of the one before."""
    folder = Path.cwd() / f"in-{os.getpid()}"
    os.environ.update({name: str(folder / each) for name, each in STORES.items()})
    for name in ("HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    bench, before = Bench(), ""
    for number in range(20):  # imports count for no input
        made(number)
    _warm_up(bench)
    warnings.simplefilter("error")
    limit_memory()
    for number in range(first, first + count):
        name, each = made(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.chdir(folder)
        put(each)
        _say({"begins": number, "name": name, "before": before})
        signal.setitimer(signal.ITIMER_PROF, KILLED_AFTER_S)
        signal.alarm(WAITED_S)
        outcome, problem = problem_of(bench, each)
        if not problem and number % WHOLE_COMMAND == 0:
            problem = problem_of_command(each)
        signal.setitimer(signal.ITIMER_PROF, 0)
        before = f"{name} {outcome}"
        if problem:
            _say({"problem": f"input {number} ({name}, {each.given[:60]!r}): {problem}"})
    os.chdir(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    signal.alarm(0)
    _say({"begins": first + count, "name": "", "before": before})


def _warm_up(bench: Bench) -> None:
    """Everything that is imported and read once."""
    for loaded, hardware, runtime in (
        (bench.small, bench.gpu, bench.vllm),
        (bench.small, bench.board, bench.llama_cpp),
    ):
        bench.forecast(loaded, hardware, runtime)
    for words in (("simulate", "qwen3-8b", "h100-sxm", "--batch", "1"), ("show", "qwen3-8b")):
        with contextlib.redirect_stdout(io.StringIO()):
            run_command(words)


def _say(line: dict) -> None:
    print(json.dumps(line), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
