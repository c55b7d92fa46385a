"""The record classes used directly, as the PynamoDB models they are.

For services that use PynamoDB: get, save, update, query, conditions, batches and transactions have
PynamoDB's signatures, and keep the rules of this table. Unlike a unit of work, each call sends its
own request.

    python examples/pynamodb_style.py
"""

from __future__ import annotations

from datetime import date

from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError
from pynamodb.transactions import TransactWrite

from thrivecalc_models import (
    DataStore,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UserRecord,
    data_store,
)

USER_ID = "google-oauth2|123456789"


def main() -> None:
    with DataStore.local() as store:
        # A service leaves this out; class methods then use the settings of the environment.
        data_store.configure(store)
        try:
            goal = save_and_read()
            conditions(goal)
            queries()
            transaction(goal, connection_to(store))
        finally:
            data_store.configure(None)


def save_and_read() -> SavingsGoal:
    goal = SavingsGoal(USER_ID, data=SavingsGoalData(name="Emergency Fund", target_amount=20000))
    goal.save()
    read = SavingsGoal.get(USER_ID, goal.record_key)
    print(f"save, get: {read.data.name}, {read.data.current_amount} of {read.data.target_amount}")

    read.update(actions=[SavingsGoal.data.current_amount.add(500)])
    print(f"update with an action: {read.data.current_amount}, and updatedAt is set as well")
    try:
        SavingsGoal.get(USER_ID, SavingsGoal.key("no-such-goal"))
    except DoesNotExist as error:
        print(f"get of nothing: {type(error).__name__}")
    return read


def conditions(goal: SavingsGoal) -> None:
    stale = SavingsGoal.get(USER_ID, goal.record_key)
    goal.data.current_amount += 100
    goal.save(condition=SavingsGoal.data.current_amount < 1000)
    print(f"save with your own condition: {goal.data.current_amount}")

    stale.data.current_amount += 1
    try:
        stale.save()
    except PutError as error:
        print(f"save of a stale object: {error.cause_response_code}")


def queries() -> None:
    with Transaction.batch_write() as batch:
        for day in range(1, 31):
            data = TransactionData(date=date(2025, 6, day), amount=-day)
            batch.save(Transaction(USER_ID, record_id=f"june-{day:02}", data=data))
    print(f"batch_write, query: {len(list(Transaction.query(USER_ID)))} transactions")

    large = Transaction.query(USER_ID, filter_condition=Transaction.data.amount <= -29)
    print(f"query with a filter: {', '.join(record.record_id for record in large)}")

    goals = SavingsGoal.by_type.query(USER_ID)
    everything = UserRecord.by_type.query(USER_ID)
    print(f"by_type: {len(list(goals))} goal among {len(list(everything))} records")


def connection_to(store: DataStore) -> Connection:
    """Make PynamoDB's own connection. It needs credentials; the embedded engine takes any."""
    connection = Connection(region=store.region, host=store.endpoint)
    connection.session.set_credentials("local", "local")
    return connection


def transaction(goal: SavingsGoal, connection: Connection) -> None:
    paid = Transaction(
        USER_ID, record_id="transfer-1", data=TransactionData(date=date(2025, 7, 1), amount=-200)
    )
    with TransactWrite(connection=connection) as write:
        write.save(paid, condition=Transaction.record_key.does_not_exist())
        write.update(goal, actions=[SavingsGoal.data.current_amount.add(200)])
    goal.refresh()  # DynamoDB does not return the item that a transaction updated
    stored = Transaction.count(USER_ID)
    print(f"TransactWrite: the goal has {goal.data.current_amount}, {stored} transactions")


if __name__ == "__main__":
    main()
