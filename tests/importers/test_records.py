"""A row of a file: its fields as text, counts, rates and spreads, and what is said of those that are none."""

import pytest

from simulator.errors import InputError
from simulator.importers.records import MAX_SPREAD, Published, Record, Skipped, Unusable, cache_format, collect
from simulator.spec.model import Loaded

REMEDY = "; correct the row or leave it out"


def record(**fields):
    """Line 17 of a file whose column for `batch` is called PL."""
    return Record("rows.csv:17", "a", fields, {"batch": "PL"})


def refusal(read, *given, **named):
    """What is said of a field that cannot be read."""
    with pytest.raises(InputError) as error:
        read(*given, **named)
    return str(error.value)


# ---- text ----


@pytest.mark.parametrize(("value", "text"), [(" q4_0 ", "q4_0"), (None, ""), ("  ", ""), (4, "4"), (False, "False")])
def test_a_field_is_text_without_blanks_around_it(value, text):
    """Whether a file has text, numbers or truth there; nothing is empty, and so is a field that is not there."""
    assert record(weights=value).text("weights") == text
    assert record().text("weights") == ""


# ---- numbers ----


@pytest.mark.parametrize("value", ["12.5", " 12.5 ", 12.5, "1.25e1"])
def test_a_number_is_read_from_text_and_from_numbers(value):
    """A CSV has text, JSON has numbers."""
    assert record(size=value).number("size", 0, 100) == 12.5


@pytest.mark.parametrize(("lowest", "highest"), [(12.5, 100), (0, 12.5)])
def test_both_bounds_are_allowed(lowest, highest):
    """12.5 from 12.5, and up to 12.5."""
    assert record(size="12.5").number("size", lowest, highest) == 12.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("12,5", "'12,5'"),
        ("1_6", "'1_6'"),  # Python takes it for 16
        ("nan", "'nan'"),
        ("inf", "'inf'"),
        (float("inf"), "inf"),
        (True, "true"),  # which Python takes for 1
        ([3], "a list"),
        ({}, "a mapping"),
        ("-1", "'-1'"),
        ("100.5", "'100.5'"),
    ],
)
def test_what_is_no_number_in_the_bounds_is_told(value, shown):
    """Place, field, what stands there, what is needed, and what to do."""
    said = refusal(record(size=value).number, "size", 0, 100)
    assert said == f"rows.csv:17: size is {shown}, a number from 0 to 100 is needed{REMEDY}"


def test_a_number_that_no_float_holds_is_told_in_short():
    """400 zeros in JSON are an integer to Python."""
    said = refusal(record(size=10**400).number, "size", 0, 100)
    assert said.startswith("rows.csv:17: size is 1000")
    assert said.endswith(f"a number from 0 to 100 is needed{REMEDY}")
    assert len(said) < 250


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_field_that_is_missing_is_told(value):
    """Not there, nothing and blanks are the same; it is called as the file calls it."""
    assert refusal(record(batch=value).number, "batch", 1, 8) == "rows.csv:17: PL is missing"
    assert refusal(record().rate, "batch") == "rows.csv:17: PL is missing"
    assert refusal(record(batch=value).count, "batch", 1, 8) == "rows.csv:17: PL is missing"


# ---- counts ----


@pytest.mark.parametrize("value", ["4", 4, 4.0, "4.0"])
def test_a_count_is_a_whole_number(value):
    """However it is written."""
    found = record(batch=value).count("batch", 1, 8)
    assert (found, type(found)) == (4, int)


def test_a_count_that_is_missing_has_its_default():
    """0 is a default like any other; one that stands there and is wrong does not become it."""
    assert record().count("threads", 1, 8, default=0) == 0
    assert record(threads=" ").count("threads", 1, 8, default=7) == 7
    assert record(threads="3").count("threads", 1, 8, default=7) == 3
    assert refusal(record(threads="9").count, "threads", 1, 8, default=7) == (
        f"rows.csv:17: threads is '9', a number from 1 to 8 is needed{REMEDY}"
    )


def test_half_of_a_count_is_told_by_the_name_in_the_file():
    """1.5 sequences."""
    assert refusal(record(batch=1.5).count, "batch", 1, 8) == "rows.csv:17: PL is 1.5, a whole number is needed"


# ---- rates and spreads ----


@pytest.mark.parametrize(("value", "rate"), [("2.0", 2.0), ("0.000001", 1e-6), (10**9, 1e9)])
def test_a_rate_is_one_that_a_machine_can_have(value, rate):
    """From a millionth of a token to a billion tokens in a second."""
    assert record(tokens_per_s=value).rate("tokens_per_s") == rate


@pytest.mark.parametrize("value", ["0", 9e-7, 1.1e9, "-3", "fast", True])
def test_other_rates_are_misprints(value):
    """The bounds are told as people write them."""
    said = refusal(record(tokens_per_s=value).rate, "tokens_per_s")
    assert said.endswith(f", a rate from 0.000001 to 1,000,000,000 tokens/s is needed{REMEDY}")


@pytest.mark.parametrize(("value", "spread"), [("0.5", 0.125), ("", None), (None, None), ("0", None), (40, MAX_SPREAD)])
def test_a_spread_is_a_share_of_the_rate(value, spread):
    """0.5 of 4 tokens/s; a single run has none, and says 0 or nothing."""
    assert record(stddev=value).spread("stddev", 4.0) == spread


def test_a_spread_of_many_times_the_rate_is_a_misprint():
    """40.1 beside 4."""
    assert refusal(record(stddev="40.1").spread, "stddev", 4.0) == (
        f"rows.csv:17: stddev is '40.1', more than 10 times the rate itself, 4{REMEDY}"
    )


# ---- all rows ----


def test_records_that_cannot_be_used_are_kept_with_their_reason(tiny_dense):
    """In order, and apart from those that can; a mistake, unlike those, ends the reading."""

    def convert(each):
        if each.text("use") == "mistake":
            raise InputError("wrong")
        if not each.text("use"):
            raise Unusable("of no use")
        return Published(each.id, Loaded(tiny_dense), "f16", "f16", 1, 0, tokens_per_s=5.0)

    rows = [
        Record("rows.csv:2", "a", {"use": "yes"}),
        Record("rows.csv:3", "b", {}),
        Record("rows.csv:4", "c", {"use": "yes"}),
    ]
    found = collect(rows, convert, "a tool")
    assert [each.id for each in found.published] == ["a", "c"]
    assert found.skipped == (Skipped("b", "of no use"),)
    assert found.made_with == "a tool"
    with pytest.raises(InputError, match=r"^wrong$"):
        collect([Record("rows.csv:5", "d", {"use": "mistake"})], convert)


def test_a_cache_in_a_format_that_is_not_forecast_leaves_the_row_out():
    """Any spelling of one that is becomes its name; what is shown of another cannot command a terminal."""
    assert [cache_format(name) for name in ("f16", "FP16", "q8")] == ["f16", "f16", "q8_0"]
    with pytest.raises(Unusable, match=r"^a cache in exl2 is not forecast$"):
        cache_format("exl2")
    with pytest.raises(Unusable) as refused:
        cache_format("\x1b[2J")
    assert "\x1b" not in str(refused.value)
