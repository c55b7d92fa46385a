"""Hypothesis calls this at its import: it can then generate every payload class.

With it `st.from_type(SavingsGoalData)` and `st.builds(SavingsGoalData)` need nothing more, for the
six classes and for those of a service.
Source: "Registering strategies via setuptools entry points", Hypothesis documentation.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Annotated, Any

import attrs

from thrivecalc_models.payloads import Amount, fields_of, when_defined


def register() -> None:
    """Register a strategy for amounts and for each payload class, when it is defined."""
    from hypothesis import strategies as st

    st.register_type_strategy(Amount, lambda _: _strategies().amounts())
    when_defined(_register)


def _register(payload_class: type) -> None:
    from hypothesis import strategies as st

    st.register_type_strategy(payload_class, lambda _: _strategies().payloads(payload_class))
    for attribute in attrs.fields(payload_class):
        # builds() asks the converter of a field what it returns.
        if isinstance(attribute.converter, FunctionType):
            values = st.deferred(_definition(payload_class, attribute.name))
            attribute.converter.__annotations__["return"] = Annotated[Any, values]


def _definition(payload_class: type, name: str) -> Callable[[], Any]:
    def values() -> Any:
        (field,) = (each for each in fields_of(payload_class) if each.name == name)
        return _strategies().values_of(field)

    return values


def _strategies() -> Any:
    from thrivecalc_models.testing import strategies  # which imports hypothesis

    return strategies
