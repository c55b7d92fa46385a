"""Find the kind of a payload field from its annotation, as soon as the names in it are defined."""

from __future__ import annotations

import sys
import types
import typing
from typing import Any

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.payloads.kinds import FieldKind, kind_of

Names = dict[str, Any]


class Undefined(Exception):
    """The annotation of `field` uses a `name` that is not defined yet; None if it is not known."""

    def __init__(self, field: str, name: str | None) -> None:
        super().__init__(field, name)
        self.field = field
        self.name = name


def names_for(cls: type, inner: Names) -> Names:
    """Return the names that annotations of a class can use: its module's and its function's."""
    module = sys.modules.get(cls.__module__)
    return {**vars(cls), **({} if module is None else vars(module)), **inner}


def kind_of_field(cls: type, attribute: attrs.Attribute[Any], names: Names) -> FieldKind:
    """Return the kind of a field. Raises Undefined; TypeError for what the table cannot hold."""
    at = f"{cls.__name__}.{attribute.name}"
    if attribute.type is None:
        raise TypeError(f"{at} has no annotation; say what it holds, such as {attribute.name}: str")
    holder = types.SimpleNamespace(__annotations__={"it": attribute.type})
    try:
        annotation = typing.get_type_hints(holder, names, {})["it"]
    except (NameError, AttributeError) as error:
        raise _undefined(at, error) from None
    except (SyntaxError, TypeError) as error:
        raise TypeError(f"{at} has an annotation that cannot be read: {error}") from error
    try:
        return kind_of(annotation)
    except NameError as error:  # of an alias, which is evaluated when it is used
        raise _undefined(at, error) from None
    except TypeError as error:
        raise TypeError(f"{at}: {error}") from None


def _undefined(at: str, error: Exception) -> Undefined:
    return Undefined(at, getattr(error, "name", None))


def unresolved(undefined: Undefined) -> ConfigurationError:
    """Return the error for an annotation that is undefined when its class is first used."""
    missing = "a name" if undefined.name is None else undefined.name
    return ConfigurationError(
        f"the annotation of {undefined.field} uses {missing}, which is not defined at run time;"
        " import it outside of `if TYPE_CHECKING:`, or define it in a module or before the class"
    )
