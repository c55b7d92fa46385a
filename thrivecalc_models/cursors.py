"""Cursors: where a page ended, as opaque text that is bound to one user and one query."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from thrivecalc_models.errors import InvalidKeyError, IsolationError
from thrivecalc_models.operations import Query
from thrivecalc_models.wire import split_key


def make_cursor(query: Query, after: str) -> str:
    """The cursor behind `after` in this query: URL-safe text without the user id."""
    text = json.dumps([_user_mark(query), _query_mark(query), after], separators=(",", ":"))
    content = text.encode()
    return urlsafe_b64encode(_check(content) + content).decode().rstrip("=")


def read_cursor(query: Query, cursor: str) -> str:
    """The record key that a cursor stands behind.

    Raises IsolationError for another user's cursor, InvalidKeyError for another query's or rubbish.
    """
    user, mark, after = _content(cursor)
    if user != _user_mark(query):
        raise IsolationError("this cursor belongs to another user; start from the first page")
    if mark != _query_mark(query) or split_key(after) is None:
        raise InvalidKeyError(
            "this cursor belongs to another query (type or consistency); start from the first page",
            path="cursor",
        )
    return after


def _content(cursor: str) -> tuple[str, str, str]:
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        user, mark, after = json.loads(raw[_CHECK_BYTES:])
        whole = raw[:_CHECK_BYTES] == _check(raw[_CHECK_BYTES:]) and isinstance(after, str)
    except (ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InvalidKeyError(
            "this is no cursor of a page; pass page.cursor unchanged", path="cursor"
        )
    return user, mark, after


_CHECK_BYTES = 6


def _check(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECK_BYTES]


def _user_mark(query: Query) -> str:
    return hashlib.sha256(b"cursor of " + query.user_id.encode()).hexdigest()[:16]


def _query_mark(query: Query) -> str:
    path = "index" if query.by_index else "table"
    return f"{query.data_type or '*'} {path} {'consistent' if query.consistent else 'eventual'}"
