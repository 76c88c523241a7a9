"""llama.cpp's own server program, which whoever measures has built for this processor.

`cmake -B build -DGGML_NATIVE=ON && cmake --build build --target llama-server` in llama.cpp's sources makes one. It speaks as the package's
server does, so that all else is alike.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException

_START_S = 600.0  # to load a model
_LOOK_S = 0.2


class LlamaServer:
    """The program with a model in it; `listening_address` is where it answers."""

    def __init__(self, program: str, path: str, threads: int, context: int, parallel: int):
        port = _free_port()
        self.listening_address = f"http://127.0.0.1:{port}"
        command = [
            program, "--model", path, "--host", "127.0.0.1", "--port", str(port), "--threads", str(threads), "--threads-batch",
            str(threads), "--ctx-size", str(context * parallel), "--parallel", str(parallel), "--n-gpu-layers", "0",
            "--cache-ram", "0", "--no-webui",
        ]  # fmt: skip
        self._program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
        self._wait()

    def _wait(self) -> None:
        """Until it is ready; ends this process where it never will be, as its log has said why."""
        end = time.monotonic() + _START_S
        while self._program.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError, HTTPException):
                if self._get("/health")[0] == 200:
                    return
            time.sleep(_LOOK_S)
        self.close()
        sys.exit(1)

    def build(self) -> str:
        """What it says it was built from."""
        told = json.loads(self._get("/props")[1])
        return f"llama-server {told.get('build_info', '(build unknown)')}"

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self.listening_address.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Ends the program."""
        self._program.terminate()
        self._program.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
