"""What is said of text that is no YAML or no text, of many mistakes at once, and what may be written in several ways."""

from pathlib import Path

import pytest
from messages import DEVICE, change

from simulator.cli import main


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "device.yaml: the file is empty"),
        ("# nothing yet\n", "device.yaml: the file is empty"),
        ("- a\n- b\n", "device.yaml: expected fields such as name: ..., found a list"),
        ("board\n", "device.yaml: expected fields such as name: ..., found 'board'"),
        ("a: &a [x]\nb: *a\n", "device.yaml:2: YAML aliases (*name) are not supported, write it out"),
        ("a: !mine x\n", "device.yaml:1: YAML tags (!name) are not supported, leave it out"),
        ('a: 1\nb: !!int ""\n', "device.yaml:2: YAML tags (!name) are not supported, leave it out"),
        ("name: a\nkind: cpu\nname: b\n", "device.yaml:3: name: given twice, keep one"),
        ("name: a\n---\nname: b\n", "device.yaml:2: not valid YAML: expected a single document"),
        ("name: a\n\tkind: cpu\n", "device.yaml:2: not valid YAML: "),
        ("name: 'a\n", "device.yaml:"),
        ("name: [a\n", "device.yaml:"),
        ("name: a: b\n", "device.yaml:1: not valid YAML: mapping values are not allowed in this context"),
        ("? [a]\n: b\n", "device.yaml:1: a field's name must be text"),
        ("name: a\n~: b\n", "device.yaml:2: a field's name must be text"),
        ("name: a\n<<: {kind: cpu}\n", "device.yaml:2: "),
        ("a: " + "[" * 50 + "]" * 50, "device.yaml:1: nested more than 40 deep"),
        ("".join(" " * depth + "a:\n" for depth in range(50)), "device.yaml:41: nested more than 40 deep"),
        ("- ? " * 50_000, "device.yaml:1: nested more than 40 deep"),
        ("a: " + "9" * 5000, "a number of thousands of digits"),
        ("a: " + "x" * 300_000, "device.yaml: too large for such a file (at most 262,144 bytes)"),
    ],
)
def test_text_that_is_no_device_is_told(files, refusal, text, message):
    """The file, the line, and what is wrong with its YAML."""
    Path("device.yaml").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe\xfd", "device.yaml: not a text file (byte 2 is not UTF-16)"),
        (DEVICE.encode("utf-16-le"), "device.yaml: "),
        (b"\xfd" + DEVICE.encode(), "device.yaml: not a text file (byte 0 is not UTF-8)"),
        ("name: Gr\u00f6\u00dfe\n".encode("latin-1"), "device.yaml: not a text file (byte 8 is not UTF-8)"),
        (b"PK\x03\x04\x00\x00", "device.yaml: "),
        (bytes(100), "device.yaml: "),
    ],
)
def test_bytes_that_are_no_text_are_told(files, refusal, data, message):
    """The encoding is what to change."""
    Path("device.yaml").write_bytes(data)
    assert message in refusal("simulate", "model.yaml", "device.yaml")


def test_a_byte_order_mark_is_no_mistake(files, capsys):
    """Editors on Windows write one before YAML, JSON and CSV."""
    Path("device.yaml").write_text(DEVICE, encoding="utf-8-sig")
    Path("routing.csv").write_text("expert,count\n" + "".join(f"{n},1\n" for n in range(8)), encoding="utf-8-sig")
    Path("routing.json").write_text('{"counts": [1, 1, 1, 1, 1, 1, 1, 1]}', encoding="utf-8-sig")
    for routing in ("routing.csv", "routing.json"):
        with pytest.raises(SystemExit) as end:
            main(["simulate", "model.yaml", "device.yaml", "--routing", routing])
        assert (end.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("text", ["1e1", "1.0e+1", "10.0", "0x0a", "{value: 1e1}"])
def test_numbers_may_be_written_in_every_usual_way(files, capsys, text):
    """YAML 1.1 takes 1e1 for text; whoever writes it means a number."""
    change("device.yaml", "    gb_per_s: 10", f"    gb_per_s: {text}")
    with pytest.raises(SystemExit) as end:
        main(["simulate", "model.yaml", "device.yaml"])
    assert (end.value.code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("text", ["1e3 tokens", "2024-01-01", "5e", "1.2.3", "on a desk"])
def test_text_may_begin_like_a_number(files, capsys, text):
    """A title is text, whatever it looks like."""
    change("device.yaml", "name: board", f"name: board\ntitle: {text}")
    with pytest.raises(SystemExit) as end:
        main(["simulate", "model.yaml", "device.yaml"])
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert text in out


def test_several_mistakes_are_told_at_once(files, refusals):
    """Each on a line of its own in the order of the file, five at most, then how many more; a consequence is no mistake."""
    change("device.yaml", "cores: 4", "cores: x")
    change("device.yaml", "capacity_gib: 64", "capacity_gib: y")
    told = refusals("simulate", "model.yaml", "device.yaml")
    assert [line.split(": ")[:2] for line in told] == [
        ["device.yaml:4", "cores"],
        ["device.yaml:7", "memory[0].capacity_gib"],
    ]
    change("device.yaml", "{f16: 1.0}", "{" + ", ".join(f"f{n}: x" for n in range(2000)) + "}")
    told = refusals("simulate", "model.yaml", "device.yaml")
    assert len(told) == 6
    assert told[5] == "device.yaml: 1,997 more mistakes"


def test_what_was_written_is_cut_and_made_visible(files, refusal):
    """A long or coloured field name fills no screen and commands no terminal."""
    Path("device.yaml").write_text(DEVICE + '"\\e[31mred\\nline": 1\n')
    assert r"a field's name must be plain text, got '\x1b[31mred\nline'" in refusal(
        "simulate", "model.yaml", "device.yaml"
    )
    Path("device.yaml").write_text(DEVICE + "k" * 1000 + ": 1\n")
    assert "kkk...: unknown field" in refusal("simulate", "model.yaml", "device.yaml")
