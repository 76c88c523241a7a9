"""Reading a sweep: columns of chosen rows, the same with each of the two readers, and no file opened for nothing."""

import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from pyarrow import parquet

from simulator import InputError, open_sweep, run_sweep
from simulator.sweeping import files, parts
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
    assert swept.read("batch", status="ok", weights="fp8", hardware="pi5-16gb")["batch"].size == 0
    assert set(swept.read(["status"], status=("ok", "refused"))["status"]) == {"ok", "refused"}
    assert set(swept.read(["reason"], status="ok")["reason"]) == {None}


def test_only_files_that_may_have_rows_are_opened(tmp_path, monkeypatch):
    """A model's own, and those of its devices, batches and contexts."""
    opened = []
    read = files._with_arrow
    monkeypatch.setattr(parts, "ROWS", 2)
    monkeypatch.setattr(files, "_with_arrow", lambda path, *rest: opened.append(path.name) or read(path, *rest))
    run_sweep(ASKED, out := tmp_path / "out", processes=1)
    swept = open_sweep(out)
    assert len(swept.parts) == 24
    for where, n in (
        ({"model": "qwen3-30b-a3b"}, 12),
        ({"hardware": "pi5-16gb"}, 12),
        ({"batch": 8, "model": "llama-3-8b"}, 4),
    ):
        opened.clear()
        assert swept.read(["batch"], **where)["batch"].size == 2 * len(opened) == 2 * n


def test_duckdb_reads_the_same(folder, monkeypatch):
    """Where pyarrow is not installed."""
    pytest.importorskip("duckdb")
    swept = open_sweep(folder)
    with_arrow = swept.read(batch=[1, 64])
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "pyarrow" else name)
    with_duckdb = swept.read(batch=[1, 64])
    for name, values in with_arrow.items():
        assert with_duckdb[name].dtype == values.dtype
        assert np.array_equal(with_duckdb[name], values, equal_nan=values.dtype.kind == "f"), name
    monkeypatch.setattr(files, "find_spec", lambda _: None)
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
    path = next(folder.rglob("*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:50])
    with pytest.raises(InputError, match=r"parquet: cannot be read \(.*\); the same roofcast sweep with --check"):
        swept.read()
    path.unlink()
    with pytest.raises(InputError, match=r"parquet: is missing; the same roofcast sweep with --check makes it anew$"):
        swept.read()
    with pytest.raises(InputError, match=r": 1 of 2 parts are there; the same roofcast sweep again makes the rest"):
        open_sweep(folder)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"batch": "1"}, "batch must be a whole number, got '1'"),
        ({"batch": [1, True]}, "batch must be a whole number, got true"),
        ({"batch": 2}, "batch 2: the sweep has none such, the nearest is 1; it has 1, 8, 64"),
        ({"context": 10**5000}, "context must be between 0 and "),
        ({"batch": []}, "batch: a value, or a list of some, is needed to choose rows by, got a list"),
        ({"status": "okay"}, "status 'okay' is none of the sweep's, did you mean ok?"),
        ({"bound": "mem"}, "bound 'mem' is none of the sweep's, did you mean memory?"),
        ({"model": "llama-3-9b"}, "model 'llama-3-9b' is none of the sweep's, did you mean llama-3-8b?"),
        ({"hardware": ["pi5-16gb", "rtx-3090"]}, "hardware 'rtx-3090' is none of the sweep's, did you mean 2xrtx-3090?"),
        ({"hardware": None}, "hardware: names are needed to choose rows by, got nothing"),
        ({"weights": "q4_km"}, "weights 'q4_km' is none of the sweep's, did you mean q4_k_m?"),
        ({"weights": ["q4_k_m", "q8_0"], "model": "llama-3-8b"}, "weights 'q8_0' is none of the sweep's, known: fp8, q4_k_m"),
        ({"cache": "f17"}, "cache 'f17' is none of the sweep's, did you mean f16?"),
        ({"runtime": "vlm"}, "runtime 'vlm' is none of the sweep's, known: llama.cpp"),
        ({"routing": "unifrom"}, "routing 'unifrom' is none of the sweep's, did you mean uniform?"),
        ({"placement": "hand"}, "placement 'hand' is none of the sweep's, known: auto"),
        ({"memory_bytes": "x"}, "memory_bytes: numbers are needed to choose rows by, got 'x'"),
        ({"is_upper_bound": 1}, "is_upper_bound: True or False is needed to choose rows by, got 1"),
        ({"contxt": 1}, "a sweep has no column 'contxt', did you mean context?"),
    ],
)  # fmt: skip
def test_what_no_row_can_have_is_refused(folder, where, told):
    """With the nearest that there is, instead of no rows at all."""
    with pytest.raises(InputError) as error:
        open_sweep(folder).read("batch", **where)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_columns_are_names(folder):
    """One of them by itself, or several."""
    swept = open_sweep(folder)
    assert list(swept.read("batch")) == ["batch"]
    for wrong in (7, [7], ["batch", None]):
        with pytest.raises(InputError, match="column"):
            swept.read(wrong)


def test_a_folder_in_place_of_a_part_is_told(folder, tmp_path):
    """By its own name, when it is read and when it is written; and what stands in place of a folder of parts."""
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    path = sorted(out.rglob("*.parquet"))[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=rf"^{path}: is a folder where a file of the sweep belongs; remove it, and"):
        open_sweep(out).read("batch")
    with pytest.raises(InputError, match=rf"^{path}: is no file, but a part of the sweep goes there; move it away, or"):
        run_sweep(ASKED, out, processes=1)
    path.rmdir()
    path.parent.rmdir()
    path.parent.touch()
    with pytest.raises(InputError, match=rf"^{path.parent}: cannot be written \(File exists\); give another folder"):
        run_sweep(ASKED, out, processes=1)


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
def test_a_part_in_place_of_another_is_told(reader, folder, tmp_path, monkeypatch):
    """Which would stand under a wrong model otherwise; both readers tell it."""
    pytest.importorskip(reader)
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    one, other = sorted(out.rglob("*.parquet"))
    shutil.copy(one, other)
    monkeypatch.setattr(files, "find_spec", lambda name: name if name == reader else None)
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


def test_duckdb_compares_the_checksums_of_all_pages(folder, monkeypatch):
    """Of columns of texts, counts and rates, with and without a dictionary; those that pyarrow wrote, and no fewer."""
    pytest.importorskip("duckdb")
    seen = []
    pages = files._pages
    monkeypatch.setattr(files, "_pages", lambda *words: (seen.append(words[1]) or each for each in pages(*words)))
    path = next(folder.rglob("*.parquet"))
    mark = parquet.read_metadata(path).metadata[files.MARK]
    files._with_duckdb(path, [name for name in COLUMNS if name != "model"], mark)
    group = parquet.read_metadata(path).row_group(0)
    n_dictionaries = sum(group.column(place).has_dictionary_page for place in range(group.num_columns))
    assert len(seen) == group.num_columns + n_dictionaries
    assert n_dictionaries > 5


@pytest.mark.parametrize("reader", ["pyarrow", "duckdb"])
@pytest.mark.parametrize("name", ["tokens_per_s_ceiling", "weights", "batch"])
def test_damage_is_told_and_made_anew(folder, tmp_path, monkeypatch, reader, name):
    """A byte of a column's values, which the file's own lengths do not show: by both readers, and a run that checks."""
    pytest.importorskip(reader)
    monkeypatch.setattr(files, "find_spec", lambda each: each if each == reader else None)
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    path = sorted(out.rglob("*.parquet"))[1]
    whole = path.read_bytes()
    metadata = parquet.read_metadata(path).row_group(0)
    column = next(each for each in map(metadata.column, range(metadata.num_columns)) if each.path_in_schema == name)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    damaged = bytearray(whole)
    damaged[start + column.total_compressed_size - 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(
        InputError, match=r"parquet: cannot be read \(.*; the same roofcast sweep with --check makes it anew$"
    ):
        open_sweep(out).read(name)
    assert open_sweep(out).read("context")["context"].size == 48  # a column is as good as its own pages
    assert run_sweep(ASKED, out, processes=1, check=True).n_found == 1
    assert path.read_bytes() == whole


def test_a_restart_reads_no_rows(folder, tmp_path, monkeypatch):
    """What is finished is known by its end; only where that is asked for it is read, too."""
    out, read = tmp_path / "out", []
    shutil.copytree(folder, out)
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *_, **__: read.append(1) or parquet.read_table(folder))
    assert run_sweep(ASKED, out, processes=1).n_found == 2
    assert not read
    run_sweep(ASKED, out, processes=1, check=True)
    assert read


@pytest.mark.parametrize(
    "cut",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda _whole: b"",
        lambda whole: whole[:100] + whole[101:],
        lambda whole: whole[:4] + b"\0" + whole[4:],
    ],
)
def test_what_is_half_written_is_never_taken_for_a_part(cut, folder, tmp_path):
    """Cut off anywhere, or with bytes too few or too many before an end that is whole: made anew, though nothing is read."""
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    path = sorted(out.rglob("*.parquet"))[0]
    whole = path.read_bytes()
    path.write_bytes(cut(whole))
    assert run_sweep(ASKED, out, processes=1).n_found == 1
    assert path.read_bytes() == whole
