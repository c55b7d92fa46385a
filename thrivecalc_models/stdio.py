"""Standard input, output and error: closed ones, full disks, closed pipes, text they cannot encode.

The module imports nothing of ours and nothing slow: it is loaded before the command.
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
    """A standard stream that accepts any text, and whose errors name the stream."""

    def __init__(self, stream: io.TextIOWrapper, what: str) -> None:
        self._what = what
        encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
        super().__init__(
            stream.detach(),  # after which the stream has no such settings
            encoding,
            "backslashreplace",
            line_buffering=lines,
            write_through=through,
        )

    def write(self, text: str) -> int:
        """Write text; an OSError has the stream's name."""
        try:
            return super().write(text)
        except OSError as error:
            error.filename = self._what
            raise

    def flush(self) -> None:
        """Flush the stream; an OSError has its name."""
        try:
            super().flush()
        except OSError as error:
            error.filename = self._what
            raise


def prepare() -> bool:
    """Prepare the standard streams, and return whether standard output is open.

    A closed one is replaced by /dev/null: otherwise the next file that is opened gets its number,
    and what is printed goes there.
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
    """Escape control characters: stored text must not control the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def json_text(value: object) -> str:
    """Return JSON without control characters that standard output can encode."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8", "surrogatepass")
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_error(text: str) -> None:
    """Print a line to standard error. If that fails, the exit code must do."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError as error:
        give_up(error)


def after(error: OSError) -> int:
    """Print which file failed, and return the exit code. A closed pipe is not reported."""
    give_up(error)
    if error.errno == errno.EPIPE:
        return PIPE_CLOSED
    reason = error.strerror or type(error).__name__
    print_error(f"Error: {error.filename}: {reason}" if error.filename else f"Error: {reason}")
    return 2


def give_up(error: OSError) -> None:
    """Redirect a failed standard stream to /dev/null: Python flushes it at exit, and would fail."""
    number = {OUTPUT: 1, ERRORS: 2}.get(error.filename)
    if number is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
