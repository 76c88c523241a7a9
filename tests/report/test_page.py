"""The page of a report: whole and safe as a file, and in a browser the same numbers as the command that it shows."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from shown_pages import agrees, readout

from simulator.forecast.scenario import scenario
from simulator.importers.open import load_model
from simulator.report.grid import build_grids
from simulator.report.measured import Measured
from simulator.report.page import MOST_MEASURED, SHOWN_ROWS, page
from simulator.spec.machine import load_hardware
from simulator.spec.model import Loaded
from simulator.units import format_gib, format_number

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028"
SMALL = {"batches": (1, 4, 16), "contexts": (128, 1024, 8192)}
VOID = {"meta", "link", "br", "img", "input"}


def measured(number=1, **more):
    """One decode of Llama 3 8B on a Pi 5, forecast 10 % too fast."""
    given = {
        "id": f"row {number}", "model": "llama-3-8b", "hardware": "pi5-16gb", "runtime": "llama.cpp", "weights": "q4_k_m",
        "batch": 1, "context": 128, "threads": None, "routing": "uniform", "sparsity": None, "tokens_per_s": 2.0, "tokens_per_s_low": 1.9,
        "tokens_per_s_high": 2.1, "forecast": 2.2, "forecast_low": 1.9, "forecast_high": 2.5,
    }  # fmt: skip
    return Measured(**given | more)


class Elements(HTMLParser):
    """Checks that elements close in order, and keeps tags, ids and addresses."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.addresses = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("src", "href", "action", "data") if name in found]
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text():
    """The page of a mixture and a dense model on a board that holds one of them, and a GPU."""
    grids = build_grids(("qwen3-30b-a3b", "llama-3-8b", "mixtral-8x7b"), ("pi5-16gb", "rtx-4090"), **SMALL)
    rows = [measured(number) for number in range(SHOWN_ROWS + 3)]
    pictures = [("speed.png", "Tokens per second"), ("a b&c.svg", "Odd <name>")]
    return page(
        grids, rows, "roofcast report 'a b' -o out", pictures, ["Median error 3 %."], [("data.csv", "every point")]
    )


def test_a_second_interval_is_told_where_it_is_asked_for():
    """In the answer and in the table, both as the forecast has them."""
    grids = build_grids(("llama-3-8b",), ("rtx-4090",), **SMALL)
    low, high = map(format_number, grids.pairs[0].base.at(1, grids.shown_context).interval(0.95))
    told = f"; 95 %: {low} to {high})"
    assert told not in page(grids)
    assert page(replace(grids, wide=95)).count(told) == 2


def data_of(text):
    """The JSON that the script reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


# ---- the file ----


def test_elements_close_in_order_and_no_id_stands_twice(text):
    """Valid as far as a parser without a browser can tell."""
    found = Elements(text)
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    assert found.tags.count("script") == 2
    assert found.tags.count("h1") == 1


def test_nothing_outside_the_file_is_needed(text):
    """Addresses are the pictures and data beside it; neither style nor script loads anything."""
    assert [each for each in Elements(text).addresses if not each.startswith("data:")] == [
        "speed.png",
        "a%20b%26c.svg",
        "data.csv",
    ]
    outside = text.replace("http-equiv", "")
    assert not re.search(
        r"https?://|@import|url\((?!#p\$)|fetch\(|XMLHttpRequest|import\(", outside.split('id="data"')[0]
    )
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest|innerHTML|eval\(", outside.split("</script>")[-2])


def test_titles_cannot_leave_their_place():
    """Names of models, measurements, pictures and commands are text wherever they stand."""
    loaded = load_model("qwen3-0.6b")
    evil = Loaded(loaded.model.model_copy(update={"title": HOSTILE, "name": HOSTILE}), None, (HOSTILE,))
    row = measured(id=HOSTILE, model=HOSTILE, hardware=HOSTILE, weights=HOSTILE)
    grids = build_grids([evil], ["pi5-16gb"], **SMALL)
    text = page(grids, [row], HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], [(HOSTILE, HOSTILE)])
    found = Elements(text)
    assert found.tags.count("script") == 2
    assert "img" not in found.tags
    assert found.open == []
    assert data_of(text)["models"][0]["title"] == HOSTILE
    assert data_of(text)["measured"][0]["id"] == HOSTILE


def test_how_often_the_interval_held_stands_before_any_interval():
    """Eight of ten rows lie in it, then one of five, which chance does not explain; remarks on the machine follow."""
    grids = build_grids(["llama-3-8b"], ["pi5-16gb"], **SMALL)
    inside, outside = measured(), measured(tokens_per_s=4.0, tokens_per_s_high=4.2)
    text = page(grids, [inside] * 8 + [outside] * 2)
    assert '<p class="answer">The 80 % interval held 80% of 10 measurements.</p>' in text
    text = page(grids, [inside] + [outside] * 4, remarks=["two <states>"])
    header = text.split("<header>")[1].split("</header>")[0]
    told = "he 80 % interval held 20% of 5 measurements: it is too narrow here"
    assert header.index(f"T{told}.") < header.index('<p class="lead">Two &lt;states&gt;.</p>')
    assert text.count(told) == 1
    assert "interval held" not in page(grids)


def test_without_a_script_the_table_and_what_it_rests_on_can_be_read(text):
    """Rates, intervals, what does not fit and by how much, assumptions, pictures, measurements."""
    static = text.split('id="data"')[0]
    assert "<noscript>" in static
    point = scenario("llama-3-8b", "pi5-16gb").at(1, 1024)
    rate, low, high = map(format_number, (point.tokens_per_s, point.tokens_per_s_low, point.tokens_per_s_high))
    assert f"<strong>{rate}</strong> <span>({low} to {high})</span>" in static
    larger = scenario("mixtral-8x7b", "rtx-4090").at(1, 1024)
    assert format_number(larger.tokens_per_s) in static
    for told in (
        "Rests on",
        "Assumed",
        "The data",
        "Median error 3 %.",
        "To measure it",
        f"{SHOWN_ROWS + 3} measurements",
    ):
        assert told in static
    assert "Odd &lt;name&gt;" in static
    assert static.count('<td data-column="Model">llama-3-8b</td>') == SHOWN_ROWS + 3


def test_the_bound_has_one_name(text):
    """What `simulate` calls compute is called so on the page, in its words as in its script."""
    assert "arithmetic" not in text
    assert 'const LIMITS = ["memory", "compute", "overhead", "communication", "storage"];' in text


def test_a_device_whose_peak_is_unknown_is_named_below_the_table(text):
    """In the note on the table that compares devices; nothing where all peaks are known."""
    bare = load_hardware("pi5-16gb").model_copy(update={"name": "bare", "title": "", "peaks_tflops": {}})
    found = page(build_grids(["llama-3-8b"], ["pi5-16gb", bare], **SMALL))
    assert "No compute peak is known for bare: batches may be forecast too fast." in found
    assert "compute peak is known" not in text


def test_what_fits_nowhere_is_said():
    """Needed and at hand, in the words of the table."""
    text = page(build_grids(["deepseek-v3"], ["pi5-16gb"], **SMALL), [], "roofcast report")
    point = scenario("deepseek-v3", "pi5-16gb").at(1, 1024)
    need, limit = format_gib(point.memory_bytes), format_gib(point.memory_limit_bytes)
    assert f"Does not fit: needs {need}, {limit} can be had" in text
    assert f"Nothing fits: {need} are needed, {limit} can be had." in text


def test_a_page_of_many_stays_small():
    """Seven models on five devices: thinned as far as the budget says, and told; with thousands of measurements, too."""
    models = [
        "qwen3-30b-a3b", "llama-3-8b", "gpt-oss-20b", "gemma-3-4b", "qwen3-0.6b", "deepseek-v3", "mixtral-8x7b",
    ]  # fmt: skip
    grids = build_grids(
        models, ["pi5-16gb", "rtx-4090", "m4-max-40", "h100-sxm", "epyc-9654"], budget_bytes=150_000, **SMALL
    )
    text = page(grids, [measured(number) for number in range(5_000)], "roofcast report")
    assert len(text.encode()) < 2_000_000
    assert len(json.dumps(data_of(text)["pairs"])) + len(json.dumps(data_of(text)["pool"])) < 400_000
    assert f"The first {MOST_MEASURED:,} of 5,000 are shown." in text
    assert "To keep the page small it holds at most" in text


# ---- in a browser ----


@pytest.fixture
def opened(chromium, text, tmp_path):
    """The page from disk on a wide screen; what it complains of and asks the network for is collected."""
    path = tmp_path / "index.html"
    path.write_text(text, encoding="utf-8")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    tab = context.new_page()
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("request", lambda request: tab.complaints.append(request.url) if "index.html" not in request.url else None)
    tab.goto(path.as_uri())
    yield tab
    complaints = [each for each in tab.complaints if not each.startswith("data:")]
    context.close()
    assert complaints == []


def test_every_control_shows_what_its_command_says(opened):
    """Each is moved through its choices; model, device, format, batch, context and routing reach the command."""
    seen = {name: set() for name in ("model", "hardware", "weights", "batch", "context", "routing", "fits")}
    moves = {"batch": 2, "routing": 2, "device": 1, "context": 0, "model": 1, "format": -1}
    for control, place in [
        ("model", 0),
        *moves.items(),
        ("device", 0),
        ("model", 2),
        ("model", 0),
        ("batch", 1),
        ("context", 2),
    ]:
        options = opened.locator(f"#{control} option")
        opened.select_option(f"#{control}", index=place % options.count())
        told = agrees(opened)
        for name, values in seen.items():
            values.add(told[name])
    assert all(len(values) > 1 for values in seen.values()), seen


def test_a_link_keeps_the_selection(opened):
    """What was chosen is in the address, and a reload shows the same."""
    for control, index in (("model", 1), ("device", 1), ("batch", 2), ("context", 2), ("format", 0)):
        opened.select_option(f"#{control}", index=index)
    before = readout(opened), opened.locator("#command").inner_text()
    assert "batch=16" in opened.url
    opened.reload()
    assert (readout(opened), opened.locator("#command").inner_text()) == before


def test_every_chart_is_drawn_and_says_what_it_is(opened):
    """With lines, labelled, and with the measurements where there are any."""
    opened.select_option("#device", index=1)
    drawn = opened.locator("figure:not([hidden]) .plot svg")
    assert drawn.count() == 12
    assert all(each.get_attribute("aria-label") for each in drawn.all())
    opened.select_option("#model", index=1)
    opened.select_option("#device", index=0)
    opened.select_option("#context", index=0)
    opened.select_option("#format", label="q4_k_m")
    assert opened.locator("#throughput .plot .hollow").count() == SHOWN_ROWS + 3
    assert "NaN" not in opened.locator("#explorer").inner_html()


def test_the_scatter_has_the_axes_of_the_picture(opened):
    """Measured along, forecast up, as `measured.png` has them."""
    texts = opened.locator("#scatter .plot svg text").all_text_contents()
    assert texts[-2:] == ["forecast, tokens/s", "measured, tokens/s"]


def test_bars_are_from_zero_or_they_are_dots(opened):
    """A mixture at 5 and at 272 tokens/s: on a logarithmic axis there is no bar; each value is in the row of its dot, beyond all signs."""
    assert "logarithmic" in opened.locator("#by-device .plot").inner_html()
    assert opened.locator("#by-device .plot .rod").count() == 0
    assert opened.locator("#by-format .plot .rod").count() > 0
    assert opened.locator(".speeds .bar.dots").count() > 0
    rows = opened.locator("#by-device .plot g:has(.value), #by-format .plot g:has(.value)")
    assert rows.count() > 2
    for group in rows.all():
        value, dot = (group.locator(each).first.bounding_box() for each in (".value", ".dot"))
        assert abs(value["y"] + value["height"] / 2 - dot["y"] - dot["height"] / 2) < 4
        for sign in group.locator("xpath=..").locator(".error, .ceiling, .dot").all():
            box = sign.bounding_box()
            assert box["x"] + box["width"] < value["x"]


def test_values_are_told_on_hovering_and_by_keys(opened):
    """The tooltip holds the rate of the batch; arrows go on to the next."""
    chart = opened.locator("#throughput .plot svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert opened.locator("#tip").is_hidden()
    opened.mouse.move(box["x"] + 60, box["y"] + 120)
    assert opened.locator("#tip").is_visible()
    first = opened.locator("#tip").inner_text()
    rate = readout(opened)["Tokens per second"][0]
    assert first.startswith("batch 1\n")
    assert f"all together: {rate} tokens/s" in first
    chart.focus()
    chart.press("ArrowRight")
    assert opened.locator("#tip").inner_text().startswith("batch 4\n")


def test_an_empty_cache_has_its_place_on_the_axis(opened, tmp_path):
    """Context 0 stands where its tick says 0, a quarter of the next one, and is told as that."""
    grids = build_grids(("qwen3-30b-a3b",), ("pi5-16gb",), batches=(1,), contexts=(0, 1024, 4096))
    (tmp_path / "index.html").write_text(page(grids, [], "roofcast report", [], [], []), encoding="utf-8")
    opened.reload()
    ticks = opened.locator('#depth .plot svg text[text-anchor="middle"]')
    assert ticks.all_text_contents() == ["0", "1k", "4k"]
    places = [float(each.get_attribute("x")) for each in ticks.all()]
    dots = [each.bounding_box() for each in opened.locator("#depth .plot svg .dot").all()]
    chart = opened.locator("#depth .plot svg")
    drawn = [box["x"] + box["width"] / 2 - chart.bounding_box()["x"] for box in dots]
    assert drawn == pytest.approx(places, abs=1)
    chart.focus()
    chart.press("ArrowRight")
    chart.press("ArrowLeft")
    assert opened.locator("#tip").inner_text().startswith("context 0\n")


def test_on_a_phone_nothing_is_wider_than_the_screen(opened):
    """360 points: the body does not scroll sideways, and charts are drawn anew with readable letters."""
    wide = opened.locator("#depth .plot svg").bounding_box()["width"]
    opened.set_viewport_size({"width": 360, "height": 740})
    for _ in range(200):  # the page forbids what a browser's own waiting would need
        if opened.locator("#depth .plot svg").bounding_box()["width"] < wide / 2:
            break
        opened.wait_for_timeout(50)
    assert opened.evaluate("document.documentElement.scrollWidth") == 360
    tables = opened.evaluate(
        "[...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth - each.clientWidth)"
    )
    assert tables
    assert max(tables) <= 0
    shown = opened.evaluate("getComputedStyle(document.querySelector('.facts td:nth-child(6)'), '::before').content")
    assert shown == '"Measured"'
    sizes = opened.evaluate(
        "[...document.querySelectorAll('.plot svg text')].map((each) => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= 11


def test_dark_screens_get_dark_paper_and_print_hides_the_controls(opened):
    """By the reader's own setting, on the page and in its charts."""
    look = (
        "() => ['body', '#throughput .plot .curve'].map((name) => document.querySelector(name))"
        ".map((each) => [getComputedStyle(each).backgroundColor, getComputedStyle(each).stroke])"
    )
    light = opened.evaluate(look)
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate(look)
    assert (light[0][0], dark[0][0]) == ("rgb(255, 255, 255)", "rgb(20, 24, 28)")
    assert light[1][1] != dark[1][1]
    opened.emulate_media(media="print")
    assert opened.locator("#controls").is_hidden()


def test_the_button_copies_the_command(opened):
    """The text arrives in the clipboard, by its modern door or by the old one."""
    copied = (
        "() => { window.copied = []; document.addEventListener('copy', () => copied.push(String(getSelection())));"
        "navigator.clipboard.writeText = async (text) => { if (window.closed_door) throw new Error(); copied.push(text); }; }"
    )
    opened.evaluate(copied)
    command = opened.locator("#command").inner_text()
    opened.click("#copy")
    opened.wait_for_function("copied.length === 1")
    opened.evaluate("window.closed_door = true")
    opened.click("#copy")
    opened.wait_for_function("copied.length === 2")
    assert opened.evaluate("copied") == [command, command]
    assert opened.locator("#copy").inner_text() == "Copied"
