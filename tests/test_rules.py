"""The rules that the code keeps: who may import whom, how long a file may be, and what the linter and the formatter say."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from places import ROOT

PACKAGE = ROOT / "simulator"

# From the ground up: a room imports from itself and from those of lower levels, and from none beside it.
LEVELS = (
    {"", "units", "errors", "interrupts", "progress"},
    {"spec"},
    {"families"},
    {"importers", "machine"},
    {"engine", "forecast"},
    {"probe", "sweeping", "traffic"},
    {"judge"},
    {"report"},
    {"commands"},
    {"cli", "bench", "calibration"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
MEASURING = ("engine", "probe", "judge.measure")  # agreement is evidence only if it never sees the forecast
LIGHT = ("forecast", "importers", "machine", "spec", "errors", "interrupts", "progress", "units")
HEAVY = {"numba", "matplotlib"}
MOST_FILE_LINES, MOST_FUNCTION_LINES = 400, 60
DATA_SHARE = 0.8  # a file with more than that of its lines in data is a table, and as long as its data are
ONE_PAGE = "simulator/report/page.js"  # the script of a page that opens alone: as long as it has to be


def modules():
    """Every module of the package by dotted name, `simulator` itself as the empty one."""
    paths = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__").removesuffix("__init__"): path for name, path in paths.items()}


def imports(path):
    """Dotted names that a file imports anywhere in it, inside functions too, those of the package without `simulator.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {"" if name == "simulator" else name.removeprefix("simulator.") for name in found}


def hidden(source):
    """Ways of importing that the graph does not see: relative ones, names of `simulator` itself, modules by a text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names} - {"__version__"}
            found += ["relative"] if node.level else []
            found += [f"from simulator import {name}" for name in sorted(names) if node.module == "simulator"]
        elif isinstance(node, ast.Import):
            found += ["import simulator" for alias in node.names if alias.name == "simulator"]
        elif isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            found += [name] if name in ("import_module", "__import__") else []
    return found


# Where modules are loaded by their name, of which none is told as a text that could be another.
BY_NAME = {"": ["import_module"], "cli": ["import_module"], "report.pictures": ["import_module"]}


def graph():
    """Every module of the package with the modules of the package that it imports."""
    known = modules()
    found = {name: imports(path) & known.keys() for name, path in known.items()}
    # `from simulator.engine import cpu` names the package on the way to its module.
    return {
        name: {each for each in found[name] if not any(e.startswith(f"{each}.") for e in found[name])} for name in found
    }


def reachable(start):
    """Everything that importing a module brings in, package modules and top names of others."""
    known, todo, seen = modules(), [start], set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += imports(known[name]) if name in known else []
    return seen


def room(name):
    """Where a module lives."""
    return name.split(".")[0]


def upward(found):
    """Imports that do not lead downwards, as (module, what it imports)."""
    pairs = [(name, each) for name, others in found.items() for each in others if room(name) != room(each)]
    return sorted((name, each) for name, each in pairs if LEVEL[room(each)] >= max(LEVEL[room(name)], 1))


def circle(found):
    """Modules that import each other in a ring; none where there is no such ring."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def seeing(found):
    """Modules of the measuring side that import from the forecasting side."""
    is_measuring = re.compile(rf"({'|'.join(map(re.escape, MEASURING))})(\.|$)").match
    return [name for name in found if is_measuring(name) and "forecast" in map(room, behind(name, found))]


def behind(name, found):
    """Every module that a module imports, or that those import."""
    seen, todo = set(), [name]
    while todo:
        new = found.get(todo.pop(), set()) - seen
        seen |= new
        todo += new
    return seen


def written_files():
    """Everything that somebody has to read, by its path in the project."""
    found = [path for folder in ("simulator", "tests", "examples") for path in (ROOT / folder).rglob("*")]
    found = [path for path in found if path.suffix in (".py", ".js", ".css", ".html", ".c")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(found)}


def too_long(name, text):
    """What of a file is longer than it may be, each in a line with its length."""
    tree = ast.parse(text) if name.endswith(".py") else ast.Module([], [])
    n_lines = len(text.splitlines())
    if n_lines > MOST_FILE_LINES and name != ONE_PAGE and data_lines(tree) <= DATA_SHARE * n_lines:
        yield f"{name}: {n_lines} lines, {MOST_FILE_LINES} are allowed"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > MOST_FUNCTION_LINES:
            yield f"{name}: {node.name} has {lines_of(node)} lines, {MOST_FUNCTION_LINES} are allowed"


def data_lines(tree):
    """Lines of a module's own assignments of nothing but numbers, short texts and collections of those: no call, no name in them."""
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and is_literal(node.value)]
    return sum(map(lines_of, assigned))


def is_literal(value):
    """Whether a value is written out; a text of several lines may be a program, and does not count."""
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return False
    return not any(isinstance(each, ast.Constant) and lines_of(each) > 1 for each in ast.walk(value))


def lines_of(node):
    """Lines that something takes, without its decorators."""
    return node.end_lineno - node.lineno + 1


def test_imports_lead_downwards():
    """Every room imports from those below it alone; the check itself sees an import upwards, one across and an unknown room."""
    assert {room(name) for name in graph()} == set(LEVEL)
    assert upward(graph()) == []
    assert upward({"spec.model": {"importers.gguf", "units"}}) == [("spec.model", "importers.gguf")]
    assert upward({"engine.step": {"forecast.ops"}, "units": {"errors"}}) == [("engine.step", "forecast.ops")]


def test_the_rooms_are_told_in_the_docs():
    """In the order in which they import, each folder in a row of its own."""
    rows = re.findall(r"^\| `(\w+)/`", (ROOT / "docs" / "code.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert [LEVEL[name] for name in rows] == sorted(LEVEL[name] for name in rows)


def test_no_import_is_hidden():
    """What the graph is drawn from is all that is imported; the check itself sees each way around it."""
    found = {name: hidden(path.read_text(encoding="utf-8")) for name, path in modules().items()}
    assert {name: each for name, each in found.items() if each} == BY_NAME
    for source in (
        "from . import step", "from .step import Step", "import simulator", "from simulator import scenario",
        "import importlib\nimportlib.import_module('simulator.forecast.step')", "__import__('simulator.cli')",
    ):  # fmt: skip
        assert hidden(source)


def test_no_modules_import_each_other():
    """No ring of imports, however long; the check itself sees one."""
    assert circle(graph()) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_the_measuring_side_never_imports_the_forecasting_side():
    """Agreement is evidence only if neither side sees the other; the check itself catches one that does."""
    assert seeing(graph()) == []
    assert seeing(
        {"engine.step": {"forecast.decode"}, "judge.measure": {"engine"}, "judge.compare": {"forecast.ops"}}
    ) == ["engine.step"]
    assert seeing({"judge.measure": {"judge.matrix"}, "judge.matrix": {"forecast.ops"}}) == ["judge.measure"]


def test_forecasts_need_neither_numba_nor_matplotlib():
    """No import that is reached from the forecast or from anything below it leads to them."""
    light = [name for name in modules() if room(name) in LIGHT]
    assert not {room(each) for name in light for each in reachable(name)} & HEAVY
    assert "numba" in reachable("engine.step")


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


def test_machine_code_is_made_in_one_place():
    """Only there are the options and the cache the same for all; what is compiled elsewhere has whichever numba takes."""
    makers = {f"numba.{name}" for name in ("njit", "jit", "cfunc", "vectorize", "guvectorize", "stencil")}
    found = {name for name, path in modules().items() if imports(path) & (makers | {"numba.core.ccallback"})}
    assert found == {"engine.compiled"}


def test_no_file_and_no_function_is_too_long():
    """400 lines a file but for tables of data and the page's script, 60 a function."""
    found = [line for name, text in written_files().items() for line in too_long(name, text)]
    assert not found, "\n".join(["", *found])


def long_list(entry, n_lines):
    """An assignment of so many lines."""
    return "x = [\n" + f"    {entry},\n" * (n_lines - 2) + "]\n"


CALL = "x = f()\n"


@pytest.mark.parametrize(
    ("name", "text", "n_found"),
    [
        ("a.py", CALL * 400, 0),
        ("a.py", CALL * 401, 1),
        ("a.css", "a {}\n" * 401, 1),
        (ONE_PAGE, "a();\n" * 401, 0),
        ("a.py", "def f():\n" + "    x = 1\n" * 59, 0),
        ("a.py", "def f():\n" + "    x = 1\n" * 60, 1),
        ("a.py", "class A:\n    async def f():\n" + "        x = 1\n" * 60, 1),
        ("a.py", "def f():\n    def g():\n" + "        x = 1\n" * 60, 2),
        ("a.py", long_list("{'a': -1, 'b': (2.5, None)}", 500), 0),
        ("a.py", long_list("1", 401) + CALL * 100, 0),  # 80.04 %
        ("a.py", long_list("1", 400) + CALL * 100, 1),  # 80 %
        ("a.py", long_list("f(1)", 500), 1),
        ("a.py", long_list("y", 500), 1),
        ("a.py", "x: int\n" * 500, 1),
        ("a.py", "x = '''\n" + "print(1)\n" * 500 + "'''\n", 1),
        ("a.py", "class A:\n    x = [\n" + "    1,\n" * 500 + "    ]\n", 1),  # not the module's own
    ],
)
def test_what_is_too_long_is_seen(name, text, n_found):
    """At the bound and beyond it; what is called, named, in a class or a program in quotes is no table of data."""
    assert len(list(too_long(name, text))) == n_found


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
