"""Paths into stored attributes, and the conditions and update actions that callers build on them.

A path knows the kind of what is declared there. A condition is checked against it while it is
built: DynamoDB would accept most wrong ones and find nothing.
"""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import (
    BeginsWith,
    Between,
    Comparison,
    Contains,
    Exists,
    In,
    IsType,
    NotExists,
)
from pynamodb.expressions.condition import Condition as PynamoCondition
from pynamodb.expressions.operand import Path, Value, _Decrement, _Increment, _Operand
from pynamodb.expressions.update import RemoveAction, SetAction

from thrivecalc_models.codec import Origins, encode_data, encode_plain, kind_below, scalar_of
from thrivecalc_models.codec.numbers import EXACT
from thrivecalc_models.codec.values import encode
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import FieldKind, fields_of, is_payload, kinds
from thrivecalc_models.value import even_half_made, frozen
from thrivecalc_models.wire import (
    AttributeValue,
    format_timestamp,
    parse_number,
    plain_value,
    with_bytes,
)

MAX_CHOICES = 100
"""Values that `IN` takes. Source: "Comparison operator and function reference", Developer Guide."""

if TYPE_CHECKING:

    class Condition(Comparison, Between, In, Exists, NotExists, IsType, BeginsWith, Contains):
        """One of PynamoDB's conditions, whose operators are untyped there."""

        def __and__(self, other: PynamoCondition) -> Condition: ...
        def __or__(self, other: PynamoCondition) -> Condition: ...
        def __invert__(self) -> Condition: ...

else:
    Condition = PynamoCondition


class ValueRules(Protocol):
    """What may be compared with an attribute, and how a value of it is stored."""

    @property
    def tag(self) -> str | None:
        """The type under which it is stored; None if that is not known."""

    @property
    def ordered(self) -> bool:
        """Whether the order of what is stored is that of the values."""

    @property
    def parts(self) -> FieldKind | None:
        """What `contains` looks for; None where it means nothing."""

    def form(self, value: Any, path: str) -> AttributeValue:
        """Return a value as it is stored, in botocore's form. Raises InvalidRecordError."""


@frozen
class _KindRules:
    """The rules of a declared field, which follow from its kind."""

    kind: FieldKind

    @property
    def tag(self) -> str | None:
        match self.kind:
            case kinds.ListOf() | kinds.TupleOf():
                return "L"
            case kinds.SetOfText():
                return "SS"
            case kinds.DictOf() | kinds.Nested():
                return "M"
        scalar = scalar_of(self.kind)
        return None if scalar is None else scalar.tag

    @property
    def ordered(self) -> bool:
        return isinstance(self.kind, _ORDERED_KINDS)

    @property
    def parts(self) -> FieldKind | None:
        match self.kind:
            case kinds.ListOf(element) | kinds.TupleOf(element):
                return kinds.unwrapped(element)
            case kinds.SetOfText():
                return kinds.Text()
            case kinds.Text() | kinds.Binary() | kinds.Anything():
                return self.kind
        return None

    def form(self, value: Any, path: str) -> AttributeValue:
        if isinstance(self.kind, kinds.Anything):
            return encode_value(value, path)
        converted = self.kind.convert(value, path)
        form = encode(self.kind, converted, path, Origins(), encoding=EXACT)
        return cast("AttributeValue", with_bytes(form))


_ORDERED_KINDS = (
    kinds.Text,
    kinds.Integer,
    kinds.AmountKind,
    kinds.Float,
    kinds.Date,
    kinds.TimeOfDay,
    kinds.DateTime,
    kinds.Binary,
    kinds.Anything,
)


def rules_of(kind: FieldKind | None) -> ValueRules:
    """Return the rules of a kind; of a path where nothing is declared, those of any value."""
    return _KindRules(kinds.Anything() if kind is None else kinds.unwrapped(kind))


class StoredPath(Path):
    """A path into stored attributes: conditions on it, paths below it, and update actions.

    `SavingsGoal.data.target_amount` has the Python name of a field, and takes in conditions and
    actions what the field takes. `path["name"]` has the name in the table: of a field that is
    called like a method of PynamoDB's paths, of what is undeclared, of a key of a dict. `path[0]`
    is an element of a list.

    A condition that means nothing for the field is an InvalidRecordError with `.path`. It is about
    what is stored: an absent field has no default there.
    """

    def __init__(
        self,
        path: Any,
        kind: FieldKind | None = None,
        *,
        rules: ValueRules | None = None,
        by_field: bool = False,
    ) -> None:
        super().__init__(path)
        self._kind = kind
        self._rules = rules_of(kind) if rules is None else rules
        # An action on a path by stored names is checked when it is sent, as PynamoDB's own.
        self._by_field = by_field

    @even_half_made
    def __repr__(self) -> str:
        return super().__repr__()

    def __getattr__(self, name: str) -> StoredPath:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return field_path(self, self._kind, name)

    def __getitem__(self, item: int | str) -> StoredPath:
        item = plain_value(item)
        if isinstance(item, str) and not {"[", "]"}.isdisjoint(item):
            self._refuse("PynamoDB takes a bracket in a name for a position in a list")
        kind = kind_below(self._kind, item, self._at)
        if self._by_field:
            _check_step(self._kind, item, self._at)
        path = super().__getitem__(item).path
        return StoredPath(path, kind, by_field=self._by_field and kind is not None)

    @property
    def _at(self) -> str:
        return ".".join(self.path)

    # --- conditions -------------------------------------------------------------------------------

    def __eq__(self, other: Any) -> Condition:  # type: ignore[override]
        return self.compared("=", other)

    def __ne__(self, other: Any) -> Condition:  # type: ignore[override]
        return self.compared("<>", other)

    def __lt__(self, other: Any) -> Condition:
        return self.compared("<", other)

    def __le__(self, other: Any) -> Condition:
        return self.compared("<=", other)

    def __gt__(self, other: Any) -> Condition:
        return self.compared(">", other)

    def __ge__(self, other: Any) -> Condition:
        return self.compared(">=", other)

    def between(self, lower: Any, upper: Any) -> Condition:
        """The value is one of the bounds or between them."""
        self._check_order("between")
        bounds = self._operand(lower), self._operand(upper)
        for bound in bounds:
            self._check_ordered(bound, "between")
        _check_bounds(*bounds, self._at)
        return _made(Between, self, *bounds)

    def is_in(self, *values: Any) -> Condition:
        """The value is one of these, which are 1 to 100."""
        self._check_equality("is_in")
        if not 1 <= len(values) <= MAX_CHOICES:
            self._refuse(f"is_in takes 1 to {MAX_CHOICES} values, not {len(values)}")
        return _made(In, self, *map(self._operand, values))

    def exists(self) -> Condition:
        """Something is stored, NULL included."""
        return _made(Exists, self)

    def does_not_exist(self) -> Condition:
        """Nothing is stored."""
        return _made(NotExists, self)

    def is_type(self, attr_type: str) -> Condition:
        """What is stored is of this type of DynamoDB's, such as "N"."""
        if attr_type not in _CONTENTS:
            self._refuse("is_type takes a type of DynamoDB's, such as 'N'")
        return _made(IsType, self, Value(attr_type))

    def startswith(self, prefix: Any) -> Condition:
        """The stored text, or binary, begins with this."""
        if self._rules.tag not in (None, "S", "B"):
            self._refuse(f"startswith means nothing for {_words(self._rules.tag)}")
        if isinstance(prefix, _Operand | Attribute):
            return _made(BeginsWith, self, self._operand(prefix))
        binary = self._rules.tag == "B" or (
            self._rules.tag is None and isinstance(prefix, bytes | bytearray)
        )
        rules = rules_of(kinds.Binary() if binary else kinds.Text())
        return _made(BeginsWith, self, Value(rules.form(prefix, self._at)))

    def contains(self, item: Any) -> Condition:
        """The stored text has this part, or the list or set this element."""
        if self._rules.parts is None:
            self._refuse(f"contains means nothing for {_words(self._rules.tag)}")
        if isinstance(item, _Operand | Attribute):
            return _made(Contains, self, self._operand(item))
        if item is None and self._rules.tag is not None:
            self._refuse_none()
        part = rules_of(self._rules.parts).form(item, self._at)
        return _made(Contains, self, Value(part))

    def compared(self, operator: str, other: Any) -> Condition:
        """Return the condition of an operator of DynamoDB's: "=", "<>", "<", "<=", ">" or ">="."""
        written = {"=": "==", "<>": "!="}.get(operator, operator)
        if operator in ("=", "<>"):
            self._check_equality(written)
            operand = self._operand(other)
        else:
            self._check_order(written)
            operand = self._operand(other)
            self._check_ordered(operand, written)
        return _made(Comparison, operator, self, operand)

    def _operand(self, given: Any) -> Any:
        """Return the other side of a condition. A value is converted and checked as the field's."""
        other = path_of(given)
        if isinstance(other, Path):
            tag = other._rules.tag if isinstance(other, StoredPath) else None
            if other.path == self.path:
                self._refuse("it is compared with itself; name another field or give a value")
            if None not in (tag, self._rules.tag) and tag != self._rules.tag:
                self._refuse(f"it is {_words(self._rules.tag)}, {_text(other)} {_words(tag)}")
            return other
        if isinstance(other, _Operand):
            return other
        if other is None and self._rules.tag is not None:
            self._refuse_none()
        if not self._by_field and _is_form(other) and self._rules.tag != "M":
            return Value(other)
        return Value(self._rules.form(other, self._at))

    def _check_equality(self, operator: str) -> None:
        if self._rules.tag == "L":
            self._refuse(f"{operator} means nothing for a list; use contains or exists")

    def _check_order(self, operator: str) -> None:
        if not self._rules.ordered:
            self._refuse(f"{operator} means nothing for {_words(self._rules.tag)}")

    def _check_ordered(self, operand: Any, operator: str) -> None:
        if isinstance(operand, Value) and operand.attr_type not in _ORDERED:
            self._refuse(f"{operator} means nothing for {_words(operand.attr_type)}")

    def _refuse(self, problem: str) -> NoReturn:
        raise InvalidRecordError(f"{self._at}: {problem}", path=self._at)

    def _refuse_none(self) -> NoReturn:
        self._refuse(
            "None is not stored; use does_not_exist(), and is_type('NULL') for the NULL that"
            " others store"
        )

    # --- update actions ---------------------------------------------------------------------------

    def __add__(self, other: Any) -> _Increment:
        self._check_number("+")
        return _Increment(self, self._to_operand(path_of(other)))

    def __radd__(self, other: Any) -> _Increment:
        self._check_number("+")
        return _Increment(self._to_operand(path_of(other)), self)

    def __sub__(self, other: Any) -> _Decrement:
        self._check_number("-")
        return _Decrement(self, self._to_operand(path_of(other)))

    def __rsub__(self, other: Any) -> _Decrement:
        self._check_number("-")
        return _Decrement(self._to_operand(path_of(other)), self)

    def set(self, value: Any) -> SetAction | RemoveAction:
        """Return the action that sets it. None removes a field that may be absent."""
        if self._by_field and value is None and isinstance(self._kind, kinds.Optional):
            return self.remove()
        return super().set(path_of(value))

    def _to_value(self, value: Any) -> Value:
        """Return the value of an action."""
        if self._by_field:
            return Value(self._rules.form(value, self._at))
        return Value(encode_value(value, self._at))

    def _check_number(self, operator: str) -> None:
        if self._by_field and self._rules.tag not in (None, "N"):
            self._refuse(f"{operator} means nothing for {_words(self._rules.tag)}")


def _made(condition: Any, *operands: Any) -> Condition:
    return cast("Condition", condition(*operands))


def field_path(above: Path, kind: FieldKind | None, name: str) -> StoredPath:
    """Return the path of a field by its Python name, below a path of a kind.

    Raises AttributeError, with the nearest name, where no such field is declared.
    """
    inner = None if kind is None else kinds.unwrapped(kind)
    if not isinstance(inner, kinds.Nested):
        raise AttributeError(
            f"{_text(above)} declares no fields; write [{name!r}], with the name in the table"
        )
    declared = fields_of(inner.payload_class)
    for field in declared:
        if field.name == name:
            return StoredPath([*above.path, field.wire_name], field.kind, by_field=True)
    spellings = {
        spelling: each.name for each in declared for spelling in (each.wire_name, each.name)
    }
    nearest = difflib.get_close_matches(name, spellings, n=1, cutoff=0.6)
    meant = f"; its nearest field is {spellings[nearest[0]]}" if nearest else ""
    raise AttributeError(f"{inner.payload_class.__name__} has no field {name!r}{meant}")


def path_of(operand: Any) -> Any:
    """Return the path of an attribute; all else as it is."""
    if isinstance(operand, Attribute):
        own = getattr(operand, "_path", None)
        return Path(operand) if own is None else own
    return operand


def _check_step(kind: FieldKind | None, item: int | str, path: str) -> None:
    """Refuse a step that a declared kind does not have: a name in a list, anything in a text."""
    inner = None if kind is None else kinds.unwrapped(kind)
    at = f"{path}[{item}]" if isinstance(item, int) else f"{path}.{item}"
    match inner:
        case None | kinds.Anything():
            return
        case kinds.ListOf() | kinds.TupleOf():
            fits, wanted = isinstance(item, int) and item >= 0, "a list: give a position from 0"
        case kinds.DictOf() | kinds.Nested():
            fits, wanted = isinstance(item, str), "a map: give a name"
        case _:
            fits, wanted = False, _words(rules_of(inner).tag) + ", and has nothing in it"
    if not fits:
        raise InvalidRecordError(f"{path} is {wanted}", path=at)


def _check_bounds(lower: Any, upper: Any, path: str) -> None:
    if not isinstance(lower, Value) or not isinstance(upper, Value):
        return
    if lower.attr_type != upper.attr_type:
        raise InvalidRecordError(f"{path}: between takes two bounds of one type", path=path)
    low, high = lower.value[lower.attr_type], upper.value[upper.attr_type]
    if lower.attr_type == "N":
        low, high = parse_number(low), parse_number(high)
    if low > high:  # text by its code points, which is by its bytes in UTF-8
        raise InvalidRecordError(
            f"{path}: the lower bound of between is above the upper one; exchange them", path=path
        )


_ORDERED = ("S", "N", "B")
_WORDS = {
    "S": "text",
    "N": "a number",
    "B": "binary",
    "BOOL": "a bool",
    "NULL": "None",
    "M": "a map",
    "L": "a list",
    "SS": "a set",
    "NS": "a set",
    "BS": "a set",
}


def _words(tag: str | None) -> str:
    return _WORDS.get(tag or "", "this")


def _text(path: Path) -> str:
    return ".".join(path.path)


def encode_value(value: Any, path: str) -> AttributeValue:
    """Encode a value of a condition or an update action in botocore's form, with binary as bytes.

    A condition takes any number of DynamoDB's; the numbers of an update are checked when it is
    sent.
    """
    value = plain_value(value)
    if isinstance(value, datetime):
        return {"S": format_timestamp(value)}
    if hasattr(value, "isoformat"):
        return {"S": value.isoformat()}
    if is_payload(value, path):
        content = encode_data(value, {}, None, Origins(), EXACT)
        return cast("AttributeValue", with_bytes({"M": content}))
    if _is_form(value):
        return cast("AttributeValue", value)
    return cast("AttributeValue", with_bytes(encode_plain(value, path, encoding=EXACT)))


_CONTENTS: dict[str, tuple[type, ...]] = {
    "S": (str,),
    "N": (str,),
    "B": (str, bytes),
    "SS": (list, set),
    "NS": (list, set),
    "BS": (list, set),
    "M": (dict,),
    "L": (list,),
    "BOOL": (bool,),
    "NULL": (bool,),
}


def _is_form(value: Any) -> bool:
    """Whether a value is in DynamoDB's JSON already, which PynamoDB lets callers write."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((tag, content),) = value.items()
    return isinstance(content, _CONTENTS.get(tag, ()))
