"""The rules that the code keeps: who may import whom, and what the linter and the formatter say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "simulator"

FORECASTING = {"ops", "decode", "roofline", "predict", "simulate"}
MEASURING = ("engine", "probe", "host", "measure")
HEAVY = {"numba", "matplotlib"}


def modules():
    """Every module of the package by dotted name, `simulator` itself as the empty one."""
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__").removesuffix("__init__"): path for name, path in paths.items()}


def imports(path):
    """Dotted names that a file imports, those of the package without `simulator.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("simulator.") for name in found}


def reachable(start):
    """Everything that importing a module brings in, package modules and top names of others."""
    known, todo, seen = modules(), [start], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in known:
            todo += imports(known[name])
    return seen


def offenders(imported):
    """Modules of the measuring side that import from the forecasting side."""
    sides = {name: {each.split(".")[0] for each in found} & FORECASTING for name, found in imported.items()}
    return [name for name, found in sides.items() if name.split(".")[0] in MEASURING and found]


def test_the_measuring_side_never_imports_the_forecasting_side():
    """Agreement is evidence only if neither side sees the other; the check itself catches one that does."""
    assert offenders({name: imports(path) for name, path in modules().items()}) == []
    assert offenders({"engine.step": {"model", "decode.decode_ops"}, "measure": {"engine"}}) == ["engine.step"]


@pytest.mark.parametrize("name", ["predict", "simulate", "report.record", "model", "hardware"])
def test_a_forecast_needs_neither_numba_nor_matplotlib(name):
    """predict and all below it, and what the command needs for JSON, stay light."""
    assert not {each.split(".")[0] for each in reachable(name)} & HEAVY


def test_the_command_loads_neither_numba_nor_matplotlib():
    """What really is in memory after forecasts and lists: no numba, no matplotlib, and where no terminal is, no rich."""
    code = (
        "import sys, io, contextlib\n"
        "from simulator.cli import main\n"
        "for command in ('simulate qwen3-30b-a3b pi5-16gb --json -', 'simulate llama-3-8b pi5-16gb', 'list hardware',\n"
        "                'show pi5-16gb', 'plot speed llama-3-8b --on pi5-16gb'):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        try: main(command.split())\n"
        "        except SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('numba', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_lower_stages_do_not_import_higher_ones():
    """Data flows one way: spec, then count, then time; imports point back only."""
    order = ["schema", "quant", "hardware", "model", "workload", "decode", "roofline", "predict", "simulate", "cli"]
    for place, name in enumerate(order):
        assert not reachable(name) & set(order[place + 1 :]), name


def test_machine_code_is_made_in_one_place():
    """Only there are the options and the cache the same for all; what is compiled elsewhere has whichever numba takes."""
    makers = {f"numba.{name}" for name in ("njit", "jit", "cfunc", "vectorize", "guvectorize", "stencil")}
    found = {name for name, path in modules().items() if imports(path) & (makers | {"numba.core.ccallback"})}
    assert found == {"engine.compiled"}


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_has_nothing_to_say(command):
    """Linter and formatter agree with what is written."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_says_what_it_is():
    """Each file opens with a sentence, and every public function and class has one."""
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{name}.{node.name}"
