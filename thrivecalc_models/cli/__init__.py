"""`thrivecalc`, the command for looking after the table; it needs the extra `cli`."""

from __future__ import annotations

from thrivecalc_models import stdio

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments name, and exit."""
    if not stdio.prepare():
        stdio.print_error("Error: standard output is closed; redirect it, to /dev/null if need be")
        raise SystemExit(2)
    try:
        from thrivecalc_models.cli.app import app
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("click", "rich"):
            raise
        stdio.print_error(
            f"Error: this command needs {package}, which is not installed here:"
            ' pip install "thrivecalc-models[cli]"'
        )
        raise SystemExit(2) from None
    app(prog_name="thrivecalc")
