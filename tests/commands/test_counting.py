"""What is counted is told in the singular where it is one."""

import re

import pytest
import yaml

from simulator.cli import main
from simulator.units import counted

PLURALS = "tokens|threads|weights|bytes|layers|experts|rows|sequences|devices|heads|cores|models|decodes|rounds|formats|choices"
OF_ONE = re.compile(rf"(?<![\d.,:x-])1 (?:[a-z/-]+ )?(?:{PLURALS})\b(?!/s)")
ONE_OF_EACH = {
    "name": "one",
    "d_model": 64,
    "vocab": 1,
    "layers": [
        {
            "attention": {"kind": "grouped_query", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64},
            "cross_attention": {"kind": "cross", "n_heads": 1, "n_kv_heads": 1, "head_dim": 64},
            "ffn": {"kind": "experts", "n_experts": 1, "n_active": 1, "d_expert": 64},
        }
    ],
}


@pytest.mark.parametrize(("number", "text"), [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens"), (2048, "2,048 tokens")])
def test_a_count_and_its_noun(number, text):
    """One is not many, thousands are set apart."""
    assert counted(number, "token") == text


def test_the_search_finds_what_it_should():
    """`1 tokens`, `1 different experts`; not `11 tokens`, `1 tokens/s`, `batch 1, tokens`."""
    found = ("1 tokens", "a prompt of 1 tokens", "has 1 different experts in", "(1 threads, avx2)")
    assert all(OF_ONE.search(text) for text in found)
    missed = ("1 token", "11 tokens", "0.1 tokens", "1 tokens/s", "2,001 rows", "batch 1, tokens")
    assert not any(OF_ONE.search(text) for text in missed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "one.yaml", "pi5-16gb", "--threads", "1", "--batch", "1,2", "--context", "1"),
        ("simulate", "one.yaml", "neoverse-n2-96c", "--threads", "1", "--weights", "f32", "--routing", "switch:1"),
        ("simulate", "one.yaml", "h100-sxm", "--devices", "1", "--batch", "1"),
        ("show", "one.yaml"),
        ("show", "one.yaml", "--weights", "q8_0"),
        ("show", "bf16"),
        ("show", "fp8"),
        ("list", "formats"),
        ("simulate", "one.yaml", "pi5-16gb", "--routing", "counts.json"),
        ("simulate", "nothing.gguf", "pi5-16gb"),
    ],
)
def test_no_text_of_a_command_counts_one_of_many(tmp_path, monkeypatch, capsys, arguments):
    """A model with one of everything, one thread, one token, files of one byte or expert: answers and refusals alike."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("one.yaml").write_text(yaml.safe_dump(ONE_OF_EACH))
    tmp_path.joinpath("counts.json").write_text('{"counts": [1, 2]}')
    tmp_path.joinpath("nothing.gguf").write_bytes(b"G")
    with pytest.raises(SystemExit):
        main(list(arguments))
    told = capsys.readouterr()
    assert told.out + told.err
    assert not OF_ONE.search(told.out + told.err)
