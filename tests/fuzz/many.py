"""Reads many mutated inputs and says what became of them: python tests/fuzz/many.py [--inputs 1000000] [--first 0] [--processes 2]

An input is made of its number alone: what fails is tried again with `--first NUMBER --inputs 1`, and `--keep FOLDER` leaves its files
there. CI reads the first 20,000.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [
    str(path) for path in (ROOT, TESTS, TESTS / "importers", TESTS / "recorded") if str(path) not in sys.path
]

IN_ONE = 5_000  # inputs that a process reads before another one starts
IN_CI = 20_000


def environment() -> dict[str, str]:
    """That of a child: one thread, and no store of this device's user."""
    found = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    found["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, TESTS, TESTS / "importers", TESTS / "recorded")))
    return found


def read_inputs(first: int, count: int, folder: Path, tally: Counter) -> Iterator[str]:
    """What is wrong with inputs from number *first* on; a child that dies is followed by another. *tally* counts outcomes by reader."""
    begun = first
    while begun < first + count:
        begun = yield from _in_one_child(begun, first + count, folder, tally)


def _in_one_child(first: int, end: int, folder: Path, tally: Counter) -> Iterator[str]:
    """The same from *first* to the end or the one that the child does not survive; the number of the next."""
    begun, name, command = first, "", [sys.executable, "-m", "fuzz.reading", str(first), str(end - first)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment(), **streams) as child:
        other = []
        for line in child.stdout:
            if not line.startswith("{"):
                other.append(line)
                continue
            said = json.loads(line)
            if "problem" in said:
                yield said["problem"]
                continue
            begun, name = said["begins"], said["name"] or name
            tally.update((said["before"], "inputs") if said["before"] else ())
    if not child.returncode:
        return begun
    told = "".join(other)[-500:]
    if not name:
        raise RuntimeError(f"the child did not start: {told}")
    tally.update((f"{name} died", "inputs"))
    yield f"input {begun} ({name}): the process ended with status {child.returncode} after {begun - first} others: {told}"
    return begun + 1


def told(tally: Counter) -> str:
    """What became of the inputs of each reader."""
    readers = sorted({name.partition(" ")[0] for name in tally if " " in name})
    rows = [
        (reader, *(tally[f"{reader} {each}"] for each in ("read", "refused", "failed", "died"))) for reader in readers
    ]
    lines = [f"{'reader':14}{'inputs':>10}{'read':>10}{'refused':>10}{'failed':>8}{'died':>6}"]
    for reader, read, refused, failed, died in [*rows, ("all", *(sum(row[at] for row in rows) for at in range(1, 5)))]:
        lines.append(f"{reader:14}{read + refused + failed + died:>10,}{read:>10,}{refused:>10,}{failed:>8,}{died:>6,}")
    return "\n".join(lines)


def keep(number: int, folder: Path) -> None:
    """The files of an input, to look at."""
    from fuzz.readers import made
    from fuzz.reading import put

    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    name, each = made(number)
    put(each)
    print(f"{name}: {each.kind} {each.given!r} in {folder}")


def main() -> int:
    """Exit status 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=IN_CI, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="write the files of the first input there, and read none")
    options = parser.parse_args()
    if options.keep:
        keep(options.first, options.keep)
        return 0
    tally, problems, began = Counter(), [], time.monotonic()
    end = options.first + options.inputs

    def read(start: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for problem in read_inputs(start, min(IN_ONE, end - start), Path(folder), tally):
                problems.append(problem)
                print(f"\r{problem}", flush=True)

    with ThreadPoolExecutor(options.processes + 1) as team:
        running = [
            team.submit(_each, read, range(options.first + at * IN_ONE, end, options.processes * IN_ONE))
            for at in range(options.processes)
        ]
        while not all(each.done() for each in running):
            time.sleep(0.5)
            seconds = time.monotonic() - began
            print(
                f"\r{tally['inputs']:,} of {options.inputs:,} inputs in {seconds:,.0f} s, {len(problems)} problems",
                end="",
                file=sys.stderr,
            )
        for each in running:
            each.result()
    print(f"\n{told(tally)}\n{len(problems)} problems in {options.inputs:,} inputs, {time.monotonic() - began:,.0f} s")
    return int(bool(problems))


def _each(read, starts: range) -> None:
    for start in starts:
        read(start)


if __name__ == "__main__":
    sys.exit(main())
