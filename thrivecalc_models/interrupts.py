"""Handle Ctrl-C while the command `thrivecalc` is still being imported: one line, exit code 130.

The package imports this module first, because the rest takes most of half a second. It has an
effect only in a process that was started as the command.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

INTERRUPTED = 130


def is_command() -> bool:
    """Whether this process was started as `thrivecalc` or `python -m thrivecalc_models.cli`."""
    started = (getattr(sys, "argv", None) or [""])[0]
    if started == "-m":  # while Python looks for the module
        return "thrivecalc_models.cli" in sys.orig_argv
    return os.path.basename(started) in ("thrivecalc", "thrivecalc.exe", "thrivecalc-script.py")


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    if sys.stderr is not None:
        print("\nStopped: nothing was begun.", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)  # the interrupted import could fail again at exit


if is_command():
    sys.excepthook = _end
