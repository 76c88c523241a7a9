"""When and how a published row ran: its date, its API, flash attention, as its columns and notes have it."""

import pytest
from own_csv import HEAD, csv_of

from simulator.forecast.conditions import runtime_of, scenario_of
from simulator.importers.measurements import load_measurements

CARD = {"device": "rtx-4090", "backend": "cuda", "threads": ""}


@pytest.fixture
def read(tmp_path):
    """The measurement of a row with further columns."""

    def run(further=None, **changes):
        further = further or {}
        names, values = (",".join(["", *each]) for each in (further, further.values()))
        path = tmp_path / "rows.csv"
        path.write_text(csv_of(changes).replace(HEAD, HEAD + names).rstrip("\n") + values + "\n")
        (found,) = load_measurements(path).published
        return found

    return run


@pytest.mark.parametrize(
    ("stated", "read_as"),
    [("2024-05", "2024-05"), ("2024-05-17", "2024-05-17"), ("2024", ""), ("2023-2024", ""), ("May 2024", ""), ("", "")],
)
def test_a_date_is_a_month_or_a_day(read, stated, read_as):
    """Anything else says too little of what the software was."""
    assert read({"date": stated}).date == read_as


@pytest.mark.parametrize(
    ("notes", "had"),
    [
        ("llama-bench -fa 1", True), ("fa=1", True), ("-fa; tg128", True), ("flash attention", True), ("FA on", True),
        ("flash_attn=true", True), ("no FA", False), ("no flash attention; M1", False), ("fa=0", False), ("-fa 0", False),
        ("FA off", False), ("flash_attn=false", False), ("best of fa=0/1 per point", None), ("sofa", None),
        ("alfa; beta", None), ("", None),
    ],
)  # fmt: skip
def test_notes_tell_of_flash_attention(read, notes, had):
    """With it, without it, or nothing."""
    assert read({"notes": notes}).flash_attention is had


@pytest.mark.parametrize(("stated", "had"), [("1", True), ("yes", True), ("0", False), ("false", False), ("", True)])
def test_a_column_of_its_own_decides_before_the_notes(read, stated, had):
    """Which hold where it is empty."""
    assert read({"flash_attention": stated, "notes": "fa=1"}).flash_attention is had


@pytest.mark.parametrize(
    ("backend", "api"), [("cuda", "cuda"), ("Vulkan", "vulkan"), ("hip", "rocm"), ("gpu", ""), ("", "")]
)
def test_an_api_is_what_drove_a_gpu(read, backend, api):
    """By the name that runtimes have for it; a GPU of which no more is said has none."""
    assert read(**CARD | {"backend": backend}).api == api
    assert read().api == ""


def test_a_row_is_forecast_as_it_ran(read):
    """On its API, by the kernels of its time, with scores in memory where it says so."""
    found = read({"date": "2024-01", "flash_attention": "0"}, **CARD | {"backend": "vulkan"})
    place = scenario_of(found, None, runtime_of(found)).at(1, 576).backend.kernels.place
    assert (place.api, place.is_early, place.has_flash) == ("vulkan", True, False)
    found = read({"date": "2026-01"}, **CARD)
    place = scenario_of(found, None, runtime_of(found)).at(1, 576).backend.kernels.place
    assert (place.api, place.is_early, place.has_flash) == ("cuda", False, True)
