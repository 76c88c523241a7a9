"""llama.cpp, run beside our engine on the same file.

It lives in a process of its own, which stays loaded and asleep while it is not its turn. So the two can take turns within
one run, and whatever else the machine does meets both alike. The processes speak one JSON object per line.

llama.cpp keeps its own defaults (repacked weights, flash attention, a first run to warm up) but for what makes the two
alike: the number of threads, no GPU, the context, and the most likely token at every step.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TextIO

from simulator.bench.llama_server import LlamaServer
from simulator.errors import InputError, printable
from simulator.units import counted

PACKAGE = "xllamacpp"
_GRACE_S = 10.0  # to end by itself once asked to
_LOG_LINES = 100  # the latest, of which a few may be quoted
_ERROR_LINE = re.compile(r"[\d.]+ E +(.*)")

# Whoever calls may have set how OpenMP's threads wait for each other. A passive wait makes decoding 2 to 3 times slower
# (measured on two cores of Zen 4); an active one lets the threads spin for minutes after a turn, on cores that are ours then.
_THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_")


@dataclass(frozen=True)
class Decoded:
    """What llama.cpp decoded after one prompt."""

    tokens: tuple[int, ...]  # the most likely ones, but never one that ends the text
    seconds: float  # by llama.cpp's clock, of every step but the first, whose logits come out of the prompt
    request_seconds: float  # by our clock, of the whole request: prompt, decoding and answer
    prompt_tokens: int = 0  # of the prompt, those that were not kept from before
    prompt_seconds: float = 0.0  # of these, by llama.cpp's clock

    @property
    def n_steps(self) -> int:
        """Steps that `seconds` holds."""
        return len(self.tokens) - 1

    @property
    def seconds_per_token(self) -> float | None:
        """Mean over the steps; None where a single token was asked for."""
        return self.seconds / self.n_steps if self.n_steps else None


def tokens_per_s(sequences: Sequence[Decoded]) -> float:
    """Of sequences decoded together: all their steps, over the time of the slowest."""
    return sum(sequence.n_steps for sequence in sequences) / max(sequence.seconds for sequence in sequences)


class LlamaCpp:
    """A GGUF file loaded by llama.cpp in a process of its own; use it in a `with` statement.

    Args:
        path: the file; of a split one, its first part.
        threads: how many, for prompts and decoding alike.
        context: tokens that each sequence can have.
        parallel: sequences that can be decoded together.
        timeout: seconds that loading, and each request, may take.
        program: path of a llama-server, to be used in place of the package.

    Raises InputError if the package is missing, or llama.cpp cannot run the file.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int,
        context: int = 4096,
        parallel: int = 1,
        timeout: float = 600.0,
        program: str | Path | None = None,
    ):
        self.path = Path(path)
        self.context, self.parallel, self._timeout = context, parallel, timeout
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file")
        self._child = subprocess.Popen(
            child_command(self.path, threads, context, parallel, program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(threads),
            encoding="utf-8",
            errors="replace",
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._listeners = [
            _start_thread(_pass_on, self._child.stdout, self._answers),
            _start_thread(_keep, self._child.stderr, self._log),
        ]
        try:
            self.build: str = self._receive()["build"]  # version and processor features, for the record
        except BaseException:
            self._stop(grace_s=0)
            raise

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._stop(_GRACE_S)

    def decode(self, prompt: Sequence[int], n_tokens: int) -> Decoded:
        """The *n_tokens* tokens after a prompt, which is itself worked through only where the last one was different."""
        return self.decode_many([prompt], n_tokens)[0]

    def decode_many(self, prompts: Sequence[Sequence[int]], n_tokens: int) -> tuple[Decoded, ...]:
        """The *n_tokens* tokens after each of several prompts, decoded together.

        Sequences start at the same step if all of the prompts were given before, or have 2048 tokens in all at most. With
        longer ones, the first time is not a time of decoding together.
        """
        if not 1 <= len(prompts) <= self.parallel:
            raise InputError(
                f"{counted(len(prompts), 'sequence')} for llama.cpp, which was started for {self.parallel}"
            )
        for prompt in prompts:
            self._check(prompt, n_tokens)
        sequences = self._ask({"prompts": [_plain(prompt) for prompt in prompts], "tokens": n_tokens})["sequences"]
        found = tuple(
            Decoded(
                tuple(sequence["tokens"]),
                sequence["seconds"],
                sequence["request_seconds"],
                sequence.get("prompt_tokens", 0),
                sequence.get("prompt_seconds", 0.0),
            )
            for sequence in sequences
        )
        shortest = min(len(sequence.tokens) for sequence in found)
        if shortest < n_tokens:
            raise InputError(f"{self.path}: llama.cpp stopped after {shortest} of {counted(n_tokens, 'token')}")
        return found

    def likeliest(self, prompt: Sequence[int], top: int) -> tuple[tuple[int, float], ...]:
        """The *top* likeliest tokens after a prompt, each with its log-probability: for comparing, not for timing.

        With *top* as large as the vocabulary these are all logits, but for one constant.
        """
        self._check(prompt, 1)
        return tuple((token, chance) for token, chance in self._ask({"prompt": _plain(prompt), "top": top})["top"])

    # ---- the process ----

    def _check(self, prompt: Sequence[int], n_tokens: int) -> None:
        if not len(prompt) or n_tokens < 1:
            raise InputError("llama.cpp needs a prompt of at least one token, and at least one token to decode")
        if len(prompt) + n_tokens > self.context:
            raise InputError(
                f"a prompt of {counted(len(prompt), 'token')} and {n_tokens} more do not fit a context of {self.context}"
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        with contextlib.suppress(OSError, ValueError):  # a process that is gone: _receive finds out why
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        answer = self._receive()
        self._log.clear()  # what went well so far explains nothing later
        if "refused" in answer:
            raise InputError(f"{self.path}: llama.cpp: {printable(answer['refused'], 300)}")
        return answer

    def _receive(self) -> dict[str, Any]:
        """The next line of the process, or in one sentence why there is none."""
        try:
            line = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self._stop(grace_s=0)
            raise InputError(
                f"{self.path}: llama.cpp did not answer within {self._timeout:g} s, and was stopped"
            ) from None
        if line is not None:
            return json.loads(line)
        self._stop(_GRACE_S)
        self._answers.put(None)  # whoever asks again is told the same
        raise InputError(f"{self.path}: llama.cpp ended, exit status {self._child.returncode}{self._last_words()}")

    def _last_words(self) -> str:
        """What the log says went wrong, or its last lines, as the end of a sentence."""
        errors = [found[1] for line in self._log if (found := _ERROR_LINE.fullmatch(line))]
        said = errors[:2] or list(self._log)[-3:]  # of a chain of errors the first ones name the cause
        return f"; its log: {' | '.join(printable(line, 200) for line in said)}" if said else ""

    def _stop(self, grace_s: float) -> None:
        """Ends the process, by force if it takes longer than *grace_s*."""
        with contextlib.suppress(OSError):  # what was still to be sent has nowhere to go
            self._child.stdin.close()
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for listener in self._listeners:
            listener.join()


def child_command(
    path: Path, threads: int, context: int, parallel: int, program: str | Path | None = None
) -> list[str]:
    """What starts the process."""
    numbers = [str(threads), str(context), str(parallel)]
    if program is not None:
        if not os.access(program, os.X_OK):
            raise InputError(f"--llama-server {program}: no such program; llama.cpp's sources build one, llama-server")
        return [sys.executable, "-m", "simulator.bench.llama_cpp", str(path), *numbers, str(program)]
    if importlib.util.find_spec(PACKAGE) is None:
        raise InputError(
            f"comparing with llama.cpp needs the Python package {PACKAGE}; install it with: pip install '.[bench]' in a checkout"
        )
    return [sys.executable, "-m", "simulator.bench.llama_cpp", str(path), *numbers]


def _environment(threads: int) -> dict[str, str]:
    """Our environment, less what steers OpenMP's threads; they are held in place where each has a core to itself.

    Left to wander, two threads that wait for each other can come to lie on one core as soon as anything else runs: a
    token of 8 ms then takes 200 to 700. On an idle machine holding them makes no difference.
    """
    found = {name: value for name, value in os.environ.items() if not name.startswith(_THREAD_VARIABLES)}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return found | {"OMP_PROC_BIND": "true"} if threads == cores else found


def _plain(tokens: Sequence[int]) -> list[int]:
    """Token numbers as JSON has them."""
    return [int(token) for token in tokens]


def _start_thread(work: Callable[..., None], *given: object) -> threading.Thread:
    """A thread that nobody has to wait for."""
    thread = threading.Thread(target=work, args=given, daemon=True)
    thread.start()
    return thread


def _pass_on(stream: TextIO, answers: queue.SimpleQueue[str | None]) -> None:
    """Passes on each answer, and None after the last."""
    with stream:
        for line in stream:
            if line.startswith("{"):
                answers.put(line)
    answers.put(None)


def _keep(stream: TextIO, log: deque[str]) -> None:
    """Keeps the latest lines that are not empty."""
    with stream:
        for line in stream:
            if line.strip():
                log.append(line.strip())


# ---- what runs in the process ----


def _serve(path: str, threads: int, context: int, parallel: int, program: str | None = None) -> None:
    """Loads the file, then answers requests from standard input until it ends."""
    # Libraries write to descriptor 1 as they like: it becomes the log, and the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if program:
        server = LlamaServer(program, path, threads, context, parallel)
        build = server.build()
    else:
        server, build = _load(path, threads, context, parallel)
    print(json.dumps({"build": build}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = _answer(server, json.loads(line))
        except InputError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), file=answers, flush=True)
    if program:
        server.close()


def _load(path: str, threads: int, context: int, parallel: int) -> tuple[Any, str]:
    """A server with the model in it, and what it was built from and for."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel = context * parallel, parallel
    params.n_gpu_layers = 0
    params.fit_params = False  # it would load the model twice, to see what fits a GPU
    params.cache_ram_mib = 0  # no copies of earlier caches: each sequence's own is enough
    params.ui = False
    features = re.findall(r"(\w+) = 1", xllamacpp.get_system_info())
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        sys.exit(1)  # the log has said why, the exception does not know
    return server, f"{PACKAGE} {xllamacpp.__version__} ({', '.join(features)})"


def _answer(server: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What the parent asked for."""
    if "prompts" in request:
        return {"sequences": _decode(server, request["prompts"], request["tokens"])}
    return {"top": _likeliest(server, request["prompt"], request["top"])}


def _decode(server: Any, prompts: list[list[int]], n_tokens: int) -> list[dict[str, Any]]:
    """Each sequence's tokens and times."""
    start = time.perf_counter()
    results = _post(server, "/completion", _completion(n_tokens) | {"prompt": prompts, "return_tokens": True})
    seconds = time.perf_counter() - start
    results = [results] if isinstance(results, dict) else sorted(results, key=lambda result: result["index"])
    return [
        {
            "tokens": result["tokens"],
            "seconds": result["timings"]["predicted_ms"] / 1e3,
            "request_seconds": seconds,
            "prompt_tokens": result["timings"].get("prompt_n", 0),
            "prompt_seconds": result["timings"].get("prompt_ms", 0.0) / 1e3,
        }
        for result in results
    ]


def _likeliest(server: Any, prompt: list[int], top: int) -> list[tuple[int, float]]:
    """The likeliest tokens and their log-probabilities.

    llama.cpp keeps quiet about a token that is but a part of a character. The bias makes it choose one that is not; the
    probabilities are those before it.
    """
    whole = _post(server, "/tokenize", {"content": "a", "add_special": False})["tokens"][-1]
    asked = {"prompt": prompt, "n_probs": top, "logit_bias": [[whole, 1e9]]}
    step = _post(server, "/completion", _completion(1) | asked)["completion_probabilities"][0]
    return [(entry["id"], entry["logprob"]) for entry in step["top_logprobs"]]


def _completion(n_tokens: int) -> dict[str, Any]:
    """What all completions have in common."""
    return {"n_predict": n_tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": True}


def _post(server: Any, path: str, body: dict[str, Any]) -> Any:
    """What the server says. It is asked at its own address because only there do token numbers come back."""
    connection = HTTPConnection(server.listening_address.removeprefix("http://"))
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    said = json.loads(connection.getresponse().read())
    connection.close()
    if "error" in said:
        raise InputError(said["error"]["message"])
    return said


if __name__ == "__main__":
    _serve(sys.argv[1], *(int(number) for number in sys.argv[2:5]), *sys.argv[5:])
