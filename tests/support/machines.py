"""What the tests of units of work share: items as others write them, and a model of a unit.

The model is as plain as can be. The table is a dict of items in DynamoDB's JSON; every record that
was seen has its stored item and the forms that it would be written with; a commit is a loop.
"""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
from leaks import AMOUNT, NAME, USER
from shells import store_on

from thrivecalc_models import SavingsGoalData, TransactionData
from thrivecalc_models.testing import SimulatedTable

STAMP = "2025-01-02T03:04:05.678Z"
LATER = "2025-01-05T00:00:00.000Z"
EXPIRED = {"N": "1735689600"}  # 2025-01-01; the simulated table begins on 2025-01-07

DEFAULTS = {
    "budget": {"startDate": None, "limits": None},
    "transaction": {"description": "", "category": None, "accountId": None, "tags": None},
}
REQUIRED = {"budget": ("name", "period"), "transaction": ("date", "amount")}
PYTHON = {"startDate": "start_date", "accountId": "account_id"}


def user_of(table: SimulatedTable, user_id: str = USER, **options: Any) -> Any:
    """The data of a user in a simulated table, through a store of its own."""
    return store_on(table, **options).user(user_id)


def item(data_type: str, record_id: str, data: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """An item as TypeScript would have written it; `data` and attributes in DynamoDB's JSON."""
    return {
        "userId": {"S": USER},
        "recordKey": {"S": f"{data_type}#{record_id}"},
        "dataType": {"S": data_type},
        "recordId": {"S": record_id},
        "data": {"M": data},
        "createdAt": {"S": STAMP},
        "updatedAt": {"S": STAMP},
    } | attributes


def goal_item(record_id: str = "g", current: str = "100", **attributes: Any) -> dict[str, Any]:
    """A savings goal with a field that its class does not declare."""
    data = {
        "name": {"S": NAME},
        "targetAmount": {"N": AMOUNT},
        "currentAmount": {"N": current},
        "colour": {"S": "green"},
    }
    return item("savings-goal", record_id, data, **attributes)


def goal_data(amount: Any = 10) -> SavingsGoalData:
    """A savings goal that nothing the library says may show."""
    return SavingsGoalData(name=NAME, target_amount=AMOUNT, current_amount=amount)


def payment(**given: Any) -> TransactionData:
    """A transaction of 7 January 2025, with more fields if they are given."""
    return TransactionData(date=date(2025, 1, 7), amount=-5, **given)


def changed(stored: dict[str, Any], *, stamp: str | None = LATER, **data: Any) -> dict[str, Any]:
    """The item as another program leaves it: some of `data` set, and its stamp."""
    new = copy.deepcopy(stored)
    new["data"]["M"] |= data
    if stamp is not None:
        new["updatedAt"] = {"S": stamp}
    return new


def requests(table: SimulatedTable, since: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """What was sent: the operations, each with its record keys in order."""
    return [(entry.operation, keys_of(entry)) for entry in table.log[since:]]


def keys_of(entry: Any) -> tuple[str, ...]:
    """The record keys that a logged request is about."""
    request = entry.request
    match entry.operation:
        case "BatchWriteItem" | "BatchGetItem":
            (content,) = request["RequestItems"].values()
            if "Keys" in content:
                return tuple(key["recordKey"]["S"] for key in content["Keys"])
            found = [next(iter(write.values())) for write in content]
        case "BatchExecuteStatement":
            return tuple(key_of_statement(each) for each in request["Statements"])
        case "TransactWriteItems":
            found = [next(iter(write.values())) for write in request["TransactItems"]]
        case "Query":
            return ()
        case _:
            found = [request]
    return tuple((each.get("Item") or each["Key"])["recordKey"]["S"] for each in found)


def key_of_statement(statement: dict[str, Any]) -> str:
    """The record key is the second value of a statement's condition."""
    before, _, _ = statement["Statement"].partition(" WHERE ")
    return str(statement["Parameters"][before.count("?") + 1]["S"])


def planned(plan: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(request.operation, tuple(request.keys)) for request in plan.requests]


# --- values ---------------------------------------------------------------------------------------


def value_of(form: dict[str, Any] | None) -> Any:
    """A stored form as plain Python."""
    if form is None:
        return None
    ((tag, content),) = form.items()
    match tag:
        case "N":
            return Decimal(content)
        case "L":
            return [value_of(each) for each in content]
        case "M":
            return {name: value_of(each) for name, each in content.items()}
        case "NULL":
            return None
    return content


def form_of(value: Any) -> dict[str, Any]:
    """Plain Python as it is stored when nothing was there before."""
    match value:
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case date():
            return {"S": value.isoformat()}
        case str():
            return {"S": value}
        case list():
            return {"L": [form_of(each) for each in value]}
        case dict():
            return {"M": {name: form_of(each) for name, each in value.items()}}
        case None:
            return {"NULL": True}
    raise TypeError(type(value))


def kept(old: dict[str, Any] | None, value: Any) -> dict[str, Any]:
    """The form of a value where `old` was: what did not change keeps its form byte for byte."""
    if old is None:
        return form_of(value)
    ((tag, content),) = old.items()
    if isinstance(value, dict) and tag == "M":
        return {"M": {name: kept(content.get(name), each) for name, each in value.items()}}
    new = form_of(value)
    return old if tag in new and value_of(old) == value_of(new) else new


def stamp_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


# --- the model of a unit --------------------------------------------------------------------------


@attrs.define(eq=False)
class Seen:
    """One record in the model: the object, the item that was read, how it would be written."""

    key: str
    thing: Any
    stored: dict[str, Any] | None
    now: dict[str, Any]
    base: dict[str, Any]
    action: str | None = None
    generated: bool = False
    exist_ok: bool = False
    malformed: bool = False
    written: str | None = None

    @property
    def data(self) -> dict[str, Any]:
        return self.now["data"]["M"]

    @property
    def data_type(self) -> str:
        return self.now["dataType"]["S"]

    @property
    def deleted(self) -> bool:
        return self.action in ("delete", "delete any")

    def set_field(self, name: str, value: Any) -> None:
        """What assigning a declared field means for the forms."""
        base = self.base["data"]["M"].get(name)
        if (base is None or "NULL" in base) and value == DEFAULTS[self.data_type].get(name, ...):
            put(self.data, name, base)
        elif value is None:
            self.data.pop(name, None)
        else:
            self.data[name] = kept(base, value)

    def set_plain(self, name: str, value: Any) -> None:
        """What assigning a name of a plain dict (extras, unknown types) means."""
        self.data[name] = kept(self.base["data"]["M"].get(name), value)

    def reset(self, stored: dict[str, Any]) -> None:
        self.stored = copy.deepcopy(stored)
        self.base = copy.deepcopy(stored)
        self.now = copy.deepcopy(stored)
        # An object keeps the class that it was read as: once mended, it has to be read anew.
        stays_odd = type(self.thing).own_data_type() not in (None, stored["dataType"]["S"])
        self.malformed = is_malformed(stored) or stays_odd

    def last_moment(self) -> datetime | None:
        return moment_of((self.stored or {}).get("updatedAt", {}).get("S", ""))

    def wrote(self, stamp: str, moment: datetime) -> None:
        """Learn the stamp of a write that was applied at this moment, and check it."""
        last, written = self.last_moment(), moment_of(stamp)
        assert written is not None
        if last and moment <= last:
            assert timedelta(milliseconds=1) <= written - last <= timedelta(milliseconds=16)
            self.written = stamp
        else:
            assert written == moment_of(stamp_text(moment))

    def changes(self) -> set[tuple[str, ...]]:
        """The paths of what differs from the stored item."""
        if self.stored is None or self.malformed:
            return set()
        old, new = self.stored["data"]["M"], self.data
        inner = {
            ("data", name) for name in old.keys() | new.keys() if old.get(name) != new.get(name)
        }
        outer = {
            (name,)
            for name in self.stored.keys() | self.now.keys()
            if name != "data" and self.stored.get(name) != self.now.get(name)
        }
        return inner | outer

    def stamped(self, moment: datetime) -> dict[str, Any]:
        """The whole item as a write at this moment means it.

        A stamp that cannot be now is the one that was `written`, once that is known.
        """
        new = copy.deepcopy(self.now)
        last = self.last_moment()
        if last and moment <= last:
            moment = moment_of(self.written or "") or last + timedelta(milliseconds=1)
        new["updatedAt"] = {"S": stamp_text(moment)}
        if self.stored is None:
            new["createdAt"] = new["updatedAt"]
        return new


def put(content: dict[str, Any], name: str, form: dict[str, Any] | None) -> None:
    if form is None:
        content.pop(name, None)
    else:
        content[name] = form


def is_malformed(stored: dict[str, Any]) -> bool:
    """Only what the machine's own items can be: the rest is the codec's business."""
    data_type, _, record_id = stored["recordKey"]["S"].partition("#")
    data = stored.get("data", {}).get("M")
    if stored.get("dataType") != {"S": data_type} or stored.get("recordId") != {"S": record_id}:
        return True
    if data is None:
        return True
    if data_type == "budget" and not set(data.get("limits", {"M": {}})) & {"M", "NULL"}:
        return True
    return any(
        "S" not in data.get(name, {}) and "N" not in data.get(name, {})
        for name in REQUIRED.get(data_type, ())
    )


def at(stored: dict[str, Any], path: tuple[str, ...]) -> Any:
    if len(path) == 1:
        return stored.get(path[0])
    return stored.get(path[0], {}).get("M", {}).get(path[1])


def same(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether DynamoDB's `=` holds for two forms, or both are absent."""
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and value_of(one) == value_of(other)


def outcome(seen: Seen, table: dict[str, Any], moment: datetime, lock: bool) -> str:
    """What a pending write comes to on this table: "applied" changes it, "existing", "refused"."""
    key, there = seen.key, table.get(seen.key)
    match seen.action:
        case "add" if there is not None and not seen.generated:
            return "existing" if seen.exist_ok else "refused"
        case "add" | "put":
            table[key] = seen.stamped(moment)
            return "applied"
        case "delete any":
            table.pop(key, None)
            return "applied"
        case "delete":
            if there is not None and not unchanged(seen, there, {("data",)}):
                return "refused"
            table.pop(key, None)
            return "applied"
    paths = seen.changes()
    if there is None:
        return "refused"
    if (lock or seen.action == "check") and not unchanged(seen, there, paths):
        return "refused"
    if seen.action == "check" and not unchanged(seen, there, {("data",)}):
        return "refused"
    if paths:
        if any(path[0] == "data" for path in paths) and "M" not in there.get("data", {}):
            return "refused"
        table[key] = merged(seen, there, paths, moment)
    return "applied"


def unchanged(seen: Seen, there: dict[str, Any], paths: set[tuple[str, ...]]) -> bool:
    assert seen.stored is not None
    return all(same(at(seen.stored, path), at(there, path)) for path in {("updatedAt",), *paths})


def merged(
    seen: Seen, there: dict[str, Any], paths: set[tuple[str, ...]], moment: datetime
) -> dict[str, Any]:
    """The stored item with only the changed fields set."""
    new = copy.deepcopy(there)
    wanted = seen.stamped(moment)
    for path in paths:
        content = new if len(path) == 1 else new["data"]["M"]
        put(content, path[-1], at(wanted, path))
    new["updatedAt"] = wanted["updatedAt"]
    return new


def batches(pending: list[Seen], *, atomic: bool) -> list[tuple[str, tuple[str, ...]]]:
    """The requests that a plan must have, by a formula of its own."""
    if atomic:
        keys = tuple(seen.key for seen in pending)
        return [("TransactWriteItems", keys)] if keys else []
    free = [
        seen
        for seen in pending
        if seen.action in ("put", "delete any") or (seen.action == "add" and seen.generated)
    ]
    chunks = [free[start : start + 25] for start in range(0, len(free), 25)]
    alone = {chunk[0].key for chunk in chunks if len(chunk) == 1}
    grouped = {seen.key for seen in free} - alone
    found = [
        ("BatchWriteItem", tuple(seen.key for seen in chunk)) for chunk in chunks if len(chunk) > 1
    ]
    names = {"add": "PutItem", "put": "PutItem", "delete": "DeleteItem", "delete any": "DeleteItem"}
    singles = [seen for seen in pending if seen.key not in grouped]
    for operation in ("PutItem", "UpdateItem", "DeleteItem"):
        found += [
            (operation, (seen.key,))
            for seen in singles
            if names.get(seen.action or "", "UpdateItem") == operation
        ]
    return found
