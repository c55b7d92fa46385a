"""Import a bank statement: 2,000 lines of CSV, of which a few are bad.

Each bad line is reported by its number and field before anything of it is sent. The good ones are
stored, a few hundred in each unit of work. The import can run again: the bank's reference is the
record id, and a stored record stays as it is.

    python examples/import_transactions.py
"""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

import attrs

from thrivecalc_models import (
    DataStore,
    InvalidRecordError,
    Transaction,
    TransactionData,
    UserData,
)

LINES = 2_000
UNIT = 250


@attrs.frozen
class Booking:
    """A good line of the statement: its record id, and its payload."""

    record_id: str
    data: TransactionData


def main() -> None:
    statement = make_statement()
    with DataStore.local() as store:
        user = store.user("google-oauth2|123456789")
        print(f"Importing a statement of {LINES:,} lines, {UNIT} to a unit of work:")
        bad = import_statement(user, statement)
        print(f"{len(bad)} bad lines were left out:")
        for report in bad:
            print(f"  {report}")

        print("Importing the same statement again:")
        import_statement(user, statement)
        stored = sum(1 for _ in user.iterate(Transaction))
        print(f"{stored:,} transactions are stored; the second import added none.")


def import_statement(user: UserData, statement: str) -> list[str]:
    """Store the good lines, print the number of requests, and return a report of each bad line."""
    bad: list[str] = []
    added = present = requests = 0
    for unit in in_units_of(UNIT, good_lines(user, statement, bad)):
        with user.unit_of_work() as work:
            keys = [(Transaction, booking.record_id) for booking in unit]
            found = work.get_many(keys)  # saves a write request for each stored record
            for booking, record in zip(unit, found, strict=True):
                if record is None:
                    # exist_ok: another import may store it between this read and the write
                    work.add(booking.data, record_id=booking.record_id, exist_ok=True)
            result = work.commit()
        added += len(result.applied)
        present += len(unit) - len(result.applied)
        requests += result.requests
    print(f"  added {added:,} in {requests:,} write requests; {present:,} were there already")
    return bad


def good_lines(user: UserData, statement: str, bad: list[str]) -> Iterator[Booking]:
    """Yield the lines that can be stored; append a report of each other line to `bad`."""
    line_of: dict[str, int] = {}
    reader = csv.DictReader(io.StringIO(statement))
    for row in reader:
        try:
            booking = read_line(user, row)
        except InvalidRecordError as error:
            reason = str(error).removeprefix(f"{error.path} ")
            bad.append(f"line {reader.line_num}, {error.path}: {reason}")
            continue
        first = line_of.setdefault(booking.record_id, reader.line_num)
        if first == reader.line_num:
            yield booking
        else:
            bad.append(f"line {reader.line_num}, recordId: the same reference as line {first}")


def read_line(user: UserData, row: dict[str, str]) -> Booking:
    """Read one line, and check all that a commit checks. Raises InvalidRecordError."""
    data = TransactionData(
        date=row["date"],
        amount=row["amount"],
        description=row["description"],
        account_id="checking",
    )
    trial = user.unit_of_work()
    trial.add(data, record_id=row["reference"])
    trial.plan()  # some checks are made only for a write, such as numbers that JavaScript can hold
    trial.rollback()
    return Booking(row["reference"], data)


def in_units_of(size: int, bookings: Iterable[Booking]) -> Iterator[list[Booking]]:
    """Yield lists of `size` bookings; the last one may be shorter."""
    remaining = iter(bookings)
    while unit := list(itertools.islice(remaining, size)):
        yield unit


BAD = {
    117: {"date": "2025-02-30"},
    118: {"date": "07.01.2025"},
    404: {"amount": "12,50"},
    405: {"amount": ""},
    871: {"amount": "9007199254740993"},
    1200: {"reference": ""},
    1500: {"reference": "CHK-01499"},
}
"""The errors in the statement, by line number; line 1 has the column names."""


def make_statement() -> str:
    """Make a statement as a bank might send it, the same one every time."""
    rng = random.Random(7)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["date", "amount", "description", "reference"])
    writer.writeheader()
    for line in range(2, LINES + 2):
        row = {
            "date": str(date(2025, 1, 1) + timedelta(days=line * 365 // LINES)),
            "amount": f"{rng.randint(-90_000, 30_000) / 100:.2f}",
            "description": rng.choice(["Grocer", "ACME, Inc.", "Café Zürich", 'The "Corner"']),
            "reference": f"CHK-{line:05}",
        }
        writer.writerow(row | BAD.get(line, {}))
    return text.getvalue()


if __name__ == "__main__":
    main()
