"""The lists of models and hardware: newest first, as long as a terminal is high, and what narrows them."""

import json
import re
from dataclasses import replace

import pytest
from screens import plain, screen

from simulator.cli import main
from simulator.commands import list as listing
from simulator.commands.list import LINES, Asked, parse_size, print_list
from simulator.errors import InputError
from simulator.importers.open import load_model
from simulator.spec.library import names, shelf
from simulator.spec.model import Model

MODELS = {
    # name: (month, whether people measure it, weights are 1000 x this many)
    "old": ("2023-07", True, 8),
    "new": ("2026-02", True, 16),
    "paper": ("2026-05", False, 8),
    "unknown": (None, True, 8),
    "older-paper": ("2020-05", False, 8),
}


def model(name):
    """A small model of the table."""
    month, measured, width = MODELS[name]
    fields = {
        "name": name,
        "d_model": width,
        "vocab": 1000,
        "tied_head": True,
        "final_norm": False,
        "layers": [{"norms": 0, "ffn": {"kind": "experts", "n_experts": 2, "n_active": 1, "d_expert": 1}}]
        if name == "new"
        else [{"norms": 0, "ffn": {"kind": "gated", "d_ff": 1}}],
        "published": {"measured": measured} | ({"released": {"month": month, "source": "made up"}} if month else {}),
    }
    return Model.model_validate(fields)


@pytest.fixture
def shelf_of_five(monkeypatch):
    """Only the models of the table are known."""
    loaded = load_model("llama-3-8b")
    monkeypatch.setattr(listing, "names", lambda _folder: sorted(MODELS))
    monkeypatch.setattr(listing, "load_model", lambda name: replace(loaded, model=model(name)))


def listed(capsys, **asked):
    """The names in a pipe, in their order."""
    print_list(Asked("models", **asked))
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]


def test_what_people_measure_comes_first_and_of_that_the_newest(shelf_of_five, capsys):
    """A model without a date comes after those that have one; papers of which nobody has measured a model come last."""
    assert listed(capsys) == ["new", "old", "unknown", "paper", "older-paper"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"words": ("PAPER",)}, ["paper", "older-paper"]),
        ({"words": ("paper", "older")}, ["older-paper"]),
        ({"min_params": "0.01m"}, ["new"]),
        ({"max_params": "10k"}, ["old", "unknown", "paper", "older-paper"]),
        ({"moe": True}, ["new"]),
    ],
)
def test_a_list_is_narrowed(shelf_of_five, capsys, asked, found):
    """Every word is in the name; sizes are those of all weights, here some 8,000 and 16,000; a mixture has experts."""
    assert listed(capsys, **asked) == found


@pytest.mark.parametrize(
    ("what", "words", "names"),
    [
        ("hardware", ("rtx4090",), ["rtx-4090", "rtx-4090-laptop"]),
        ("hardware", ("GeForce 4090",), []),
        ("hardware", ("raspberry-pi 5", "16 GB"), ["pi5-16gb"]),
        ("models", ("qwen 3", "235B"), ["qwen3-235b-a22b"]),
        ("models", ("34b", "qwen"), []),
    ],
)
def test_words_are_found_in_any_spelling(capsys, what, words, names):
    """As `simulate` understands them, but not across two words: 34b is no part of qwen3-4b."""
    try:
        print_list(Asked(what, words))
    except InputError:
        assert names == []
    else:
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == names


def test_a_terminal_gets_twenty_lines_and_how_to_see_the_others(monkeypatch):
    """A head, twenty devices, and the command for all of them as it was asked."""
    n_devices = len(names(shelf("hardware")))
    with screen(monkeypatch, columns=140) as shown:
        print_list(Asked("hardware"))
    lines = plain(shown.getvalue()).splitlines()
    assert len(lines) == 1 + LINES + 2
    assert lines[-1].startswith(f"{n_devices - LINES} more: roofcast list hardware --all shows them; a word such as")
    with screen(monkeypatch, columns=200) as shown:
        print_list(Asked("hardware", everything=True))
    first_words = {line.split()[0] for line in plain(shown.getvalue()).splitlines() if line.split()}
    assert set(names(shelf("hardware"))) <= first_words


def test_a_pipe_gets_all(capsys):
    """Every device, and no word more."""
    print_list(Asked("hardware"))
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(names(shelf("hardware")))


def test_the_command_for_the_rest_asks_for_the_same(monkeypatch, shelf_of_five):
    """Its words and options, quoted where a shell needs it."""
    monkeypatch.setattr(listing, "LINES", 1)
    with screen(monkeypatch, columns=120) as shown:
        print_list(Asked("models", ("e", "e"), max_params="1b"))
    last = plain(shown.getvalue()).splitlines()[-1]
    assert last.startswith(
        "2 more: roofcast list models e e --max-params 1b --all shows them; --min-params 7b or --moe"
    )
    assert Asked("models", ("a b",), on="my pi.yaml", moe=True).command == (
        "roofcast list models 'a b' --on 'my pi.yaml' --moe"
    )


def test_models_on_a_device_are_listed_alike(monkeypatch, capsys):
    """The newest of three first, though it is not the fastest; what is too large in a line."""
    few = ["llama-2-7b", "qwen3.5-9b", "qwen3-235b-a22b"]
    monkeypatch.setattr(listing, "names", lambda _folder: few)
    print_list(Asked("models", on="pi5-8gb"))
    out = capsys.readouterr().out
    assert re.search(r"\nqwen3.5-9b .* 2026-03\nllama-2-7b .* 2023-07\n", out)
    assert "even in the smallest of these formats: qwen3-235b-a22b How good" in " ".join(out.split())


@pytest.mark.parametrize(
    ("text", "count"), [("7b", 7e9), ("0.5B", 5e8), ("350m", 3.5e8), ("1.5t", 1.5e12), (" 8k ", 8e3)]
)
def test_sizes_are_written_as_models_are_named(text, count):
    """With a letter, large or small."""
    assert parse_size(text, "--min-params", 0.0) == count


@pytest.mark.parametrize("text", ["7", "b", "-7b", "7 bn", "1e9b", "7" * 400 + "b"])
def test_other_sizes_are_refused(text):
    """In one short sentence that says how they are written."""
    with pytest.raises(InputError, match=r"write a number of weights such as 500m, 7b or 1\.5t$") as error:
        parse_size(text, "--min-params", 0.0)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "zzz"], "roofcast list models zzz: none of the 5 models is called 'zzz'; roofcast list models --all shows their names"),
        (["models", "papr"], "roofcast list models papr: none of the 5 models is called 'papr'; did you mean paper"),
        (["models", "old", "papr"], "roofcast list models old papr: none of the 5 models is called 'papr'; did you mean paper"),
        (["models", "new", "paper"], "roofcast list models new paper: none of the 5 models is all of that; leave out one of new, paper"),
        (["models", "old", "--moe"], "roofcast list models old --moe: none of the 5 models is all of that; leave out one of old, --moe"),
        (["models", "--min-params", "7b"], "roofcast list models --min-params 7b: none of the 5 models is as --min-params 7b asks; leave"),
        (["models", "--min-params", "7b", "--max-params", "1b"], "--min-params 7b: more than --max-params 1b"),
        (["hardware", "zzz", "--all"], "roofcast list hardware zzz: none of the 5 devices is called 'zzz'; roofcast list hardware"),
        (["hardware", "--moe"], "list hardware: --min-params, --max-params and --moe choose among models, leave them out"),
        (["formats", "q4"], "list formats q4: the list is short, leave the word out"),
        (["models", "--min-params", ""], "--min-params: nothing is given after it"),
    ],
)  # fmt: skip
def test_mistakes_are_answered(shelf_of_five, monkeypatch, capsys, arguments, message):
    """One sentence, exit status 2."""
    device = listing.load_hardware("pi5-8gb")
    monkeypatch.setattr(listing, "load_hardware", lambda _name: device)
    with pytest.raises(SystemExit) as ended:
        main(["list", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith(f"roofcast: {message}")


# ---- when a model came out ----


def test_a_month_that_rests_on_a_paper_is_that_of_its_number():
    """arXiv numbers begin with the year and the month: 2005.14165 is of May 2020."""
    checked = 0
    for name in names(shelf("models")):
        released = load_model(name).model.published.released
        number = re.search(r"arXiv (\d\d)(\d\d)\.\d+", released.source) if released else None
        if number:
            checked += 1
            assert released.month == f"20{number[1]}-{number[2]}", name
    assert checked > 20


def test_a_month_is_shown_with_its_source(capsys):
    """`show` says where it is from."""
    with pytest.raises(SystemExit):
        main(["show", "gpt-3-small"])
    assert "released 2020-05 (paper, arXiv 2005.14165)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("month", "message"),
    [
        ("2025-4", "month is a year and a month as in 2025-04, got '2025-4'"),
        ("2025-13", "as in 2025-04, got '2025-13'"),
        ("2025", "text is needed, got 2025"),
    ],
)
def test_a_month_that_is_none_is_refused(tmp_path, capsys, month, message):
    """With file, line and field."""
    path = tmp_path / "mine.yaml"
    fields = model("old").model_dump(exclude_unset=True)
    fields |= {"published": {"released": {"month": "MONTH", "source": "made up"}}}
    path.write_text(json.dumps(fields).replace('"MONTH"', month))
    with pytest.raises(SystemExit):
        main(["show", str(path)])
    said = " ".join(capsys.readouterr().err.split())
    assert f"{path.name}:1: published.released" in said
    assert message in said
