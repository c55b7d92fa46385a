"""Convert single values between Python and DynamoDB's JSON.

Decoding raises `Unfit` with the path of the bad value; encoding raises InvalidRecordError.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from thrivecalc_models.codec.numbers import EXACT, Encoding, number_form
from thrivecalc_models.codec.scalars import Scalar, binary, scalar_of
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import kinds
from thrivecalc_models.payloads.faults import together
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    is_plain,
    name_fault,
    parse_number,
    plain_value,
)


class Unfit(Exception):
    """A stored value does not fit its kind; neither `path` nor `reason` shows the value."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason

    def as_input(self) -> InvalidRecordError:
        """Return the error for such a value that a caller gave."""
        return InvalidRecordError(f"{self.path} {self.reason}", path=self.path)


# --- any value ------------------------------------------------------------------------------------


def decode_plain(value: AttributeValue, path: str = "") -> Any:
    """Decode a stored value as str, Decimal, bool, None, bytes, list, dict or set."""
    ((tag, content),) = value.items()
    match tag:
        case "S" | "BOOL":
            return content
        case "N":
            return _parsed(parse_number, content, "N", path)
        case "NULL":
            return None
        case "M":
            return {name: decode_plain(inner, f"{path}.{name}") for name, inner in content.items()}
        case "L":
            return [decode_plain(inner, f"{path}[{index}]") for index, inner in enumerate(content)]
        case "B":
            return _parsed(binary, content, "B", path)
        case "SS":
            return set(content)
        case "NS":
            return {_parsed(parse_number, text, "N", path) for text in content}
        case "BS":
            return {_parsed(binary, text, "B", path) for text in content}
    raise Unfit(path, f"has the unknown type {tag}")


def encode_plain(
    value: Any, path: str, *, encoding: Encoding, base: AttributeValue | None = None, depth: int = 1
) -> AttributeValue:
    """Encode plain Python; a value that equals its counterpart in `base` keeps that form."""
    value = plain_value(value)
    match value:
        case _ if not is_plain(value):  # a proxy may say that it is text
            pass
        case str():
            kinds.check_encodable(value, path)
            return {"S": value}
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal() | float():
            return {"N": number_form(value, path, encoding)}
        case dict():
            kinds.check_depth(depth, path)
            return {"M": _encode_map(value, path, plain_element, encoding, base, depth)}
        case list() | tuple():
            kinds.check_depth(depth, path)
            return {"L": _encode_list(value, path, plain_element, encoding, base, depth)}
        case bytes() | bytearray():
            return {"B": b64encode(value).decode()}
        case set() | frozenset():
            return _encode_set(value, path, encoding)
    raise InvalidRecordError(
        f"{path} cannot hold a {type(value).__name__}; DynamoDB has text, numbers, bool, None,"
        " bytes, lists, dicts and sets",
        path=path,
    )


def plain_element(
    value: Any, path: str, encoding: Encoding, base: AttributeValue | None, depth: int
) -> AttributeValue:
    """Encode a plain value, or keep the form `base` where it has that value."""
    return keep_form(
        base,
        decode=lambda stored: decode_plain(stored, path),
        encode=lambda given, how, stored: encode_plain(
            given, path, encoding=how, base=stored, depth=depth
        ),
        value=value,
        encoding=encoding,
    )


Element = Callable[[Any, str, Encoding, AttributeValue | None, int], AttributeValue]


def _encode_map(
    value: dict[Any, Any],
    path: str,
    element: Element,
    encoding: Encoding,
    base: AttributeValue | None,
    depth: int,
) -> Item:
    stored = base.get("M", {}) if base else {}
    encoded: Item = {}
    errors: list[InvalidRecordError] = []
    for name, inner in kinds.plain_names(value, path).items():
        if name not in stored:
            check_name(name, path)
        try:
            encoded[name] = element(inner, f"{path}.{name}", encoding, stored.get(name), depth + 1)
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
    if errors:
        raise together(errors)
    return encoded


def check_name(name: str, path: str) -> None:
    """Refuse a new name that DynamoDB or JavaScript would not keep. Raises InvalidRecordError."""
    fault = name_fault(name)
    if fault is not None:
        raise InvalidRecordError(f"{path}: a key {fault}", path=path)
    if name == "__proto__":
        raise InvalidRecordError(
            f"{path} has the key __proto__, which JavaScript takes for something else; rename it",
            path=path,
        )


def _encode_list(
    value: Sequence[Any],
    path: str,
    element: Element,
    encoding: Encoding,
    base: AttributeValue | None,
    depth: int,
) -> list[AttributeValue]:
    stored = base.get("L", []) if base else []
    encoded: list[AttributeValue] = []
    errors: list[InvalidRecordError] = []
    for index, inner in enumerate(value):
        form = stored[index] if index < len(stored) else None
        try:
            encoded.append(element(inner, f"{path}[{index}]", encoding, form, depth + 1))
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
    if errors:
        raise together(errors)
    return encoded


def _encode_set(value: set[Any] | frozenset[Any], path: str, encoding: Encoding) -> AttributeValue:
    members = [plain_value(member) for member in value]
    if not members:
        raise InvalidRecordError(
            f"{path} is an empty set, which DynamoDB cannot hold; use None or leave it out",
            path=path,
        )
    if all(isinstance(member, str) for member in members):
        for member in members:
            kinds.check_encodable(member, path)
        return {"SS": sorted(members)}
    if all(isinstance(member, bytes) for member in members):
        return {"BS": sorted(b64encode(member).decode() for member in members)}
    if all(isinstance(member, int | Decimal | float) for member in members):
        texts = {number_form(member, path, encoding) for member in members}
        return {"NS": sorted(texts)}
    raise InvalidRecordError(
        f"{path} is a set of mixed or unfit members; DynamoDB has sets of text, of numbers or of"
        " bytes",
        path=path,
    )


# --- values of a kind -----------------------------------------------------------------------------


def decode(kind: kinds.FieldKind, value: AttributeValue, path: str, nested: NestedCodec) -> Any:
    """Decode a stored value of a kind. Raises Unfit."""
    scalar = scalar_of(kind)
    if scalar is not None:
        return _decode_scalar(scalar, value, path)
    match kind:
        case kinds.Optional(inner):
            return None if "NULL" in value else decode(inner, value, path, nested)
        case kinds.ListOf(element):
            content = _content(value, "L", path)
            return [
                decode(element, inner, f"{path}[{index}]", nested)
                for index, inner in enumerate(content)
            ]
        case kinds.TupleOf(element):
            return tuple(decode(kinds.ListOf(element), value, path, nested))
        case kinds.DictOf(element):
            content = _content(value, "M", path)
            return {
                name: decode(element, inner, f"{path}.{name}", nested)
                for name, inner in content.items()
            }
        case kinds.SetOfText():
            return set(_content(value, "SS", path))
        case kinds.Nested(payload_class):
            return nested.decode(payload_class, _content(value, "M", path), path)
    return decode_plain(value, path)


def encode(
    kind: kinds.FieldKind,
    value: Any,
    path: str,
    nested: NestedCodec,
    *,
    encoding: Encoding,
    base: AttributeValue | None = None,
    depth: int = 2,
) -> AttributeValue:
    """Encode a value that its kind has converted.

    Members that equal those in `base` keep that form.
    """

    def element(inner: kinds.FieldKind) -> Element:
        return lambda given, at, how, stored, level: keep_form(
            stored,
            decode=lambda form: decode(inner, form, at, nested),
            encode=lambda item, rule, form: encode(
                inner, item, at, nested, encoding=rule, base=form, depth=level
            ),
            value=given,
            encoding=how,
        )

    scalar = scalar_of(kind)
    if scalar is not None:
        return scalar.form(value, path, encoding)
    match kind:
        case kinds.Optional(inner):
            if value is None:
                return {"NULL": True}
            return encode(inner, value, path, nested, encoding=encoding, base=base, depth=depth)
        case kinds.ListOf(inner) | kinds.TupleOf(inner):
            kinds.check_depth(depth, path)
            bases = None if isinstance(kinds.unwrapped(inner), kinds.Nested) else base
            return {"L": _encode_list(value, path, element(inner), encoding, bases, depth)}
        case kinds.DictOf(inner):
            kinds.check_depth(depth, path)
            bases = None if isinstance(kinds.unwrapped(inner), kinds.Nested) else base
            return {"M": _encode_map(value, path, element(inner), encoding, bases, depth)}
        case kinds.SetOfText():
            return _encode_set(value, path, encoding)
        case kinds.Nested():
            kinds.check_depth(depth, path)
            return {"M": nested.encode(value, path, encoding, depth)}
    return encode_plain(value, path, encoding=encoding, base=base, depth=depth)


def misfits(
    kind: kinds.FieldKind, value: AttributeValue, path: str, nested: NestedCodec
) -> Iterator[InvalidRecordError]:
    """Return an error for every place of a given value that does not fit its kind."""
    match kind, value:
        case kinds.Optional(inner), _:
            if "NULL" not in value:
                yield from misfits(inner, value, path, nested)
        case kinds.ListOf(inner) | kinds.TupleOf(inner), {"L": members}:
            for index, member in enumerate(members):
                yield from misfits(inner, member, f"{path}[{index}]", nested)
        case kinds.DictOf(inner), {"M": members}:
            for name, member in members.items():
                yield from misfits(inner, member, f"{path}.{name}", nested)
        case kinds.Nested(payload_class), {"M": content}:
            yield from nested.misfits(payload_class, content, path)
        case _:
            try:
                decode(kind, value, path, nested)
            except Unfit as unfit:
                yield unfit.as_input()


class NestedCodec:
    """The codec of payloads, as the codec of single values calls it; `data.Origins` is one."""

    def of(self, payload: Any) -> Any:
        """Return the Origin of a payload, or None."""
        raise NotImplementedError

    def decode(self, payload_class: type, content: Item, path: str) -> Any:
        """Decode a nested payload. Raises Unfit."""
        raise NotImplementedError

    def misfits(
        self, payload_class: type, content: Item, path: str
    ) -> Iterator[InvalidRecordError]:
        """Return an error for every place of a given map that does not fit the class."""
        raise NotImplementedError

    def encode(self, value: Any, path: str, encoding: Encoding, depth: int) -> Item:
        """Encode a nested payload; its base is the map that it was read from."""
        raise NotImplementedError


def keep_form(
    base: AttributeValue | None,
    *,
    decode: Callable[[AttributeValue], Any],
    encode: Callable[[Any, Encoding, AttributeValue | None], AttributeValue],
    value: Any,
    encoding: Encoding,
) -> AttributeValue:
    """Keep the stored form if the value is unchanged; otherwise encode the value.

    Both are compared as they would be written, so that 1.50 is 1.5 and a date is its text. Members
    of maps and lists each keep their own form: comparing them whole at every level would double the
    encodings with each level.
    """
    if base is None or "M" in base or "L" in base:
        return encode(value, encoding, base)
    try:
        stored = encode(decode(base), EXACT, None)
    except (Unfit, InvalidRecordError):
        return encode(value, encoding, None)
    if encode(value, EXACT, None) == stored:
        return base
    return encode(value, encoding, base)


_WORDS = {
    "S": "text",
    "N": "a number",
    "B": "binary",
    "BOOL": "a bool",
    "NULL": "NULL",
    "M": "a map",
    "L": "a list",
    "SS": "a set of text",
    "NS": "a set of numbers",
    "BS": "a set of binary",
}


def kind_name(value: AttributeValue) -> str:
    """Return the type of a stored value in words."""
    return _WORDS.get(next(iter(value), ""), "nothing")


def _content(value: AttributeValue, tag: str, path: str) -> Any:
    if tag not in value:
        raise Unfit(path, f"is not {_WORDS[tag]} but {kind_name(value)}")
    return value[tag]


def _decode_scalar(scalar: Scalar, value: AttributeValue, path: str) -> Any:
    content = _content(value, scalar.tag, path)
    read = _parsed(scalar.read, content, scalar.tag, path)
    if read is None:
        raise Unfit(path, scalar.unfit)
    return read


_UNREADABLE = {"N": "is no number that DynamoDB can hold", "B": "is no base64 text"}


def _parsed(parse: Callable[[Any], Any], content: Any, tag: str, path: str) -> Any:
    try:
        return parse(content)
    except ValueError:  # it would show the content in the context of what is raised here
        pass
    raise Unfit(path, _UNREADABLE[tag])
