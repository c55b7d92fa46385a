"""Read the payload of an item from its bytes, past the dicts of DynamoDB's JSON.

That is done for what most items are: every attribute declared, each in the form of its kind. The
general code reads all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from thrivecalc_models.codec.data import HasOrigins, no_origins
from thrivecalc_models.codec.plans import Values, plan_of
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.payloads.origins import set_origin
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import are_values


@attrs.define
class _Classes:
    """How the payload class of a data type is found: record classes, which know, are above."""

    of: Callable[[str], type | None]


PAYLOAD_CLASSES = _Classes(of=lambda data_type: None)


def is_regular(data_type: str, data: bytes) -> bool:
    """Whether the JSON under `data` is a map of the type's payload class, with nothing beside."""
    payload_class = PAYLOAD_CLASSES.of(data_type)
    if payload_class is None:
        return False
    try:
        plan = plan_of(payload_class)
        content = plan.read_data(data).M
    except (ValueError, ConfigurationError):  # an annotation that names nothing is told later
        return False
    return are_values(plan.general_forms(content), level=2)


def decode_stored(cls: type, raw: bytes, holder: HasOrigins) -> tuple[Any, Values | None] | None:
    """What `decode_data` returns, of the JSON of a whole item; None where that is to read it."""
    plan = plan_of(cls)
    if not plan.reads_alike:
        return None
    nested = holder.origins if plan.others else no_origins
    try:
        payload, values = plan.read(plan.read_item(raw).data.M, nested, DATA)
    except ValueError:  # a date that is none, for one
        return None
    set_origin(payload, None)
    return payload, values
