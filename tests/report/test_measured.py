"""Measurements to be shown beside forecasts: from each kind of file, with error bars; and one sentence for what is broken."""

import math

import pytest
from validated import ROW, written

from simulator.errors import InputError
from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model
from simulator.report.measured import load_measured
from simulator.spec.machine import load_hardware


def test_a_run_of_validate_is_read_with_its_scatter(tmp_path):
    """Quartiles 9.5 and 10.5 ms: a standard deviation of ln(10.5 / 9.5) / 1.349; the device is the run's."""
    (found,) = load_measured(written(tmp_path / "run.json", [ROW]))
    assert (found.model, found.hardware, found.weights, found.batch, found.context, found.threads) == (
        "dense",
        "mine",
        "q8_0",
        1,
        128,
        2,
    )
    assert (found.routing, found.sparsity, found.forecast) == ("uniform", None, 110.0)
    spread = math.log(10.5 / 9.5) / 1.349
    assert (found.tokens_per_s_low, found.tokens_per_s_high) == pytest.approx(
        (100 * math.exp(-spread), 100 * math.exp(spread)), rel=1e-3
    )
    assert found.error == pytest.approx(0.1)


def test_a_run_against_somebody_elses_measurements_is_read(tmp_path):
    """There the spread is given, and each row has its device."""
    row = {key: value for key, value in ROW.items() if key != "seconds"} | {"hardware": "pi5-16gb", "spread": 0.1}
    (found,) = load_measured(written(tmp_path / "score.json", [row]))
    assert found.hardware == "pi5-16gb"
    assert found.tokens_per_s_high == pytest.approx(100 * math.exp(0.1))


def test_only_plain_decoding_is_shown(tmp_path):
    """Of a run's rows those of prompts, drafted tokens and other memories stay in its table; a file of nothing else is refused."""
    others = [ROW | change for change in ({"tokens": 64}, {"on_disk": True}, {"slow_layers": 2})]
    plain = ROW | {"tokens": 1, "on_disk": False, "slow_layers": 0}
    assert len(load_measured(written(tmp_path / "run.json", [*others, plain]))) == 1
    with pytest.raises(InputError, match="none of its rows is plain decoding"):
        load_measured(written(tmp_path / "others.json", others))


def test_a_table_of_ones_own_is_forecast(tmp_path):
    """A CSV has no forecasts: they are made."""
    path = tmp_path / "mine.csv"
    path.write_text("device,model,weights,batch,context,tokens_per_s\npi5-16gb,llama-3-8b,q4_k_m,1,128,2.17\n")
    (found,) = load_measured(path)
    assert found.forecast == pytest.approx(
        float(scenario("llama-3-8b", "pi5-16gb", weights="q4_k_m").at(1, 128).tokens_per_s)
    )
    assert found.tokens_per_s_low == found.tokens_per_s == found.tokens_per_s_high == 2.17


def test_the_only_device_is_meant_where_the_file_names_none(tmp_path):
    """And no other is guessed."""
    path = tmp_path / "mine.csv"
    path.write_text("model,weights,batch,context,tokens_per_s\nllama-3-8b,q4_k_m,1,128,2.17\n")
    (found,) = load_measured(path, [load_hardware("pi5-8gb")], [load_model("llama-3-8b")])
    assert found.hardware == "pi5-8gb"
    with pytest.raises(InputError, match=r"mine\.csv: the column device must be there, too"):
        load_measured(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens_per_s_measured": 0}, "row 2: tokens_per_s_measured is 0, a number above 0 is needed"),
        ({"tokens_per_s": None}, "row 2: tokens_per_s is None, a number above 0 is needed"),
        ({"tokens_per_s_high": "fast"}, "row 2: tokens_per_s_high is fast, a number above 0 is needed"),
        ({"tokens_per_s_low": 115.0}, "row 2: tokens_per_s lies outside tokens_per_s_low to tokens_per_s_high"),
        ({"batch": 0}, "row 2: batch is 0, a whole number from 1 is needed"),
        ({"context": 1.5}, "row 2: context is 1.5, a whole number from 0 is needed"),
        ({"model": 7}, "row 2: model is 7, a name is needed"),
    ],
)
def test_a_broken_row_is_named(tmp_path, change, message):
    """File, row, field, value and what is needed."""
    path = written(tmp_path / "run.json", [ROW, ROW | change])
    with pytest.raises(InputError) as error:
        load_measured(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_run_without_rows_has_no_measurements(tmp_path):
    """Said of our own file, which is no llama-bench's."""
    path = written(tmp_path / "run.json", [])
    with pytest.raises(InputError) as error:
        load_measured(path)
    assert str(error.value) == f"{path}: has no measurements, its rows are empty; give a file that has some"


def test_rows_are_objects(tmp_path):
    """Not numbers among them."""
    with pytest.raises(InputError, match=r"row 2: is no object with the fields of a measurement"):
        load_measured(written(tmp_path / "run.json", [ROW, 3]))
