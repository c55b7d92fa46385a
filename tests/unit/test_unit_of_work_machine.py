"""A unit of work and a plain-dict model of it, driven side by side through every call.

After every step what the unit shows agrees with the model; a step that reads nothing and commits
nothing sends nothing; after every commit the table agrees, byte for byte.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from leaks import AMOUNT, EMAIL, NAME
from machines import (
    DEFAULTS,
    EXPIRED,
    PYTHON,
    REQUIRED,
    USER,
    Seen,
    batches,
    changed,
    form_of,
    is_malformed,
    item,
    moment_of,
    outcome,
    planned,
    requests,
    stamp_text,
    user_of,
    value_of,
)

from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    ConflictError,
    CorruptItemError,
    InvalidRecordError,
    RecordExistsError,
    RecordNotFoundError,
    Transaction,
    TransactionData,
    UnitOfWorkStateError,
    UnknownRecord,
)
from thrivecalc_models.testing import SimulatedTable

pytestmark = pytest.mark.usefixtures("shell")

IDS = ["a", "é#1"]
CLASSES = {"budget": Budget, "transaction": Transaction, "note": UnknownRecord}
KEYS = [f"{data_type}#{record_id}" for data_type in CLASSES for record_id in IDS]
AMOUNTS = st.sampled_from([Decimal(0), Decimal("1.5"), Decimal(-20), Decimal(AMOUNT)])
TEXTS = st.sampled_from(["", "food", "Müller", EMAIL])
NAMES = st.sampled_from(["food", "rent"])
FIELDS = {
    "budget": {
        "name": TEXTS,
        "period": TEXTS,
        "startDate": st.none() | st.just(date(2025, 2, 1)),
        "limits": st.none() | st.dictionaries(NAMES, AMOUNTS, max_size=2),
    },
    "transaction": {
        "date": st.just(date(2025, 3, 4)),
        "amount": AMOUNTS,
        "description": TEXTS,
        "category": st.none() | TEXTS,
        "tags": st.none() | st.lists(TEXTS, max_size=2),
    },
    "note": {"text": TEXTS, "size": AMOUNTS, "tags": st.lists(TEXTS, max_size=2)},
}
CONTENT = {
    "budget": {"name": NAME, "period": "monthly", "limits": {"food": Decimal(400)}},
    "transaction": {"date": "2025-01-07", "amount": Decimal(-5), "tags": ["x"]},
    "note": {"text": EMAIL, "tags": []},
}
ODD = [
    item("budget", "a", {"name": {"S": "n"}, "period": {"S": "p"}}, updatedAt={"S": "yesterday"}),
    item("budget", "a", {"name": {"S": "n"}, "period": {"S": "p"}, "limits": {"S": "none"}}),
    item("budget", "a", {"name": {"S": "n"}, "period": {"NULL": True}}),
    item("budget", "a", {}) | {"data": {"S": "gone"}},
    item("transaction", "a", {}, dataType={"S": "budget"}),
    item("transaction", "a", {"date": {"S": "2025-1-7"}, "amount": {"N": "1"}}, ttl=EXPIRED),
    item("note", "a", {"text": {"S": "old"}}, ttl=EXPIRED),
    item(
        "budget",
        "é#1",
        {
            "name": {"S": "n"},
            "period": {"S": "p"},
            "startDate": {"NULL": True},
            "limits": {"M": {"food": {"N": "1.5"}}},
            "currency": {"S": "EUR"},
        },
        source={"S": "web"},
    ),
    item(
        "transaction",
        "é#1",
        {
            "date": {"S": "2025-01-07T10:00:00Z"},
            "amount": {"N": "-5"},
            "category": {"NULL": True},
            "tags": {"L": [{"S": "x"}]},
        },
        ttl={"N": "1893456000"},
    ),
]


def split(key):
    data_type, _, record_id = key.partition("#")
    return data_type, record_id


def given_as(data_type):
    return CLASSES[data_type] if data_type != "note" else "note"


class UnitOfWorkMachine(RuleBasedStateMachine):
    """One user's table, one unit of work after another, and other writers in between."""

    @initialize(
        odd=st.lists(st.sampled_from(ODD), max_size=4),
        plain=st.lists(st.sampled_from(KEYS), max_size=5),
        lock=st.booleans(),
        atomic=st.booleans(),
        include_expired=st.booleans(),
    )
    def begin(self, odd, plain, lock, atomic, include_expired):
        self.server = SimulatedTable()
        ids = iter(range(10_000))
        self.user = user_of(self.server, new_id=lambda: f"gen-{next(ids)}")
        self.other = user_of(self.server)
        for key in plain:
            data_type, record_id = split(key)
            content = form_of(CONTENT[data_type])["M"]
            self.server.put(item(data_type, record_id, content))
        for each in odd:
            self.server.put(each)
        self.table = self.items()
        self.expected_requests = 0
        self.open(lock, atomic, include_expired)

    def items(self):
        return {key: copy.deepcopy(found) for (_, key), found in self.server.items.items()}

    def open(self, lock, atomic, include_expired):
        self.lock, self.atomic, self.include_expired = lock, atomic, include_expired
        self.work = self.user.unit_of_work(
            lock=lock, atomic=atomic, include_expired=include_expired
        )
        self.seen: dict[str, Seen] = {}
        self.failed = False
        self.found = []  # keys that exist_ok found in the map, as they are

    # --- reading

    def visible(self, key):
        """What the unit shows under a key, once the table was read for it."""
        if key not in self.seen and key in self.table and self.is_shown(self.table[key]):
            self.seen[key] = ...  # to be met
        return key in self.seen and (self.seen[key] is ... or not self.seen[key].deleted)

    def is_shown(self, stored):
        ttl = value_of(stored.get("ttl"))
        return self.include_expired or ttl is None or ttl >= self.server.clock().timestamp()

    def meet(self, key, thing):
        """An object came back from a read: it is the one of its key."""
        if not self.visible(key):
            assert thing is None
            return
        assert thing is not None
        if self.seen[key] is ...:
            stored = self.table[key]
            copies = (copy.deepcopy(stored) for _ in range(3))
            self.seen[key] = Seen(key, thing, *copies, malformed=is_malformed(stored))
        assert self.seen[key].thing is thing
        assert thing.record_key == key

    @precondition(lambda self: not self.failed)
    @rule(key=st.sampled_from(KEYS))
    def get(self, key):
        before = key in self.seen
        data_type, record_id = split(key)
        self.meet(key, self.work.get(given_as(data_type), record_id))
        self.expected_requests += not before

    @precondition(lambda self: not self.failed)
    @rule(keys=st.lists(st.sampled_from([*KEYS, "budget#none"]), max_size=6))
    def get_many(self, keys):
        unread = {key for key in keys if key not in self.seen}
        pairs = [(given_as(split(key)[0]), split(key)[1]) for key in keys]
        found = self.work.get_many(pairs)
        assert len(found) == len(keys)
        for key, thing in zip(keys, found, strict=True):
            self.meet(key, thing)
        self.expected_requests += bool(unread)

    @precondition(lambda self: not self.failed)
    @rule(data_type=st.sampled_from([None, *CLASSES]))
    def list(self, data_type):
        found = self.work.list_all() if data_type is None else self.work.list(given_as(data_type))
        self.expected_requests += 1
        pending = {key for key, seen in self.seen.items() if seen.action in ("add", "put")}
        keys = [
            key
            for key in sorted(self.table.keys() | pending)
            if (data_type is None or split(key)[0] == data_type) and self.visible(key)
        ]
        assert [thing.record_key for thing in found] == keys
        for key, thing in zip(keys, found, strict=True):
            self.meet(key, thing)

    # --- queueing

    def enter(self, key, seen):
        known = self.seen.get(key)
        if known is not None and known.action is None and seen.action is not None:
            del self.seen[key]
        self.seen[key] = seen

    def new(self, thing, content, data_type, record_id, action, **how):
        """A record that was never stored, as the model has it."""
        new = item(data_type, record_id, form_of(content)["M"])
        base = copy.deepcopy(new)
        return Seen(f"{data_type}#{record_id}", thing, None, new, base, action, **how)

    @precondition(lambda self: not self.failed)
    @rule(data_type=st.sampled_from(sorted(CLASSES)), as_payload=st.booleans())
    def add_generated(self, data_type, as_payload):
        content = CONTENT[data_type]
        if as_payload and data_type == "transaction":
            content = content | {"date": date(2025, 1, 7), "description": ""}
            thing = self.work.add(TransactionData(**copy.deepcopy(content)))
        elif as_payload and data_type == "budget":
            thing = self.work.add(BudgetData(**copy.deepcopy(content)))
        else:
            thing = self.work.add(data_type, copy.deepcopy(content))
        assert thing.record_id.startswith("gen-")
        seen = self.new(thing, content, data_type, thing.record_id, "add", generated=True)
        self.enter(seen.key, seen)

    @precondition(lambda self: not self.failed)
    @rule(key=st.sampled_from(KEYS), exist_ok=st.booleans())
    def add_given(self, key, exist_ok):
        data_type, record_id = split(key)
        content = CONTENT[data_type]
        known = self.seen.get(key)
        refused = None
        if exist_ok and self.atomic:
            refused = UnitOfWorkStateError
        elif known is not None and exist_ok and not known.deleted:
            again = self.work.add(data_type, content, record_id=record_id, exist_ok=True)
            assert again is known.thing
            if known.action is None and key not in self.found:
                self.found.append(key)
            return
        elif key in self.seen:
            refused = UnitOfWorkStateError if self.seen[key].deleted else RecordExistsError
        if refused:
            with pytest.raises(refused):
                self.work.add(data_type, content, record_id=record_id, exist_ok=exist_ok)
            return
        thing = self.work.add(
            data_type, copy.deepcopy(content), record_id=record_id, exist_ok=exist_ok
        )
        self.enter(key, self.new(thing, content, data_type, record_id, "add", exist_ok=exist_ok))

    @precondition(lambda self: not self.failed)
    @rule(key=st.sampled_from(KEYS), ttl=st.none() | st.just(datetime(2031, 5, 1, tzinfo=UTC)))
    def put_new(self, key, ttl):
        data_type, record_id = split(key)
        content = CONTENT[data_type]
        thing = self.work.put(data_type, copy.deepcopy(content), record_id=record_id, ttl=ttl)
        seen = self.new(thing, content, data_type, record_id, "put")
        if ttl is not None:
            seen.now["ttl"] = {"N": str(int(ttl.timestamp()))}
        self.enter(key, seen)

    def chosen(self, data, *, stored=None, malformed=False):
        """One of the records that the unit has seen, or None."""
        found = [
            seen
            for seen in self.seen.values()
            if seen.thing is not None
            and (stored is None or (seen.stored is not None) == stored)
            and (malformed is None or seen.malformed == malformed)
        ]
        return data.draw(st.sampled_from(found), "record") if found else None

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def put_again(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is None:
            return
        if seen.malformed:
            with pytest.raises(CorruptItemError):
                self.work.put(seen.thing)
            return
        assert self.work.put(seen.thing) is seen.thing
        again = copy.copy(seen)
        again.action, again.generated, again.exist_ok = "put", False, False
        self.enter(seen.key, again)

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def add_again(self, data):
        """A record of the unit is added once more: refused if stored or deleted, else it stays."""
        seen = self.chosen(data, malformed=None)
        if seen is None:
            return
        if seen.stored is not None or seen.deleted:
            with pytest.raises((RecordExistsError, UnitOfWorkStateError)) as refused:
                self.work.add(seen.thing)
            assert isinstance(refused.value, RecordExistsError) == (seen.stored is not None)
        elif seen.action == "add" and seen.generated:
            assert self.work.add(seen.thing) is seen.thing

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def delete_record(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is None:
            return
        self.work.delete(seen.thing)
        if seen.action == "add":
            del self.seen[seen.key]
            return
        again = copy.copy(seen)
        again.action = "delete" if self.lock and seen.stored is not None else "delete any"
        self.enter(seen.key, again)

    @precondition(lambda self: not self.failed)
    @rule(key=st.sampled_from(KEYS))
    def delete_by_id(self, key):
        self.delete_key(key)

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def delete_seen_by_id(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is not None:
            self.delete_key(seen.key)

    def delete_key(self, key):
        data_type, record_id = split(key)
        self.work.delete(data_type, record_id)
        known = self.seen.get(key)
        if known is not None and known.action == "add" and known.generated:
            del self.seen[key]
            return
        again = Seen(key, None, None, {}, {}) if known is None else copy.copy(known)
        again.action = "delete any"
        self.enter(key, again)

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def check(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is None:
            return
        if not self.atomic or seen.stored is None:
            with pytest.raises((UnitOfWorkStateError, InvalidRecordError)):
                self.work.check(seen.thing)
            return
        self.work.check(seen.thing)
        if seen.action is None:
            again = copy.copy(seen)
            again.action = "check"
            self.enter(seen.key, again)

    # --- edits

    @rule(data=st.data())
    def edit(self, data):
        seen = self.chosen(data)
        if seen is None:
            return
        fields = FIELDS[seen.data_type]
        name = data.draw(st.sampled_from(sorted(fields)), "field")
        value = data.draw(fields[name], "value")
        if seen.data_type == "note":
            seen.thing.data[name] = copy.deepcopy(value)
            seen.set_plain(name, value)
            return
        setattr(seen.thing.data, PYTHON.get(name, name), copy.deepcopy(value))
        seen.set_field(name, value)

    @rule(data=st.data(), text=TEXTS, amount=AMOUNTS)
    def edit_in_place(self, data, text, amount):
        """A list or dict inside a payload is changed without any assignment."""
        seen = self.chosen(data)
        if seen is None:
            return
        name = "limits" if seen.data_type == "budget" else "tags"
        holder = seen.thing.data
        inner = holder.get(name) if isinstance(holder, dict) else getattr(holder, name)
        if inner is None:
            return
        if isinstance(inner, dict):
            inner[text or "rent"] = amount
        elif inner and amount > 0:
            inner.pop()
        else:
            inner.append(text)
        (seen.set_plain if seen.data_type == "note" else seen.set_field)(name, inner)

    @rule(data=st.data(), payload_name=TEXTS)
    def replace_payload(self, data, payload_name):
        """A new payload is assigned: the extras stay."""
        seen = self.chosen(data)
        if seen is None or seen.data_type != "budget":
            return
        seen.thing.data = BudgetData(name=payload_name, period="weekly")
        fields = DEFAULTS["budget"] | {"name": payload_name, "period": "weekly"}
        for name, value in fields.items():
            seen.set_field(name, value)

    @rule(data=st.data(), value=st.none() | TEXTS | AMOUNTS | st.lists(AMOUNTS, max_size=2))
    def edit_extras(self, data, value):
        seen = self.chosen(data)
        if seen is None or seen.data_type == "note":
            return
        if isinstance(value, Decimal) and "note" in seen.thing.extra_data:
            del seen.thing.extra_data["note"]
            seen.data.pop("note")
            return
        seen.thing.extra_data["note"] = copy.deepcopy(value)
        seen.set_plain("note", value)

    @rule(data=st.data(), value=st.none() | TEXTS)
    def edit_extra_attributes(self, data, value):
        seen = self.chosen(data)
        if seen is None:
            return
        if value is None:
            seen.thing.extra_attributes.pop("source", None)
            seen.now.pop("source", None)
        else:
            seen.thing.extra_attributes["source"] = value
            seen.now["source"] = form_of(value)

    @rule(data=st.data(), moment=st.none() | st.just(datetime(2032, 1, 1, tzinfo=UTC)))
    def edit_ttl(self, data, moment):
        seen = self.chosen(data)
        if seen is None:
            return
        seen.thing.ttl = moment
        if moment is None:
            seen.now.pop("ttl", None)
        else:
            seen.now["ttl"] = {"N": str(int(moment.timestamp()))}

    @rule(data=st.data())
    def malformed_records_refuse(self, data):
        seen = self.chosen(data, stored=True, malformed=True)
        if seen is None or seen.malformed is False:
            return
        with pytest.raises(CorruptItemError):
            _ = seen.thing.data
        with pytest.raises(CorruptItemError):
            seen.thing.ttl = None

    # --- others

    @rule(
        data=st.data(),
        how=st.sampled_from(["field", "same stamp", "same value", "delete", "replace", "no map"]),
        value=st.sampled_from(["web", "phone"]),
    )
    def other_program(self, data, how, value):
        """TypeScript writes: it changes a field, replaces or deletes an item."""
        met = [seen.key for seen in self.seen.values() if seen.stored is not None]
        key = data.draw(st.sampled_from(met or KEYS), "key")
        data_type, record_id = split(key)
        there = self.table.get(key)
        if how == "delete":
            self.server.delete(USER, key)
        elif how == "replace" or there is None or "M" not in there.get("data", {}):
            content = form_of(CONTENT[data_type])["M"]
            stamp = {"S": stamp_text(self.server.clock())}
            self.server.put(item(data_type, record_id, content, updatedAt=stamp))
        elif how == "no map":
            self.server.put(there | {"data": {"S": value}})
        else:
            name = {"budget": "name", "transaction": "category", "note": "text"}[data_type]
            fields = {} if how == "same value" else {name: {"S": value}}
            stamp = None if how == "same stamp" else stamp_text(self.server.clock())
            self.server.put(changed(there, stamp=stamp, **fields))
        self.table = self.items()

    @rule(data=st.data())
    def other_store(self, data):
        """Another Python service updates a record that it has just read."""
        fit = [key for key, there in self.table.items() if not is_malformed(there)]
        if not fit:
            return
        data_type, record_id = split(data.draw(st.sampled_from(sorted(fit)), "key"))
        sent = self.server.sent()
        record = self.other.get(data_type, record_id, consistent=True, include_expired=True)
        record.extra_attributes["seenBy"] = str(self.server.now)
        self.other.update(record)
        self.expected_requests += self.server.sent() - sent
        self.table = self.items()

    @rule(seconds=st.sampled_from([-3600, 0, 1, 86400]))
    def clock(self, seconds):
        """The clock of this host is set, also back."""
        self.server.set_clock(self.server.clock() + timedelta(seconds=seconds))

    # --- the end

    def pending(self):
        return [seen for seen in self.seen.values() if seen.action is not None or seen.changes()]

    @rule()
    def plan(self):
        assert planned(self.work.plan()) == batches(self.pending(), atomic=self.atomic)

    @precondition(lambda self: not self.failed)
    @rule(data=st.data())
    def bad_value(self, data):
        """A bad value is found before anything is sent, and once mended the unit goes on."""
        seen = self.chosen(data)
        if seen is None or seen.deleted or seen.data_type != "budget":
            return
        limits = copy.copy(seen.thing.data.limits)
        if limits is None:
            seen.thing.data.limits = {}
        seen.thing.data.limits["food"] = "a lot"
        for call in (self.work.plan, self.work.commit):
            with pytest.raises(InvalidRecordError) as refused:
                call()
            assert refused.value.path == "data.limits.food"
        seen.thing.data.limits = limits

    @rule()
    def commit(self):
        pending = self.pending()
        plan = batches(pending, atomic=self.atomic)
        moment = self.server.clock()
        after = copy.deepcopy(self.table)
        outcomes = {seen.key: outcome(seen, after, moment, self.lock) for seen in pending}
        refused = [key for key, what in outcomes.items() if what == "refused"]
        existing = [key for key, what in outcomes.items() if what == "existing"]
        if self.atomic and refused:
            after = copy.deepcopy(self.table)
            applied = []
        else:
            applied = [key for key, what in outcomes.items() if what == "applied"]
        sent = self.server.sent()
        if refused:
            with pytest.raises(CommitError) as failed:
                self.work.commit()
            error = failed.value
            not_applied = [key for key in outcomes if key not in (*applied, *existing)]
            assert (error.applied, error.existing) == (applied, existing)
            assert (error.not_applied, error.unknown) == (not_applied, [])
            assert list(error.causes) == refused
            for key in refused:
                self.agrees_with_cause(key, error.causes[key])
        else:
            result = self.work.commit()
            found = [key for key in self.found if key not in outcomes]
            assert (result.applied, result.existing) == (applied, existing + found)
            self.found = []
            assert result.requests == len(plan)
        assert requests(self.server, sent) == plan
        self.expected_requests += len(plan)
        self.failed = bool(refused)
        for key in applied:
            self.learn_stamp(key, after, moment)
        self.table = after
        for key in applied:
            self.take_on(key, moment)
        for key in existing:
            del self.seen[key]

    def learn_stamp(self, key, after, moment):
        """The stamp of a write goes past the one that was read, at random where it must."""
        seen, stored = self.seen[key], self.server.get(USER, key)
        if stored is not None and key in after:
            expected = seen.stamped(moment)["updatedAt"]
            if after[key].get("updatedAt") == expected:  # else it was only checked
                seen.wrote(stored["updatedAt"]["S"], moment)
                after[key]["updatedAt"] = stored["updatedAt"]

    def agrees_with_cause(self, key, cause):
        seen = self.seen[key]
        assert isinstance(cause, RecordExistsError if seen.action == "add" else ConflictError)
        assert cause.outcome == "not applied"
        assert cause.record is seen.thing
        stored = None if cause.stored is None else cause.stored.item
        assert stored == self.table.get(key)

    def take_on(self, key, moment):
        """An applied record is its own snapshot; a deleted one leaves the map."""
        seen = self.seen[key]
        if seen.deleted:
            del self.seen[key]
            return
        if seen.action == "check" and not seen.changes():
            seen.action = None
            return
        full = seen.action in ("add", "put")
        wanted = seen.stamped(moment)
        seen.action, seen.generated, seen.exist_ok = None, False, False
        seen.reset(wanted if full or self.atomic else self.table[key])

    @rule(data=st.data())
    def refresh(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is None:
            return
        self.expected_requests += 1
        there = self.table.get(seen.key)
        self.forget(seen.key)
        if there is None:
            with pytest.raises(RecordNotFoundError):
                self.work.refresh(seen.thing)
            return
        self.work.refresh(seen.thing)
        seen.action, seen.generated, seen.exist_ok = None, False, False
        seen.reset(there)
        self.seen[seen.key] = seen

    @rule(data=st.data())
    def expunge(self, data):
        seen = self.chosen(data, malformed=None)
        if seen is not None:
            self.work.expunge(seen.thing)
            self.forget(seen.key)
            with pytest.raises(UnitOfWorkStateError):
                self.work.expunge(seen.thing)

    def forget(self, key):
        del self.seen[key]
        self.found = [each for each in self.found if each != key]

    @precondition(lambda self: self.failed or len(self.seen) > 2)
    @rule()
    def rollback(self):
        """Loaded records say again what was read, in place; the map is empty."""
        self.work.rollback()
        self.found = []
        for seen in self.seen.values():
            if seen.stored is not None and seen.thing is not None:
                seen.reset(seen.stored)
                self.agrees(seen)
        self.seen.clear()
        self.failed = False

    @precondition(lambda self: self.failed)
    @rule()
    def refused_after_failure(self):
        """Only the calls that mend or end a failed unit are open."""
        for call in (
            lambda: self.work.get(Budget, "a"),
            lambda: self.work.get_many([(Budget, "a")]),
            lambda: self.work.list(Budget),
            self.work.list_all,
            lambda: self.work.add("note", {}),
            lambda: self.work.put("note", {}, record_id="x"),
            lambda: self.work.delete("note", "x"),
        ):
            with pytest.raises(UnitOfWorkStateError):
                call()

    @precondition(lambda self: not self.failed and len(self.seen) > 2)
    @rule(lock=st.booleans(), atomic=st.booleans(), include_expired=st.booleans())
    def end(self, lock, atomic, include_expired):
        with pytest.warns(ResourceWarning) if self.pending() else nullcontext():
            self.work.close()
        with pytest.raises(UnitOfWorkStateError):
            self.work.get(Budget, "a")
        if self.pending():
            with pytest.raises(UnitOfWorkStateError):
                self.work.commit()
        else:
            assert self.work.commit().requests == 0
        self.open(lock, atomic, include_expired)

    # --- after every step

    @invariant()
    def records_agree(self):
        for seen in self.seen.values():
            if seen.thing is not None:
                self.agrees(seen)

    def agrees(self, seen):
        thing = seen.thing
        assert thing.record_key == seen.key
        assert thing.item == seen.stored
        assert thing.malformed == seen.malformed
        if seen.stored is not None:
            for name, value in (("createdAt", thing.created_at), ("updatedAt", thing.updated_at)):
                assert value == moment_of(seen.stored.get(name, {}).get("S", ""))
        if seen.malformed:
            return
        ttl = value_of(seen.now.get("ttl"))
        assert (thing.ttl and thing.ttl.timestamp()) == (ttl and float(ttl))
        if seen.data_type == "note":
            assert thing.data == value_of({"M": seen.data})
            return
        for name in FIELDS[seen.data_type]:
            value = value_of(seen.data.get(name))
            if value is None:
                value = DEFAULTS[seen.data_type].get(name)
            shown = getattr(thing.data, PYTHON.get(name, name))
            if isinstance(shown, date) and value is not None:
                year, month, day = value.partition("T")[0].split("-")
                value = date(int(year), int(month), int(day))
            assert shown == value
        declared = {*DEFAULTS[seen.data_type], *REQUIRED[seen.data_type]}
        extras = {name: each for name, each in seen.data.items() if name not in declared}
        assert thing.extra_data == value_of({"M": extras})

    @invariant()
    def table_agrees(self):
        assert self.items() == self.table

    @invariant()
    def nothing_else_is_sent(self):
        assert self.server.sent() == self.expected_requests

    @invariant()
    def map_agrees(self):
        """What the unit has seen is shown without a request."""
        if self.failed:
            return
        for key, seen in self.seen.items():
            data_type, record_id = split(key)
            expected = None if seen.deleted else seen.thing
            assert self.work.get(data_type, record_id) is expected


def test_a_unit_of_work_does_what_its_model_does():
    """In any order of calls."""
    options = settings(stateful_step_count=40, deadline=None)
    run_state_machine_as_test(UnitOfWorkMachine, settings=options)
