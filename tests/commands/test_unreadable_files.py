"""What is said of files that cannot be read, and of records of routing and density that are wrong."""

import os
from pathlib import Path

import pytest
from messages import DEVICE, PI, QWEN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((".", "none.yaml"), "none.yaml: no such file"),
        (("none.yaml", PI), "none.yaml: no such file"),
        (("none.gguf", PI), "none.gguf: no such file"),
        (("none/none", PI), "none/none: no such file"),
        ((QWEN, PI, "--runtime", "none.yaml"), "none.yaml: no such file"),
        ((QWEN, PI, "--routing", "none.json"), "none.json: no such file"),
        ((QWEN, PI, "--routing", "none.csv"), "none.csv: no such file"),
        ((QWEN, PI, "--sparsity", "none.yaml"), "none.yaml: no such file"),
        ((QWEN, PI, "--density", "none.csv"), "none.csv: no such file"),
        ((QWEN, "."), ".: is a folder, a file is needed"),
        ((QWEN, PI, "--runtime", "."), ".: is a folder, a file is needed"),
        (("empty", PI), "empty: there is no config.json in this folder"),
        ((QWEN, PI, "--routing", "folder.json"), "folder.json: is a folder, a file is needed"),
        ((QWEN, PI, "--sparsity", "folder.yaml"), "folder.yaml: is a folder, a file is needed"),
        ((QWEN, PI, "--density", "folder.csv"), "folder.csv: is a folder, a file is needed"),
        (("", PI), "model '' is not a name; see roofcast list models"),
        ((QWEN, " "), "hardware ' ' is not a name; see roofcast list hardware"),
        (("a" * 300, PI), ": cannot be read (File name too long)"),
        ((QWEN, PI, "--routing", "a" * 300 + ".json"), ": cannot be read (File name too long)"),
        (("model.yaml/x", PI), "model.yaml/x: "),
    ],
)
def test_files_that_cannot_be_read_are_told(files, refusal, arguments, message):
    """Missing, a folder, or no name at all."""
    for folder in ("empty", "folder.json", "folder.yaml", "folder.csv"):
        Path(folder).mkdir()
    assert message in refusal("simulate", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.gguf", "--prompt", "x"), "none.gguf: no such file"),
        (("none.gguf", "--chat"), "none.gguf: no such file"),
        (("smollm2-135m", "--prompt", "x"), "--prompt: smollm2-135m gets random weights, which know no words; give a GGUF file"),
        (("smollm2-135m", "--chat"), "--chat: smollm2-135m gets random weights, which know no words; give a GGUF file"),
    ],
)  # fmt: skip
def test_a_text_needs_words(files, refusal, arguments, message):
    """First a model that is there, then one with a vocabulary; the option that was given is named."""
    told = refusal("generate", *arguments)
    assert told.startswith(message)
    assert ("--prompt" in told) == ("--prompt" in message)


@pytest.mark.parametrize("name", ["locked.yaml", "locked.gguf"])
def test_a_file_without_permission_is_told(files, refusal, name):
    """The system's reason is given."""
    Path(name).write_text(DEVICE)
    Path(name).chmod(0)
    if os.access(name, os.R_OK):
        pytest.skip("this user may read everything")
    assert refusal("simulate", name, PI) == f"{name}: cannot be read (Permission denied)"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
@pytest.mark.parametrize("place", [0, 1])
def test_an_endless_file_is_no_file(refusal, place):
    """It is not begun with."""
    arguments = [QWEN, PI]
    arguments[place] = "/dev/zero"
    assert refusal("simulate", *arguments) == "/dev/zero: is a device, a file is needed"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.csv", "", "r.csv: the file is empty"),
        ("r.csv", "expert;count\n0;1\n", "r.csv:1: the columns are separated by semicolons; separate them by commas"),
        ("r.csv", "expert,count\n0\n", "r.csv:2: count is missing"),
        ("r.csv", "expert,count\n0,1\n1,x\n", "r.csv:3: count is 'x', a number is needed"),
        ("r.csv", "expert,count\n0,1\nx,1\n", "r.csv:3: expert is 'x', a whole number is needed"),
        ("r.csv", "expert,count\n1,1\n2,1\n", "r.csv: the column expert must number every expert once, from 0"),
        ("r.csv", "expert,count\n0,nan\n", "r.csv: counts must be numbers of at least 0, one per expert, not all 0"),
        ("r.csv", "expert,count\n0,0\n", "r.csv: counts must be numbers of at least 0, one per expert, not all 0"),
        ("r.csv", "expert,count\n0,1\n1,1\n", "the file has 2 experts, the model 8: one count per expert"),
        ("r.csv", "token,layer,expert\n", "r.csv: the trace is empty"),
        ("r.csv", "token,layer,expert\n0,0,-1\n", "r.csv"),
        ("r.csv", "token,layer,expert\n0,0,99\n", "more than the model's 8 experts"),
        ("r.csv", "a" * 200_000, "r.csv:1: "),
        ("r.json", "", "r.json: the file is empty"),
        ("r.json", "{", "r.json:1: not valid JSON: "),
        ("r.json", '{\n"counts": [1,\n}', "r.json:3: not valid JSON: "),
        ("r.json", '{"counts": [NaN]}', "r.json: not valid JSON: NaN is not a number"),
        ("r.json", '{"count": [1]}', 'r.json: expected {"counts": [...]} or {"tokens": [[[expert, ...], ...], ...]}'),
        ("r.json", '{"counts": [1, "x"]}', "r.json: counts must be numbers of at least 0"),
        ("r.json", '{"tokens": [[0]]}', "r.json: tokens[0] must be a list of layers, each a list of expert numbers"),
        ("r.json", '{"tokens": [[["a"]]]}', "r.json: token 0: 'a' where an expert's number"),
        ("r.json", '{"tokens": [[[null]]]}', "r.json: token 0: "),
        ("r.json", '{"tokens": [[[[1]]]]}', "r.json: token 0: "),
        ("r.json", "[" * 100_000, "r.json: nested too deeply"),
    ],
)
def test_a_wrong_routing_record_is_told(files, refusal, name, text, message):
    """File, line, column and value."""
    Path(name).write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", "--routing", name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "d.csv: the file is empty"),
        ("share\n0.5\n", "d.csv: needs a column active_share, one row per token"),
        ("active_share\nhalf\n", "d.csv:2: active_share is 'half', a number is needed"),
        ("active_share\n0.5\n\n2\n", "active_share must lie above 0 and at most at 1"),
        ("active_share\n", "active_share must lie above 0 and at most at 1, in at least one row"),
        ("active_share\n" + "1\n" * 300_000, "d.csv: more than 200,000 rows are too many"),
    ],
)
def test_a_wrong_density_record_is_told(files, refusal, text, message):
    """As routing records."""
    Path("d.csv").write_text(text)
    assert message in refusal("simulate", "model.yaml", "device.yaml", "--density", "d.csv")
