"""Rows of a file, and the reasons to refuse one."""

from __future__ import annotations

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import escape_surrogates
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.wire import Item


class RowProblem(Exception):
    """Raised for a row or an item that is refused; the text gives the reason without values."""


@attrs.frozen
class Row:
    """One row: its line (of a Parquet file its number, from 1), and its item or the problem.

    `key` is the key of a row without an item, if it is known.
    """

    line: int
    item: Item | None = attrs.field(default=None, repr=False)
    problem: str = ""
    key: dict[str, str] | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Refusal:
    """A refused row, for the file of refused rows; `line` is None in an export."""

    line: int | None
    key: dict[str, str] | None = attrs.field(repr=False)
    reason: str

    def line_of_json(self) -> bytes:
        """The refusal as a line of JSON, in UTF-8."""
        place = {} if self.line is None else {"line": self.line}
        key = None if self.key is None else {n: escape_surrogates(t) for n, t in self.key.items()}
        return jsontext.dumps({**place, "key": key, "reason": self.reason}) + b"\n"


def key_of(item: object) -> dict[str, str] | None:
    """Return the key of an item in DynamoDB's JSON, or None unless both parts are text."""
    if not isinstance(item, dict):
        return None
    found = {}
    for name in (table.USER_ID, table.RECORD_KEY):
        form = item.get(name)
        text = form.get("S") if isinstance(form, dict) else None
        if not isinstance(text, str):
            return None
        found[name] = text
    return found
