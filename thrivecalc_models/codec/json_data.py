"""Convert payloads to JSON, as `JSON.stringify` gives it in the web application, and back.

Both directions go field by field and kind by kind. Names are those of the table.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from thrivecalc_models.codec.data import Origins, encode_data
from thrivecalc_models.codec.numbers import EXACT
from thrivecalc_models.codec.spelling import meant_by, wrong_spelling
from thrivecalc_models.errors import InvalidRecordError, UnsafeNumberError
from thrivecalc_models.payloads import Field, fields_of, is_payload_class, kinds
from thrivecalc_models.payloads.faults import each, together
from thrivecalc_models.payloads.kinds import FieldKind, plain_names, wrong_type
from thrivecalc_models.payloads.origins import Origin, origin_of
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, Item, parse_number, parse_timestamp, to_decimal

P = TypeVar("P")

Unknown = Literal["error", "ignore"]


class _AnyOrigins(Origins):
    """The origins of payloads of any user: what is read of them goes to no table."""

    def of(self, payload: Any) -> Origin | None:
        return origin_of(payload)


def payload_to_json(payload: Any) -> dict[str, Any]:
    """Convert a payload. Raises UnsafeNumberError with the path of a number that no float prints.

    A payload that was read within the data of a record keeps its undeclared attributes.
    """
    return item_to_json(encode_data(payload, {}, None, _AnyOrigins(), EXACT), f"{DATA}.")


def item_to_json(item: Item, prefix: str = "") -> dict[str, Any]:
    """Convert an item or a stored map; the path of a member is `prefix` and its name."""
    return {name: form_to_json(form, f"{prefix}{name}") for name, form in item.items()}


def exact_number(text: str, path: str) -> int | float:
    """Convert a stored number to an int, or to the float that prints as the same decimal."""
    number = parse_number(text)
    nearest = float(number)
    if not math.isfinite(nearest) or to_decimal(nearest, path=path) != number:
        raise UnsafeNumberError(
            f"{path} has more digits than a number in JSON keeps in JavaScript; round it, or store"
            " it as text",
            path=path,
        )
    return int(number) if number == int(number) else nearest


def form_to_json(
    form: AttributeValue, path: str, number: Callable[[str, str], int | float] = exact_number
) -> Any:
    """Convert a stored value: sets become arrays, and binary is base64 text.

    `number(text, path)` converts a stored number.
    """
    ((tag, content),) = form.items()
    match tag:
        case "N":
            return number(content, path)
        case "NS":
            return [number(text, path) for text in content]
        case "NULL":
            return None
        case "M":
            return {
                name: form_to_json(inner, f"{path}.{name}", number)
                for name, inner in content.items()
            }
        case "L":
            return [form_to_json(inner, f"{path}[{n}]", number) for n, inner in enumerate(content)]
    return content


# --- reading --------------------------------------------------------------------------------------


def payload_from_json(
    payload_class: type[P], mapping: Any, *, unknown: Unknown = "error", path: str = DATA
) -> P:
    """Make a payload of a JSON object. Raises one InvalidRecordError of all that is wrong."""
    if not is_payload_class(payload_class):
        raise TypeError(f"from_json takes a payload class, not {payload_class!r}")
    if unknown not in ("error", "ignore"):
        raise InvalidRecordError(f"unknown takes 'error' or 'ignore', not {unknown!r}")
    if not isinstance(mapping, dict):
        raise wrong_type(path, "an object in the table's spelling", mapping)
    given = plain_names(mapping, path)
    fields = {field.wire_name: field for field in fields_of(payload_class)}
    errors = [*_unknown_names(payload_class, given, path)] if unknown == "error" else []
    values: dict[str, Any] = {}
    for name, field in fields.items():
        try:
            if given.get(name) is not None:
                values[field.name] = _read(field.kind, given[name], f"{path}.{name}", unknown)
            elif field.required:
                raise _missing(field, given, path)
            elif not field.has_default:
                values[field.name] = None
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
    if errors:
        raise together(errors)
    return _made(payload_class, values, path)


def _missing(field: Field, given: dict[str, Any], path: str) -> InvalidRecordError:
    at = f"{path}.{field.wire_name}"
    what = "is null" if field.wire_name in given else "is missing"
    return InvalidRecordError(f"{at} {what}, but required; give it a value", path=at)


def _unknown_names(
    payload_class: type, given: dict[str, Any], path: str
) -> Iterator[InvalidRecordError]:
    """Give an error for every name that the class does not declare, with the one that is near."""
    declared = [field.wire_name for field in fields_of(payload_class)]
    for name in given:
        if name in declared:
            continue
        at, meant = f"{path}.{name}", meant_by(payload_class, name)
        if meant is not None:
            yield wrong_spelling(at, meant)
            continue
        near = get_close_matches(name, declared, n=1)
        hint = f"; is {near[0]} meant?" if near else '; leave it out, or give unknown="ignore"'
        yield InvalidRecordError(f"{at} is not declared by {payload_class.__name__}{hint}", path=at)


def _made(payload_class: type[P], values: dict[str, Any], path: str) -> P:
    """Call the class, whose own validators see the values; paths begin where the payload is."""
    try:
        return payload_class(**values)
    except InvalidRecordError as error:
        if path == DATA:
            raise
        errors = [
            InvalidRecordError(str(one).replace(inner, at, 1), path=at)
            for inner, one in error.errors.items()
            if (at := path + inner.removeprefix(DATA))
        ]
    raise together(errors)


def _read(kind: FieldKind, value: Any, path: str, unknown: Unknown) -> Any:
    """Convert a JSON value, which is not null, to a value of a kind. Raises InvalidRecordError."""
    match kind:
        case kinds.Optional(inner):
            return _read(inner, value, path, unknown)
        case kinds.AmountKind() | kinds.Float():
            if isinstance(value, str):
                raise wrong_type(path, "a number", value)
        case kinds.Integer():
            if isinstance(value, float) and value.is_integer():
                return int(value)  # JavaScript has one kind of number
        case kinds.DateTime():
            return _moment(value, path)
        case kinds.Binary():
            return _binary(value, path)
        case kinds.ListOf(element):
            return each(*_members(element, value, path, unknown))
        case kinds.TupleOf(element):
            return tuple(each(*_members(element, value, path, unknown)))
        case kinds.SetOfText():
            return kind.convert(set(each(*_members(kinds.Text(), value, path, unknown))), path)
        case kinds.DictOf(element):
            return _dict(element, value, path, unknown)
        case kinds.Nested(payload_class):
            return payload_from_json(payload_class, value, unknown=unknown, path=path)
    return kind.convert(value, path)


def _members(element: FieldKind, value: Any, path: str, unknown: Unknown) -> Any:
    if not isinstance(value, list):
        raise wrong_type(path, "an array", value)
    return (
        lambda member, at: _member(element, member, at, unknown),
        ((member, f"{path}[{n}]") for n, member in enumerate(value)),
    )


def _dict(element: FieldKind, value: Any, path: str, unknown: Unknown) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    named = plain_names(value, path)
    members = ((member, f"{path}.{name}") for name, member in named.items())
    read = each(lambda member, at: _member(element, member, at, unknown), members)
    return dict(zip(named, read, strict=True))


def _member(element: FieldKind, value: Any, path: str, unknown: Unknown) -> Any:
    """Convert a member of an array or an object, which may be null if its kind has None."""
    if value is None:
        return element.convert(None, path)
    return _read(element, value, path, unknown)


def _moment(value: Any, path: str) -> Any:
    moment = parse_timestamp(value)
    if moment is None:
        raise wrong_type(path, "text of a date-time with its zone", value)
    return moment


def _binary(value: Any, path: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (TypeError, ValueError):
        pass
    raise wrong_type(path, "base64 text", value)
