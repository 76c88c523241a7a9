"""What is said of a wrong command line: numbers, options, arguments, and the help."""

import re

import pytest
from messages import PI, QWEN

from simulator.cli import main
from simulator.commands.line import values
from simulator.spec.counts import parse_seconds
from simulator.traffic.outcome import parse_goal

COUNTS = "write numbers such as 1,2,8k or a range such as 1..64*2 or 0..32k+4k"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "x"), f"--batch 'x': {COUNTS}"),
        (("--batch", "-1"), f"--batch '-1': {COUNTS}"),
        (("--batch", "1.5"), f"--batch '1.5': {COUNTS}"),
        (("--batch", "1,,2"), f"--batch '1,,2': {COUNTS}"),
        (("--batch", "1.."), f"--batch '1..': {COUNTS}"),
        (("--batch", "1-8"), f"--batch '1-8': {COUNTS}"),
        (("--batch", "0"), "--batch: at least 1 sequence is needed"),
        (("--batch", "8..1"), "--batch 8..1: a range runs from a smaller to a larger number"),
        (
            ("--batch", "0..8*2"),
            "--batch 0..8*2: a range that multiplies starts at 1 or more and multiplies by 2 or more",
        ),
        (
            ("--batch", "1..8*1"),
            "--batch 1..8*1: a range that multiplies starts at 1 or more and multiplies by 2 or more",
        ),
        (("--batch", "1..8+0"), "--batch 1..8+0: the step is 0, at least 1 is needed"),
        (("--batch", "1..100000"), "--batch 1..100000: more than 10,000 values, write a step as in 1..100000*2"),
        (("--batch", "1,2000000"), "--batch 2,000,000: too large, at most 1,000,000"),
        (("--batch", "2000000"), "--batch 2,000,000: too large, at most 1,000,000"),
        (("--context", "8k.."), f"--context '8k..': {COUNTS}"),
        (("--context", "200M"), "at most 100,000,000"),
        (("--context", "9" * 5000), "--context 999999999999999999999999999...: too large, at most 100,000,000"),
        (("--batch", "9" * 20), f"--batch {'9' * 20}: too large, at most 1,000,000"),
        (("--batch", f"1..32*{'9' * 20}"), f"--batch 1..32*{'9' * 20}: too large, at most 1,000,000"),
        (("--context", "9" * 20 + "k"), f"--context {'9' * 20}k: too large, at most 100,000,000"),
        (("--batch", "x" + "9" * 20), f"--batch 'x{'9' * 20}': {COUNTS}"),
        (("--batch", "1..9999", "--context", "0..9999"), "99,990,000 points are too many"),
        (("--threads", "0"), "threads on pi5-16gb must be between 1 and 4, got 0; leave it out for the default"),
        (("--threads", "5"), "threads on pi5-16gb must be between 1 and 4, got 5; leave it out for the default"),
        (("--devices", "0"), "devices must be between 1 and 100,000, got 0; leave it out for the default"),
        (("--devices", "1000000"), "devices must be between 1 and 100,000, got 1,000,000; leave it out"),
    ],
)
def test_numbers_are_told_as_they_should_be(refusal, arguments, message):
    """The option, what was written, and what may be."""
    assert message in refusal("simulate", QWEN, PI, *arguments)


@pytest.mark.parametrize("option", ["--threads", "--devices"])
def test_a_word_for_a_number_is_shown(refusal, option):
    """The option, the word, and that a whole number is needed."""
    message = refusal("simulate", QWEN, PI, option, "four")
    assert option in message
    assert "'four'" in message
    assert "a whole number is needed" in message


@pytest.mark.parametrize("option", [("generate", "smollm2-135m", "--temperature"), ("profile", "--seconds")])
@pytest.mark.parametrize("text", ["abc", "1e400", "nan"])
def test_what_is_no_finite_number_is_shown(refusal, option, text):
    """As it was written, and that a number is needed."""
    assert f"'{text}': a number is needed" in refusal(*option, text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("simlate", QWEN, PI), "no such command 'simlate' (did you mean 'simulate'?); see roofcast --help"),
        (("frobnicate",), "no such command 'frobnicate'; see roofcast --help"),
        (("--versoin",), "no such option: --versoin (did you mean --version?); see roofcast --help"),
        (
            ("simulate", QWEN, PI, "--contxt", "1"),
            "no such option: --contxt (did you mean --context?); see roofcast simulate --help",
        ),
        (("simulate", QWEN, PI, "--frobnicate"), "no such option: --frobnicate; see roofcast simulate --help"),
        (("simulate", QWEN, PI, "--batch"), "option '--batch' requires an argument; see roofcast simulate --help"),
        (("simulate",), "missing MODEL; see roofcast simulate --help"),
        (("simulate", QWEN), "missing HARDWARE; see roofcast simulate --help"),
        (("list",), "missing WHAT; see roofcast list --help"),
        (("show",), "missing NAME; see roofcast show --help"),
    ],
)
def test_a_wrong_command_line_is_told(refusal, arguments, message):
    """Near commands and options, and whose help to read."""
    assert refusal(*arguments) == message


def test_an_argument_too_many_is_shown(refusal):
    """`simulate MODEL HARDWARE 4` forgets an option's name."""
    message = refusal("simulate", QWEN, PI, "extra")
    assert "extra" in message
    assert message.endswith("; see roofcast simulate --help")


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        (("plan", QWEN, "--on", PI, "--ttft", "500", "ms"), "500ms"),
        (("serve", QWEN, PI, "--rate", "2", "/s"), "2/s"),
        (("simulate", QWEN, PI, "--ram", "64", "GB"), "64GB"),
        (("plan", QWEN, "--chance", "90", "%"), "90%"),
    ],
)
def test_a_unit_stands_without_a_space(refusal, arguments, whole):
    """What is too much then is the unit alone, which is no argument."""
    told = f"too many arguments: {arguments[-1]}: a unit stands without a space, as in {whole}; see roofcast"
    assert refusal(*arguments).startswith(told)
    assert "a unit" not in refusal("simulate", QWEN, PI, "ms")
    assert "a unit" not in refusal("simulate", QWEN, PI, "--batch", "4", "extra")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2), ("500ms", 0.5), ("1.5min", 90), ("2", 2), (" 3 S ", 3), ("80us", 8e-5), ("1e3", 1e3)],
)
def test_times_are_read_alike_wherever_they_stand(text, seconds):
    """By `--ttft` of a plan and by the goal of a server."""
    assert parse_seconds(text) == pytest.approx(seconds)
    assert values.seconds(text) == parse_goal(f"ttft={text}").ttft_s == parse_seconds(text)


@pytest.mark.parametrize("text", ["", "s", "0", "2h", "nan", "-1s", "1_0s", "2 2", "1e99", "٣s"])
def test_what_is_no_time_is_shown(refusal, text):
    """As it was written, by both."""
    assert f"{text!r}: " in refusal("plan", QWEN, "--on", PI, "--ttft", text)
    assert f"ttft {text!r}: " in refusal("serve", QWEN, PI, "--goal", f"ttft={text}") or not text


def test_a_format_of_the_cache_is_told_by_its_option(refusal):
    """Of no single machine, where several are asked for."""
    for command in (("plan", QWEN, "--on", PI, "m4"), ("simulate", QWEN, PI), ("serve", QWEN, PI, "--rate", "1/s")):
        assert refusal(*command, "--cache", "q99").startswith("--cache 'q99' is unknown, known: f32, f16,")


def test_no_arguments_print_the_help(capsys):
    """Whole and as it is, without the command's name before each line."""
    with pytest.raises(SystemExit) as end:
        main([])
    out, err = capsys.readouterr()
    assert end.value.code in (0, 2)
    text = out + err
    assert "Usage: roofcast" in text
    assert "roofcast: " not in text
    words = " ".join(text.split())
    for help_text in (
        "Forecast tokens per second of MODEL on HARDWARE.",
        "List what roofcast knows by name.",
        "with sources.",
    ):
        assert help_text in words


@pytest.mark.parametrize(
    "arguments", [("--help",), ("-h",), ("simulate", "--help"), ("list", "-h"), ("show", "--help")]
)
def test_help_is_no_mistake(capsys, arguments):
    """Status 0, on standard output."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert (end.value.code, err) == (0, "")
    assert out.startswith("Usage: roofcast")


def test_the_version_is_told(capsys):
    """Also where nothing is installed and the checkout alone runs."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert re.fullmatch(r"roofcast \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
