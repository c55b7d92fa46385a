"""A first look: read what the web application wrote, change it, and meet a conflict.

You need no account and no network: an engine inside this process has the table, and both are gone
at the end. The web application's part uses a plain AWS client, without the library.

    make demo
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
from rich import box
from rich.console import Console
from rich.table import Table

from thrivecalc_models import (
    CommitError,
    DataStore,
    SavingsGoal,
    Transaction,
    TransactionData,
    UnitOfWork,
    UnknownRecord,
    UserData,
    UserRecord,
)

RECORDS = Path(__file__).with_name("records.jsonl")
USER_ID = "google-oauth2|787835297415441071"
EMERGENCY_FUND = "af357a56-6bd6-452b-ad1b-bae5711a4116"
NEW_CAR = "f2b484be-3594-4d75-ab96-5fa5441c220b"


def main() -> None:
    sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode gets "?", not an error
    with DataStore.local() as store:
        web = WebApplication(store)
        heading("1. A table, filled by the web application")
        count = web.fill(RECORDS)
        print(f"{count} records of two users, in a table inside this process.")

        user = store.user(USER_ID)
        heading("2. One user's records")
        show_records(user)

        heading("3. Two goals changed and a transfer booked, in one unit of work")
        move_money(user)

        heading("4. A conflict: the web application was first")
        meet_a_conflict(user, web)

        heading("5. The same without a loop of your own: user.run")
        run_again(user, web)
    print("\nThat is all. The engine and its table are gone.")


def show_records(user: UserData) -> None:
    """List the records of all types; a type without a class is listed like the others."""
    console = Console()
    table = Table(box=box.ASCII2 if console.options.ascii_only else box.SIMPLE, show_edge=False)
    table.add_column("type", no_wrap=True, min_width=18)
    table.add_column("what it is", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True, min_width=10)
    table.add_column("updated", no_wrap=True, min_width=10)
    records = user.list_all()
    for record in records:
        what, amount = summary(record)
        shown = "" if amount is None else f"{amount:,.2f}"
        table.add_row(record.data_type, what, shown, f"{record.updated_at:%Y-%m-%d}")
    console.print(table)

    unknown = [record for record in records if isinstance(record, UnknownRecord)]
    print(f"{len(records)} records; those of the other user cannot be reached through this object.")
    for record in unknown:
        print(f"No class is defined for {record.data_type}, so its data is a plain dict.")


def summary(record: UserRecord) -> tuple[str, Decimal | None]:
    """Describe a record in one line, and return its amount. The user's own screen may show both."""
    data = record.data
    match record.data_type:
        case "savings-goal":
            return f"{data.name}, of {data.target_amount:,.0f}", data.current_amount
        case "portfolio-holding":
            price = data.current_price
            value = None if price is None else data.shares * price
            return f"{data.shares.normalize():f} x {data.symbol}", value
        case "retirement-plan":
            return f"{data.name}, at {data.retirement_age}", data.current_savings
        case "profile":
            return f"{data.display_name}, {data.locale}", data.annual_income
        case "transaction":
            return f"{data.date} {data.description} ({data.category or 'none'})", data.amount
        case "budget":
            return f"{data.name}: {', '.join(data.limits)}", sum(data.limits.values())
        case "net-worth-snapshot":
            return f"of {data['takenAt']}", data["assets"]
    return "", None


def move_money(user: UserData) -> None:
    """Edit two goals and add two transactions; the unit sends all of it in the fewest requests."""
    with user.unit_of_work() as work:
        car = work.get(SavingsGoal, NEW_CAR)
        fund = work.get(SavingsGoal, EMERGENCY_FUND)
        show_goals("before", car, fund)

        car.data.current_amount -= 500
        fund.data.current_amount += 500
        today = date.today()
        work.add(TransactionData(date=today, amount=-500, description="To the emergency fund"))
        work.add(TransactionData(date=today, amount=500, description="From the new car"))

        print("The plan; nothing has been sent yet:")
        print(work.plan())
        result = work.commit()  # the end of the block would also commit
    print(f"Committed: {len(result.applied)} records in {result.requests} requests,")
    print(f"{result.capacity.write_units} write units (DynamoDB counts them; this engine guesses).")
    show_goals("after", car, fund)
    print(f"Kept, though no class declares it: {', '.join(sorted(fund.extra_attributes))}.")
    print("With unit_of_work(atomic=True) it would be one transaction: all of it or nothing.")


def meet_a_conflict(user: UserData, web: WebApplication) -> None:
    """Commit after another program wrote: the unit reports the conflict, and can be used again."""
    work = user.unit_of_work()
    car = work.get(SavingsGoal, NEW_CAR)
    web.deposit(car.record_key, 250)
    print("Read the goal; then the web application put 250 into it; then we add 100 and commit:")
    car.data.current_amount += 100
    try:
        work.commit()
    except CommitError as failed:
        conflict = failed.causes[car.record_key]
        print(f"{type(conflict).__name__}: {conflict}")
        print(f"Not applied: {len(failed.not_applied)}, unknown: {len(failed.unknown)}.")
        print(f"Stored is now {conflict.stored.data.current_amount:,.2f}.")
    work.refresh(car)
    car.data.current_amount += 100
    work.commit()
    work.close()
    print("Refreshed, added 100 again, committed: both deposits count.")
    show_goals("after", car)


def run_again(user: UserData, web: WebApplication) -> None:
    """Let `run` call a function with a new unit of work, and again after a conflict."""
    calls = 0

    def add_100(work: UnitOfWork) -> SavingsGoal:
        nonlocal calls
        calls += 1
        car = work.get(SavingsGoal, NEW_CAR)
        if calls == 1:
            web.deposit(car.record_key, 250)  # in between, again
        car.data.current_amount += 100
        return car

    car = user.run(add_100)
    print(f"The function was called {calls} times, since the first commit met a conflict.")
    show_goals("after", car)
    print(f"{len(user.list(Transaction))} transactions are stored.")


class WebApplication:
    """The other program that uses the table; it writes as the AWS SDK for JavaScript does."""

    def __init__(self, store: DataStore) -> None:
        self._table_name = store.table_name
        self._client = botocore.session.Session().create_client(
            "dynamodb",
            region_name=store.region,
            endpoint_url=store.endpoint,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",
        )

    def fill(self, export: Path) -> int:
        """Store the items of an export, byte for byte."""
        lines = export.read_text(encoding="utf-8").splitlines()
        for line in lines:
            self._client.put_item(TableName=self._table_name, Item=json.loads(line)["Item"])
        return len(lines)

    def deposit(self, record_key: str, amount: int) -> None:
        values: dict[str, Any] = {
            ":amount": {"N": str(amount)},
            ":now": {"S": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"},
        }
        self._client.update_item(
            TableName=self._table_name,
            Key={"userId": {"S": USER_ID}, "recordKey": {"S": record_key}},
            UpdateExpression="SET #data.#sum = #data.#sum + :amount, updatedAt = :now",
            ExpressionAttributeNames={"#data": "data", "#sum": "currentAmount"},
            ExpressionAttributeValues=values,
        )


def show_goals(when: str, *goals: SavingsGoal) -> None:
    shown = (f"{goal.data.name} {goal.data.current_amount:,.2f}" for goal in goals)
    print(f"  {when + ':':<8}{'; '.join(shown)}")


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


if __name__ == "__main__":
    main()
