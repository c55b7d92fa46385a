"""Collect all faults of a value in one error, and convert errors of a service's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from thrivecalc_models.errors import InvalidRecordError, ThriveCalcError

_SHOWN = 5


def together(errors: Sequence[InvalidRecordError]) -> InvalidRecordError:
    """Combine errors into one whose `.errors` has each by its path; a single one stays as it is."""
    if len(errors) == 1:
        return errors[0]
    by_path: dict[str, Exception] = {}
    for error in errors:
        by_path |= error.errors
    classes = {type(error) for error in errors}
    cls = classes.pop() if len(classes) == 1 else InvalidRecordError
    shown = "; ".join(map(str, [*by_path.values()][:_SHOWN]))
    more = "" if len(by_path) <= _SHOWN else f"; and {len(by_path) - _SHOWN} more, see .errors"
    return cls(
        f"{len(by_path)} values cannot be taken: {shown}{more}",
        path=next(iter(by_path), None),
        errors=by_path,
    )


def each(convert: Callable[[Any, str], Any], members: Iterable[tuple[Any, str]]) -> list[Any]:
    """Convert members, given with their paths. Raises one error of all that fail."""
    converted, errors = [], []
    for member, path in members:
        try:
            converted.append(convert(member, path))
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
    if errors:
        raise together(errors)
    return converted


def own_code(path: str, call: Callable[..., Any], *args: Any, **given: Any) -> Any:
    """Call a service's own converter, validator, factory or hook and return its result.

    An exception of it becomes an InvalidRecordError with the path and its first text argument.
    """
    try:
        return call(*args, **given)
    except Exception as error:
        if isinstance(error, ThriveCalcError) and not isinstance(error, AttributeError):
            raise
        words = next((each for each in error.args if isinstance(each, str)), "")
        raise InvalidRecordError(
            f"{path} is refused: {words or type(error).__name__}", path=path
        ) from error


@attrs.frozen(eq=False, repr=False)
class OwnValidator:
    """A validator that a service wrote for a field."""

    validator: Any
    path: str

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        own_code(self.path, self.validator, instance, attribute, value)
