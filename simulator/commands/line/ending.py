"""How a command ends where something is wrong: in one sentence on standard error, or silently where nobody reads on."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from simulator.errors import InputError, brief

MISTAKE = 2  # exit status where what was asked for cannot be done
UNREAD = 141  # of a process whose output nobody reads any more, as shells have it: 128 + SIGPIPE
SHORT_OF_MEMORY = (
    "this needs more memory, threads or processes than the system gives: free memory, or raise the limits of this "
    "process (ulimit -v, ulimit -u)"
)
# What the system says when a file or a pipe that is open takes nothing more.
_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.ENXIO)


@contextmanager
def ending_in_words() -> Iterator[None]:
    """What goes wrong in the block ends the process: bad input, lack of memory and an output that takes nothing."""
    _prepare_output()
    try:
        yield
        sys.stdout.flush()
    except InputError as error:
        fail(str(error))
    except MemoryError:
        fail(SHORT_OF_MEMORY)
    except RuntimeError as error:
        if "can't start new thread" not in str(error):  # which is all that Python says of it
            raise
        fail(SHORT_OF_MEMORY)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _end_unread()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # of which rich makes an exit
            _end_unread()
        raise
    except OSError as error:
        fail(_told(error))


def fail(message: str) -> NoReturn:
    """Ends the command: every line of the message with its name before it, and exit status 2."""
    for line in message.split("\n"):
        print(brief(f"roofcast: {line}"), file=sys.stderr)
    sys.exit(MISTAKE)


def _told(error: OSError) -> str:
    """What the system refused, in a sentence."""
    if hasattr(error, "characters_written"):  # by an output that would have to be waited for
        return _told_of_output(error)
    if error.errno in (errno.ENOMEM, errno.EAGAIN):
        return SHORT_OF_MEMORY
    if error.filename is not None:
        return f"{error.filename}: cannot be used ({error.strerror})"
    return _told_of_output(error) if error.errno in _OF_OUTPUT else f"the system refuses what is needed ({error})"


def _told_of_output(error: OSError) -> str:
    _drop_output()
    return f"the output cannot be written ({error.strerror})"


def _end_unread() -> NoReturn:
    _drop_output()
    sys.exit(UNREAD)


def _drop_output() -> None:
    """What is still to be written goes nowhere, or Python would try again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Unfailing(io.FileIO):
    """A stream that takes what nobody can be given: a full disk behind the messages makes no mistake of a success."""

    def write(self, data: bytes) -> int:
        """As a file does, or as if."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _prepare_output() -> None:
    """A closed output fails when it is written to, one of a small character set replaces what it cannot show, and messages cannot fail."""
    if sys.stderr is not None and sys.stderr is sys.__stderr__:
        raw = _Unfailing(sys.stderr.fileno(), "w", closefd=False)
        encoding = sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors="replace", line_buffering=True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # What was asked for and reaches nobody is no success: a closed standard output stays one that takes nothing.
            access = os.O_RDONLY if name == "stdout" else os.O_WRONLY
            setattr(sys, name, open(os.open(os.devnull, access), "w"))  # noqa: SIM115, PTH123 - for the life of the process
        elif hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="replace")
