"""Reading a sweep: columns of chosen rows, the same with each of the two readers, and no file opened for nothing."""

import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from pyarrow import parquet

from simulator import InputError, open_sweep, run_sweep
from simulator.sweeping import reading
from simulator.sweeping.rows import COLUMNS

ASKED = {
    "models": ["llama-3-8b", "qwen3-30b-a3b"],
    "devices": ["pi5-16gb", "2xrtx-3090"],
    "formats": ["q4_k_m", "fp8"],
    "batches": [1, 8, 64],
    "contexts": [0, 1024],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished sweep."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    run_sweep(ASKED, out, processes=1)
    return out


def test_all_of_it(folder):
    """Every column of every row, in the order of the product."""
    swept = open_sweep(folder)
    found = swept.read()
    assert tuple(found) == COLUMNS == swept.columns
    assert {len(values) for values in found.values()} == {swept.n_points} == {48}
    assert found["model"].tolist() == ["llama-3-8b"] * 24 + ["qwen3-30b-a3b"] * 24
    assert found["batch"].tolist() == [1, 1, 8, 8, 64, 64] * 8
    assert found["context"].tolist() == [0, 1024] * 24
    assert found["weights"].tolist() == (["q4_k_m"] * 6 + ["fp8"] * 6) * 4


def test_chosen_rows(folder):
    """By one value, or several, of columns that are not asked for, too."""
    swept = open_sweep(folder)
    found = swept.read(
        ["hardware", "tokens_per_s"], model="llama-3-8b", weights="q4_k_m", batch=[1, 64], context=1024, status="ok"
    )
    assert list(found) == ["hardware", "tokens_per_s"]
    assert found["hardware"].tolist() == ["pi5-16gb", "pi5-16gb", "2xrtx-3090", "2xrtx-3090"]
    assert np.all(found["tokens_per_s"] > 0)
    assert swept.read(["batch"], hardware="rtx-4090")["batch"].size == 0
    assert set(swept.read(["status"], status=("ok", "refused"))["status"]) == {"ok", "refused"}
    assert set(swept.read(["reason"], status="ok")["reason"]) == {None}


def test_only_files_that_may_have_rows_are_opened(folder, monkeypatch):
    """A model's own, and those of its devices, batches and contexts."""
    opened = []
    read = reading._with_arrow
    monkeypatch.setattr(
        reading, "_with_arrow", lambda path, *rest: opened.append(path.parent.name) or read(path, *rest)
    )
    swept = open_sweep(folder)
    swept.read(["batch"], model="qwen3-30b-a3b")
    assert opened == ["model=qwen3-30b-a3b"]
    for where in ({"hardware": "h100-sxm"}, {"batch": 2}, {"context": [3, 4]}, {"model": "gpt-oss-20b"}):
        swept.read(["batch"], **where)
    assert len(opened) == 1


def test_duckdb_reads_the_same(folder, monkeypatch):
    """Where pyarrow is not installed."""
    pytest.importorskip("duckdb")
    swept = open_sweep(folder)
    with_arrow = swept.read(batch=[1, 64])
    monkeypatch.setattr(reading, "find_spec", lambda name: None if name == "pyarrow" else name)
    with_duckdb = swept.read(batch=[1, 64])
    for name, values in with_arrow.items():
        assert with_duckdb[name].dtype == values.dtype
        assert np.array_equal(with_duckdb[name], values, equal_nan=values.dtype.kind == "f"), name
    monkeypatch.setattr(reading, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"^a sweep is read with pyarrow or duckdb: pip install '\.\[sweep\]'"):
        swept.read()


def test_what_is_no_sweep_is_told(folder, tmp_path):
    """A folder without a manifest, one with parts missing, a column that there is none of, a text where numbers are."""
    with pytest.raises(
        InputError, match=r"no folder of a sweep \(_sweep.json is missing\): roofcast sweep FILE.yaml -o OUT/"
    ):
        open_sweep(tmp_path)
    swept = open_sweep(folder)
    with pytest.raises(InputError, match=r"^a sweep has no column 'tokens', did you mean tokens_per_s"):
        swept.read(["tokens"])
    with pytest.raises(InputError, match=r"^a sweep has no column 'contxt', did you mean context\?"):
        swept.read(contxt=1)
    with pytest.raises(InputError, match=r"^memory_bytes: numbers are needed to choose rows by, got 'x'"):
        swept.read(memory_bytes="x")
    with pytest.raises(InputError, match=r"^a value, or a list of some, is needed"):
        swept.read(batch=[])
    path = next(folder.rglob("*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:50])
    with pytest.raises(InputError, match=r"parquet: cannot be read \(.*\); run roofcast sweep again"):
        swept.read()
    path.unlink()
    with pytest.raises(InputError, match=r"parquet: is missing; run roofcast sweep again"):
        swept.read()
    with pytest.raises(InputError, match=r": 1 of 2 parts are there; the same roofcast sweep again makes the rest"):
        open_sweep(folder)
    path.write_bytes(content)


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
def test_a_part_in_place_of_another_is_told(reader, folder, tmp_path, monkeypatch):
    """Which would stand under a wrong model otherwise; both readers tell it."""
    pytest.importorskip(reader)
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    one, other = sorted(out.rglob("*.parquet"))
    shutil.copy(one, other)
    monkeypatch.setattr(reading, "find_spec", lambda name: name if name == reader else None)
    with pytest.raises(InputError, match=rf"^{other}: cannot be read \(its rows are not those of this part"):
        open_sweep(out).read(["tokens_per_s"])


def test_a_damaged_manifest_is_told_with_a_remedy(tmp_path):
    """In words of ours, whatever is wrong with its text."""
    for text in (b"{", b"\xff", b"[" * 100_000):
        (tmp_path / "_sweep.json").write_bytes(text)
        with pytest.raises(
            InputError, match=r"_sweep.json: is damaged, .*; remove the folder and run roofcast sweep again$"
        ):
            open_sweep(tmp_path)


def test_damage_is_told_and_made_anew(folder, tmp_path):
    """A few bytes of a column's values, which the file's own lengths do not show."""
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    path = sorted(out.rglob("*.parquet"))[1]
    whole = path.read_bytes()
    metadata = parquet.read_metadata(path).row_group(0)
    column = next(
        each
        for each in map(metadata.column, range(metadata.num_columns))
        if each.path_in_schema == "tokens_per_s_ceiling"
    )
    end = column.data_page_offset + column.total_compressed_size
    path.write_bytes(whole[: end - 9] + bytes(255 - each for each in whole[end - 9 : end - 3]) + whole[end - 3 :])
    with pytest.raises(
        InputError, match=r"parquet: cannot be read \(.*; run roofcast sweep again, which makes it anew"
    ):
        open_sweep(out).read(["tokens_per_s_ceiling"])
    assert run_sweep(ASKED, out, processes=1).n_found == 1
    assert path.read_bytes() == whole
