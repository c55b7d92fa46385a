"""The origin of a payload: the stored map that it was read from, with undeclared attributes.

It belongs to the payload object. It stays with the object when that is moved, copied, deep-copied,
pickled or evolved. It is not visible from outside: not in `attrs.fields`, `asdict` or `==`.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import attrs

from thrivecalc_models.payloads.marks import is_payload_class

ORIGIN = "__thrivecalc_origin__"
OWNER = "__thrivecalc_owner__"
HIDDEN = (ORIGIN, OWNER)

StoredMap = dict[str, Any]


@attrs.frozen(eq=False, repr=False)
class Origin:
    """The stored map that a payload was read from, its user, and the values made by reading it.

    `made` is None for a class whose fields read alike each time. Otherwise it has, by wire name,
    the form in which each field would have been written right after reading, or the message of its
    refusal. So the result of a factory, converter, validator or hook of the class is not an edit.
    `nested` is False for the whole data of a record, whose undeclared attributes belong to the
    record and not to the payload. The maps are never changed.
    """

    user_id: str | None
    content: StoredMap
    made: StoredMap | None = None
    nested: bool = True

    def __copy__(self) -> Origin:
        return self

    def __deepcopy__(self, memo: object) -> Origin:
        return self

    def __repr__(self) -> str:
        return "<Origin>"


def origin_of(payload: Any) -> Origin | None:
    """Return the origin of a payload, None for one that was not read."""
    origin: Origin | None = _hidden(payload, ORIGIN)
    return origin


def set_origin(payload: Any, origin: Origin | None) -> None:
    """Set the origin of a payload, past the conversion of its fields."""
    object.__setattr__(payload, ORIGIN, origin)


def owner_of(payload: Any) -> int | None:
    """Return the `id` of the state of the record whose data a payload is, or was."""
    owner: int | None = _hidden(payload, OWNER)
    return owner


def set_owner(payload: Any, owner: int) -> None:
    """Set the `id` of the state of the record whose data a payload is."""
    object.__setattr__(payload, OWNER, owner)


def take(payload: Any, owner: int) -> None:
    """Make a record the owner of a payload and of the payloads within it.

    A nested payload that another record owns is replaced by a copy.
    """
    waiting, entered = [payload], set()  # one by one: a container may be in itself, or very deep
    while waiting:
        holder = waiting.pop()
        if id(holder) in entered:
            continue
        entered.add(id(holder))
        for name, value in _members(holder):
            own = _owned(value, owner)
            if own is not value:
                _replace(holder, name, own)
            waiting.append(own)
    set_owner(payload, owner)


def _owned(value: Any, owner: int, depth: int = 0) -> Any:
    """Return a payload with its owner, or a copy if it has another one; in tuples too."""
    if is_payload_class(type(value)):
        own = value if owner_of(value) in (None, owner) else copied(value)
        set_owner(own, owner)
        return own
    if type(value) is tuple and depth <= _DEEPER_THAN_STORED:
        members = tuple(_owned(inner, owner, depth + 1) for inner in value)
        same = all(one is other for one, other in zip(value, members, strict=True))
        return value if same else members
    return value


def _members(holder: Any) -> list[tuple[Any, Any]]:
    """Return the fields of a payload or the members of a list or dict, by name or index."""
    match holder:
        case list() | tuple():
            return list(enumerate(holder))
        case dict():
            return list(holder.items())
        case _ if is_payload_class(type(holder)):
            names = [attribute.name for attribute in attrs.fields(type(holder))]
            return [(name, _hidden(holder, name)) for name in names]
    return []


def _replace(holder: Any, name: Any, value: Any) -> None:
    if isinstance(holder, list | dict):
        holder[name] = value
    elif not isinstance(holder, tuple):  # one nested deeper than is ever stored
        object.__setattr__(holder, name, value)


def _hidden(payload: Any, name: str) -> Any:
    try:
        return object.__getattribute__(payload, name)  # a class may have a __getattr__
    except AttributeError:
        return None


# --- hooks of a payload class ---------------------------------------------------------------------


def declare_hidden(cls: type) -> None:
    """Give a class, before attrs makes it, the slots for what its instances hide."""
    for name in HIDDEN:
        setattr(cls, name, attrs.field(init=False, default=None, eq=False, repr=False))
        cls.__annotations__[name] = Any


def hide(made: type, *, own_state: bool) -> None:
    """Remove the hidden fields from the attrs fields of a class, and let copies carry the origin.

    A class with `own_state`, methods of its own for copying and pickling, keeps those.
    """
    fields = made.__attrs_attrs__  # type: ignore[attr-defined]  # an attrs class
    shown = [attribute for attribute in fields if attribute.name not in HIDDEN]
    made.__attrs_attrs__ = type(fields)(shown)  # type: ignore[attr-defined]
    for name in HIDDEN:
        made.__annotations__.pop(name, None)
    if own_state:
        return
    hooks = {"__getstate__": _state_of, "__setstate__": _set_state}
    for name, hook in hooks.items():
        setattr(made, name, hook)


def _state_of(payload: Any) -> dict[str, Any]:
    """Return the state for `copy` and `pickle`: the fields, and the origin if there is one."""
    names = [attribute.name for attribute in attrs.fields(type(payload))]
    state = {name: getattr(payload, name) for name in names if hasattr(payload, name)}
    origin = origin_of(payload)
    return state if origin is None else state | {ORIGIN: origin}


def _set_state(payload: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        object.__setattr__(payload, name, value)


_EVOLVE = attrs.evolve.__code__


def inherit_origin(payload: Any, depth: int) -> None:
    """Give a payload the origin of the one that it is evolved from, if it is.

    `attrs.evolve` (and `copy.replace`, which calls it) makes the new payload by `__init__` without
    the old one, which is found as the argument of that call, `depth` frames above.
    """
    frame = sys._getframe(depth)
    if frame.f_code is _EVOLVE:
        set_origin(payload, origin_of(frame.f_locals["inst"]))


# --- copies ---------------------------------------------------------------------------------------

_DEEPER_THAN_STORED = 100


def copied(value: Any, *, memo: dict[int, Any] | None = None, depth: int = 0) -> Any:
    """Copy payloads and containers. Other values are shared, since some cannot be copied.

    Values nested deeper than any table stores are shared, too; they are refused when written.
    """
    memo = {} if memo is None else memo
    if id(value) in memo or depth > _DEEPER_THAN_STORED:
        return memo.get(id(value), value)
    made: Any
    match value:
        case list():
            made = memo[id(value)] = []
            made += [copied(inner, memo=memo, depth=depth + 1) for inner in value]
        case tuple():
            made = tuple(copied(inner, memo=memo, depth=depth + 1) for inner in value)
            made = memo.setdefault(id(value), made)
        case dict():
            made = memo[id(value)] = {}
            for name, inner in value.items():
                made[name] = copied(inner, memo=memo, depth=depth + 1)
        case set():
            made = set(value)
        case _ if is_payload_class(type(value)):
            made = memo[id(value)] = copy.copy(value)
            for attribute in attrs.fields(type(value)):
                inner = _hidden(value, attribute.name)
                if inner is not None:
                    own = copied(inner, memo=memo, depth=depth + 1)
                    object.__setattr__(made, attribute.name, own)
        case _:
            return value
    return made
