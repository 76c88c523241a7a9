"""Models larger than memory, forecast from a drive: equal to a plain forecast where all stays, and what does not run so by name."""

import numpy as np
import pytest

from simulator import load_hardware, load_runtime, scenario
from simulator.errors import InputError
from simulator.forecast.from_storage import REPACKING, pages_of, told_unpacked
from simulator.forecast.prediction import Prediction
from simulator.judge.paged import is_paged, paged_score
from simulator.report.check import check_command
from simulator.report.record import records
from simulator.report.remarks import capacity
from simulator.spec.library import MEASURED

PI = ("qwen3-30b-a3b", "pi5-8gb")
MACHINE = "rtx-3090+ryzen-7950x"


def at(*names, batch=1, context=1024, **asked) -> Prediction:
    """The forecast of a model on a device."""
    return scenario(*names, **asked).at(batch, context)


def board(n_bytes):
    """A Pi 5 with so many bytes of memory, all of which a model can have."""
    return load_hardware("pi5-16gb").with_memory(n_bytes, "").with_all_memory()


def test_where_all_stays_it_is_the_plain_forecast():
    """On a board, and on the host of a GPU: the same seconds, interval and ceiling."""
    for names, asked in (
        (("qwen3-30b-a3b", "pi5-16gb"), {"weights": "2.70bpw"}),
        (("qwen3-30b-a3b", MACHINE), {"weights": "q8_0"}),
    ):
        plain, mapped = at(*names, **asked), at(*names, **asked, storage="nvme-gen4")
        for name in ("seconds_per_step", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling", "bound"):
            assert getattr(mapped, name) == (
                plain.bound if name == "bound" else pytest.approx(getattr(plain, name), rel=1e-12)
            )
        assert mapped.timed.wait.n_bytes == 0


def test_a_dense_model_one_page_too_large_is_read_whole():
    """In circles, least recently used: with room for all of it nothing is read, with 4 KiB less all of it, at the drive's rate."""
    asked = {"weights": "q8_0", "runtime": "roofline", "storage": "1"}
    whole = at("qwen3-4b", board(2**34), **asked)
    pages = pages_of([each.op for each in whole.ops], whole.load.routing, 1.0)
    assert pages.used_bytes == whole.cost.weight_bytes
    (held,) = whole.held
    beside = held.needed_bytes - held.mapped_bytes + pages.used_bytes
    assert at("qwen3-4b", board(beside + 4096), **asked).timed.wait.n_bytes == 0
    short = at("qwen3-4b", board(beside - 4096), **asked)
    matrices = sum(each.op.count * each.op.cost.weight_bytes for each in short.ops if each.op.part != "vectors")
    assert short.timed.wait.n_bytes == short.cost.weight_bytes
    assert short.timed.wait.likely_s > matrices / 1e9
    assert short.timed.wait.likely_s == pytest.approx(matrices / 1e9, rel=0.02)  # small vectors are read one at a time
    # At best only those 4 KiB are missing.
    assert short.timed.wait.least_bytes == pytest.approx(4096, abs=2048)
    assert float(short.tokens_per_s_high) == pytest.approx(float(short.tokens_per_s_ceiling), rel=0.5)


def test_more_memory_and_faster_drives_never_slow_it():
    """Qwen3-30B-A3B in 2.70 bits, from 2 GiB to 16, from 0.1 GB/s to 10."""
    asked = {"weights": "2.70bpw", "runtime": "llama.cpp"}
    for name in ("tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_ceiling"):
        by_memory = [
            getattr(at(PI[0], "pi5-16gb", **asked, ram=ram, storage="nvme"), name) for ram in np.linspace(2, 16, 29)
        ]
        assert (np.diff(by_memory) >= 0).all()
        by_drive = [getattr(at(*PI, **asked, storage=rate), name) for rate in ("0.1", "0.3", "1", "3", "10")]
        assert (np.diff(by_drive) >= 0).all()


def test_a_board_of_8_gb_runs_a_model_of_9_6_gib():
    """From NVMe faster than from a card, both limited by it; `auto` takes the fastest drive that its maker supports."""
    rates = {}
    for drive in ("microsd", "nvme", "auto"):
        base = scenario(*PI, weights="2.70bpw", storage=drive)
        point = base.at(1, 1024)
        assert (point.fits, point.bound) == (True, "storage")
        assert point.tokens_per_s_low < point.tokens_per_s < point.tokens_per_s_high <= point.tokens_per_s_ceiling
        rates[drive] = point.tokens_per_s
        assert sum(point.parts.values()) == pytest.approx(point.seconds_per_step)
        assert check_command(base, [point]).startswith("llama-completion -m qwen3-30b-a3b-2.70bpw.gguf --no-warmup ")
    assert rates["microsd"] < rates["nvme"] == rates["auto"] < at(PI[0], "pi5-16gb", weights="2.70bpw").tokens_per_s
    assert "paging" not in " ".join(capacity(base, [point]))


def test_a_grid_is_its_points():
    """Rooms shrink as caches grow, and batches use more experts."""
    base = scenario(*PI, weights="2.70bpw", storage="nvme")
    batches, contexts = np.array([1, 2, 8]), np.array([128, 8192])
    grid = base.at(batches[None, :], contexts[:, None])
    for row, context in enumerate(contexts):
        for column, batch in enumerate(batches):
            one = base.at(int(batch), int(context))
            assert grid.tokens_per_s[row, column] == pytest.approx(float(one.tokens_per_s), rel=1e-12)
            assert grid.timed.wait.n_bytes[row, column] == pytest.approx(float(one.timed.wait.n_bytes), rel=1e-12)
    (row,) = records(base.at(1, 128))
    assert row["storage"] == "nvme"
    assert row["storage_bytes"] == pytest.approx(float(grid.timed.wait.n_bytes[0, 0]))
    assert row["seconds"]["storage"] > 0


def test_copies_are_left_out_where_only_so_it_runs():
    """q4_k_m of 17 GiB on 8 GB: llama.cpp would copy nearly all of it, and loads it with --no-repack alone."""
    base = scenario(*PI, weights="q4_k_m", storage="nvme")
    assert base.runtime.repacks == {}
    assert any(REPACKING in each for each in base.remarks)
    assert " --no-repack " in check_command(base, [base.at(1, 1024)])
    assert scenario("qwen3-30b-a3b", "pi5-16gb", weights="q3_k_s", storage="nvme").runtime.repacks


def test_only_the_host_of_a_gpu_waits():
    """gpt-oss-120b beside 32 GiB of RAM: its experts there are mapped and missing in part; what the GPU holds is not."""
    point = at("gpt-oss-120b", MACHINE, ram=32, storage="nvme-gen4")
    assert point.fits
    assert {each.op.place for each in point.ops if each.wait.n_bytes} == {1}
    assert [held.mapped_bytes > 0 for held in point.held] == [False, True]
    assert point.parts["storage"] > 0
    assert not at("gpt-oss-120b", MACHINE, ram=32).fits
    assert point.tokens_per_s < at("gpt-oss-120b", MACHINE, ram=64).tokens_per_s


@pytest.mark.parametrize(
    ("device", "asked", "told"),
    [
        ("rtx-3090", {"storage": "nvme-gen4"}, "serves loading only; name its host, as in rtx-3090"),
        ("m4-pro", {"storage": "1"}, "serves loading only; take a CPU"),
        (
            "ryzen-7950x",
            {"storage": "auto"},
            "the file of ryzen-7950x names no drive: give its GB/s",
        ),
        ("pi5-8gb", {"storage": "swap"}, "what is swapped is written out"),
        ("pi5-8gb", {"storage": "nvme", "runtime": "ollama"}, "holds all weights in memory of its own"),
        ("pi5-8gb", {"storage": "nvme", "devices": 4}, "of one device, not of 4"),
        ("pi5-8gb", {"storage": "nvme", "sparsity": "teal:0.4"}, "pages are read whole"),
        ("pi5-8gb", {"storage": 3}, "the name of a drive"),
    ],
)
def test_what_reads_nothing_from_a_drive_is_refused(device, asked, told):
    """Each in a sentence with what to do instead."""
    with pytest.raises(InputError, match=told):
        scenario("qwen3-30b-a3b", device, weights="q4_0" if device != "m4-pro" else "q4_k_m", **asked)


def test_published_rates_of_models_read_from_drives():
    """Eight rows, to none of which anything was fitted: half within a factor of 2.5, and the interval is as wide as it has to be."""
    path = MEASURED.with_name("storage.csv")
    assert is_paged(path)
    assert not is_paged(MEASURED)
    found = paged_score(path)
    assert (len(found.rows), len(found.skipped)) == (8, 2)
    assert found.median_factor < 2.5
    assert found.n_held == 7
    assert {row.bound for row in found.rows} <= {"storage", "memory"}


def test_other_weights_decide_anew_whether_copies_are_left_out():
    """Qwen3-8B on 8 GB: copies of q8_0 do not fit and those of q4_0 do, whichever of the two was asked for before the other."""
    asked = {
        name: scenario("qwen3-8b", "pi5-8gb", weights=name, runtime="llama.cpp", storage="nvme")
        for name in ("q8_0", "q4_0")
    }
    assert [bool(each.runtime.repacks) for each in asked.values()] == [False, True]
    for base in asked.values():
        for other in asked.values():
            found = base.in_weights(other.load.weights)
            assert found == other
            assert base.reading_from("nvme") == base
            assert found.remarks.count(told_unpacked(load_runtime("llama.cpp"))) == (not other.runtime.repacks)
