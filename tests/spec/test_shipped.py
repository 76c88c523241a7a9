"""Shipped files are checked once and kept: read again at once, and anew whenever they, the code or what was kept changed."""

import hashlib
import os
import pickle
import subprocess
import sys

import pytest
from places import ROOT

from simulator.errors import InputError
from simulator.spec import shipped
from simulator.spec.hardware import Hardware
from simulator.spec.library import shelf
from simulator.spec.model import Model

PI = shelf("hardware") / "pi5-16gb.yaml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to keep values in, the only one there is."""
    monkeypatch.setattr(shipped, "_folders", lambda: (tmp_path / "kept",))
    return tmp_path / "kept"


@pytest.fixture
def read(monkeypatch):
    """The files that were checked, in their order."""
    found = []
    really = shipped._read
    monkeypatch.setattr(shipped, "_read", lambda text, path, kind: found.append(path) or really(text, path, kind))
    return found


def test_a_shipped_file_is_checked_once(folder, read):
    """The second time it is what was kept, the same value."""
    first, second = (shipped.load_spec(PI, Hardware) for _ in range(2))
    assert first == second
    assert repr(first) == repr(second)
    assert read == [PI]
    assert len(list(folder.iterdir())) == 1


def test_somebodys_own_file_is_checked_each_time(folder, read, tmp_path):
    """Nothing of it is kept."""
    mine = tmp_path / "pi5-16gb.yaml"
    mine.write_bytes(PI.read_bytes())
    for _ in range(2):
        shipped.load_spec(mine, Hardware)
    assert read == [mine, mine]
    assert not folder.exists()


def spoil_code(path, monkeypatch):
    """Another version of the code."""
    monkeypatch.setattr(shipped, "_code", lambda: b"another")


def spoil_text(path, monkeypatch):
    """The file was edited."""
    really = shipped.read_text
    monkeypatch.setattr(shipped, "read_text", lambda *given: really(*given) + "\n# a remark\n")


def cut_short(path, monkeypatch):
    """Half of it was written."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path, monkeypatch):
    """One bit of what was kept is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path, monkeypatch):
    """Nothing is in it."""
    path.write_bytes(b"")


def another_kind_of_file(path, monkeypatch):
    """A pipe stands there, on whose writer nobody waits."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [spoil_code, spoil_text, cut_short, flip_a_bit, empty, another_kind_of_file])
def test_what_no_longer_holds_is_made_anew(folder, read, monkeypatch, spoil):
    """Neither an old value nor a damaged one is taken."""
    right = shipped.load_spec(PI, Hardware)
    (path,) = folder.iterdir()
    spoil(path, monkeypatch)
    assert shipped.load_spec(PI, Hardware) == right
    assert len(read) == 2
    assert shipped.load_spec(PI, Hardware) == right
    assert len(read) == 2


def written(path, text, content):
    """Puts content where a value of a text would be kept, with the digest that belongs to it."""
    path.write_bytes(shipped._digest(text, content) + content)


def test_only_values_are_read(folder, read):
    """A file that would build anything else, be it as harmless as a hash or a path, or a value of another kind, is passed over."""
    right = shipped.load_spec(PI, Hardware)
    (path,) = folder.iterdir()
    text = PI.read_text(encoding="utf-8")
    model = shipped.load_spec(shelf("models") / "llama-3-8b.yaml", Model)
    for other in (PI, {"name": "pi"}, model, [right], shipped.Path):
        written(path, text, pickle.dumps(other))
        assert shipped.load_spec(PI, Hardware) == right
    assert read.count(PI) == 6
    for spoiled in (
        b"",
        b"csimulator.spec.hardware\nNope\n.",
        b"csimulator.spec.nope\nNope\n.",
        b"csimulator.spec.hardware\nHardware\n)R.",
    ):
        written(path, text, spoiled)
        assert shipped.load_spec(PI, Hardware) == right
    with pytest.raises(pickle.UnpicklingError, match="is no kind of value"):
        shipped._Reader(__import__("io").BytesIO(pickle.dumps(hashlib.sha256))).load()


def test_where_nothing_can_be_kept_files_are_read_all_the_same(tmp_path, monkeypatch, read):
    """A file stands where the folder would be."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(shipped, "_folders", lambda: (tmp_path / "file" / "folder", tmp_path / "file"))
    for _ in range(2):
        assert shipped.load_spec(PI, Hardware).name == "pi5-16gb"
    assert read == [PI, PI]


def test_a_file_of_another_kind_is_told(tmp_path):
    """By the fields that only such a file has."""
    with pytest.raises(InputError, match="this is a hardware file, model fields are needed here"):
        shipped.load_spec(PI, Model)


def test_a_second_run_loads_neither_pydantic_nor_yaml(tmp_path):
    """What takes longest to import is needed for checking alone."""
    code = (
        "import sys; from simulator import scenario\n"
        "scenario('qwen3-30b-a3b', 'pi5-16gb').at(1, 1024).tokens_per_s\n"
        "print(*[name for name in ('pydantic', 'yaml', 'numpy.ma', 'numba') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(2)
    ]
    assert runs[1].split() == []


@pytest.mark.parametrize("home", ["", "relative/folder", "~"])
def test_without_a_home_nothing_is_written_where_somebody_works(home, tmp_path, monkeypatch):
    """A folder of caches that is no whole path is none; the one of the package is asked first."""
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    assert [folder.name for folder in shipped._folders()] == ["__pycache__"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert list(shipped._folders())[1:] == [tmp_path / "roofcast"]
