"""Sizes: the bytes, levels and capacity units that DynamoDB counts, and items it would refuse."""

from __future__ import annotations

import binascii
import json
import marshal
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from thrivecalc_models.errors import InvalidRecordError, ItemTooLargeError
from thrivecalc_models.wire.item import AttributeValue, Item
from thrivecalc_models.wire.late import json_text
from thrivecalc_models.wire.numbers import number_text, parse_number
from thrivecalc_models.wire.text import HALF_PAIR, utf8_size

MAX_ITEM_SIZE: Final = 409_600
MAX_NESTING: Final = 31
MAX_NAME_SIZE: Final = 65_535

_MAX_NUMBER_SIZE = 21
_WITHOUT_REFERENCES = 2  # a version of the marshal format
_PLAIN_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_ALWAYS_STORABLE = 38  # characters of a plain number that has neither too many digits nor zeros
_SHOWN_PATH = 120


def item_size(item: Item) -> int:
    """Return the bytes that DynamoDB counts for an item: names and values, at most 409,600.

    Source: "DynamoDB item sizes and formats", Amazon DynamoDB Developer Guide.
    """
    return sum(map(_text_size, item)) + _size(list(item.values()))


def value_size(value: AttributeValue) -> int:
    """Return the bytes that DynamoDB counts for a value.

    A map or list counts 3 and 1 for each member, a set the sum of its members, a number what
    `_number_size` returns. Raises ValueError for what is not a value in DynamoDB's JSON. Source:
    "DynamoDB item sizes and formats", Amazon DynamoDB Developer Guide; measured on DynamoDB Local
    3.1.0.
    """
    return _size([value])


def _size(values: list[AttributeValue]) -> int:
    total = 0
    for value in values:  # grows as containers are met: no recursion, however deep
        if len(value) == 1 and "S" in value and isinstance(text := value["S"], str):
            total += len(text) if text.isascii() else _text_size(text)
            continue
        kind, content = _kind_and_content(value)
        if kind == "M":
            total += 3 + len(content) + sum(map(_text_size, content))
            values.extend(content.values())
        elif kind == "L":
            total += 3 + len(content)
            values.extend(content)
        else:
            total += _SIZES[kind](content)
    return total


def nesting_depth(value: AttributeValue) -> int:
    """Count the levels of maps and lists in a value: 0 for a scalar or set, 1 for an empty map.

    DynamoDB takes up to 31 in an attribute; the item itself is the 32nd level.
    """
    depth = 0
    level = [value]
    while level := [each for each in level if "M" in each or "L" in each]:
        depth += 1
        level = [child for each in level for _, child in _members(*_kind_and_content(each))]
    return depth


def check_item(item: Item, *, describe: str) -> int:
    """Check that DynamoDB would take an item, and return its size in bytes.

    Raises ItemTooLargeError over 409,600 bytes, and InvalidRecordError, with the path, for what
    DynamoDB refuses whatever the table: maps and lists more than 31 deep in an attribute, text or
    names that are not Unicode, empty names and sets, repeated members of a set, numbers it cannot
    hold, unknown types. `describe` is the item's name in messages. Source: "Constraints in Amazon
    DynamoDB", Amazon DynamoDB Developer Guide; measured on DynamoDB Local 3.1.0.
    """
    fault = _first_fault(item)
    if fault is not None:
        trail, reason = fault
        path = _path(trail)
        shown = path if len(path) <= _SHOWN_PATH else path[: _SHOWN_PATH - 1] + "…"
        raise InvalidRecordError(f"{describe}: {shown} {reason}", path=path)
    size = item_size(item)
    if size > MAX_ITEM_SIZE:
        raise _too_large(size, describe)
    return size


def check_size(item: Item, *, describe: Callable[[], str]) -> bytes:
    """Return the JSON of an item whose values were all encoded or stored already.

    Raises ItemTooLargeError over 409,600 bytes as DynamoDB counts them. JSON has at least one byte
    for each of them, so most items need no exact count.
    """
    encoded: bytes = json_text().encode(item)
    if len(encoded) > MAX_ITEM_SIZE:
        size = item_size(item)
        if size > MAX_ITEM_SIZE:
            raise _too_large(size, describe())
    return encoded


def _too_large(size: int, describe: str) -> ItemTooLargeError:
    return ItemTooLargeError(
        f"{describe} would have {size:,} bytes, DynamoDB takes {MAX_ITEM_SIZE:,}; shorten it,"
        " or split it into several records",
        size=size,
    )


def encoded_size(content: Any) -> int:
    """Return the most bytes of JSON that any transport sends for DynamoDB's JSON.

    It is counted as botocore writes it, in pure ASCII: a control character takes six bytes, an
    emoji twelve.
    """
    return len(json.dumps(content))


def encodes_within(content: Any, most: int) -> bool:
    """Return whether DynamoDB's JSON has at most so many bytes as `encoded_size` counts them.

    Most content is far below: a rough count saves 4.5 of 100 microseconds for a record of a commit.
    """
    try:
        rough = len(marshal.dumps(content, _WITHOUT_REFERENCES)) * _MOST_ENCODED
    except ValueError:  # text of a subclass of str
        rough = most + 1
    return rough <= most or encoded_size(content) <= most


def most_encoded(texts: Iterable[bytes]) -> int:
    """Return a number that `encoded_size` does not exceed for values with this compact JSON."""
    return sum(map(len, texts)) * _MOST_ENCODED


_MOST_ENCODED = 6
"""Bytes of JSON for one of a text's UTF-8; what JSON puts around a value is less in any case."""


def write_units(size: int) -> int:
    """Return the write capacity units of an item in one table or index: one a KB, at least 1.

    A transaction doubles them. Source: "DynamoDB read and write operations", Amazon DynamoDB
    Developer Guide.
    """
    return max(1, -(-size // 1024))


def read_units(size: int, *, consistent: bool) -> float:
    """Return the read capacity units of `size` bytes: one per 4 KB, half if not consistent.

    A transaction takes twice the consistent units. Source: "DynamoDB read and write operations",
    Amazon DynamoDB Developer Guide.
    """
    units = max(1, -(-size // 4096))
    return float(units) if consistent else units / 2


_Trail: TypeAlias = tuple["_Trail | None", "str | int"]


def _kind_and_content(value: AttributeValue) -> tuple[str, Any]:
    if isinstance(value, dict) and len(value) == 1:
        for kind, content in value.items():
            if isinstance(content, _SHAPES.get(kind, ())):
                return kind, content
    raise ValueError("a value is not in DynamoDB's JSON, such as {'S': 'text'}")


def _is_value(value: object) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((kind, content),) = value.items()
    return isinstance(content, _SHAPES.get(kind, ()))


def _members(kind: str, content: Any) -> Iterator[tuple[str | int, AttributeValue]]:
    if kind == "M":
        return iter(content.items())
    return iter(enumerate(content) if kind == "L" else ())


def _text_size(text: str) -> int:
    # A lone surrogate is refused by check_item; here it has a size, so that counting never fails.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _binary_size(base64_text: str) -> int:
    return len(base64_text.rstrip("=")) * 3 // 4


def _number_size(text: str) -> int:
    """Return the bytes of a number: 1, one for each pair of digits, and one for a minus.

    Pairs are counted from the point to both sides. Those of 00 at either end do not count, so 1000
    takes two bytes and 12000 three; 0 takes one, and no number more than 21. The guide only says
    "approximately"; this was measured.
    """
    if text.isdigit() and text[-1] != "0" != text[0] and len(text) <= _ALWAYS_STORABLE:
        return 1 + (len(text) + 1) // 2
    match = _PLAIN_NUMBER.fullmatch(text)
    if match is None:
        try:
            plain = number_text(text, path="N", js_safe=False)
        except InvalidRecordError:  # no number; some engines store it, and counting never fails
            return min(_MAX_NUMBER_SIZE, 1 + len(text))
        return _number_size(plain)
    whole = match[1].lstrip("0")
    fraction = (match[2] or "").rstrip("0")
    pairs = (len(whole) + 1) // 2 + (len(fraction) + 1) // 2
    if not fraction:
        pairs -= (len(whole) - len(whole.rstrip("0"))) // 2
    elif not whole:
        pairs -= (len(fraction) - len(fraction.lstrip("0"))) // 2
    if not pairs:
        return 1
    return min(_MAX_NUMBER_SIZE, 1 + pairs + text.startswith("-"))


def _sum_of(size: Callable[[str], int]) -> Callable[[list[str]], int]:
    return lambda members: sum(map(size, members))


def _one_byte(_: object) -> int:
    return 1


_SIZES: dict[str, Callable[[Any], int]] = {
    "S": _text_size,
    "N": _number_size,
    "B": _binary_size,
    "BOOL": _one_byte,
    "NULL": _one_byte,
    "SS": _sum_of(_text_size),
    "NS": _sum_of(_number_size),
    "BS": _sum_of(_binary_size),
}
_SHAPES: dict[str, type | tuple[()]] = {
    "S": str,
    "N": str,
    "B": str,
    "BOOL": bool,
    "NULL": bool,
    "SS": list,
    "NS": list,
    "BS": list,
    "M": dict,
    "L": list,
}


def _first_fault(item: Item) -> tuple[_Trail, str] | None:
    """Return where, nearest to the top, and why DynamoDB would refuse a part of the item."""
    found: list[tuple[_Trail, AttributeValue, int]]
    found = [((None, name), value, 0) for name, value in item.items()]
    for trail, value, depth in found:  # grows as containers are met
        reason = name_fault(trail[1]) or _value_fault(value)
        if reason is not None:
            return trail, reason
        ((kind, content),) = value.items()
        if kind == "M" or kind == "L":
            if depth == MAX_NESTING:
                return trail, f"is nested deeper than {MAX_NESTING} maps and lists; flatten it"
            found.extend(
                ((trail, key), member, depth + 1) for key, member in _members(kind, content)
            )
    return None


def name_fault(name: str | int) -> str | None:
    """Return why DynamoDB would refuse an attribute of this name, or None; positions are valid."""
    if isinstance(name, int):
        return None
    if not name:
        return "has an empty name, which DynamoDB refuses; name it"
    if utf8_size(name) is None:
        return f"has {HALF_PAIR} in its name; repair the text"
    if _text_size(name) > MAX_NAME_SIZE:
        return f"has a name over {MAX_NAME_SIZE:,} bytes; shorten it"
    return None


def _value_fault(value: object) -> str | None:
    if not isinstance(value, dict) or not _is_value(value):
        return "is not in DynamoDB's JSON, such as {'S': 'text'}"
    ((kind, content),) = value.items()
    if kind == "M":
        named = all(isinstance(name, str) for name in content)
        return None if named else "has a member whose name is not text; use text"
    if kind == "L" or kind == "BOOL":
        return None
    if kind == "NULL":
        return None if content else "is a NULL of false; use true"
    if kind in ("SS", "NS", "BS"):
        return _set_fault(kind, content)
    return _scalar_fault(kind, content)


def _set_fault(kind: str, members: list[object]) -> str | None:
    if not members:
        return "is an empty set, which DynamoDB refuses; leave it out"
    texts = [member for member in members if isinstance(member, str)]
    if len(texts) != len(members):
        return "is not in DynamoDB's JSON: a set of text was expected"
    for text in texts:
        fault = _scalar_fault(kind[0], text)
        if fault is not None:
            return f"has a member that {fault}"
    distinct: set[object]
    if kind == "NS":
        distinct = {parse_number(text) for text in texts}
    elif kind == "BS":  # one value can be spelt in several ways
        distinct = {binascii.a2b_base64(text) for text in texts}
    else:
        distinct = set(texts)
    return None if len(distinct) == len(texts) else "repeats a member of a set; give each once"


def _scalar_fault(kind: str, content: str) -> str | None:
    if kind == "S":
        return f"has {HALF_PAIR}; repair the text" if utf8_size(content) is None else None
    if kind == "B":
        return None if _is_base64(content) else "is not base64 text"
    return None if _is_storable(content) else "is no number that DynamoDB can hold"


def _is_base64(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return False
    return True


def _is_storable(text: str) -> bool:
    if len(text) <= _ALWAYS_STORABLE and _PLAIN_NUMBER.fullmatch(text):
        return True
    try:
        number_text(text, path="", js_safe=False)
    except InvalidRecordError:
        return False
    return True


def _path(trail: _Trail) -> str:
    names: list[str | int] = []
    step: _Trail | None = trail
    while step is not None:
        step, name = step
        names.append(name)
    path = "".join(f"[{n}]" if isinstance(n, int) else f".{n}" for n in reversed(names))
    return path.removeprefix(".").encode("utf-8", "backslashreplace").decode()
