"""Read the payload of an item from its bytes, past the dicts of DynamoDB's JSON.

That is done for what most items are: every attribute declared, each in the form of its kind. The
general code reads all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thrivecalc_models.codec.data import HasOrigins, no_origins
from thrivecalc_models.codec.plans import ClassPlan, Values, plan_of
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.payloads.origins import set_origin
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import are_values


class PayloadClasses:
    """The payload classes of data types, which record classes, above, know."""

    def __init__(self) -> None:
        self._of: Callable[[str], type | None] = lambda data_type: None
        self._plans: dict[str, ClassPlan] = {}

    def ask(self, of: Callable[[str], type | None]) -> None:
        """Ask a function for the payload class of a data type from now on."""
        self._of = of

    def forget(self) -> None:
        """Ask again for every type, since record classes have changed."""
        self._plans.clear()

    def plan(self, data_type: str) -> ClassPlan | None:
        """Return the plan of a type's payload class. Raises ConfigurationError as `plan_of`."""
        plan = self._plans.get(data_type)
        if plan is None:
            payload_class = self._of(data_type)
            if payload_class is None:
                return None
            plan = self._plans[data_type] = plan_of(payload_class)
        return plan


PAYLOAD_CLASSES = PayloadClasses()


def is_regular(data_type: str, data: bytes) -> bool:
    """Whether the JSON under `data` is a map of the type's payload class, with nothing beside."""
    try:
        plan = PAYLOAD_CLASSES.plan(data_type)
        if plan is None:
            return False
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
