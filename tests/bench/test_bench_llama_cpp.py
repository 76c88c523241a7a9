"""llama.cpp in a process of its own: what is said to it, what comes back, and what is said where it fails."""

import importlib.util
import math
import subprocess
import sys
import textwrap

import gguf
import numpy as np
import pytest

from simulator.bench import llama_cpp
from simulator.bench.llama_cpp import Decoded, LlamaCpp, tokens_per_s
from simulator.errors import InputError

ANSWERS = """
    import json, sys

    def say(answer):
        print(json.dumps(answer), flush=True)

    def sequence(tokens, seconds):
        return {"tokens": tokens, "seconds": seconds, "request_seconds": 9.0}

    print("chatter of a library", flush=True)
    say({"build": "fake 1.0"})
    for line in sys.stdin:
        request = json.loads(line)
"""


@pytest.fixture
def model(tmp_path):
    """Some file: the fake process does not look into it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Lets a Python text stand in for llama.cpp's process."""

    def start_with(text):
        script = tmp_path / "fake.py"
        script.write_text(textwrap.dedent(text))
        monkeypatch.setattr(llama_cpp, "child_command", lambda *_: [sys.executable, str(script)])

    return start_with


@pytest.fixture
def answer(play):
    """Lets one Python statement answer each request."""
    return lambda statement: play(ANSWERS + f"        {statement}\n")


# ---- the protocol ----


def test_decoded_tokens_and_time_come_back(answer, model):
    """Four tokens are three steps of decoding, as the prompt gives the first: 0.6 s make 0.2 s each."""
    answer('say({"sequences": [sequence([5, 6, 7, 8], 0.6)]})')
    with LlamaCpp(model, threads=2) as llama:
        assert llama.build == "fake 1.0"
        decoded = llama.decode([1, 2, 3], 4)
    assert decoded == Decoded((5, 6, 7, 8), seconds=0.6, request_seconds=9.0)
    assert decoded.n_steps == 3
    assert decoded.seconds_per_token == pytest.approx(0.2)


def test_one_token_has_no_time():
    """It comes out of the prompt."""
    assert Decoded((5,), seconds=0.0, request_seconds=1.0).seconds_per_token is None


def test_tokens_of_any_whole_numbers_are_sent(answer, model):
    """The fake gives the prompt back."""
    answer('say({"sequences": [sequence(request["prompts"][0][: request["tokens"]], 0.1)]})')
    with LlamaCpp(model, threads=2) as llama:
        assert llama.decode(np.array([3, 1, 2]), 2).tokens == (3, 1)
        assert llama.decode((7, 8), 1).tokens == (7,)


def test_sequences_decoded_together(answer, model):
    """Two of 3 tokens are 4 steps; the slower took 0.5 s: 8 tokens a second."""
    answer('say({"sequences": [sequence([9] * 3, 0.4 + prompt[0] / 10) for prompt in request["prompts"]]})')
    with LlamaCpp(model, threads=2, parallel=2) as llama:
        sequences = llama.decode_many([[0], [1]], 3)
    assert [sequence.seconds for sequence in sequences] == [0.4, 0.5]
    assert tokens_per_s(sequences) == pytest.approx(8)


def test_likeliest_tokens(answer, model):
    """Pairs of a token and its log-probability, in the order given."""
    answer('say({"top": [[4, -0.5], [request["prompt"][-1], -1.5]][: request["top"]]})')
    with LlamaCpp(model, threads=2) as llama:
        assert llama.likeliest([1, 8], 2) == ((4, -0.5), (8, -1.5))


def test_closing_ends_the_process(answer, model):
    """By itself, as its input ends."""
    answer("pass")
    with LlamaCpp(model, threads=2) as llama:
        child = llama._child
        assert child.poll() is None
    assert child.returncode == 0


# ---- what is said ----


def test_missing_file(tmp_path):
    """Said before anything is started."""
    with pytest.raises(InputError, match=r"none\.gguf: no such file$"):
        LlamaCpp(tmp_path / "none.gguf", threads=2)


def test_missing_package(model, monkeypatch):
    """The sentence names the package, and how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        InputError, match=r"Python package xllamacpp; install it with: pip install '\.\[bench\]' in a checkout"
    ):
        LlamaCpp(model, threads=2)


def test_refused_model(play, model):
    """The first errors of the log say why; the last lines would not."""
    play("""
        import sys
        print("0.00.001.200 I load: loading", file=sys.stderr)
        print("0.00.001.300 E load: unknown model architecture: 'nonsense'", file=sys.stderr)
        print("0.00.001.400 I cleaning up", file=sys.stderr)
        sys.exit(1)
    """)
    message = r"model\.gguf: llama\.cpp ended, exit status 1; its log: load: unknown model architecture: 'nonsense'$"
    with pytest.raises(InputError, match=message):
        LlamaCpp(model, threads=2)


def test_death_while_decoding(answer, model):
    """The last lines of the log are quoted, here and to whoever asks again."""
    answer(
        'print(*[f"line {number}" for number in range(9)], "", sep=chr(10), file=sys.stderr, flush=True); sys.exit(3)'
    )
    with LlamaCpp(model, threads=2) as llama:
        for _ in range(2):
            with pytest.raises(InputError, match=r"exit status 3; its log: line 6 \| line 7 \| line 8$"):
                llama.decode([1], 2)


def test_no_answer_in_time(answer, model):
    """The process is ended, not waited for."""
    answer("import time; time.sleep(600)")
    with LlamaCpp(model, threads=2, timeout=60) as llama:
        llama._timeout = 0.05
        with pytest.raises(InputError, match=r"llama\.cpp did not answer within 0\.05 s, and was stopped$"):
            llama.decode([1], 2)
        assert llama._child.returncode is not None


def test_refused_request(answer, model):
    """What llama.cpp says of it is passed on, and the next request is answered."""
    answer('say({"refused": "invalid tokens"} if request["prompt"] == [-1] else {"top": [[4, -0.5]]})')
    with LlamaCpp(model, threads=2) as llama:
        with pytest.raises(InputError, match=r"model\.gguf: llama\.cpp: invalid tokens$"):
            llama.likeliest([-1], 1)
        assert llama.likeliest([1], 1) == ((4, -0.5),)


def test_too_few_tokens(answer, model):
    """A sequence that ends early would be timed wrongly."""
    answer('say({"sequences": [sequence([5], 0.1)]})')
    with LlamaCpp(model, threads=2) as llama, pytest.raises(InputError, match=r"stopped after 1 of 2 tokens$"):
        llama.decode([1], 2)


@pytest.mark.parametrize(
    ("prompts", "n_tokens", "message"),
    [
        ([], 1, r"0 sequences for llama\.cpp, which was started for 2$"),
        ([[1]] * 3, 1, r"3 sequences for llama\.cpp, which was started for 2$"),
        ([[1], []], 1, r"at least one token"),
        ([[1]], 0, r"at least one token to decode$"),
        ([[1] * 5], 4, r"a prompt of 5 tokens and 4 more do not fit a context of 8$"),
    ],
)
def test_impossible_requests(answer, model, prompts, n_tokens, message):
    """Refused before they are sent."""
    answer("sys.exit(1)")
    with LlamaCpp(model, threads=2, context=8, parallel=2) as llama, pytest.raises(InputError, match=message):
        llama.decode_many(prompts, n_tokens)


# ---- what it runs in ----


def test_openmp_settings_of_the_caller_do_not_reach_it(monkeypatch):
    """Threads are held in place only where every core has one: else there would be a choice to make."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    monkeypatch.setattr(llama_cpp.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    steered = [
        {name: value for name, value in llama_cpp._environment(threads).items() if "OMP_" in name}
        for threads in (2, 3, 4)
    ]
    assert steered == [{}, {"OMP_PROC_BIND": "true"}, {}]


def test_the_process_needs_no_compiler():
    """What it imports starts fast, and no numba thread stands beside llama.cpp's."""
    code = "import sys, simulator.bench.llama_cpp; print({'numba', 'numpy', 'xllamacpp'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


# ---- the real one ----

D, D_FF, HEADS, VOCAB = 64, 128, 4, 261


def write_model(path):
    """Two layers of random f32 weights; tokens are 3 of control, the 256 bytes, a space and the letter a."""
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(256)
    writer.add_embedding_length(D)
    writer.add_feed_forward_length(D_FF)
    writer.add_head_count(HEADS)
    writer.add_rope_dimension_count(D // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a"])
    writer.add_token_scores([0.0] * VOCAB)
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * 2])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    matrices = {"token_embd": (VOCAB, D), "output": (VOCAB, D)}
    for layer in range(2):
        matrices |= {f"blk.{layer}.attn_{name}": (D, D) for name in ("q", "k", "v", "output")}
        matrices |= {f"blk.{layer}.ffn_{name}": (D_FF, D) for name in ("gate", "up")}
        matrices |= {f"blk.{layer}.ffn_down": (D, D_FF)}
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", rng.standard_normal(shape, dtype=np.float32) / np.float32(shape[1] ** 0.5))
    for name in ("output", "blk.0.attn", "blk.0.ffn", "blk.1.attn", "blk.1.ffn"):
        writer.add_tensor(f"{name}_norm.weight", np.ones(D, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def real_model(tmp_path_factory):
    """A file that llama.cpp loads."""
    pytest.importorskip("xllamacpp")
    return write_model(tmp_path_factory.mktemp("llama_cpp") / "tiny.gguf")


@pytest.fixture(scope="module")
def llama(real_model):
    """llama.cpp with that file."""
    with LlamaCpp(real_model, threads=2, context=128, parallel=3, timeout=120) as started:
        yield started


def test_it_names_its_build(llama):
    """What its kernels were compiled for belongs beside its speed."""
    assert llama.build.startswith("xllamacpp 20")


def test_it_chooses_the_likeliest_token(llama):
    """At every step, given the prompt and all tokens before it."""
    prompt = [1, 100, 101, 102]
    decoded = llama.decode(prompt, 8)
    chosen = []
    for _ in range(8):
        # Tokens that end the text are never chosen, but keep their probability.
        chosen.append(next(token for token, _ in llama.likeliest(prompt + chosen, 4) if token != 2))
    assert decoded.tokens == tuple(chosen)


def test_its_own_time_is_within_the_request(llama):
    """Decoding takes some of it, never more."""
    decoded = llama.decode([1, 50, 60], 20)
    assert 0 < decoded.seconds < decoded.request_seconds


def test_all_probabilities_are_there(llama):
    """More than the vocabulary has may be asked for; the probabilities of all tokens add up to 1."""
    top = llama.likeliest([1, 70], 10_000)
    assert sorted(token for token, _ in top) == list(range(VOCAB))
    assert sum(math.exp(chance) for _, chance in top) == pytest.approx(1, abs=1e-3)
    assert [chance for _, chance in top] == sorted((chance for _, chance in top), reverse=True)


def test_together_or_alone_the_tokens_are_the_same(llama):
    """Three prompts of different lengths, in the order they were given."""
    prompts = [[1, 10, 11], [1, 200], [1, 30, 31, 32, 33]]
    alone = [llama.decode(prompt, 6).tokens for prompt in prompts]
    assert [sequence.tokens for sequence in llama.decode_many(prompts, 6)] == alone


def test_it_refuses_tokens_that_do_not_exist(llama):
    """And goes on."""
    with pytest.raises(InputError, match=r"tiny\.gguf: llama\.cpp: .*invalid tokens"):
        llama.decode([1, VOCAB], 2)
    assert len(llama.decode([1, VOCAB - 1], 2).tokens) == 2


def test_it_names_what_is_wrong_with_a_file(real_model, tmp_path):
    """Half a file lacks a tensor."""
    half = tmp_path / "half.gguf"
    half.write_bytes(real_model.read_bytes()[: real_model.stat().st_size // 2])
    message = r"half\.gguf: llama\.cpp ended, exit status 1; its log: .*tensor '.*' data is not within the file bounds"
    with pytest.raises(InputError, match=message):
        LlamaCpp(half, threads=2, timeout=120)
