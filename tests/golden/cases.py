"""Golden files: one record per type and feature, as it is stored and as both languages have it.

`make golden` (`python -m tests.golden`) writes them anew; a test compares them on each run. A
change of the wire form shows as a change of these files.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import own_types
from peer import Peer

from thrivecalc_models import (
    BudgetData,
    PortfolioHoldingData,
    ProfileData,
    RetirementPlanData,
    SavingsGoalData,
    TransactionData,
    UserRecord,
    read_item,
)
from thrivecalc_models.payloads import is_payload_class
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.wire import Item

FILES = Path(__file__).parent / "items"
NOW = datetime(2025, 1, 7, 12, 30, tzinfo=UTC)
LATER = NOW + timedelta(milliseconds=1)
EXPIRY = datetime(2030, 1, 1, tzinfo=UTC)
USER = "google-oauth2|123456789"
RECORD_ID = "550e8400-e29b-41d4-a716-446655440000"


def records() -> Iterator[tuple[str, UserRecord]]:
    """Every record with the name of its file: put at one time, edited a millisecond later."""
    now = NOW
    store = simulated_store(SimulatedTable(), clock=lambda: now, new_id=lambda: RECORD_ID)
    user = store.user(USER)
    for name, given, options in CASES:
        yield name, user.put(*given, **options)
    odd = {"targetAmount": 1, "name": "x", "targetDate": None, "legacy": {"a": [None, ""]}}
    yield "stored-null-and-extras", user.put("savings-goal", odd)
    edited = user.put("savings-goal", {"name": "x", "targetAmount": 1, "targetDate": None})
    removed = user.put(TransactionData(date=date(2025, 1, 7), amount=1, category="food"))
    now = LATER
    edited.data.name = "y"
    yield "edited-null-stays", user.update(edited)
    removed.data.category = None
    yield "edited-none-is-removed", user.update(removed)
    now = NOW
    with_extras = user.put(SavingsGoalData(name="x", target_amount=1))
    now = LATER
    with_extras.extra_data["tags"] = {"b", "a"}
    with_extras.extra_attributes["flags"] = {Decimal(1), Decimal(2)}
    yield "extras-at-both-levels", user.update(with_extras)


CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    (
        "savings-goal",
        (
            SavingsGoalData(
                name="Emergency Fund",
                target_amount=20000,
                current_amount=15000,
                target_date=date(2025, 12, 31),
                monthly_contribution=500,
            ),
        ),
        {},
    ),
    ("savings-goal-defaults", (SavingsGoalData(name="House", target_amount=50000),), {}),
    (
        "portfolio-holding",
        (
            PortfolioHoldingData(
                symbol="VTI",
                shares="100.125",
                name="Vanguard Total Stock Market ETF",
                purchase_price=200,
                current_price="235.5",
            ),
        ),
        {},
    ),
    ("portfolio-holding-defaults", (PortfolioHoldingData(symbol="VTI", shares=1),), {}),
    (
        "retirement-plan",
        (
            RetirementPlanData(
                name="Early",
                current_age=35,
                retirement_age=60,
                current_savings=100000,
                monthly_contribution=1500,
                expected_annual_return="0.07",
                inflation_rate="0.03",
                desired_annual_income=80000,
            ),
        ),
        {},
    ),
    (
        "retirement-plan-defaults",
        (RetirementPlanData(name="Early", current_age=35, retirement_age=60),),
        {},
    ),
    (
        "profile",
        (
            ProfileData(
                display_name="Zoë 日本",
                email="zoe@example.com",
                date_of_birth=date(1990, 2, 3),
                currency="EUR",
                locale="de-DE",
                annual_income=75000,
                risk_tolerance="moderate",
            ),
        ),
        {},
    ),
    ("profile-defaults", (ProfileData(),), {}),
    (
        "transaction",
        (
            TransactionData(
                date=date(2025, 1, 7),
                amount="-12.34",
                description="Coffee",
                category="food",
                account_id="a1",
                tags=["work", ""],
            ),
        ),
        {},
    ),
    ("transaction-defaults", (TransactionData(date=date(2025, 1, 7), amount=5),), {}),
    (
        "budget",
        (
            BudgetData(
                name="Home",
                period="monthly",
                start_date=date(2025, 1, 1),
                limits={"food": 400, "accountFees": "9.99"},
            ),
        ),
        {},
    ),
    ("budget-defaults", (BudgetData(name="Home", period="monthly"),), {}),
    ("given-record-id", (SavingsGoalData(name="x", target_amount=1),), {"record_id": "a#b é"}),
    ("ttl", (SavingsGoalData(name="x", target_amount=1),), {"ttl": EXPIRY}),
    (
        "ttl-fraction-is-rounded-up",
        (SavingsGoalData(name="x", target_amount=1),),
        {"ttl": EXPIRY + timedelta(milliseconds=1)},
    ),
    (
        "ttl-of-the-class",
        (own_types.HouseholdData(people=[own_types.Person(name="x")], note={"deep": [[], {}]}),),
        {},
    ),
    (
        "numbers",
        (
            BudgetData(
                name="numbers",
                period="x",
                limits={
                    "largest": 2**53 - 1,
                    "least": -(2**53) + 1,
                    "third": 0.1 + 0.2,
                    "trailing zeros": Decimal("1.50"),
                    "exponent": Decimal("1E+3"),
                    "small": Decimal("1E-7"),
                    "smallest": Decimal("1E-130"),
                    "negative zero": Decimal("-0"),
                },
            ),
        ),
        {},
    ),
    (
        "every-kind",
        (
            own_types.EverythingData(
                text="",
                whole=7,
                flag=False,
                amount="0.10",
                day=date(999, 1, 2),
                moment=datetime(2025, 1, 7, 12, 30, 0, 123_999, tzinfo=UTC),
                blob=b"\x00\xff",
                words=["", "b"],
                marks={"b", "a", ""},
                limits={"a_b": 1},
                person=own_types.Person(name="Ada", born=date(1815, 12, 10)),
                anything={"set": {1, 2}, "null": None, "bytes": b"x", "list": [True, [1]]},
                maybe_without_default=None,
                gaps=[None, 1],
                people_or_gaps=[None, own_types.Person(name="Bob")],
                by_role={"cook": own_types.Person(name="Eve")},
                branch=own_types.Branch(branches=[own_types.Branch(label="leaf")]),
                colour=own_types.Colour.DARK_BLUE,
                paces=["slow", own_types.Pace.FAST],
                size="x l",
                token=UUID(RECORD_ID),
                opens=time(8, 30, 0, 500_000),
                closes="18:00",
                length=timedelta(days=1, hours=2),
                lengths=[timedelta(), -timedelta(minutes=90, milliseconds=1)],
                share=0.1,
                shares=[1e-7, None, 3],
                scores=(1, "2.50"),
                crew=(own_types.Person(name="Kim"),),
                rows=([own_types.Person(name="Lee")], []),
            ),
        ),
        {},
    ),
    (
        "unregistered-type",
        ("x-note", {"text": "", "none": None, "bytes": b"\x00", "sets": [{"a"}, {1}, {b"\x01"}]}),
        {},
    ),
]


def shown(value: Any, indent: str = "") -> str:
    """A Python value as one would write it, a field or member to a line."""
    inner = indent + "    "
    if is_payload_class(type(value)):
        fields = [
            f"{inner}{field.name}={shown(getattr(value, field.name), inner)},"
            for field in attrs.fields(type(value))
        ]
        return "\n".join([f"{type(value).__name__}(", *fields, f"{indent})"])
    if isinstance(value, dict) and value:
        members = [f"{inner}{name!r}: {shown(each, inner)}," for name, each in value.items()]
        return "\n".join(["{", *members, indent + "}"])
    if isinstance(value, list) and value:
        return "\n".join(["[", *(f"{inner}{shown(each, inner)}," for each in value), indent + "]"])
    if isinstance(value, tuple) and value:
        return "\n".join(["(", *(f"{inner}{shown(each, inner)}," for each in value), indent + ")"])
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(repr, value))) + "}" if value else "set()"
    if isinstance(value, datetime):
        return f"datetime.fromisoformat({value.isoformat()!r})"
    return repr(value).removeprefix("datetime.")


def python_value(record: UserRecord) -> str:
    """What a record reads as: its attributes, its payload and the undeclared rest."""
    names = ["user_id", "record_key", "data_type", "record_id", "created_at", "updated_at", "ttl"]
    names += ["data", "extra_data", "extra_attributes"]
    return "\n".join(f"{name} = {shown(getattr(record, name))}" for name in names)


def written(item: Item, python: str, typescript: str) -> str:
    """The text of a golden file."""
    return (
        f"# As it is stored\n\n{json_text(item)}\n\n# As Python has it\n\n{python}\n\n"
        f"# As TypeScript has it\n\n{typescript}\n"
    )


def json_text(value: Any, indent: str = "") -> str:
    """JSON on one line where that is short, with sorted names."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(indent + line) <= 80 or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        members, (start, end) = [json_text(each, inner) for each in value], "[]"
    else:
        members, (start, end) = [], "{}"
        for name in sorted(value):
            members.append(
                f"{json.dumps(name, ensure_ascii=False)}: {json_text(value[name], inner)}"
            )
    return start + ",".join(f"\n{inner}{member}" for member in members) + f"\n{indent}{end}"


def parts(text: str) -> tuple[Item, str, str]:
    """The stored item, the Python value and the TypeScript value of a golden file."""
    stored, _, rest = text.partition("\n\n# As Python has it\n\n")
    python, _, typescript = rest.partition("\n\n# As TypeScript has it\n\n")
    item = json.loads(stored.removeprefix("# As it is stored\n\n"))
    return item, python, typescript.removesuffix("\n")


def write(peer: Peer) -> list[Path]:
    """Write every golden file anew, and remove those of cases that are no more."""
    wanted = {}
    for name, record in records():
        item = json.loads(json_text(record.item))
        python = python_value(read_item(item))
        wanted[FILES / f"{name}.txt"] = written(item, python, peer.call("shown", item))
    FILES.mkdir(exist_ok=True)
    for old in set(FILES.glob("*.txt")) - wanted.keys():
        old.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return sorted(wanted)
