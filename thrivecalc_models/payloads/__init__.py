"""Payloads: the typed contents of a record's `data`, as attrs classes."""

from thrivecalc_models.payloads.aliases import (
    Amount,
    Amounts,
    Day,
    OptionalAmount,
    OptionalAmounts,
    OptionalDay,
)
from thrivecalc_models.payloads.classes import (
    BudgetData,
    PortfolioHoldingData,
    ProfileData,
    RetirementPlanData,
    SavingsGoalData,
    TransactionData,
)
from thrivecalc_models.payloads.define import (
    Field,
    converts_on_setting,
    field,
    fields_of,
    has_plain_init,
    payload,
)
from thrivecalc_models.payloads.kinds import FieldKind
from thrivecalc_models.payloads.marks import (
    is_payload,
    is_payload_class,
    when_defined,
    why_no_payload_class,
)

__all__ = [
    "Amount",
    "Amounts",
    "BudgetData",
    "Day",
    "Field",
    "FieldKind",
    "OptionalAmount",
    "OptionalAmounts",
    "OptionalDay",
    "PortfolioHoldingData",
    "ProfileData",
    "RetirementPlanData",
    "SavingsGoalData",
    "TransactionData",
    "converts_on_setting",
    "field",
    "fields_of",
    "has_plain_init",
    "is_payload",
    "is_payload_class",
    "payload",
    "when_defined",
    "why_no_payload_class",
]
