"""Compare stored values as DynamoDB does."""

from __future__ import annotations

from binascii import a2b_base64
from decimal import Decimal

from thrivecalc_models.wire.item import AttributeValue, Item
from thrivecalc_models.wire.numbers import parse_number


def same_item(one: Item, other: Item) -> bool:
    """Return whether two items are equal: numbers and bytes by value, sets in any order."""
    return one.keys() == other.keys() and all(
        same_value(form, other[name]) for name, form in one.items()
    )


def same_value(one: AttributeValue | None, other: AttributeValue | None) -> bool:
    """Return whether two attribute values are equal to DynamoDB; None is an absent one."""
    if one is None or other is None or one.keys() != other.keys():
        return one is other
    ((tag, content),) = one.items()
    counterpart = other[tag]
    match tag:
        case "N":
            return bool(_number(content) == _number(counterpart))
        case "M":
            return same_item(content, counterpart)
        case "L":
            return len(content) == len(counterpart) and all(map(same_value, content, counterpart))
        case "NS":
            return set(map(_number, content)) == set(map(_number, counterpart))
        case "SS":
            return set(content) == set(counterpart)
        case "B":
            return _bytes_of(content) == _bytes_of(counterpart)
        case "BS":
            return set(map(_bytes_of, content)) == set(map(_bytes_of, counterpart))
    return bool(content == counterpart)


def in_order(item: Item) -> Item:
    """Return an item with the members of its sets in order, which DynamoDB may give in any."""
    return {name: _in_order(form) for name, form in item.items()}


def _in_order(form: AttributeValue) -> AttributeValue:
    ((tag, content),) = form.items()
    match tag:
        case "SS" | "NS" | "BS":
            return {tag: sorted(content)}
        case "M":
            return {tag: in_order(content)}
        case "L":
            return {tag: [_in_order(inner) for inner in content]}
    return form


def _number(text: str) -> Decimal | str:
    """Return a stored number, or the text of an unreadable one, which two engines store."""
    try:
        return parse_number(text)
    except ValueError:
        return text


def _bytes_of(text: str) -> bytes | str:
    """Decode base64 text, of which one value has several spellings; return other text as it is."""
    try:
        return a2b_base64(text)
    except ValueError:
        return text
