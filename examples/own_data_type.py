"""A data type of your own: two classes, and every feature of the library works for it.

The payload has a nested payload, a dict and a list. Every new record gets a time to live.

    python examples/own_data_type.py
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from thrivecalc_models import (
    Amount,
    DataStore,
    InvalidRecordError,
    PayloadAttribute,
    UserRecord,
    payload,
)


@payload
class Account:
    """A nested payload, which is stored as a map in camelCase."""

    bank_name: str
    balance: Amount
    closed: bool = False


@payload
class NetWorthSnapshotData:
    taken_at: date
    assets: Amount
    by_class: dict[str, Amount] | None = None
    accounts: list[Account] | None = None


class NetWorthSnapshot(UserRecord, discriminator="net-worth-snapshot"):
    data: PayloadAttribute[NetWorthSnapshotData] = PayloadAttribute(NetWorthSnapshotData)
    keep_for = timedelta(days=7 * 365)


def main() -> None:
    with DataStore.local() as store:
        user = store.user("google-oauth2|123456789")
        snapshot = user.add(
            NetWorthSnapshotData(
                taken_at="2025-06-30",
                assets="616603.33",
                by_class={"stock": 400000, "cash": "216603.33"},
                accounts=[Account(bank_name="First", balance="216603.33")],
            )
        )
        print("As it is stored, in DynamoDB's JSON and camelCase:")
        for name, value in snapshot.item["data"]["M"].items():
            print(f"  {name}: {value}")

        years = (snapshot.ttl - datetime.now(UTC)) / timedelta(days=365)
        print(f"keep_for gave it a ttl: DynamoDB removes it in {years:.0f} years.")

        again = user.get(NetWorthSnapshot, snapshot.record_id)
        print(f"Read back as {type(again).__name__}, of {again.data.taken_at:%d %B %Y}.")

        with user.unit_of_work() as work:
            again = work.get(NetWorthSnapshot, snapshot.record_id)
            again.data.accounts[0].balance -= 1000  # a change inside a list inside the payload
            print("A change deep inside is noticed, and one request writes that field:")
            print(work.plan())
        balance = user.get(NetWorthSnapshot, snapshot.record_id).data.accounts[0].balance
        print(f"Stored now: {balance}")

        try:
            user.add(NetWorthSnapshotData(taken_at="2025-06-30", assets=1, by_class={"cash": True}))
        except InvalidRecordError as error:
            print(f"A bad value names its place in the table: {error.path}")

        first, second = list_in_pages(store)
        print(f"Pages of one type: {first} records, then {second}.")


def list_in_pages(store: DataStore) -> tuple[int, int]:
    """Add three records of this type, and read them in pages of two."""
    user = store.user("google-oauth2|987654321")
    with user.unit_of_work() as work:
        for month in (1, 2, 3):
            work.add(NetWorthSnapshotData(taken_at=date(2025, month, 28), assets=month))
    page = user.page(NetWorthSnapshot, limit=2)
    rest = user.page(NetWorthSnapshot, limit=2, cursor=page.cursor)
    return len(page.records), len(rest.records)


if __name__ == "__main__":
    main()
