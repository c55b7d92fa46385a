"""`thrivecalc`, the command for looking after the table; it needs the extra `cli`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        from thrivecalc_models.cli.app import app
    except ModuleNotFoundError as missing:
        if missing.name not in ("click", "rich"):
            raise
        print(
            f"Error: this command needs {missing.name}, which is not installed here:"
            ' pip install "thrivecalc-models[cli]"',
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    app(prog_name="thrivecalc")
