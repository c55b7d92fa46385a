"""Encode numbers by JavaScript's rule, or exactly as DynamoDB takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

from thrivecalc_models.errors import UnsafeNumberError
from thrivecalc_models.value import internal
from thrivecalc_models.wire import AttributeValue, Item, number_text, parse_number, to_decimal


class KnownNumbers:
    """The numbers of stored maps in their stored form; the maps are searched on first use."""

    def __init__(self, read: tuple[Item | None, ...], others: KnownNumbers | None) -> None:
        self._read = read
        self._others = others
        self._texts: dict[Decimal, str] | None = None

    def text_of(self, number: Decimal) -> str | None:
        """Return the stored text of a number, None if no map has it."""
        if self._texts is None:
            texts = (text for each in self._read for text in _number_texts({"M": each or {}}))
            self._texts = {}
            for text in texts:
                with suppress(ValueError):  # not a number, which some engines store
                    self._texts[parse_number(text)] = text
        found = self._texts.get(number)
        if found is None and self._others is not None:
            return self._others.text_of(number)
        return found


def _number_texts(form: AttributeValue) -> Iterator[str]:
    ((tag, content),) = form.items()
    match tag:
        case "N":
            yield content
        case "NS":
            yield from content
        case "M":
            for inner in content.values():
                yield from _number_texts(inner)
        case "L":
            for inner in content:
                yield from _number_texts(inner)


def number_form(number: Any, path: str, encoding: Encoding) -> str:
    """Return the text of a number. Raises UnsafeNumberError for one that JavaScript cannot hold.

    A number that was read is the exception: it is written back as it was, in any place.
    """
    try:
        return number_text(number, path=path, js_safe=encoding.js_safe)
    except UnsafeNumberError as error:
        refused = error.with_traceback(None)
    known = encoding.known
    text = None if known is None else known.text_of(to_decimal(number, path=path))
    if text is None:
        raise refused
    return text


@internal
class Encoding:
    """How values are encoded: with JavaScript's number rule, or exactly as DynamoDB takes them.

    A number that JavaScript cannot hold is allowed if it is one of `known`: it was read, and is
    now in another place.
    """

    js_safe: bool = True
    known: KnownNumbers | None = None

    def also(self, *read: Item | None) -> Encoding:
        """Return the encoding that also knows the numbers of these maps."""
        return Encoding(True, KnownNumbers(read, self.known)) if self.js_safe else self


SAFE = Encoding()
EXACT = Encoding(js_safe=False)


def encoding_of(js_safe: bool) -> Encoding:
    """Return the encoding with or without JavaScript's rule."""
    return SAFE if js_safe else EXACT
