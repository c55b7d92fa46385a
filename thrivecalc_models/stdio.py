"""The standard streams: closed ones, full disks, readers that have gone, text they cannot encode.

It imports nothing of ours and nothing slow, so that it is loaded before the command.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys

PIPE_CLOSED = 141
"""The exit code that a shell reports for a process that was ended by SIGPIPE."""

OUTPUT, ERRORS = "standard output", "standard error"


class Standard(io.TextIOWrapper):
    """A standard stream that takes any text, and whose errors say which stream failed."""

    def __init__(self, stream: io.TextIOWrapper, what: str) -> None:
        self._what = what
        encoding, line_buffering, write_through = (
            stream.encoding,
            stream.line_buffering,
            stream.write_through,
        )
        super().__init__(
            stream.detach(),
            encoding,
            "backslashreplace",
            line_buffering=line_buffering,
            write_through=write_through,
        )

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            error.filename = self._what
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            error.filename = self._what
            raise


def prepare() -> bool:
    """Make the standard streams fit for use; return False where standard output is closed.

    Where one is closed, /dev/null takes its place: else the next file would get its number.
    """
    open_ = sys.stdout is not None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = Standard(sys.stdout, OUTPUT)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = Standard(sys.stderr, ERRORS)
    return open_


def printable(text: str) -> str:
    """Text of which nothing can steer a terminal: what is stored is somebody else's."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def json_text(value: object) -> str:
    """JSON that steers no terminal and that standard output can hold."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8", "surrogatepass")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_error(text: str) -> None:
    """Print a line to standard error, if it can be written there."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError as error:
        give_up(error)


def after(error: OSError) -> int:
    """Say which file failed, and return the exit code; who has stopped reading knows it already."""
    give_up(error)
    if error.errno == errno.EPIPE:
        return PIPE_CLOSED
    reason = error.strerror or type(error).__name__
    print_error(f"Error: {error.filename}: {reason}" if error.filename else f"Error: {reason}")
    return 2


def give_up(error: OSError) -> None:
    """Drop what a standard stream that failed still holds, or Python complains about it at exit."""
    number = {OUTPUT: 1, ERRORS: 2}.get(error.filename)
    if number is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
