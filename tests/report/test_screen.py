"""Every command at a terminal: as wide as it is, nothing lost and no number cut, colours where they are wanted; plain in a pipe."""

import io
import sys
from contextlib import redirect_stdout

import pytest
from places import ROOT
from screens import END, FEW, Screen, plain, screen, shown_at, words

from simulator.cli import main
from simulator.commands import list as listing
from simulator.report.columns import Line, lay_out
from simulator.report.screen import fold, print_commands, print_line
from simulator.report.table import print_table

WIDTHS = (40, 50, 80)
COMMANDS = (
    "simulate qwen3-30b-a3b pi5-16gb",
    "simulate llama-3-8b rtx-3060 --weights q4_k_m,q8_0 --batch 64 --context 1k,32k",
    "validate --against tests/ran.csv",
    "list hardware rtx --all",
    "list models qwen3 --on pi5-8gb --all",
    "list formats",
    "show qwen3-30b-a3b",
    "simulate qwen3-30b-a3b pi5",
)
SAID = COMMANDS[:-1]  # on standard output


@pytest.fixture(scope="module")
def shown():
    """What a terminal shows of every command at every width."""
    return shown_at(WIDTHS, COMMANDS, ROOT)


@pytest.fixture(scope="module")
def piped():
    """What a pipe gets of every command."""
    texts, every = {}, listing.names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "names", lambda folder: [name for name in every(folder) if name.startswith(FEW)])
        for command in SAID:
            text = io.StringIO()
            with redirect_stdout(text), pytest.raises(SystemExit):
                main(command.replace("tests/", f"{ROOT}/tests/").split())
            texts[command] = text.getvalue()
    return texts


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", SAID)
def test_a_terminal_shows_all_that_a_pipe_gets_in_lines_that_fit(shown, piped, command, width):
    """The same words and numbers, each of them whole; only an address may be longer than a line."""
    text = plain(shown[width, command])
    assert words(text.replace("tests/", f"{ROOT}/tests/")) == words(piped[command])
    too_long = [line for line in text.splitlines() if len(line.rstrip()) > width]
    assert all(len(max(line.split(), key=len)) > width - 20 for line in too_long)
    assert all("/" in line for line in too_long)


def test_what_binds_and_what_does_not_fit_has_a_colour(shown):
    """Cyan (36) for memory, red (31) for what does not fit, and a bold head (1)."""
    text = shown[80, COMMANDS[0]]
    assert "\033[36mmemory" in text
    assert "\033[31mdoes not fit" in text
    assert "\033[1mbatch" in text


def test_a_pipe_gets_no_signs_of_a_terminal(piped):
    """No escapes, and lines as long as their table is wide."""
    assert "\033" not in "".join(piped.values())
    assert max(map(len, piped["validate --against tests/ran.csv"].splitlines())) > 120


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(shown, environment):
    """The same signs without any escape; the help, too, is as wide as the terminal."""
    found = shown_at((40,), [COMMANDS[0], "list --help"], ROOT, **environment)
    assert not any("\033" in text for text in found.values())
    assert words(found[40, COMMANDS[0]]) == words(shown[40, COMMANDS[0]])
    assert max(map(len, found[40, "list --help"].splitlines())) <= 40


def test_nothing_that_a_file_says_is_taken_for_markup(monkeypatch):
    """Brackets, colons and numbers of a text are shown as they are, and without a colour."""
    with screen(monkeypatch) as shown:
        print_table(["name"], [["[red]rtx[/red] :smile: 24"]], left=("name",))
    assert shown.getvalue().splitlines()[1] == "[red]rtx[/red] :smile: 24"


def test_a_small_character_set_is_enough(monkeypatch):
    """A table has no signs of its own beyond ASCII."""
    with screen(monkeypatch, columns=30) as shown:
        print_table(["batch", "tokens/s", "80 % interval", "limited by"], [["1", "5.45", "4.60 - 6.45", "memory"]])
    assert shown.getvalue().isascii()


# ---- where columns stand ----

HEAD = ["name", "what it is", "spare", "80 % interval"]
ROWS = [["a-long-name", "A title of 24 characters", "5", "1,234 - 5,678"]]


@pytest.mark.parametrize(
    ("room", "lines"),
    [
        # 11 + 24 + 5 + 13, and twice 3 between them.
        (59, [Line((0, 1, 2, 3), (11, 24, 5, 13))]),
        # A title is well read in 16: down to 51 it is folded, and what is spared moves below that, by 4 to the right.
        (51, [Line((0, 1, 2, 3), (11, 16, 5, 13))]),
        (50, [Line((0, 1, 3), (11, 22, 13)), Line((2,), (5,), 4)]),
        # At 38 there is room for its longest word, of 10, and for a number of 13; below that the last column moves.
        (38, [Line((0, 1, 3), (11, 10, 13)), Line((2,), (5,), 4)]),
        (37, [Line((0, 1), (11, 24)), Line((2, 3), (5, 13), 4)]),
        (20, [Line((0,), (11,)), Line((1,), (16,), 4), Line((3,), (13,), 4), Line((2,), (5,), 4)]),
    ],
)
def test_columns_are_folded_then_moved_and_never_left_out(room, lines):
    """Texts down to 16 columns, then the spared column moves, then texts down to their words, then the last columns move."""
    assert lay_out(HEAD, ROWS, room, ("name", "what it is"), ("spare",)) == lines


def test_the_head_of_a_number_is_folded_before_anything_moves():
    """`nine in ten within` over `36.0%`: six columns are enough, but no more are given up than needed."""
    head, row = ["", "nine in ten within", "bias"], ["all", "36.0%", "+1.2%"]
    assert lay_out(head, [row], 18, ("",), ()) == [Line((0, 1, 2), (3, 6, 5))]
    assert lay_out(head, [row], 17, ("",), ()) == [Line((0, 1), (3, 12)), Line((2,), (5,), 4)]


def test_a_table_without_rows_has_a_head(monkeypatch):
    """And does not fail."""
    with screen(monkeypatch) as shown:
        print_table(["name", "rate"], [])
    assert plain(shown.getvalue()).split() == ["name", "rate"]


# ---- texts ----


def test_texts_break_between_words_and_hang():
    """Numbers and names stay whole; at 20 columns the second line is moved in by a third of them at most."""
    assert fold("reads 1,234 GB/s of mixture-of-experts", "Fits ", " " * 12, 20) == (
        "Fits reads 1,234\n      GB/s of\n      mixture-of-experts"
    )


def test_a_number_stays_with_its_unit_on_a_terminal(monkeypatch):
    """`4.40 GB/s` is not torn apart, though its line would hold the number alone."""
    with screen(monkeypatch, columns=20):
        assert fold("reads at up to 4.40 GB/s now") == "reads at up to\n4.40 GB/s now"
    assert fold("reads at up to 4.40 GB/s now", width=20) == "reads at up to 4.40\nGB/s now"


@pytest.mark.parametrize(
    ("streams", "shown"),
    [
        ((io.StringIO, Screen), "reads at up to\n    4.40 GB/s now\n"),
        ((Screen, io.StringIO), "reads at up to 4.40 GB/s now\n"),
    ],
    ids=["a terminal", "a pipe"],
)
def test_a_line_is_folded_for_the_stream_that_it_goes_to(monkeypatch, streams, shown):
    """A number stays with its unit where that is a terminal, whatever the standard output is."""
    standard, stream = (kind() for kind in streams)
    monkeypatch.setattr(sys, "stdout", standard)
    monkeypatch.setenv("COLUMNS", "20")
    print_line("reads at up to 4.40 GB/s now", stream=stream)
    assert stream.getvalue() == shown


def test_a_command_can_be_copied_at_any_width(monkeypatch):
    """In lines that end in a backslash, which a shell puts together again; what quotes hold together stays so."""
    command = "llama-bench -m 'my models/a b.gguf' -p 0 -n 128 -d 1024"
    with screen(monkeypatch, columns=40) as shown:
        print_commands("Check it", [command, "", "short"])
    first, *rest = plain(shown.getvalue()).splitlines()
    assert first == "Check it  llama-bench \\"
    assert [line.strip() for line in rest] == ["-m 'my models/a b.gguf' -p 0 \\", "-n 128 -d 1024", "short"]
    assert plain(shown.getvalue()).replace("\\\n", "").split() == ["Check", "it", *command.split(), "short"]


def test_the_end_of_a_command_is_not_in_its_text(shown):
    """What the tests set apart is set apart."""
    assert not any(END in text for text in shown.values())
