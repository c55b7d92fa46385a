"""What type checkers refuse: mypy says so if one of these ignores is not needed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from thrivecalc_models import (
    AsyncUserData,
    BudgetData,
    DataStore,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnitOfWork,
)


def refused(store: DataStore, goal: SavingsGoal) -> None:
    SavingsGoalData("x", 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SavingsGoalData(name="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SavingsGoalData(name=1, target_amount=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SavingsGoalData(name="x", target_amount=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SavingsGoalData(name="x", target_amount=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TransactionData(date=date(2025, 1, 7), amount=1, tags="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    goal.data.target_amount = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    goal.data.nmae = "x"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    goal.data = TransactionData(date=date(2025, 1, 7), amount=1)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    SavingsGoalData(name="x", target_amount=1, target_date=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    BudgetData(name="x", period="y", limits={"food": None})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    DataStore.local(bogus=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataStore.local(timeout="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store.user("u").get(int, "1")  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
    amount: Decimal = SavingsGoal.data.target_amount  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    goal.data.target_amount.exists()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    print(amount)


def plain(work: UnitOfWork) -> None:
    print(work)


async def refused_of_asyncio(user: AsyncUserData) -> None:
    await user.run(plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with user.unit_of_work():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
