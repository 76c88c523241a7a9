"""Prices: a table of somebody's own, a row on the command line, a device's own file; and what a machine costs."""

import numpy as np
import pytest
from planned import board

from simulator.errors import InputError
from simulator.spec.library import names, shelf
from simulator.spec.machine import load_hardware
from simulator.spec.prices import checked_prices, list_prices_of, parse_prices, price_of


def test_a_table_and_a_row_say_the_same(tmp_path):
    """By name; other columns are no matter."""
    path = tmp_path / "prices.csv"
    path.write_text("hardware,price,shop\nrtx-3090,700,second hand\npi5-16gb,120.5,\n")
    assert (
        parse_prices(str(path)) == parse_prices("rtx-3090=700, pi5-16gb=120.5") == {"rtx-3090": 700, "pi5-16gb": 120.5}
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,price\na,1\n", "column hardware must be there"),
        ("hardware,cost\na,1\n", "column price must be there"),
        ("hardware,price\n", "has no prices: below the header, a row for each device"),
        ("hardware,price\na,cheap\n", ":2: price is 'cheap', a number is needed"),
        ("hardware,price\n,5\n", ":2: hardware: a device's name is missing"),
        ("hardware,price\na,-5\n", ":2: price: from 0 to"),
        ("hardware,price\na,nan\n", ":2: price: from 0 to"),
        ("hardware,price\nm4,5\nm4,6\n", ":3: hardware m4 has two prices, 5 .*:2. and 6: keep one"),
        ("hardware,price\nrtx-3090,5\nRTX 3090,6\n", ":3: hardware RTX 3090 has two prices, 5 .*:2. and 6: keep one"),
        (
            "hardware,price\nm4,5\nrtx-309,6\n",
            r":3: unknown hardware 'rtx-309' \(leave it out, .*; did you mean rtx-3090",
        ),
        (
            "hardware,price\nrtx-3090+ryzen-795,6\n",
            r":2: unknown hardware 'rtx-3090\+ryzen-795'.*did you mean ryzen-7950x",
        ),
        ("hardware,price\nrtx-3090+m4,5\nm4+rtx-3090,6\n", r":3: hardware m4\+rtx-3090 has two prices, 5 "),
        (
            "hardware,price\n2xrtx-3090+m4,5\nrtx-3090+m4+RTX 3090,6\n",
            r":3: hardware rtx-3090\+m4\+RTX 3090 has two prices",
        ),
        ("hardware,price\nradeon,6\n", r":2: unknown hardware 'radeon' .* did you mean"),
        ("hardware,price\n0x m4,6\n", ":2: hardware 0 x m4: from 1 to"),
        ("hardware,price\n+,6\n", r":2: unknown hardware '\+'"),
    ],
)
def test_mistakes_in_a_table_are_told_by_line(tmp_path, text, told):
    """With what is needed."""
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        parse_prices(str(path))


@pytest.mark.parametrize("text", ["a=", "=5", "a=b", "a=-1", "a=1,b", "a=1e400"])
def test_mistakes_in_a_row_are_told(text):
    """With an example."""
    with pytest.raises(InputError, match="a price from 0 to 1,000,000,000,000 is needed behind a name, as in"):
        parse_prices(text)


@pytest.mark.parametrize("text", ["rtx-3090=1,nothing-such=2", "nothing-such=2"])
def test_unknown_names_in_a_row_are_told(text):
    """With where to look."""
    with pytest.raises(
        InputError, match=r"--prices: unknown hardware 'nothing-such' \(leave it out, or see roofcast list"
    ):
        parse_prices(text)


def test_unknown_names_of_a_caller_in_python_are_told():
    """As those of a table."""
    with pytest.raises(InputError, match=r"prices: unknown hardware 'rtx-309' .* did you mean rtx-3090"):
        checked_prices({"rtx-309": 700})
    for wrong in (-1, float("nan"), 1e13, "700", True, None):
        with pytest.raises(InputError, match=r"^prices of m4: from 0 to 1,000,000,000,000, got"):
            checked_prices({"m4": wrong})
    assert checked_prices({"m4": np.int64(5), "rtx-3090": 0}) == {"m4": 5, "rtx-3090": 0}


def test_names_of_own_files_are_known_and_any_spelling_is():
    """A board's own name and title, a shipped device by its title, a machine in another order; what nobody asks for is no matter."""
    own = board("mine", 10, title="My board")
    assert parse_prices("mine=5", [own]) == parse_prices("My Board=5", [own]) == {"mine": 5}
    told = parse_prices("GeForce RTX 3090=700,m4=600,ryzen-7950x + rtx-3060=900")
    assert set(told) == {"rtx-3090", "m4", "ryzen-7950x+rtx-3060"}
    assert price_of(load_hardware("2xrtx-3090"), told) == 1400
    assert price_of(load_hardware("rtx-3060+ryzen-7950x"), told) == 900
    with pytest.raises(InputError, match="unknown hardware 'mine'"):
        parse_prices("mine=5")


def test_a_machine_costs_what_its_parts_do():
    """Two cards twice one; a host that has no price leaves it unknown, one that is there already costs 0."""
    prices = {"RTX 3090": 700, "ryzen-7950x": 0}
    assert price_of(load_hardware("2xrtx-3090"), prices) == 1400
    assert price_of(load_hardware("2xrtx-3090+ryzen-7950x"), prices) == 1400
    assert price_of(load_hardware("rtx-3090+i9-14900"), prices) is None
    assert price_of(load_hardware("rtx-3090+i9-14900"), {**prices, "rtx-3090+i9-14900": 1500}) == 1500
    assert price_of(load_hardware("2xrtx-3090"), {"2xrtx-3090": 1300, "rtx-3090": 700}) == 1300


def test_equal_parts_are_counted_wherever_they_stand():
    """Two cards have a price together, named as two or one by one, also beside a host; another number of them is not known."""
    prices = {"2xrtx-3090": 1200, "laptop-ddr5": 500}
    for name in ("2xrtx-3090+laptop-ddr5", "rtx-3090+rtx-3090+laptop-ddr5", "laptop-ddr5+rtx-3090+rtx-3090"):
        assert price_of(load_hardware(name), checked_prices(prices)) == 1700, name
        assert price_of(load_hardware(name), {name: 1600}) == 1600, name
        assert price_of(load_hardware("2xrtx-3090+laptop-ddr5"), {name: 1600, **prices}) == 1600, name
    assert price_of(load_hardware("rtx-3090+rtx-4090+rtx-3090"), {**prices, "rtx-4090": 1800}) == 3000
    assert price_of(load_hardware("3xrtx-3090+laptop-ddr5"), prices) is None
    assert price_of(load_hardware("3xrtx-3090+laptop-ddr5"), {**prices, "rtx-3090": 700}) == 2600


def test_a_machine_by_its_name_and_by_its_parts_is_one(tmp_path):
    """Two prices of it are refused, in either order; an equal one, and one of another machine of such parts, are not."""
    path = tmp_path / "box.yaml"
    path.write_text("name: my-box\nparts: [rtx-3060, ryzen-7950x]\n")
    box, other = load_hardware(path), tmp_path / "other.yaml"
    other.write_text("name: my-other\nparts: [rtx-3060, ryzen-7950x]\nram_gib: 64\n")
    for text in ("my-box=900,ryzen-7950x+rtx-3060=901", "rtx-3060+ryzen-7950x=901,my-box=900"):
        with pytest.raises(InputError, match="has two prices, "):
            parse_prices(text, [box])
    assert price_of(box, parse_prices("my-box=900,ryzen-7950x+rtx-3060=900", [box])) == 900
    both = parse_prices("my-box=900,my-other=1000", [box, load_hardware(other)])
    assert [price_of(each, both) for each in (box, load_hardware(other))] == [900, 1000]


def test_a_device_file_has_a_price_of_its_own():
    """With a date, or bare; a table goes before it."""
    told = board("own", 10, price={"value": 80, "date": "2026-11", "source": "the shop"})
    assert price_of(told, {}) == 80
    assert price_of(told, {"own": 75}) == 75
    assert price_of(board("own", 10, price=80), {}) == 80
    assert price_of(board("own", 10, price=0), {}) == 0
    odd = board("0x5a", 10, price=80)
    assert [price_of(odd, checked_prices(prices, [odd])) for prices in ({}, {"0x5a": 75})] == [80, 75]
    for wrong, message in (
        (-1, "price"),
        ("cheap", "price: a number is needed"),
        ({"value": 1, "date": "May"}, "a date is needed"),
    ):
        with pytest.raises(InputError, match=message):
            board("own", 10, price=wrong)


def test_a_list_price_is_no_price():
    """A maker's, of a day long ago, counts against no budget; of several parts it is told only where each has one."""
    assert price_of(load_hardware("rtx-3090"), {}) is None
    ((part, listed),) = list_prices_of(load_hardware("2xrtx-3090"))
    assert (part.count, listed.value, listed.currency, listed.date) == (2, 1499, "USD", "2021-02-08")
    assert not list_prices_of(load_hardware("rtx-3090+i9-14900"))
    assert len(list_prices_of(load_hardware("rtx-3090+rtx-4090"))) == 2


def test_shipped_list_prices_have_a_day_and_a_source():
    """Each names where it stands, of a month at least; a price of the user's is in no shipped file."""
    known = [load_hardware(name) for name in names(shelf("hardware"))]
    assert all(device.price is None for device in known)
    listed = [device for device in known if device.list_price]
    assert len(listed) == 25
    for device in listed:
        assert device.list_price.source in device.sources, device.name
        assert len(device.list_price.date) >= len("2023-05"), device.name


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"value": 0, "date": 2025, "source": "x"}, "value"),
        ({"value": 1, "source": "x"}, "date"),
        ({"value": 1, "date": "", "source": "x"}, "a date is needed"),
        ({"value": 1, "date": 2025}, "source"),
        ({"value": 1, "date": 2025, "source": "x", "currency": "$"}, "currency"),
        ({"value": 1, "date": 2025, "source": "x", "provenance": "guessed"}, "provenance"),
        (700, "list_price"),
    ],
)
def test_a_list_price_needs_day_and_source(wrong, told):
    """By field."""
    with pytest.raises(InputError, match=told):
        board("own", 10, list_price=wrong)
