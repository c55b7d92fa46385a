"""`@payload`: attrs.define with the conventions of this table."""

from __future__ import annotations

import copy
import enum
import functools
import sys
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar, dataclass_transform
from uuid import UUID

import attrs

from thrivecalc_models.errors import InvalidRecordError, MissingFieldError
from thrivecalc_models.payloads import kinds
from thrivecalc_models.payloads.annotations import (
    Names,
    Undefined,
    kind_of_field,
    names_for,
    unresolved,
)
from thrivecalc_models.payloads.faults import OwnValidator, own_code, together
from thrivecalc_models.payloads.hooks import give_hooks
from thrivecalc_models.payloads.kinds import Anything, FieldKind, Optional
from thrivecalc_models.payloads.marks import defined, is_payload_class, mark, why_no_payload_class
from thrivecalc_models.payloads.origins import HIDDEN, declare_hidden, hide, inherit_origin
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import name_fault, plain_value

T = TypeVar("T")


@frozen
class Field:
    """One field of a payload class: its two names, its kind, and its default.

    `required` fields have no default and do not take None. `default` makes the default value anew,
    converted; it is None for a field that `has_default` says has none. `fixed_default` says that
    no function of the class's author makes it, so that it is always the same. `doc` is what the
    author says about it.
    """

    name: str
    wire_name: str
    kind: FieldKind
    required: bool
    default: Callable[[], Any]
    has_default: bool
    fixed_default: bool
    doc: str = ""


@attrs.frozen(eq=False, repr=False)
class _Words:
    """The arguments of `field` that attrs does not know, in an attribute's metadata."""

    stored_as: str | None
    doc: str


_WORDS = "thrivecalc_models.payloads.field"  # where an attribute's metadata holds _Words


def field(
    *,
    stored_as: str | None = None,
    doc: str = "",
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    metadata: Mapping[Any, Any] | None = None,
    **others: Any,
) -> Any:
    """Declare a field of a payload class: `attrs.field`, with a name in the table and a `doc`.

    `stored_as` is the name in the table, for one that is not the camelCase of the field's name;
    `doc` appears in the printed TypeScript and JSON Schema. All else is as in `attrs.field`.
    TypeError for a name that the table cannot hold.
    """
    if stored_as is not None:
        stored_as = _checked_name(stored_as)
    more = others if factory is None else others | {"factory": factory}
    words = _Words(stored_as, doc)
    of_attrs: Any = attrs.field  # whose overloads know no arguments that are handed on
    return of_attrs(default=default, metadata={**(metadata or {}), _WORDS: words}, **more)


def _checked_name(name: Any) -> str:
    text = plain_value(name)
    if type(text) is not str:
        raise TypeError(f"stored_as takes the text of a name, not {type(name).__name__}")
    fault = "has the name __proto__, which JavaScript takes for something else"
    fault = fault if text == "__proto__" else (name_fault(text) or "")
    if fault:
        raise TypeError(f"a field {fault}")
    return text


def _wire_name(attribute: attrs.Attribute[Any]) -> str:
    words: _Words | None = attribute.metadata.get(_WORDS)
    named = None if words is None else words.stored_as
    return camel_case(attribute.name) if named is None else named


@dataclass_transform(kw_only_default=True, field_specifiers=(attrs.field, field))
def payload(cls: type[T]) -> type[T]:
    """Make an attrs class a payload class.

    Keyword-only, slotted, mutable, equal by value. Names are snake_case here and camelCase in the
    table. Each field takes what its annotation says (see the kinds) at construction and at
    assignment, and raises InvalidRecordError with `.path` for anything else. The repr shows no
    values. TypeError for an annotation that the table cannot hold, and for two fields that would
    have one name there.
    """
    _check_undecorated(cls)
    own_state = not vars(cls).keys().isdisjoint(("__getstate__", "__setstate__"))
    declare_hidden(cls)
    cls.__repr__ = _repr  # type: ignore[method-assign]
    frame = sys._getframe(1)
    inner = {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
    made: type[T] = attrs.define(
        cls,
        kw_only=True,
        slots=True,
        repr=False,
        field_transformer=functools.partial(_with_conversion, inner),
    )
    made.__init__ = _telling_all(made.__init__)  # type: ignore[method-assign]  # as attrs wrote it
    hide(made, own_state=own_state)
    made.__setstate__ = _filling_in(made.__setstate__)  # type: ignore[attr-defined]
    made.__getattr__ = _naming_missing(getattr(made, "__getattr__", None))  # type: ignore[attr-defined]
    mark(made)
    give_hooks(made)
    for name in ("__attrs_pre_init__", "__attrs_post_init__"):
        hook = getattr(made, name, None)
        if hook is not None:
            setattr(made, name, _copying_what_it_sets(hook))
    inner[made.__name__] = made  # which may hold others of its class
    try:
        _keep_fields(made, _fields(made, inner))
    except Undefined:  # a name that is defined further down, perhaps
        _INNER_NAMES[made] = inner
    defined(made)
    return made


def _check_undecorated(cls: type) -> None:
    for mark_of_other, decorator in (
        ("__attrs_attrs__", "attrs.define"),
        ("__dataclass_fields__", "dataclass"),
    ):
        if mark_of_other in vars(cls):
            other = "payload" if is_payload_class(cls) else decorator
            raise TypeError(
                f"{cls.__name__} is decorated with @{other} already; @payload makes an attrs class"
                " itself, so use it once and alone"
            )


def _telling_all(init: Callable[..., None]) -> Any:
    """Return an `__init__` whose error names every field that is wrong."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **given: Any) -> None:
        try:
            init(self, *args, **given)
        except InvalidRecordError as error:
            first = error.with_traceback(None)
        else:
            inherit_origin(self, 2)
            return
        raise together(_faults(self, given) or [first])

    return __init__


def _faults(instance: Any, given: dict[str, Any]) -> list[InvalidRecordError]:
    """Return the errors of all given fields. Validators run on those that could be converted."""
    errors: list[InvalidRecordError] = []
    attributes = [each for each in attrs.fields(type(instance)) if each.name in given]
    converted = []
    for attribute in attributes:
        convert = _taking_instance(attribute.converter)
        try:
            value = convert(given[attribute.name], instance, attribute)
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
        else:
            object.__setattr__(instance, attribute.name, value)
            converted.append((attribute, value))
    whole = not errors
    for attribute, value in converted:
        if attribute.validator is not None:
            try:
                attribute.validator(instance, attribute, value)
            except InvalidRecordError as error:
                if whole or not isinstance(error.__cause__, AttributeError):  # of another field
                    errors.append(error.with_traceback(None))
    return errors


def _filling_in(setstate: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return a `__setstate__` that sets fields which the pickle does not have to their default."""

    @functools.wraps(setstate)
    def __setstate__(self: Any, state: Any) -> None:
        setstate(self, state)
        for field in fields_of(type(self)):
            if not field.required and not _is_set(self, field.name):
                object.__setattr__(self, field.name, field.default())

    return __setstate__


def _is_set(instance: Any, name: str) -> bool:
    try:
        object.__getattribute__(instance, name)
    except AttributeError:
        return False
    return True


def _naming_missing(getattr_of_class: Callable[[Any, str], Any] | None) -> Any:
    """Return a `__getattr__`, which Python calls for missing attributes, that names the field."""

    def __getattr__(self: Any, name: str) -> Any:
        fields = {each.name: each for each in attrs.fields(type(self)) if each.init}
        if name in fields:
            path = f"data.{_wire_name(fields[name])}"
            raise MissingFieldError(f"{path} is missing, but required; give it a value", path=path)
        if getattr_of_class is not None:
            return getattr_of_class(self, name)
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
        )

    return __getattr__


def _copying_what_it_sets(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook of `__init__` whose values are copied, as it may set one object each time."""

    @functools.wraps(hook)
    def called(self: Any, *args: Any, **given: Any) -> None:
        names = [attribute.name for attribute in attrs.fields(type(self)) if attribute.init]
        before = [getattr(self, name) for name in names if _is_set(self, name)]
        kept = _payloads_within(before)
        own_code("data", hook, self, *args, **given)
        for name in names:
            value = getattr(self, name) if _is_set(self, name) else None
            if not isinstance(value, _IMMUTABLE):
                object.__setattr__(self, name, _apart(value, kept))

    return called


def _apart(value: Any, kept: dict[int, Any]) -> Any:
    """Copy a value deeply, except the payloads in `kept`, by their id."""
    return copy.deepcopy(value, dict(kept))


def _payloads_within(value: Any) -> dict[int, Any]:
    """Return the payloads that a value is or holds, by their id."""
    found: dict[int, Any] = {}
    _collect(value, found, set())
    return found


def _collect(value: Any, found: dict[int, Any], seen: set[int]) -> None:
    if id(value) in seen:
        return
    if isinstance(value, dict):
        inner: Any = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    elif is_payload_class(type(value)):
        found[id(value)] = value
        inner = [getattr(value, each.name) for each in attrs.fields(type(value))]
    else:
        return
    seen.add(id(value))
    for each in inner:
        _collect(each, found, seen)


def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the fields of a payload class, in the order of their definition.

    Raises ConfigurationError for an annotation whose names are still not defined.
    """
    known = _known_fields(cls)
    if known is None:
        known = _keep_fields(cls, _late_fields(cls))
        _INNER_NAMES.pop(cls, None)
    return known


_FIELDS = "__thrivecalc_fields__"


def _known_fields(cls: type) -> tuple[Field, ...] | None:
    """Return the fields, kept in the class itself, which cloudpickle may send by value."""
    return vars(cls).get(_FIELDS)


def _keep_fields(cls: type, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    setattr(cls, _FIELDS, fields)
    return fields


_INNER_NAMES: dict[type, Names] = {}
"""By class, the local names of the function that defined it before its annotations were defined."""


def _fields(cls: type, inner: Names) -> tuple[Field, ...]:
    """Return the fields of a class. Raises Undefined for an annotation that is not defined yet."""
    found = tuple(
        _field(attribute, _kind_of(cls, attribute, inner))
        for attribute in attrs.fields(cls)
        if attribute.init
    )
    names = [field.wire_name for field in found]
    if len(set(names)) < len(names):
        raise TypeError(f"two fields of {cls.__name__} have the same name in the table")
    return found


def _kind_of(cls: type, attribute: attrs.Attribute[Any], inner: Names) -> FieldKind:
    """Return the kind of an attribute, inherited or its own. Raises Undefined."""
    owner = _owner(cls, attribute)
    known = {field.name: field.kind for field in _known_fields(owner) or ()}
    if attribute.name in known:
        return known[attribute.name]
    return kind_of_field(owner, attribute, names_for(owner, inner | _INNER_NAMES.get(owner, {})))


def _owner(cls: type, attribute: attrs.Attribute[Any]) -> type:
    """Return the class that defines an attribute, which `cls` may inherit."""

    def inherits(base: type, name: str) -> bool:
        own = {each.name: each for each in vars(base).get("__attrs_attrs__", ())}
        return name not in own or own[name].inherited

    if not attribute.inherited:  # type: ignore[attr-defined]  # attrs' stubs do not know it
        return cls
    return next(base for base in cls.__mro__[1:] if not inherits(base, attribute.name))


def _late_fields(cls: type) -> tuple[Field, ...]:
    if not is_payload_class(cls):
        raise TypeError(why_no_payload_class(cls))
    try:
        return _fields(cls, _INNER_NAMES.get(cls, {}))
    except Undefined as error:
        undefined = error
    raise unresolved(undefined)


def _field(attribute: attrs.Attribute[Any], kind: FieldKind) -> Field:
    written = _as_written(attribute)
    has_default = written.default is not attrs.NOTHING
    return Field(
        name=attribute.name,
        wire_name=_wire_name(attribute),
        kind=kind,
        required=not has_default and not isinstance(kind, Optional | Anything),
        default=_default_maker(attribute, kind) if has_default else _none,
        has_default=has_default,
        fixed_default=has_default and _is_fixed(written),
        doc=attribute.metadata[_WORDS].doc if _WORDS in attribute.metadata else "",
    )


def _none() -> None:
    return None


def _default_maker(attribute: attrs.Attribute[Any], kind: FieldKind) -> Callable[[], Any]:
    """Return a function that makes the default as `__init__` makes it, anew at each call."""
    path = f"data.{_wire_name(attribute)}"
    default, own = attribute.default, _as_written(attribute).converter
    if isinstance(own, attrs.Converter):  # may need the instance
        return lambda: _raw_default(default)
    if own is not None:
        return lambda: kind.convert(_apart(own(_raw_default(default)), {}), path)
    if _is_factory(default):
        if not _is_factory(_as_written(attribute).default):
            kind.convert(_raw_default(default), path)  # refused at the definition, if at all
        return lambda: kind.convert(_raw_default(default), path)
    value = kind.convert(default, path)
    return lambda: value


def _raw_default(default: Any) -> Any:
    return default.factory() if _is_factory(default) else default


def _is_factory(default: Any) -> bool:
    return isinstance(default, attrs.Factory)  # type: ignore[arg-type]  # a class at run time


def _is_fixed(written: _Written) -> bool:
    if written.converter is not None:
        return False
    default = written.default
    return not _is_factory(default) or default.factory in _EMPTY


_EMPTY = (list, dict, set, tuple)


def camel_case(name: str) -> str:
    """`target_amount` is `targetAmount` in the table."""
    first, *others = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


@attrs.frozen(eq=False, repr=False)
class _Written:
    """What the author of a class wrote for a field, before `@payload` added its own."""

    converter: Any
    default: Any


_WRITTEN = "thrivecalc_models.payloads"  # where an attribute's metadata holds a _Written


def _as_written(attribute: attrs.Attribute[Any]) -> _Written:
    written: _Written = attribute.metadata[_WRITTEN]
    return written


def _with_conversion(
    inner: Names, cls: type, attributes: list[attrs.Attribute[Any]]
) -> list[attrs.Attribute[Any]]:
    return [
        attribute  # inherited from another payload class, or one of ours
        if _WRITTEN in attribute.metadata or attribute.name in HIDDEN
        else attribute.evolve(
            converter=_conversion(cls, attribute, inner),
            validator=_own_validator(attribute),
            default=_unshared_default(attribute),
            alias=attribute.name,
            metadata={
                **attribute.metadata,
                _WRITTEN: _Written(attribute.converter, attribute.default),
            },
        )
        for attribute in attributes
    ]


def _own_validator(attribute: attrs.Attribute[Any]) -> OwnValidator | None:
    if attribute.validator is None:
        return None
    return OwnValidator(attribute.validator, f"data.{_wire_name(attribute)}")


def _conversion(cls: type, attribute: attrs.Attribute[Any], inner: Names) -> Any:
    """Return the converter of a field: its own, if it has one, and then the one of its kind."""
    ours: Any
    try:
        kind = _kind_of(cls, attribute, inner)
    except Undefined:
        ours = _CONVERTER
    else:
        ours = kinds.converter(kind, f"data.{_wire_name(attribute)}")
    if attribute.converter is None:
        return ours
    return _copying(attribute.converter, ours)


def _copying(own: Any, ours: Any) -> Any:
    """Return a converter that calls both, the second with a copy of the first one's result.

    That result may be one object for payloads of several users.
    """
    first, second = _taking_instance(own), _taking_instance(ours)

    def convert(value: Any, instance: Any, attribute: attrs.Attribute[Any]) -> Any:
        kept = _payloads_within(value)
        path = f"data.{_wire_name(attribute)}"
        made = _apart(own_code(path, first, value, instance, attribute), kept)
        return second(made, instance, attribute)

    return attrs.Converter(kinds.taking_anything(convert), takes_self=True, takes_field=True)


def _taking_instance(converter: Any) -> Callable[[Any, Any, attrs.Attribute[Any]], Any]:
    if isinstance(converter, attrs.Converter):
        return lambda value, instance, attribute: converter(value, instance, attribute)  # type: ignore[operator]  # a slot
    return lambda value, instance, attribute: converter(value)


def has_plain_init(cls: type) -> bool:
    """Return whether fields can be set without `__init__`, as it would only convert them."""
    hooks = ("__attrs_pre_init__", "__attrs_post_init__")
    return not any(hasattr(cls, hook) for hook in hooks) and all(
        _as_written(attribute).converter is None and attribute.validator is None and attribute.init
        for attribute in attrs.fields(cls)
    )


def converts_on_setting(cls: type) -> list[str]:
    """Return the fields whose values are converted whenever they are set."""
    if not vars(cls).get("__attrs_own_setattr__"):
        return []  # a `__setattr__` of the class's author
    fields = attrs.fields(cls)
    return [attribute.name for attribute in fields if attribute.on_setattr is None]


_IMMUTABLE = (
    *(type(None), str, int, float, Decimal, bytes, enum.Enum),
    *(date, time, timedelta, UUID),
)


def _unshared_default(attribute: attrs.Attribute[Any]) -> Any:
    """Return the default, made anew for each payload if it can change.

    A shared one would carry data between users.
    """
    default = attribute.default
    if default is attrs.NOTHING or isinstance(default, _IMMUTABLE):
        return default
    if isinstance(default, memoryview):
        return bytes(default)
    if not _is_factory(default):
        return attrs.Factory(functools.partial(copy.deepcopy, default))
    if default.takes_self:
        wire_name = _wire_name(attribute)
        raise TypeError(f"the default of {wire_name} cannot depend on the other fields")
    factory = default.factory
    if factory in _EMPTY:
        return default
    path = f"data.{_wire_name(attribute)}"
    return attrs.Factory(lambda: copy.deepcopy(own_code(path, factory)))


def _convert(value: Any, instance: Any, attribute: attrs.Attribute[Any]) -> Any:
    cls = type(instance)
    if cls not in _CONVERSIONS:
        _CONVERSIONS[cls] = {
            field.name: (field.kind, f"data.{field.wire_name}") for field in fields_of(cls)
        }
    if attribute.name not in _CONVERSIONS[cls]:  # one that is not stored
        return value
    kind, path = _CONVERSIONS[cls][attribute.name]
    return kind.convert(value, path)


# For annotations that name a class which is defined further down.
_CONVERTER = attrs.Converter(kinds.taking_anything(_convert), takes_self=True, takes_field=True)

_CONVERSIONS: dict[type, dict[str, tuple[FieldKind, str]]] = {}


def _repr(self: object) -> str:
    return f"<{type(self).__name__}>"
