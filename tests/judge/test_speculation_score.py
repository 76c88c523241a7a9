"""Speculative decoding beside the shipped measurements: speed-ups, whether gains and losses come out as such, and what is refused."""

from dataclasses import replace

import pytest

from simulator.errors import InputError
from simulator.importers.speculating import is_speculation, load_speculation
from simulator.judge.speculation import SpeculationRow, SpeculationScore, speculation_score
from simulator.spec.library import MEASURED, SPECULATED


@pytest.fixture(scope="module")
def measured():
    """Every shipped pair of rates."""
    return load_speculation(SPECULATED)


@pytest.fixture(scope="module")
def scored(measured):
    """With their forecasts."""
    return speculation_score(measured.published)


def test_every_usable_row_has_a_forecast(measured, scored):
    """88 of 108; the others say why not."""
    assert len(measured.published) + len(measured.skipped) == 108
    assert len(scored.rows) == 88
    assert all(each.reason for each in measured.skipped)
    assert len({each.id for each in (*measured.published, *measured.skipped)}) == 108


def test_speed_ups_come_near(scored):
    """Nothing of speculation is fitted to them: half within 16 %, nine in ten within 45 %; mixtures within 10 %."""
    assert scored.median_abs_error < 0.16
    assert scored.p90_abs_error < 0.45
    mixtures = scored.by("is_mixture")[True,]
    assert len(mixtures.rows) == 14
    assert mixtures.median_abs_error < 0.10


def test_gains_and_losses_come_out_as_such(scored):
    """Every gain of more than 3 % is forecast as a gain; the one loss beyond that, on Metal, is not forecast."""
    assert scored.right_way(True) == (85, 85)
    assert scored.right_way(False) == (0, 1)


def row(plain, measured, forecast):
    """A made-up row whose plain rate was forecast right."""
    return SpeculationRow(
        "a", "m", "d", 1, "r", "f16", "mtp:1@0.5", 1, 0, plain, plain, measured, forecast, 0.0, 1e9, is_mixture=False
    )


def test_errors_are_of_speed_ups():
    """1.5 times forecast, 1.2 measured: a quarter too good."""
    one, other = row(10.0, 12.0, 15.0), row(10.0, 8.0, 15.0)
    assert one.error == pytest.approx(0.25)
    assert one.is_right_way
    assert not other.is_right_way
    assert row(10.0, 10.2, 9.0).is_right_way  # neither gain nor loss
    found = SpeculationScore((one, other))
    assert found.worst(1) == [other]
    assert (found.right_way(True), found.right_way(False)) == ((1, 1), (0, 1))


def test_nothing_is_known_of_no_pairs():
    """None, not an exception."""
    none = SpeculationScore(())
    assert none.median_abs_error is none.p90_abs_error is none.bias is none.held is None


def test_what_does_not_fit_is_skipped(measured):
    """A batch of a million."""
    found = speculation_score([replace(measured.published[0], batch=1_000_000)])
    assert found.rows == ()
    assert "does not fit" in found.skipped[0].reason


HEAD = "id,device,runtime,model,weights,method,drafted,drafted_share,mean_length,plain_tokens_per_s,tokens_per_s\n"
ROWS = {
    "a,rtx-4090,llama.cpp,qwen3.5-27b,q4_k_m,eagle,2,0.8,,40,70": "drafts by eagle are not forecast",
    "a,rtx-4090,llama.cpp,qwen3.5-27b,q4_k_m,mtp,2,,,40,70": "acceptance is not stated",
    "a,rtx-4091,llama.cpp,qwen3.5-27b,q4_k_m,mtp,2,0.8,,40,70": "no hardware file is called rtx-4091",
}


@pytest.mark.parametrize("line", ROWS)
def test_what_cannot_be_forecast_says_why(line, tmp_path):
    """One reason for each."""
    path = tmp_path / "own.csv"
    path.write_text(HEAD + line + "\n")
    assert is_speculation(path)
    found = load_speculation(path)
    assert found.published == ()
    assert [each.reason for each in found.skipped] == [ROWS[line]]


def test_a_table_of_another_kind_is_refused(tmp_path):
    """Missing columns by their names, and numbers that cannot be."""
    path = tmp_path / "own.csv"
    path.write_text("device,drafted,plain_tokens_per_s\n")
    with pytest.raises(
        InputError, match="the columns runtime, model, weights, method, tokens_per_s must be there, too"
    ):
        load_speculation(path)
    path.write_text(HEAD + "a,rtx-4090,llama.cpp,qwen3.5-27b,q4_k_m,mtp,2,1.8,,40,70\n")
    with pytest.raises(InputError, match=r"own\.csv:2: drafted_share is '1\.8', a number from 0 to 1 is needed"):
        load_speculation(path)
    assert not is_speculation(MEASURED)
