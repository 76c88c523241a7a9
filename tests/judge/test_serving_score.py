"""Servers' forecasts beside the shipped measurements: a group of its own, with errors of both times."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from asking import answer, refusal

import simulator
from simulator.importers.serving import load_serving
from simulator.judge.serving import ServingScore, serving_score, simulated_score

SHIPPED = Path(simulator.__file__).parent / "measured" / "serving.csv"


@pytest.fixture(scope="module")
def scored():
    """The shipped rows of Llama-3.1-70B on H100s under vLLM."""
    measured = [
        each
        for each in load_serving(SHIPPED).published
        if (each.loaded.model.name, each.hardware.name, each.runtime.name) == ("llama-3-70b", "h100-sxm", "vllm")
    ]
    return serving_score(measured)


def test_every_row_has_a_forecast_or_a_reason(scored):
    """45 rows of two, four and eight cards."""
    assert len(scored.rows) + len(scored.skipped) == 45
    assert set(scored.by("n_devices")) == {(2,), (4,), (8,)}


def test_the_time_per_token_comes_near(scored):
    """Not fitted: half of the rows within 15 %, nine in ten within 45 %."""
    assert scored.median_abs_error() < 0.15
    assert scored.p90_abs_error() < 0.45


def test_errors_are_of_seconds(scored):
    """Above 0 is too slow, of either time."""
    row = scored.rows[0]
    assert row.error("token") == pytest.approx(row.token_s / row.token_measured_s - 1)
    assert row.error("first") == pytest.approx(row.first_s / row.first_measured_s - 1)
    assert scored.worst(1)[0] in scored.rows


def test_rows_that_differ_with_equal_settings_are_known(scored):
    """A twin that took half as long: something that no column tells, so neither counts among the settled ones."""
    (one,) = [each for each in load_serving(SHIPPED).published if each.id == scored.rows[0].id][:1]
    found = serving_score([one, replace(one, seconds_per_token=one.seconds_per_token / 2)])
    assert [row.twins for row in found.rows] == [2, 2]
    assert found.settled().rows == ()
    assert serving_score([one, one]).settled().rows


def test_servers_gone_through_request_by_request_come_near_their_steady_state(scored):
    """By the same steps and rules, lengths and beginning; whatever is told of progress ends at 1."""
    few = [each for each in load_serving(SHIPPED).published if each.id in {row.id for row in scored.rows}]
    few = [each for each in few if each.traffic.concurrency <= 16 and each.hardware.name == "h100-sxm"][:6]
    told = []
    found = simulated_score(few, lambda share, _what: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1
    steady = serving_score(few)
    assert len(found.rows) == len(steady.rows) > 3
    for one, other in zip(found.rows, steady.rows, strict=True):
        assert one.token_s == pytest.approx(other.token_s, rel=0.1)
        assert one.first_s == pytest.approx(other.first_s, rel=0.35)
    assert any(one.token_s != other.token_s for one, other in zip(found.rows, steady.rows, strict=True))


def test_nothing_is_known_of_no_rows():
    """None, not an exception."""
    assert ServingScore(()).median_abs_error() is None
    assert ServingScore(()).p90_abs_error("first") is None


def test_the_command_prints_writes_and_refuses(capsys, tmp_path):
    """`score` on a table of servers: groups, the worst rows, JSON and CSV; what is of other tables only is refused."""
    few = tmp_path / "few.csv"
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    few.write_text(
        "\n".join([lines[0], *(line for line in lines if ",h100-sxm,vllm,,llama-3.1-70b," in line)]), encoding="utf-8"
    )
    answer(capsys, "score", str(few), "--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"))
    told = answer(capsys, "score", str(few), "--worst", "3")
    assert "45 servers under load, 45 can be forecast" in told
    assert "vllm h100-sxm llama-3-70b fp8" in told
    record = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert record["serving"]["all"]["n_rows"] == len(record["served_rows"]) == 45
    assert len((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()) == 46
    few.write_text("\n".join(few.read_text(encoding="utf-8").splitlines()[:3]), encoding="utf-8")
    told = answer(capsys, "score", str(few), "--simulate", "--json", str(tmp_path / "b.json"))
    assert "The same servers, gone through request by request:" in told
    record = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert record["simulated"]["all"]["n_rows"] == record["serving"]["all"]["n_rows"] == 2
    assert "--plot: not for" in refusal(capsys, "score", str(few), "--plot", str(tmp_path / "a.png"))
