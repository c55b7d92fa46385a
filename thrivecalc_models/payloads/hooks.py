"""The two methods of a payload class that pydantic looks for; the codec says what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


@attrs.define(eq=False, repr=False)
class _Hooks:
    """What the methods call, with the class and pydantic's other arguments."""

    core_schema: Callable[[type], Any]
    json_schema: Callable[[type, Any, Any], Any]


def _unset(*arguments: Any) -> Any:
    raise NotImplementedError("thrivecalc_models.codec was not imported")


HOOKS = _Hooks(_unset, _unset)


def _core_schema(cls: type, source: Any, handler: Any) -> Any:
    return HOOKS.core_schema(cls)


def _json_schema(cls: type, schema: Any, handler: Any) -> Any:
    return HOOKS.json_schema(cls, schema, handler)


def give_hooks(made: Any) -> None:
    """Give a payload class the methods."""
    made.__get_pydantic_core_schema__ = classmethod(_core_schema)
    made.__get_pydantic_json_schema__ = classmethod(_json_schema)
