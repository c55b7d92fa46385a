"""The `#names` and `:values` of a request, and how its expressions use them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.testing.values import normalised
from thrivecalc_models.wire import AttributeValue, Json

PLACEHOLDERS: Final = ("ExpressionAttributeNames", "ExpressionAttributeValues")


@attrs.frozen
class Parsed:
    """What an expression says, and which placeholders it uses."""

    tree: Any
    names: frozenset[str]
    values: frozenset[str]


class Placeholders:
    """The `#names` and `:values` of one request, and which of them its expressions used."""

    __slots__ = ("_names", "_unused", "_values")

    def __init__(self, names: object = None, values: object = None) -> None:
        self._names = _checked_names(names)
        self._values = _checked_values(values)
        self._unused = {*self._names, *self._values}

    @classmethod
    def of(cls, request: Json, expressions: Iterable[str]) -> Placeholders:
        """The placeholders of a request that can have these expressions.

        Raises Invalid for placeholders without any expression.
        """
        given = {name: request.get(name) for name in PLACEHOLDERS}
        if all(request.get(name) is None for name in expressions):
            for name, value in given.items():
                if value is not None:
                    raise Invalid(f"{name} can only be specified when using expressions")
        return cls(*given.values())

    def bind(self, parsed: Parsed) -> None:
        """Note the placeholders an expression uses; raises Invalid for one that is not given."""
        for used, given in ((parsed.names, self._names), (parsed.values, self._values)):
            for placeholder in used:
                if placeholder not in given:
                    raise Invalid(f"{placeholder} is used in an expression and not defined")
                self._unused.discard(placeholder)

    def check_all_used(self) -> None:
        """Raise Invalid if a placeholder was given that no expression uses."""
        if self._unused:
            raise Invalid(f"Value provided is unused in expressions: {sorted(self._unused)}")

    def name(self, placeholder: str) -> str:
        """The attribute name that a `#name` stands for."""
        return self._names[placeholder]

    def value(self, placeholder: str) -> AttributeValue:
        """The value that a `:value` stands for."""
        return self._values[placeholder]


_NAME_PLACEHOLDER: Final = re.compile(r"#[A-Za-z0-9_]+")
_VALUE_PLACEHOLDER: Final = re.compile(r":[A-Za-z0-9_]+")


def _checked_names(names: object) -> dict[str, str]:
    given = _checked_placeholders(names, "ExpressionAttributeNames", _NAME_PLACEHOLDER)
    for name in given.values():
        if not isinstance(name, str) or not name:
            raise Invalid("ExpressionAttributeNames contains invalid value")
    return given


def _checked_values(values: object) -> dict[str, AttributeValue]:
    given = _checked_placeholders(values, "ExpressionAttributeValues", _VALUE_PLACEHOLDER)
    return {placeholder: normalised(value) for placeholder, value in given.items()}


def _checked_placeholders(given: object, what: str, spelling: re.Pattern[str]) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Invalid(f"{what} is no map", code="SerializationException")
    if not given:
        raise Invalid(f"{what} must not be empty")
    for placeholder in given:
        if not spelling.fullmatch(placeholder):
            raise Invalid(f'{what} contains invalid key: Syntax error; key: "{placeholder}"')
    return given
