"""A llama-server of the user's in place of the package: how it is started, asked and ended."""

import json
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from simulator.bench.llama_cpp import LlamaCpp
from simulator.errors import InputError

PROGRAM = """
    import json, os, sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    looks = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            looks.append(self.path)
            loading = self.path == "/health" and looks.count("/health") == 1
            self.say({"build_info": "b1-fake"}, 503 if loading else 200)

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            tokens = list(range(asked["n_predict"]))
            times = {"predicted_ms": 90.0, "prompt_ms": 500.0, "prompt_n": len(asked["prompt"][0])}
            self.say({"index": 0, "tokens": tokens, "timings": times})

        def say(self, answer, status=200):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with open(sys.argv[0] + ".json", "w") as file:
        json.dump({"pid": os.getpid(), **given}, file)
    HTTPServer((given["--host"], int(given["--port"])), Answers).serve_forever()
"""


@pytest.fixture
def program(tmp_path):
    """A program that answers as llama-server does, after it has been loading for a moment."""
    path = tmp_path / "llama-server"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(PROGRAM)}")
    path.chmod(0o755)
    return path


@pytest.fixture
def model(tmp_path):
    """Some file."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="starts a script by its first line")
def test_it_is_asked_as_the_package_is(program, model):
    """Three tokens in 0.09 s after a prompt of 4 in 0.5 s; with the threads and room that were asked for; gone at the end."""
    with LlamaCpp(model, threads=2, context=64, program=program) as llama:
        found = llama.decode([7, 8, 9, 10], 3)
        given = json.loads(Path(f"{program}.json").read_text())
    assert llama.build == "llama-server b1-fake"
    assert (found.tokens, found.seconds, found.prompt_tokens, found.prompt_seconds) == ((0, 1, 2), 0.09, 4, 0.5)
    wanted = {"--model": str(model), "--threads": "2", "--threads-batch": "2", "--ctx-size": "64", "--parallel": "1"}
    assert wanted.items() <= given.items()
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(given["pid"], 0)


def test_a_program_that_is_none(model, tmp_path):
    """A path with nothing there, and a file that cannot be run."""
    for path in (tmp_path / "none", model):
        with pytest.raises(InputError, match=r"^--llama-server .*: no such program; llama.cpp's sources build one"):
            LlamaCpp(model, threads=2, program=path)


@pytest.mark.skipif(sys.platform == "win32", reason="starts a script by its first line")
def test_a_program_that_ends_at_once(model, tmp_path):
    """Its last words are told."""
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\necho 'no room for the model' >&2\nexit 3\n")
    path.chmod(0o755)
    with pytest.raises(InputError, match=r"llama.cpp ended, exit status 1; its log: no room for the model"):
        LlamaCpp(model, threads=2, program=path)
