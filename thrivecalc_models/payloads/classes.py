"""The six payload classes of the web application."""

from __future__ import annotations

from typing import cast

from thrivecalc_models.payloads.aliases import (
    Amount,
    Day,
    OptionalAmount,
    OptionalAmounts,
    OptionalDay,
)
from thrivecalc_models.payloads.define import payload

# Type checkers read defaults as values of the descriptor that the annotation names.
_ZERO = cast("Amount", 0)
_NOT_GIVEN = cast("OptionalAmount", None)
_NO_AMOUNTS = cast("OptionalAmounts", None)
_NO_DAY = cast("OptionalDay", None)


@payload
class SavingsGoalData:
    """An amount to be saved, by a date."""

    name: str
    target_amount: Amount
    current_amount: Amount = _ZERO
    target_date: OptionalDay = _NO_DAY
    monthly_contribution: OptionalAmount = _NOT_GIVEN


@payload
class PortfolioHoldingData:
    """Shares of one security; prices are in the currency of the profile, per share."""

    symbol: str
    shares: Amount
    name: str | None = None
    purchase_price: OptionalAmount = _NOT_GIVEN
    current_price: OptionalAmount = _NOT_GIVEN


@payload
class RetirementPlanData:
    """Assumptions of a retirement plan: ages in years, rates as the web application has them."""

    name: str
    current_age: int
    retirement_age: int
    current_savings: Amount = _ZERO
    monthly_contribution: Amount = _ZERO
    expected_annual_return: OptionalAmount = _NOT_GIVEN
    inflation_rate: OptionalAmount = _NOT_GIVEN
    desired_annual_income: OptionalAmount = _NOT_GIVEN


@payload
class ProfileData:
    """The person: how to address them, and what the projections need to know."""

    display_name: str | None = None
    email: str | None = None
    date_of_birth: OptionalDay = _NO_DAY
    currency: str = "USD"
    locale: str | None = None
    annual_income: OptionalAmount = _NOT_GIVEN
    risk_tolerance: str | None = None


@payload
class TransactionData:
    """Money that moved: `amount` is negative where it went out."""

    date: Day
    amount: Amount
    description: str = ""
    category: str | None = None
    account_id: str | None = None
    tags: list[str] | None = None


@payload
class BudgetData:
    """Limits by category for a period such as "monthly"; further periods may come."""

    name: str
    period: str
    start_date: OptionalDay = _NO_DAY
    limits: OptionalAmounts = _NO_AMOUNTS
