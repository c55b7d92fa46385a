"""`@payload`: attrs.define with the conventions of this table."""

from __future__ import annotations

import contextlib
import copy
import functools
import typing
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import attrs

from thrivecalc_models.payloads import kinds
from thrivecalc_models.payloads.kinds import Anything, Kind, Optional, kind_of
from thrivecalc_models.value import Value

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class Field(Value):
    """One field of a payload class: its two names, its kind, and its default.

    `required` fields have no default and do not take None. `default` makes the default value anew.
    """

    name: str
    wire_name: str
    kind: Kind
    required: bool
    default: Callable[[], Any]


@dataclass_transform(kw_only_default=True, field_specifiers=(attrs.field,))
def payload(cls: type[T]) -> type[T]:
    """Make an attrs class a payload class.

    Keyword-only, slotted, mutable, equal by value. Names are snake_case here and camelCase in the
    table. Each field takes what its annotation says (see the kinds) at construction and at
    assignment, and raises InvalidRecordError with `.path` for anything else. The repr shows no
    values. TypeError for an annotation that the table cannot hold, and for two fields that would
    have one name there.
    """
    cls.__repr__ = _repr  # type: ignore[method-assign]
    hints: dict[str, Any] = {}
    # An annotation may name a class that is defined further down: resolved at first use.
    with contextlib.suppress(NameError):
        hints = typing.get_type_hints(cls)
    made: type[T] = attrs.define(
        cls,
        kw_only=True,
        slots=True,
        repr=False,
        field_transformer=functools.partial(_with_conversion, hints),
    )
    if hints:
        _FIELDS[made] = _fields(made, hints)
    return made


def is_payload_class(candidate: Any) -> bool:
    """Whether `@payload` made this class."""
    return getattr(candidate, "__repr__", None) is _repr


def fields_of(cls: type) -> tuple[Field, ...]:
    """The fields of a payload class, in the order of their definition."""
    known = _FIELDS.get(cls)
    if known is None:
        known = _FIELDS[cls] = _fields(cls, typing.get_type_hints(cls))
    return known


_FIELDS: dict[type, tuple[Field, ...]] = {}


def _fields(cls: type, hints: dict[str, Any]) -> tuple[Field, ...]:
    fields = tuple(
        _field(attribute, hints[attribute.name])
        for attribute in attrs.fields(cls)
        if attribute.init
    )
    names = [field.wire_name for field in fields]
    if len(set(names)) < len(names):
        raise TypeError(f"two fields of {cls.__name__} have the same name in the table")
    return fields


def _field(attribute: attrs.Attribute[Any], annotation: Any) -> Field:
    kind = kind_of(annotation, is_payload_class)
    needs_value = attribute.default is attrs.NOTHING and not isinstance(kind, Optional | Anything)
    return Field(
        name=attribute.name,
        wire_name=camel_case(attribute.name),
        kind=kind,
        required=needs_value,
        default=_default(attribute.default, kind, camel_case(attribute.name)),
    )


def _default(default: Any, kind: Kind, wire_name: str) -> Callable[[], Any]:
    if default is attrs.NOTHING:
        return lambda: None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        if default.takes_self:
            raise TypeError(f"the default of {wire_name} cannot depend on the other fields")
        return typing.cast("Callable[[], Any]", default.factory)
    value = kind.convert(default, f"data.{wire_name}")
    return lambda: value


def camel_case(name: str) -> str:
    """`target_amount` is `targetAmount` in the table."""
    first, *others = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def _with_conversion(
    hints: dict[str, Any], cls: type, attributes: list[attrs.Attribute[Any]]
) -> list[attrs.Attribute[Any]]:
    return [
        attribute.evolve(
            converter=_conversion(attribute, hints),
            default=_own_default(attribute.default),
            alias=attribute.name,
        )
        for attribute in attributes
    ]


def _conversion(attribute: attrs.Attribute[Any], hints: dict[str, Any]) -> Any:
    """The field's own converter, if it has one, and then the one of its kind."""
    if _is_ours(attribute.converter):  # inherited from another payload class
        return attribute.converter
    ours: Any = _CONVERTER
    if attribute.name in hints:
        kind = kind_of(hints[attribute.name], is_payload_class)
        ours = kinds.converter(kind, f"data.{camel_case(attribute.name)}")
    if attribute.converter is None:
        return ours
    return attrs.converters.pipe(attribute.converter, ours)


def _is_ours(converter: Any) -> bool:
    return converter is _CONVERTER or getattr(converter, "__module__", "") == kinds.__name__


def has_plain_init(cls: type) -> bool:
    """Whether values that fit their fields can be set without `__init__`: nothing else happens."""
    hooks = ("__attrs_pre_init__", "__attrs_post_init__")
    return not any(hasattr(cls, hook) for hook in hooks) and all(
        _is_ours(attribute.converter) and attribute.validator is None and attribute.init
        for attribute in attrs.fields(cls)
    )


def _own_default(default: Any) -> Any:
    """A default such as `[]` anew for each payload: shared, it would carry data between users."""
    if isinstance(default, list | dict | set) or is_payload_class(type(default)):
        return attrs.Factory(functools.partial(copy.deepcopy, default))
    return default


def _convert(value: Any, instance: Any, attribute: attrs.Attribute[Any]) -> Any:
    cls = type(instance)
    if cls not in _CONVERSIONS:
        _CONVERSIONS[cls] = {
            field.name: (field.kind, f"data.{field.wire_name}") for field in fields_of(cls)
        }
    kind, path = _CONVERSIONS[cls][attribute.name]
    return kind.convert(value, path)


# For annotations that name a class which is defined further down.
_CONVERTER = attrs.Converter(_convert, takes_self=True, takes_field=True)

_CONVERSIONS: dict[type, dict[str, tuple[Kind, str]]] = {}


def _repr(self: object) -> str:
    return f"<{type(self).__name__}>"
