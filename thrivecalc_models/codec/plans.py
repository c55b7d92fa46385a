"""How to read and write each field of a payload class, determined once.

Most fields are text, amounts, dates, numbers and bools. Those are read and written without looking
at the kinds again; everything else uses the general code of `codec.values`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any

import attrs

from thrivecalc_models.codec.values import Encoding, number_form
from thrivecalc_models.payloads import Field, kinds
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, parse_date, parse_number
from thrivecalc_models.wire.numbers import ALWAYS_EXACT_DIGITS

Form = Callable[[Any, str, Encoding], AttributeValue]


@attrs.frozen(eq=False, repr=False)
class Scalar:
    """How a simple kind is stored: its type tag, and both ways.

    `read` gives None for what does not fit, unless all of that type `always_fits`, and the plain
    way then says why. Both ways stand here
    as source code, too: `reading` is what `read` makes of `stored`, or raises ValueError; `writing`
    is what `form` puts under the tag for `value`, `path` and `js_safe`.
    """

    tag: str
    read: Callable[[Any], Any]
    form: Form
    reading: str
    writing: str
    always_fits: bool = False

    @property
    def is_text(self) -> bool:
        return self.tag == "S" and self.always_fits


@attrs.frozen(eq=False, repr=False)
class FieldPlan:
    """How one field of a class is read and written; `path` is where it is at the top of `data`.

    `converted` says that whatever value it has was converted when it was set.
    """

    field: Field
    wire_name: str
    path: str
    scalar: Scalar | None
    converted: bool
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]


def field_plan(cls: type, field: Field, *, converted: bool) -> FieldPlan:
    kind = field.kind.kind if isinstance(field.kind, kinds.Optional) else field.kind
    return FieldPlan(
        field=field,
        wire_name=field.wire_name,
        path=f"{DATA}.{field.wire_name}",
        scalar=_SCALARS.get(type(kind)),
        converted=converted,
        get=attrgetter(field.name),
        put=_setter(cls, field.name),
    )


def _setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """How a field is set past attrs: through its slot."""
    slot = getattr(cls, name, None)
    if isinstance(slot, MemberDescriptorType):
        return slot.__set__
    # A class that came from another process by value (cloudpickle) has no slots.
    return lambda payload, value: object.__setattr__(payload, name, value)


def _same(value: Any) -> Any:
    return value


def whole(text: str) -> int | None:
    number = parse_number(text)  # of at most 126 digits, so that int() is quick
    return int(number) if number == number.to_integral_value() else None


def _text(value: Any, path: str, encoding: Encoding) -> AttributeValue:
    return {"S": value}


def _bool(value: Any, path: str, encoding: Encoding) -> AttributeValue:
    return {"BOOL": value}


def _date(value: Any, path: str, encoding: Encoding) -> AttributeValue:
    return {"S": value.isoformat()}


def _number(value: Any, path: str, encoding: Encoding) -> AttributeValue:
    return {"N": number_form(value, path, encoding)}


# As `number_text`, without calling it for the most common numbers.
_NUMBER = (
    f"text if len(text := str(value)) <= {ALWAYS_EXACT_DIGITS}"
    " and (text.isdigit() or is_canonical(text))"
    " else wire.number_text(value, path=path, js_safe=js_safe)"
)

# As `parse_number`, without calling it for the most common numbers.
_EXACT = (
    f"Decimal(stored) if len(stored) <= {ALWAYS_EXACT_DIGITS} and stored.isascii()"
    " and stored.replace('.', '', 1).isdigit()"
    " else wire.parse_number(stored)"
)

# As `parse_date`, without calling it for the form that all of ours have.
_DAY = (
    "date_of(stored) if len(stored) == 10 and stored[4] == stored[7] == '-' else parse_date(stored)"
)

_SCALARS: dict[type, Scalar] = {
    kinds.Text: Scalar("S", _same, _text, "stored", "value", always_fits=True),
    kinds.AmountKind: Scalar("N", parse_number, _number, _EXACT, _NUMBER, always_fits=True),
    kinds.Integer: Scalar("N", whole, _number, "whole(stored)", _NUMBER),
    kinds.Boolean: Scalar("BOOL", _same, _bool, "stored", "value", always_fits=True),
    kinds.Date: Scalar("S", parse_date, _date, _DAY, "value.isoformat()"),
}
