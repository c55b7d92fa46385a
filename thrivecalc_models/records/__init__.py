"""Records: the items of the table as PynamoDB models."""

from thrivecalc_models.records.attributes import PayloadAttribute
from thrivecalc_models.records.classes import (
    Budget,
    PortfolioHolding,
    Profile,
    RetirementPlan,
    SavingsGoal,
    Transaction,
)
from thrivecalc_models.records.json_records import from_json, to_json
from thrivecalc_models.records.model import UnknownRecord, UserRecord, read_item
from thrivecalc_models.records.session import Session, default_session, set_default_session

__all__ = [
    "Budget",
    "PayloadAttribute",
    "PortfolioHolding",
    "Profile",
    "RetirementPlan",
    "SavingsGoal",
    "Session",
    "Transaction",
    "UnknownRecord",
    "UserRecord",
    "default_session",
    "from_json",
    "read_item",
    "set_default_session",
    "to_json",
]
