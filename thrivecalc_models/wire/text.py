"""Text that UTF-8, and so the table, can hold."""

from __future__ import annotations

HALF_PAIR = "half of a surrogate pair"
"""In messages: a code point from U+D800 to U+DFFF, which JavaScript and Python allow in text."""


def utf8_size(text: str) -> int | None:
    """Bytes of a text in UTF-8; None for one with half of a surrogate pair."""
    if text.isascii():
        return len(text)
    # Return instead of raising: an error raised while UnicodeEncodeError is handled would carry the
    # text in its context.
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None
