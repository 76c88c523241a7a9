"""`roofcast generate`: text as it comes, figures, JSON, and a sentence where something cannot be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from simulator.cli import main
from simulator.commands import generation
from simulator.engine import compiled
from simulator.engine.generate import Generation, generate, sample
from simulator.engine.routing import choose_experts
from simulator.engine.step import Engine
from simulator.engine.text.vocabulary import load_tokenizer
from simulator.errors import InputError
from simulator.importers.open import load_model


@pytest.fixture(scope="module")
def dense_file(tmp_path_factory):
    """A tiny Llama with a byte-level vocabulary."""
    return tiny.write(tmp_path_factory.mktemp("dense") / "dense.gguf", "llama", "q8_0")


@pytest.fixture(scope="module")
def moe_file(tmp_path_factory):
    """A tiny Qwen3 with 8 experts, 3 of them active."""
    return tiny.write(tmp_path_factory.mktemp("moe") / "moe.gguf", "qwen3moe", "q8_0")


def run(capsys, *arguments):
    """Exit status, standard output and standard error of the command."""
    with pytest.raises(SystemExit) as caught:
        main([str(each) for each in ("generate", *arguments)])
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """No start is so long that it is explained, as those are that find no kernels from before."""
    monkeypatch.setattr(generation, "COMPILING_S", 1000.0)


class AtOnce:
    """A timer that does not wait."""

    def __init__(self, _seconds, tell):
        self.start, self.cancel = tell, lambda: None


def test_text_goes_to_standard_output_and_figures_to_standard_error(capsys, dense_file):
    """A pipe gets the text alone; who watches also gets tokens/s, GB/s and the share of the memory's speed."""
    status, out, err = run(capsys, dense_file, "--prompt", "ab", "--tokens", "8", "--threads", "1")
    assert status == 0
    assert "tokens/s" not in out
    for part in ("tokens/s over 7 tokens", "(1 thread, ", "GB/s:", "% of the", "per token:", "prompt of"):
        assert part in err


def test_a_single_token_is_one(capsys, dense_file):
    """Too few to time, and told in the singular."""
    status, _, err = run(capsys, dense_file, "--prompt", "ab", "--tokens", "1", "--threads", "1")
    assert status == 0
    assert "1 token: too few to time" in err
    assert "1 tokens" not in err


def test_json_holds_the_same_run_twice(capsys, dense_file):
    """Greedy decoding repeats itself; bytes by component are there; nothing else is on standard output."""
    found = [json.loads(run(capsys, dense_file, "--prompt", "ab", "--tokens", "6", "--json", "-")[1]) for _ in range(2)]
    assert found[0]["tokens"] == found[1]["tokens"]
    assert len(found[0]["tokens"]) == 6
    assert len(found[0]["seconds"]) == 5  # the prompt's step puts out the first
    assert found[0]["bytes_per_token"]["ffn"] > 0
    assert found[0]["interrupted"] is False


def test_bytes_of_a_token_add_up(capsys, dense_file):
    """Each part of them is told, however small: a row of the embedding, too."""
    status, _, err = run(capsys, dense_file, "--prompt", "ab", "--tokens", "8", "--threads", "1")
    (line,) = (line for line in err.splitlines() if " per token: " in line)
    total, _, parts = line.partition(" per token: ")
    sizes = [_bytes_of(" ".join(part.split()[-2:])) for part in parts.split(", ")]
    assert status == 0
    assert "embedding" in parts
    assert sum(sizes) == pytest.approx(_bytes_of(total), rel=1e-2)


def _bytes_of(text):
    number, unit = text.split()
    return float(number) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]


def test_a_start_that_compiles_is_explained_without_a_terminal(capsys, dense_file, monkeypatch):
    """One line on standard error where kernels are being compiled for a while; none where all is kept."""
    monkeypatch.setattr(generation, "threading", SimpleNamespace(Timer=AtOnce))

    class Compiling(Engine):
        def __init__(self, *args, **kwargs):
            compiled._announce()
            super().__init__(*args, **kwargs)

    line = "compiling kernels, once on this processor, up to a minute"
    run(capsys, dense_file, "--tokens", "2", "--threads", "1")  # from here on all is kept
    for engine, count in ((Engine, 0), (Compiling, 1)):
        monkeypatch.setattr(generation, "Engine", engine)
        status, _, err = run(capsys, dense_file, "--tokens", "2", "--threads", "1")
        assert status == 0
        assert err.splitlines().count(line) == count


def test_where_experts_take_room_is_told(capsys, moe_file, tmp_path):
    """The file, its size, and what became of the one before."""
    (tmp_path / "kept").mkdir()
    arguments = moe_file, "--tokens", "2", "--threads", "1", "--experts-in", tmp_path / "kept"
    assert f"note: experts are kept in {tmp_path / 'kept'}/experts-" in run(capsys, *arguments)[2]
    os.utime(moe_file)
    err = run(capsys, *arguments)[2]
    assert "note: one that was made of an earlier file, or by another roofcast, is removed (" in err
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_what_llama_cpp_leaves_unread_is_told(capsys, tmp_path):
    """A file may say of its router what nobody obeys."""
    path = tiny.write(tmp_path / "a.gguf", "qwen3moe", "f32", keys={"expert_weights_norm": False})
    status, _, err = run(capsys, path, "--tokens", "2", "--threads", "1")
    assert status == 0
    assert f"note: {path}: qwen3moe.expert_weights_norm is false and is left unread, as llama.cpp leaves it" in err


def test_drafted_tokens_are_told(capsys, dense_file):
    """The same text in fewer steps, what was drafted and given beside it; a prompt's rate stands with its time."""
    plain = json.loads(run(capsys, dense_file, "--prompt", "hello", "--tokens", "60", "--json", "-")[1])
    arguments = ("--prompt", "hello", "--tokens", "60", "--speculate", "ngram:3")
    drafted = json.loads(run(capsys, dense_file, *arguments, "--json", "-")[1])
    assert drafted["tokens"] == plain["tokens"]
    assert plain["drafted"] == [0] * 59
    assert plain["given"] == [1] * 59
    assert 1 + sum(drafted["given"]) == 60
    assert max(drafted["drafted"]) == 3
    assert drafted["prompt_tokens_per_s"] == drafted["prompt_tokens"] / drafted["prompt_seconds"]
    told = run(capsys, dense_file, *arguments)[2]
    assert re.search(r"tokens/s over 59 tokens, \d\.\d\d in a step of .*: \d+% of \d+ drafted tokens right", told)
    assert re.search(r"prompt of \d+ tokens in .*, \d+ tokens/s; ready after", told)


def test_temperature_draws_by_seed():
    """At 0 the largest logit wins; above, the same seed draws the same, and the likelier token comes more often."""
    logits = np.array([0.0, np.log(3.0), -50.0], np.float32)
    assert sample(logits, 0.0, np.random.default_rng(0)) == 1
    draws = [sample(logits, 1.0, np.random.default_rng(seed)) for seed in range(400)]
    assert draws == [sample(logits, 1.0, np.random.default_rng(seed)) for seed in range(400)]
    # Chances 1/4 and 3/4: 300 of 400, standard deviation 8.7.
    assert 300 - 5 * 8.7 < draws.count(1) < 300 + 5 * 8.7
    assert 2 not in draws
    cold = [sample(logits, 0.01, np.random.default_rng(seed)) for seed in range(50)]
    assert set(cold) == {1}


def test_generation_stops_at_an_end_token_or_a_full_context(dense_file):
    """Whatever comes first of the end token, the number asked for, and the room."""
    with Engine(dense_file, threads=1, context=16) as engine:
        free = list(generate(engine, [1, 2], 6))
        assert len(free) == 6
        engine.reset()
        assert list(generate(engine, [1, 2], 6, end_tokens=frozenset({free[0]}))) == free[:1]
        engine.reset()
        found = Generation()
        tokens = list(generate(engine, [1, 2], 100, into=found))
        assert len(tokens) == 15  # 16 positions hold the prompt and 14 tokens; one more comes out of the last
        assert engine.lengths[0] == 16
        assert len(found.seconds) == 14


def test_routing_is_steered_and_reported(capsys, moe_file, tmp_path):
    """Uniform, popular and recorded experts replace the router's; how many were touched is told."""
    record = tmp_path / "trace.json"
    record.write_text(json.dumps({"tokens": [[[0, 1, 2], [5, 6, 7]], [[1, 2, 3], [4, 5, 6]]]}), encoding="utf-8")
    for routing in ("own", "uniform", "zipf:1.2", str(record)):
        status, out, _ = run(capsys, moe_file, "--prompt", "a", "--tokens", "4", "--routing", routing, "--json", "-")
        assert status == 0
        assert json.loads(out)["distinct_experts"] == [[3, 3]] * 3
    model = load_model(moe_file).model
    choose = choose_experts(str(record), model)
    assert choose(0, 1, 8, 3).tolist() == [[0, 1, 2]]
    assert choose(1, 1, 8, 3).tolist() == [[5, 6, 7]]
    assert choose(0, 3, 8, 3).tolist() == [[1, 2, 3], [0, 1, 2], [1, 2, 3]]  # goes on, from the first again


def test_random_weights_of_a_shipped_model(capsys):
    """A name gets random weights: no text, but the figures."""
    status, out, _ = run(capsys, "smollm2-135m", "--tokens", "3", "--threads", "1", "--weights", "q4_0", "--json", "-")
    assert status == 0
    found = json.loads(out)
    assert found["text"] is None
    assert len(found["tokens"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{dense}", "--tokens", "0"], "--tokens 0: between 1 and 1,000,000 are possible"),
        (["{dense}", "--threads", "0"], "--threads 0: "),
        (["{dense}", "--threads", "100000"], "--threads 100000: "),
        (["{dense}", "--temperature", "-1"], "--temperature -1: between 0 and 100 is possible"),
        (["{dense}", "--temperature", "nan"], "'nan': a number is needed"),
        (["{dense}", "--seed", "-5"], "--seed -5: a number of at least 0 is needed"),
        (["{dense}", "--speculate", "ngram:0"], "--speculate 'ngram:0': ngram:K is possible, with K from 1 to 64"),
        (
            ["{dense}", "--speculate", "ngram:4", "--temperature", "1"],
            "by the likeliest token, leave --temperature out",
        ),
        (["{moe}", "--speculate", "ngram:4", "--routing", "uniform"], "must be the model's own, leave --routing out"),
        (
            ["{dense}", "--speculate", "ngram:4", "--ubatch", "4"],
            "5 tokens go through the weights together, --ubatch 4 has no",
        ),
        (["{dense}", "--ubatch", "0"], "--ubatch 0: between 1 and 4,096 are possible"),
        (["{moe}", "--experts-in", "/nowhere"], "--experts-in /nowhere: this is no folder, give one that there is"),
        (
            ["{dense}", "--cache", "q5_0"],
            "--cache 'q5_0': this is not one of the engine's formats: f16, f32, q8_0, q4_0",
        ),
        (["{dense}", "--weights", "q4_0"], "has weights of its own, leave it out"),
        (["{dense}", "--prompt", "abcdefgh", "--context", "4"], "--context 4: the prompt alone has"),
        (["{dense}", "--routing", "uniform"], "has no experts to choose from"),
        (["{dense}", "--prompt", "a", "--json", "/no/such/folder/x.json"], "/no/such/folder"),
        (["{moe}", "--routing", "switch:1.25"], "is not one the engine can run"),
        (["{moe}", "--routing", "zipff:1"], "did you mean zipf"),
        (["smollm2-135m", "--prompt", "hello"], "gets random weights, which know no words"),
        (["smollm2-135m", "--weights", "q9"], "q9"),
        (["llama-4-scout", "--tokens", "2"], "the engine does not run attention with chunk"),
        (["llama-3.1-405b", "--weights", "q8_0"], "are available"),
        (["no-such-model"], "no-such-model"),
        (["{dense}", "--convert", "q9_9"], "--convert"),
    ],
)
def test_what_cannot_be_is_one_sentence(capsys, dense_file, moe_file, arguments, message):
    """Exit status 2, one line, nothing on standard output, and no large allocation on the way."""
    filled = [each.format(dense=dense_file, moe=moe_file) for each in arguments]
    status, out, err = run(capsys, *filled)
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("roofcast: ")
    assert message in err


def test_a_vocabulary_of_another_size_is_refused(capsys, tmp_path, monkeypatch):
    """A token without a name would end the text in the middle."""
    path = tiny.write(tmp_path / "a.gguf", "llama", "f32")
    shorter = replace(load_tokenizer(path), pieces=(b"a", b"b"))
    monkeypatch.setattr(generation, "load_tokenizer", lambda _: shorter)
    status, _, err = run(capsys, path, "--tokens", "1")
    assert status == 2
    assert "2 tokens for 64 rows of the embedding" in err


def test_a_recorded_trace_must_fit_the_model(moe_file, tmp_path):
    """Another number of experts per token, or an expert that the model has not, names the token."""
    model, record = load_model(moe_file).model, tmp_path / "trace.json"
    record.write_text('{"tokens": [[[0, 1]]]}', encoding="utf-8")
    with pytest.raises(InputError, match="token 0 has 2 different experts in a layer, the model uses 3"):
        choose_experts(str(record), model)
    record.write_text('{"tokens": [[[0, 1, 9]]]}', encoding="utf-8")
    with pytest.raises(InputError, match="token 0 names expert 9, the model has 0 to 7"):
        choose_experts(str(record), model)


def test_an_interrupt_ends_cleanly(tmp_path):
    """Ctrl-C while tokens come: no traceback, the figures of what there was, exit status 130."""
    path = tiny.write(tmp_path / "long.gguf", "llama", "f32")
    command = [sys.executable, "-m", "simulator", "generate", str(path), "--prompt", "a", "--tokens", "1000000"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        assert process.stdout.read(1)  # the first letter is there
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"interrupted" in err
