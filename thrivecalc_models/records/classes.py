"""The six record classes of the web application."""

from __future__ import annotations

from thrivecalc_models.payloads import (
    BudgetData,
    PortfolioHoldingData,
    ProfileData,
    RetirementPlanData,
    SavingsGoalData,
    TransactionData,
)
from thrivecalc_models.records.attributes import PayloadAttribute
from thrivecalc_models.records.model import UserRecord

# `data` has no annotation, so that type checkers let a class that extends one of these override it.


class SavingsGoal(UserRecord, discriminator="savings-goal"):
    """An amount that a user saves for, and what is saved already."""

    data = PayloadAttribute[SavingsGoalData](SavingsGoalData)


class PortfolioHolding(UserRecord, discriminator="portfolio-holding"):
    """A user's shares of one security."""

    data = PayloadAttribute[PortfolioHoldingData](PortfolioHoldingData)


class RetirementPlan(UserRecord, discriminator="retirement-plan"):
    """What a user saves for retirement, and expects of it."""

    data = PayloadAttribute[RetirementPlanData](RetirementPlanData)


class Profile(UserRecord, discriminator="profile"):
    """Who a user is: name, currency, locale, income."""

    data = PayloadAttribute[ProfileData](ProfileData)


class Transaction(UserRecord, discriminator="transaction"):
    """Money that came in or, below zero, went out on one day."""

    data = PayloadAttribute[TransactionData](TransactionData)


class Budget(UserRecord, discriminator="budget"):
    """The limits of what a user spends in a period, by category."""

    data = PayloadAttribute[BudgetData](BudgetData)
