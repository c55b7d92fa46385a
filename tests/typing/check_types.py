"""What type checkers see: asserted with assert_type, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, assert_type
from uuid import UUID, uuid4

import attrs
from hypothesis.strategies import SearchStrategy

from thrivecalc_models import (
    Amount,
    Amounts,
    AsyncDataStore,
    AsyncUnitOfWork,
    AsyncUserData,
    Budget,
    BudgetData,
    CommitResult,
    DataStore,
    Day,
    OptionalAmount,
    OptionalAmounts,
    OptionalDay,
    Page,
    PayloadAttribute,
    Plan,
    ProfileData,
    RetirementPlanData,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnitOfWork,
    UnknownRecord,
    UserData,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.testing import strategies


@payload
class NetWorthSnapshotData:
    taken_at: date
    assets: Amount
    debts: OptionalAmount = attrs.field(default=None)
    by_class: dict[str, Amount] = attrs.field(factory=dict[str, Amount])


@payload
class SharesData:
    by_symbol: Amounts
    since: Day
    until: OptionalDay = attrs.field(default=None)
    limits: OptionalAmounts = attrs.field(default=None)


class NetWorthSnapshot(UserRecord, discriminator="net-worth-snapshot"):
    data: PayloadAttribute[NetWorthSnapshotData] = PayloadAttribute(NetWorthSnapshotData)
    keep_for = timedelta(days=7 * 365)


def reading(store: DataStore, record_id: str) -> None:
    user = store.user("google-oauth2|123456789")
    assert_type(user.get(SavingsGoal, record_id), SavingsGoal | None)
    assert_type(user.get("savings-goal", record_id), UserRecord | None)
    assert_type(user.list(SavingsGoal), list[SavingsGoal])
    assert_type(user.list("savings-goal"), list[UserRecord])
    assert_type(user.list_all(order_by="-updated_at"), list[UserRecord])
    assert_type(user.iterate(SavingsGoal), Iterator[SavingsGoal])
    assert_type(user.page(SavingsGoal, limit=50).records, list[SavingsGoal])
    assert_type(user.page("savings-goal").records, list[UserRecord])
    page: Page = user.page(NetWorthSnapshot)  # of any records
    print(page)
    assert_type(user.page(SavingsGoal).cursor, str | None)
    assert_type(
        user.get_many([(SavingsGoal, record_id), ("budget", record_id)]), list[UserRecord | None]
    )
    assert_type(user.get_many([(SavingsGoal, record_id)]), list[SavingsGoal | None])
    assert_type(user.get_many([SavingsGoal.key(record_id)]), list[UserRecord | None])
    assert_type(user.get(SavingsGoal, uuid4()), SavingsGoal | None)
    assert_type(user.list(NetWorthSnapshot), list[NetWorthSnapshot])
    assert_type(user.exists(SavingsGoal, record_id), bool)


def many(store: DataStore, goals: list[SavingsGoal]) -> None:
    user = store.user("google-oauth2|123456789")
    assert_type(user.add_many(goals), list[SavingsGoal])
    assert_type(
        user.add_many([TransactionData(date="2025-01-07", amount=1), ("budget", {"name": "x"})]),
        list[UserRecord],
    )
    assert_type(user.delete_many([(SavingsGoal, "1"), Budget.key("2")]), CommitResult)


def small_calls(store: DataStore, goal: SavingsGoal) -> None:
    user = store.user("google-oauth2|123456789")
    patch = {"name": "x", "limits": {"food": None}}
    assert_type(user.patch(SavingsGoal, "1", patch, if_version=goal.version), SavingsGoal)
    assert_type(user.patch("savings-goal", "1", patch), UserRecord)
    assert_type(user.replace_data(Budget, "1", patch, if_version=goal.version), Budget)
    assert_type(user.replace_data("budget", "1", patch), UserRecord)
    assert_type(user.upsert(SavingsGoalData(name="x", target_amount=1), record_id="1"), SavingsGoal)
    user.delete(SavingsGoal, "1", if_version=goal.version)
    with user.unit_of_work() as work:
        assert_type(work.patch(SavingsGoal, "1", patch), SavingsGoal)
        assert_type(work.replace_data("budget", "1", patch), UserRecord)


def records(goal: SavingsGoal, budget: Budget, unknown: UnknownRecord, any_of: UserRecord) -> None:
    assert_type(goal.data, SavingsGoalData)
    assert_type(goal.data.name, str)
    assert_type(goal.data.target_amount, Decimal)
    assert_type(goal.data.monthly_contribution, Decimal | None)
    assert_type(goal.data.target_date, date | None)
    assert_type(goal.data_type, str)
    assert_type(goal.record_id, str)
    assert_type(goal.record_key, str)
    assert_type(goal.user_id, str)
    assert_type(goal.created_at, datetime | None)
    assert_type(goal.updated_at, datetime | None)
    assert_type(goal.ttl, datetime | None)
    assert_type(goal.version, str)
    assert_type(goal.malformed, bool)
    assert_type(goal.problems, list[str])
    assert_type(goal.extra_data, dict[str, Any])
    assert_type(goal.extra_attributes, dict[str, Any])
    assert_type(budget.data, BudgetData)
    assert_type(unknown.data, dict[str, Any])
    assert_type(any_of.data, Any)
    assert_type(SavingsGoal.key("1"), str)
    assert_type(read_item({}), UserRecord)
    print(SavingsGoal.data["currentAmount"] > Decimal(5))


def conditions(goal: SavingsGoal, since: datetime) -> None:
    large = SavingsGoal.data.target_amount > 5
    recent = UserRecord.updated_at >= since
    named = SavingsGoal.data.name.startswith("a") | SavingsGoal.data["name"].is_in("b", "c")
    every = large & recent & ~named & (UserRecord.ttl.exists() | UserRecord.created_at.exists())
    other = SavingsGoal.record_id.between("a", "b") & UserRecord.record_id.startswith("a")
    food = Budget.data.limits["food"].exists() & (Budget.data.limits["food"] < Decimal(300))
    marked = Transaction.data.tags.contains("a") & (Transaction.data.tags[0] == "a")
    dated = Transaction.data.date.between("2025-01-01", date(2025, 1, 31))
    own = (NetWorthSnapshot.data.assets == 5) & (NetWorthSnapshot.data.taken_at != since)
    assert_type(goal.data.target_amount, Decimal)
    print(
        list(SavingsGoal.query("u", filter_condition=every & other & food & marked & dated & own))
    )
    print(list(SavingsGoal.scan(large)), SavingsGoal.count("u", filter_condition=~recent))
    current = SavingsGoal.data.current_amount
    goal.update(actions=[current.set(current + 500), current.set(current - 1)], condition=large)


def filtering(user: UserData, since: datetime) -> None:
    large = SavingsGoal.data.target_amount > 5
    recent = UserRecord.updated_at >= since
    listed = user.list(SavingsGoal, where=large, order_by="-data.target_date", limit=20)
    assert_type(listed, list[SavingsGoal])
    assert_type(user.list("savings-goal", where=large & recent, reverse=True), list[UserRecord])
    assert_type(user.list_all(where=~recent, limit=5), list[UserRecord])
    assert_type(user.iterate(SavingsGoal, where=large, reverse=True), Iterator[SavingsGoal])
    page = user.page(SavingsGoal, where=large | recent, limit=5)
    assert_type(page.records, list[SavingsGoal])
    assert_type(user.count(SavingsGoal, where=large), int)
    assert_type(user.count(), int)


def editing(goal: SavingsGoal) -> None:
    goal.data.current_amount += 500
    goal.data.current_amount = "500.25"
    goal.data.current_amount = 0.1
    goal.data.monthly_contribution = None
    goal.data.monthly_contribution = 5
    goal.data = SavingsGoalData(name="x", target_amount=1)
    goal.data.target_date = "2025-12-31"
    goal.data.target_date = date(2025, 12, 31)
    goal.data.target_date = None
    goal.ttl = datetime.now()
    goal.ttl = None


def making() -> None:
    assert_type(SavingsGoalData(target_amount=20000, name="x"), SavingsGoalData)
    assert_type(SavingsGoalData(target_amount="1.50", name="x").target_amount, Decimal)
    SavingsGoalData(target_amount=Decimal("1.5"), name="x", current_amount=0.1)
    SavingsGoalData(target_amount=1, name="x", monthly_contribution=None)
    TransactionData(date=date(2025, 1, 7), amount=-500, tags=["a"])
    RetirementPlanData(name="x", current_age=30, retirement_age=67, inflation_rate=0.02)
    ProfileData(annual_income=5, risk_tolerance="low")
    assert_type(SavingsGoal("u", data=SavingsGoalData(name="x", target_amount=1)), SavingsGoal)
    snapshot = NetWorthSnapshotData(taken_at=date(2025, 1, 7), assets=5, debts="1.5")
    assert_type(snapshot.assets, Decimal)
    assert_type(snapshot.debts, Decimal | None)
    budget = BudgetData(name="x", period="monthly", limits={"food": 300, "rent": "9.5"})
    assert_type(budget.limits, dict[str, Decimal] | None)
    budget.limits = {"food": 1.5}
    budget.limits = None
    assert_type(TransactionData(date="2025-01-07", amount=1).date, date)
    ProfileData(date_of_birth="1990-01-01")
    shares = SharesData(by_symbol={"A": 1}, since="2025-01-07", until=None)
    assert_type(shares.by_symbol, dict[str, Decimal])
    assert_type(shares.since, date)
    assert_type(shares.until, date | None)
    assert_type(shares.limits, dict[str, Decimal] | None)


def own_type(store: DataStore, record_id: str) -> None:
    found = store.user("u").get(NetWorthSnapshot, record_id)
    assert_type(found, NetWorthSnapshot | None)
    if found is not None:
        assert_type(found.data, NetWorthSnapshotData)
        assert_type(found.data.assets, Decimal)
        assert_type(found.data.taken_at, date)
        found.data.assets += 1
    snapshot = NetWorthSnapshotData(taken_at=date(2025, 1, 7), assets=5)
    user = store.user("u")
    assert_type(user.add(snapshot).data, NetWorthSnapshotData)
    assert_type(user.put(snapshot, record_id=uuid4(), ttl=timedelta(days=3)).data.assets, Decimal)
    assert_type(user.page(NetWorthSnapshot).records[0].data, NetWorthSnapshotData)
    mine: NetWorthSnapshot = user.add(snapshot)
    for each in user.get_many([(NetWorthSnapshot, mine.record_id)]):
        if each is not None:
            assert_type(each.data, NetWorthSnapshotData)
    with user.unit_of_work() as work:
        assert_type(work.add(snapshot).data, NetWorthSnapshotData)
        assert_type(work.get_many([(NetWorthSnapshot, "a")]), list[NetWorthSnapshot | None])


def units(store: DataStore, record_id: str) -> None:
    user = store.user("u")
    with user.unit_of_work(atomic=True) as work:
        assert_type(work, UnitOfWork)
        assert_type(work.get(Transaction, record_id), Transaction | None)
        assert_type(work.list(Transaction), list[Transaction])
        assert_type(work.list(Transaction, where=Transaction.data.amount < 0), list[Transaction])
        assert_type(work.count(Transaction, where=Transaction.data.amount < 0), int)
        assert_type(work.plan(), Plan)
    assert_type(work.commit(), CommitResult)
    assert_type(user.delete_all(), CommitResult)

    def move(work: UnitOfWork) -> int:
        return len(work.list_all())

    assert_type(user.run(move), int)
    goal = user.get(SavingsGoal, record_id)
    if goal is not None:
        assert_type(user.update(goal), SavingsGoal)


def adding(user: UserData) -> None:
    goal = user.add(SavingsGoalData(name="House", target_amount=1), record_id="a")
    assert_type(goal, SavingsGoal)
    assert_type(goal.data, SavingsGoalData)
    assert_type(user.put(goal), SavingsGoal)
    assert_type(user.add(Budget, {"name": "Home", "period": "monthly"}), Budget)
    assert_type(user.add("budget", {"name": "Home", "period": "monthly"}), Any)
    with user.unit_of_work() as work:
        payment = TransactionData(date=date(2025, 1, 7), amount=-500)
        assert_type(work.add(payment, record_id="pay-1", exist_ok=True), Transaction)
        assert_type(work.put(("budget", {"name": "Home"})), Any)


async def awaiting(user: AsyncUserData, record_id: str) -> None:
    assert_type(await user.get(SavingsGoal, record_id), SavingsGoal | None)
    assert_type(await user.get("savings-goal", record_id), UserRecord | None)
    assert_type(await user.list(SavingsGoal), list[SavingsGoal])
    assert_type(await user.list_all(order_by="-updated_at"), list[UserRecord])
    assert_type(await user.get_many([(SavingsGoal, record_id)]), list[SavingsGoal | None])
    assert_type(user.iterate(SavingsGoal), AsyncIterator[SavingsGoal])
    assert_type((await user.page(SavingsGoal)).records, list[SavingsGoal])
    goal = await user.add(SavingsGoalData(name="House", target_amount=1), record_id="a")
    assert_type(goal, SavingsGoal)
    assert_type(goal.data, SavingsGoalData)
    assert_type(await user.put(goal), SavingsGoal)
    assert_type(await user.update(goal), SavingsGoal)
    assert_type(await user.delete_all(), CommitResult)
    snapshot = NetWorthSnapshotData(taken_at=date(2025, 1, 7), assets=5)
    assert_type((await user.add(snapshot)).data, NetWorthSnapshotData)
    mine: NetWorthSnapshot = await user.add(snapshot)
    print(mine)
    async with user.unit_of_work(atomic=True) as work:
        assert_type(work, AsyncUnitOfWork)
        assert_type(await work.get(Transaction, record_id), Transaction | None)
        assert_type(await work.list(Transaction), list[Transaction])
        assert_type(work.add(snapshot).data, NetWorthSnapshotData)
        assert_type(work.plan(), Plan)
    assert_type(await work.commit(), CommitResult)

    async def move(work: AsyncUnitOfWork) -> int:
        return len(await work.list_all())

    assert_type(await user.run(move), int)
    async for record in user.iterate():
        assert_type(record, UserRecord)
    async with AsyncDataStore() as store:
        assert_type(store, AsyncDataStore)
        assert_type(store.user("u"), AsyncUserData)


def generated() -> None:
    assert_type(strategies.payloads(SavingsGoalData), SearchStrategy[SavingsGoalData])
    assert_type(strategies.records(SavingsGoal, "u"), SearchStrategy[SavingsGoal])
    assert_type(strategies.user_ids(), SearchStrategy[str])
    assert_type(strategies.amounts(), SearchStrategy[Decimal])


@payload
class ColouredGoalData(SavingsGoalData):
    colour: str = "red"


class ColouredGoal(SavingsGoal, extends=True):
    data: PayloadAttribute[ColouredGoalData] = PayloadAttribute(ColouredGoalData)
    keep_for = timedelta(days=30)


def extended(store: DataStore) -> None:
    for goal in store.user("google-oauth2|123456789").list(ColouredGoal):
        assert_type(goal.data, ColouredGoalData)
        assert_type(goal.data.target_amount, Decimal)


@payload
class FurtherData:
    colour: Literal["red", "blue"]
    share: float
    token: UUID | None = None
    marks: tuple[date, ...] = ()


def further(data: FurtherData) -> None:
    assert_type(data.marks, tuple[date, ...])
    assert_type(FurtherData(colour="red", share=0.5).token, UUID | None)
