"""Payloads for cattrs: a converter that makes JSON of them, and reads it, as the library does.

converter = thrivecalc_models.cattrs.configure(cattrs.Converter())
converter.unstructure(goal)                      # as to_json
converter.structure(body, SavingsGoalData)       # as from_json
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from thrivecalc_models.payloads import is_payload_class
from thrivecalc_models.records.json_records import from_json, to_json

__all__ = ["configure"]


class _Converter(Protocol):
    """What is called of a converter of cattrs."""

    def register_structure_hook_func(self, check_func: Any, func: Any) -> Any: ...
    def register_unstructure_hook_func(self, check_func: Any, func: Any) -> Any: ...


C = TypeVar("C", bound=_Converter)


def configure(converter: C) -> C:
    """Teach a converter of cattrs all payload classes, also within other classes; return it.

    It raises InvalidRecordError as `from_json` does; within an attrs class of your own, cattrs puts
    that in its group of exceptions.
    """
    converter.register_unstructure_hook_func(is_payload_class, to_json)
    converter.register_structure_hook_func(
        is_payload_class, lambda value, payload_class: from_json(payload_class, value)
    )
    return converter
