"""Records: the items of the table as PynamoDB models."""

from thrivecalc_models.records.attributes import PayloadAttribute
from thrivecalc_models.records.binding import Binding, default_binding, set_default_binding
from thrivecalc_models.records.classes import (
    Budget,
    PortfolioHolding,
    Profile,
    RetirementPlan,
    SavingsGoal,
    Transaction,
)
from thrivecalc_models.records.model import UnknownRecord, UserRecord, read_item

__all__ = [
    "Binding",
    "Budget",
    "PayloadAttribute",
    "PortfolioHolding",
    "Profile",
    "RetirementPlan",
    "SavingsGoal",
    "Transaction",
    "UnknownRecord",
    "UserRecord",
    "default_binding",
    "read_item",
    "set_default_binding",
]
