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


class SavingsGoal(UserRecord, discriminator="savings-goal"):
    data: PayloadAttribute[SavingsGoalData] = PayloadAttribute(SavingsGoalData)


class PortfolioHolding(UserRecord, discriminator="portfolio-holding"):
    data: PayloadAttribute[PortfolioHoldingData] = PayloadAttribute(PortfolioHoldingData)


class RetirementPlan(UserRecord, discriminator="retirement-plan"):
    data: PayloadAttribute[RetirementPlanData] = PayloadAttribute(RetirementPlanData)


class Profile(UserRecord, discriminator="profile"):
    data: PayloadAttribute[ProfileData] = PayloadAttribute(ProfileData)


class Transaction(UserRecord, discriminator="transaction"):
    data: PayloadAttribute[TransactionData] = PayloadAttribute(TransactionData)


class Budget(UserRecord, discriminator="budget"):
    data: PayloadAttribute[BudgetData] = PayloadAttribute(BudgetData)
