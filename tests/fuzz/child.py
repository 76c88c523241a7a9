"""The child process: the command on every case of a family, with a limit on memory and on time, and what is wrong with how it ends."""

import contextlib
import io
import json
import math
import os
import random
import re
import signal
import sys
import time
import warnings
from pathlib import Path

from fuzz.case import Case
from fuzz.families import FAMILIES
from fuzz.seeds import DEVICE, EXPERTS, MODEL, RUNTIME

MEMORY_BYTES = 2**30  # one input may not need more
CPU_S = 6.0  # nor longer: a slow machine with other work takes three times what a free one does
KILLED_AFTER_S = 10.0  # of CPU time: a loop inside C code cannot be interrupted otherwise
MAX_LINES = 6  # of one message: five mistakes of a file and how many more there are

# Words of Python and of its libraries, which no message may have.
PYTHON = re.compile(
    r"Traceback|<class|object at 0x|NoneType|None\b|\bTrue\b|\bFalse\b|pydantic|validation|instance of|dictionary|tuple|codec|"
    r"recursion|unhashable|Unread|datetime|sys\.|int\(\)|float\(\)|could not convert|literal|errno|"
    r"(?<![\w/'])b'(?=[\w\\<])|Error\b|unable to parse"
)


def problem_of(case: Case) -> str:
    """What is wrong with how the command ends; empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    began = time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_command(case.arguments)
    except Exception as error:  # noqa: BLE001 - which one it is, is the finding
        return f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.process_time() - began
    if seconds > CPU_S:
        return f"took {seconds:.1f} s"
    return problem_of_result(status, out.getvalue(), err.getvalue(), "--json" in case.arguments)


def run_command(arguments: tuple[str, ...]) -> int:
    """The exit status of the command."""
    from simulator.cli import main

    try:
        main(list(arguments))
    except SystemExit as end:
        return end.code
    return -1


def problem_of_result(status: int, out: str, err: str, is_json: bool) -> str:
    """Success says something and warns of nothing; a mistake of the user's is told on standard error alone."""
    if status == 0:
        if err or not out.strip():
            return f"success, but on standard error: {err[:200]!r}"
        return problem_of_json(out) if is_json else problem_of_table(out)
    lines = err.splitlines()
    if status != 2 or out or not 1 <= len(lines) <= MAX_LINES:
        return f"status {status}, {len(out)} characters of output, {len(lines)} lines of error"
    for line in lines:
        if not line.startswith("roofcast: ") or len(line) > 700 or not line.isprintable():
            return f"a message of {len(line)} characters: {line[:200]!r}"
        if PYTHON.search(line):
            return f"Python's words: {line[:300]!r}"
    return ""


def problem_of_table(out: str) -> str:
    """Somebody's text must not command the terminal, and no number is missing its value."""
    if not out.replace("\n", "").isprintable() or len(out) > 50_000:
        return f"{len(out)} characters of output, or control characters"
    return "nan or inf in the table" if re.search(r"(?<! is )\b(nan|inf)\b", out) else ""


def problem_of_json(out: str) -> str:
    """One object; every rate is positive and finite, none above the ceiling."""
    for point in json.loads(out)["predictions"]:
        if not point["fits"]:
            continue
        rates = [point[f"tokens_per_s{end}"] for end in ("_low", "", "_high", "_ceiling")]
        if any(rate is None or not 0 < rate < math.inf for rate in rates):
            return f"rates {rates}"
        if not rates[0] <= rates[1] <= rates[3] * (1 + 1e-9):
            return f"out of order: {rates}"
    return ""


def write_files(case: Case) -> None:
    """The case's files into the working folder, and none of the case before."""
    for pattern in ("case*", "config.json", "*.safetensors", "*.index.json", "routing.*", "density.*"):
        for path in Path().glob(pattern):
            path.unlink()
    for name, data in case.files.items():
        Path(name).write_bytes(data)
    for name, size in case.sizes.items():
        os.truncate(name, size)
    if case.name == "the endless device":
        Path("case.yaml").unlink()
        Path("case.yaml").symlink_to("/dev/zero")


def run_cases(family: str, start: int, count: int) -> None:
    """Every case of a family from number *start* to *count*; a line before each, and one for what is wrong with it."""
    make, _ = FAMILIES[family]
    for name, text in {"device": DEVICE, "model": MODEL, "experts": EXPERTS, "runtime": RUNTIME}.items():
        Path(f"{name}.yaml").write_text(text)
    for arguments in (("show", "model.yaml"), ("simulate", "experts.yaml", "device.yaml", "--density", "fixed:0.5")):
        assert problem_of(Case("warming up", arguments)) == ""  # imports count for no case
    warnings.simplefilter("error")
    limit_memory()
    for number in range(start, count):
        case = make(random.Random(f"{family} {number}"), number, Path())
        write_files(case)
        print(json.dumps({"begins": number, "name": case.name}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, KILLED_AFTER_S)
        problem = problem_of(case)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if problem:
            print(json.dumps({"problem": f"{case.name} {' '.join(case.arguments)[:200]}: {problem}"}), flush=True)
    print(json.dumps({"begins": count}), flush=True)


def limit_memory() -> None:
    """1 GiB more than is in use."""
    import resource

    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))


if __name__ == "__main__":
    run_cases(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
