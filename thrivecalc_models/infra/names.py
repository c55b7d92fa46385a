"""Valid table names, for templates and policies."""

from __future__ import annotations

import re
from typing import Final

from thrivecalc_models.errors import ConfigurationError

TABLE_NAME_CHARACTERS: Final = "[A-Za-z0-9_.-]"
SHORTEST: Final = 3
LONGEST: Final = 255

_TABLE_NAME = re.compile(f"{TABLE_NAME_CHARACTERS}{{{SHORTEST},{LONGEST}}}")


def check_table_name(name: str) -> str:
    """Return the name if a table can have it. Raises ConfigurationError."""
    if _TABLE_NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"a table's name is made of {SHORTEST} to {LONGEST} letters, digits, '_', '-' and '.';"
            " this one is not"
        )
    return name
