"""Cursors: the end of a page as opaque text, for one user and one query."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from thrivecalc_models.errors import InvalidKeyError, IsolationError
from thrivecalc_models.operations import Query
from thrivecalc_models.operations.conditions import Expressions
from thrivecalc_models.wire import plain_value
from thrivecalc_models.wire.keys import MAX_SORT_KEY


def make_cursor(query: Query, after: str) -> str:
    """Return the cursor after a record key of this query: URL-safe text without the user id."""
    content = _user_mark(query) + _query_mark(query) + after.encode()
    return urlsafe_b64encode(_check(content) + content).decode().rstrip("=")


def read_cursor(query: Query, cursor: object) -> str:
    """Return the record key after which the page of a cursor begins.

    Raises IsolationError for another user's cursor, and InvalidKeyError for one of another query
    and for what is no cursor.
    """
    user, mark, after = _parts(plain_value(cursor))
    if user != _user_mark(query):
        raise IsolationError("this cursor belongs to another user; start from the first page")
    if mark != _query_mark(query):
        raise InvalidKeyError(
            "this cursor belongs to another query (type, condition, direction or"
            " consistency); start from the first page",
            path="cursor",
        )
    return after


_CHECK_BYTES = 6
_MARK_BYTES = 8
_KEY_BEGINS = _CHECK_BYTES + 2 * _MARK_BYTES
_LONGEST = 4 * -(-(_KEY_BEGINS + MAX_SORT_KEY) // 3)  # characters in base64


def _parts(cursor: Any) -> tuple[bytes, bytes, str]:
    """Return the two marks and the record key in a cursor, once length and checksum are right."""
    try:
        if type(cursor) is not str or len(cursor) > _LONGEST:
            raise ValueError
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        after = raw[_KEY_BEGINS:].decode()
        whole = raw[:_CHECK_BYTES] == _check(raw[_CHECK_BYTES:]) and after != ""
    except ValueError:
        whole = False
    if not whole:
        raise InvalidKeyError(
            "this is no cursor of a page; pass page.cursor unchanged", path="cursor"
        )
    marks = raw[_CHECK_BYTES:_KEY_BEGINS]
    return marks[:_MARK_BYTES], marks[_MARK_BYTES:], after


def _check(content: bytes) -> bytes:
    """Return the checksum of this layout, "cursor 2": a cursor of another layout fails it."""
    return hashlib.sha256(b"cursor 2 " + content).digest()[:_CHECK_BYTES]


def _user_mark(query: Query) -> bytes:
    """Return a hash of the user id, which a cursor in a URL must not show."""
    return hashlib.sha256(b"cursor of " + query.user_id.encode()).digest()[:_MARK_BYTES]


def _query_mark(query: Query) -> bytes:
    path = "index" if query.by_index else "table"
    consistency = "consistent" if query.consistent else "eventual"
    text = f"{query.data_type or '*'} {path} {consistency}"
    if query.reverse:
        text += " reverse"
    if query.where is not None or query.keys is not None:
        expressions = Expressions()
        conditions = [
            "" if each is None else expressions.filter(each) for each in (query.keys, query.where)
        ]
        text += json.dumps([conditions, expressions.placeholders()], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:_MARK_BYTES]
