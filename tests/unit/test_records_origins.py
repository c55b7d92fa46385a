"""What a payload was read with goes where the payload goes, and nowhere else.

A state machine edits trees of payloads with plain Python. Its model notes, for each payload object,
whose it is and what was stored with it that its class does not declare.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import typing
from typing import Any

import attrs
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from leaks import USER
from machines import user_of
from pynamodb.transactions import TransactWrite
from simulated import configured

from thrivecalc_models import (
    Amount,
    InvalidRecordError,
    OutcomeUnknownError,
    PayloadAttribute,
    UnknownRecord,
    UnsafeNumberError,
    UserRecord,
    payload,
)
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store
from thrivecalc_models.wire import same_value

OTHER = "google-oauth2|998877665544332212"
HUGE = "12345678901234567890.123456789012345678"


@payload
class TwigData:
    label: str = ""
    sizes: list[Amount] = attrs.field(factory=list)
    twigs: list[TwigData] = attrs.field(factory=list)
    named: dict[str, TwigData] = attrs.field(factory=dict)
    twin: TwigData | None = None


@payload
class TreeData:
    twigs: list[TwigData] = attrs.field(factory=list)
    named: dict[str, TwigData] = attrs.field(factory=dict)
    twin: TwigData | None = None
    rows: list[list[TwigData]] = attrs.field(factory=list)
    sizes: list[Amount] = attrs.field(factory=list)


class Tree(UserRecord, discriminator="x-origins"):
    data: PayloadAttribute[TreeData] = PayloadAttribute(TreeData)


Forms = dict[str, Any]

labels = st.text("abc", min_size=1, max_size=3)


class Stored:
    """Random stored twigs, each with attributes that no other has."""

    def __init__(self) -> None:
        self.count = 0

    def twig(self, data: st.DataObject, depth: int = 0) -> Forms:
        self.count += 1
        below = st.integers(0, 2 if depth < 1 else 0)
        form = {
            "label": {"S": data.draw(labels)},
            "sizes": {"L": [{"N": "1.5"}] * data.draw(st.integers(0, 2))},
            "twigs": {"L": [self.twig(data, depth + 1) for _ in range(data.draw(below))]},
            "named": {"M": {n: self.twig(data, depth + 1) for n in "xy"[: data.draw(below)]}},
            "mark": {"S": f"of {self.count}"},
            "deep": {"M": {"size": {"N": HUGE}, "of": {"N": str(self.count)}}},
        }
        if data.draw(below):
            form["twin"] = self.twig(data, depth + 1)
        return {"M": form}

    def item(self, data: st.DataObject, user_id: str, record_id: str) -> Forms:
        content = {
            "twigs": {"L": [self.twig(data) for _ in range(data.draw(st.integers(0, 3)))]},
            "named": {"M": {n: self.twig(data) for n in "xy"[: data.draw(st.integers(0, 2))]}},
            "rows": {"L": [{"L": [self.twig(data)]} for _ in range(data.draw(st.integers(0, 2)))]},
            "sizes": {"L": [{"N": "1"}, {"N": HUGE}, {"N": "0.12345678901234567890"}]},
            "mark": {"S": f"of the tree of {user_id}"},
        }
        return {
            "userId": {"S": user_id},
            "recordKey": {"S": f"x-origins#{record_id}"},
            "dataType": {"S": "x-origins"},
            "recordId": {"S": record_id},
            "data": {"M": content},
            "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
            "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
        }


DECLARED = {field.name for field in attrs.fields(TwigData)}


def undeclared(form: Forms) -> Forms:
    return {name: inner for name, inner in form["M"].items() if name not in DECLARED}


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every place of a tree that holds a twig: the list, dict or payload, and where in it.

    Always in the same order: that of the members of a map is the engine's own.
    """
    own = own_places(data)
    return own + [below for place in own for below in places(at(place))]


def own_places(data: Any) -> list[tuple[Any, Any]]:
    """The places of a tree or a twig itself."""
    found: list[tuple[Any, Any]] = []
    for row in getattr(data, "rows", []):
        found += [(row, index) for index in range(len(row))]
    found += [(data.twigs, index) for index in range(len(data.twigs))]
    found += [(data.named, name) for name in sorted(data.named)]
    found += [(data, "twin")] if data.twin is not None else []
    return found


def at(place: tuple[Any, Any]) -> Any:
    holder, where = place
    return (
        getattr(holder, where)
        if where == "twin" and not isinstance(holder, dict)
        else holder[where]
    )


def put_at(place: tuple[Any, Any], twig: TwigData) -> None:
    holder, where = place
    if where == "twin" and not isinstance(holder, dict):
        holder.twin = twig
    else:
        holder[where] = twig


def take_from(place: tuple[Any, Any]) -> TwigData:
    holder, where = place
    twig = at(place)
    if where == "twin" and not isinstance(holder, dict):
        holder.twin = None
    else:
        del holder[where]
    return twig


def holders(data: Any) -> list[Any]:
    """Every list and dict of twigs in a tree."""
    own = [data.twigs, data.named, *getattr(data, "rows", [])]
    return own + [each for place in places(data) for each in (at(place).twigs, at(place).named)]


WRITES = ["update", "put", "unit", "atomic", "save", "batch", "transaction", "anew"]
HISTORIES = itertools.count()
"""Each has users of its own, so that one does not disturb another in the same table."""


class OriginsMachine(RuleBasedStateMachine):
    @initialize(data=st.data())
    def begin(self, data):
        self.open()
        number = next(HISTORIES)
        user_id, other_id = f"{USER}-{number}", f"{OTHER}-{number}"
        stored = Stored()
        self.records: list[Any] = []
        self.extras: dict[int, tuple[Any, str, Forms]] = {}
        for owner, record_id in ((user_id, "1"), (user_id, "2"), (other_id, "3")):
            item = stored.item(data, owner, record_id)
            self.table.put(item)
            self.read(owner, record_id)

    def open(self):
        """Set the table, as another program uses it, and the store; on an engine others are set."""
        self.table = SimulatedTable()
        self.store = simulated_store(self.table)

    def read(self, user_id, record_id):
        record = self.store.user(user_id).get(Tree, record_id, consistent=True)
        self.records = [each for each in self.records if each.record_key != record.record_key] + [
            record
        ]
        self.learn(record)

    def learn(self, record):
        """What is stored belongs to the payloads that are in its places."""
        self.learn_below(record.user_id, record.data, self.stored(record)["data"]["M"])

    def learn_below(self, user_id, data, content):
        pairs = []
        for row, forms in zip(
            getattr(data, "rows", []), content.get("rows", {"L": []})["L"], strict=True
        ):
            pairs += zip(row, forms["L"], strict=True)
        pairs += zip(data.twigs, content["twigs"]["L"], strict=True)
        pairs += [(twig, content["named"]["M"][name]) for name, twig in data.named.items()]
        if data.twin is not None:
            pairs.append((data.twin, content["twin"]))
        for twig, form in pairs:
            self.extras[id(twig)] = (twig, user_id, undeclared(form))
            self.learn_below(user_id, twig, form["M"])

    def copied(self, old, new):
        """A copy has what its original has, and so has what is in it."""
        if old is new:
            return new
        if id(old) in self.extras:
            _, user_id, forms = self.extras[id(old)]
            self.extras[id(new)] = (new, user_id, forms)
        for one, other in zip(places(old), places(new), strict=True):
            if id(at(one)) in self.extras:
                _, user_id, forms = self.extras[id(at(one))]
                self.extras[id(at(other))] = (at(other), user_id, forms)
        return new

    def evolved(self, old, **changes):
        new = attrs.evolve(old, **changes)
        if id(old) in self.extras:
            _, user_id, forms = self.extras[id(old)]
            self.extras[id(new)] = (new, user_id, forms)
        return new

    def stored(self, record):
        return self.table.get(record.user_id, record.record_key)

    # --- the model ----------------------------------------------------------------------------

    def expected(self, user_id, twig):
        _, owner, forms = self.extras.get(id(twig), (None, None, {}))
        form = {
            "label": {"S": twig.label},
            "sizes": {"L": [{"N": str(size)} for size in twig.sizes]},
            "twigs": {"L": [self.expected(user_id, each) for each in twig.twigs]},
            "named": {"M": {n: self.expected(user_id, each) for n, each in twig.named.items()}},
        }
        if twig.twin is not None:
            form["twin"] = self.expected(user_id, twig.twin)
        return {"M": form | (forms if owner == user_id else {})}

    def expected_of(self, record):
        data, user_id = record.data, record.user_id
        form = {
            "twigs": {"L": [self.expected(user_id, each) for each in data.twigs]},
            "named": {"M": {n: self.expected(user_id, each) for n, each in data.named.items()}},
            "rows": {
                "L": [{"L": [self.expected(user_id, each) for each in row]} for row in data.rows]
            },
            "sizes": {"L": [{"N": str(size)} for size in data.sizes]},
            "mark": {"S": f"of the tree of {user_id}"},
        }
        if data.twin is not None:
            form["twin"] = self.expected(user_id, data.twin)
        return {"M": form}

    # --- edits --------------------------------------------------------------------------------

    def pick(self, data):
        return data.draw(st.sampled_from(self.records), label="record")

    def pick_place(self, data, record):
        found = places(record.data)
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data(), how=st.sampled_from(["sort", "reverse", "filter", "slice", "double"]))
    def edit_list(self, data, how):
        lists = [each for each in holders(self.pick(data).data) if isinstance(each, list)]
        twigs = data.draw(st.sampled_from(lists))
        match how:
            case "sort":
                twigs[:] = sorted(twigs, key=lambda twig: twig.label, reverse=True)
            case "reverse":
                twigs.reverse()
            case "filter":
                twigs[:] = [twig for twig in twigs if twig.label != "a"]
            case "slice":
                twigs[:] = twigs[1:]
            case "double" if twigs:
                twigs.append(self.copied(twigs[0], copy.copy(twigs[0])))

    @rule(data=st.data(), how=st.sampled_from(["copy", "deepcopy", "pickle", "evolve", "same"]))
    def copy_members(self, data, how):
        record = self.pick(data)
        new = [self.copy_of(twig, how) for twig in reversed(record.data.twigs)]
        record.data.twigs = new

    def copy_of(self, twig, how):
        match how:
            case "copy":
                return self.copied(twig, copy.copy(twig))
            case "deepcopy":
                return self.copied(twig, copy.deepcopy(twig))
            case "pickle":
                return self.copied(twig, pickle.loads(pickle.dumps(twig)))
            case "evolve":
                return self.evolved(twig, label=twig.label + "!")
        return twig

    @rule(data=st.data(), how=st.sampled_from(["copy", "deepcopy", "pickle", "evolve"]))
    def copy_all(self, data, how):
        record = self.pick(data)
        old = record.data
        match how:
            case "copy":
                new = self.copied(old, copy.copy(old))
            case "deepcopy":
                new = self.copied(old, copy.deepcopy(old))
            case "pickle":
                new = self.copied(old, pickle.loads(pickle.dumps(old)))
            case "evolve":
                new = attrs.evolve(old, sizes=old.sizes[1:])
        given = [at(place) for place in places(new)]
        record.data = new
        # A member that is another record's, too, stays that record's: here a copy is in its place.
        for one, other in zip(given, map(at, places(record.data)), strict=True):
            self.copied(one, other)

    @rule(data=st.data(), how=st.sampled_from(["move", "same", "copy", "deepcopy", "evolve"]))
    def move(self, data, how):
        source, target = self.pick(data), self.pick(data)
        place = self.pick_place(data, source)
        if place is None or levels(at(place)) + levels(target.data) > MOST_LEVELS:
            return
        twig = take_from(place) if how == "move" else self.copy_of(at(place), how)
        holder = data.draw(st.sampled_from(holders(target.data)), label="to")
        if any(at(inner) is holder for inner in places(twig)) or inside(twig, holder):
            return
        if isinstance(holder, dict):
            holder[data.draw(labels)] = twig
        else:
            holder.insert(data.draw(st.integers(0, len(holder))), twig)

    @rule(data=st.data())
    def swap(self, data):
        record = self.pick(data)
        one, other = self.pick_place(data, record), self.pick_place(data, record)
        if one is None or not apart(at(one), at(other)):
            return
        if levels(record.data) + max(levels(at(one)), levels(at(other))) > MOST_LEVELS:
            return
        first, second = at(one), at(other)
        put_at(one, second)
        put_at(other, first)

    @rule(data=st.data())
    def replace(self, data):
        place = self.pick_place(data, self.pick(data))
        if place is not None:
            self.kept = getattr(self, "kept", [])
            new = TwigData(label=at(place).label)
            self.kept.append(new)  # so that no id is used twice
            put_at(place, new)

    @rule(data=st.data(), label=labels)
    def rename(self, data, label):
        place = self.pick_place(data, self.pick(data))
        if place is not None:
            at(place).label = label

    @rule(data=st.data(), how=st.sampled_from(["pop", "reverse", "append"]))
    def sizes(self, data, how):
        sizes = self.pick(data).data.sizes
        match how:
            case "pop" if sizes:
                sizes.pop(0)
            case "reverse":
                sizes.reverse()
            case "append":
                sizes.append(7)

    @rule(data=st.data())
    def pop(self, data):
        place = self.pick_place(data, self.pick(data))
        if place is not None:
            take_from(place)

    # --- writes -------------------------------------------------------------------------------

    @rule(data=st.data(), how=st.sampled_from(WRITES))
    def write(self, data, how):
        self.write_one(self.pick(data), how)

    def write_one(self, record, how):
        user = self.store.user(record.user_id)
        expected = self.expected_of(record)
        note(f"{how} of {record.record_key}")
        match how:
            case "update":
                user.update(record)
            case "put":
                user.put(record)
            case "unit" | "atomic":
                with user.unit_of_work(atomic=how == "atomic") as work:
                    work.attach(record)
            case "save":
                record.save()
            case "batch":
                with configured(self.store), Tree.batch_write() as batch:
                    batch.save(record)
            case "transaction":
                self.transact("save", record)
            case "anew":
                self.transact("delete", record)
                assert self.stored(record) is None
                record.save()
        assert same_value(self.stored(record)["data"], expected)
        sent = self.table.sent()
        user.update(record)
        assert self.table.sent() == sent
        self.learn(record)

    def transact(self, how, record):
        """Save or delete a record by a transaction of PynamoDB's."""
        connection = table_of(self.store.session).connection
        with TransactWrite(connection=connection) as transaction:
            getattr(transaction, how)(record)

    def teardown(self):
        for record in getattr(self, "records", []):
            self.write_one(record, "update")

    @rule(data=st.data(), how=st.sampled_from(["read", "refresh"]))
    def read_again(self, data, how):
        record = self.pick(data)
        if how == "read":
            self.read(record.user_id, record.record_id)
        else:
            record.refresh(consistent_read=True)
            self.learn(record)

    @rule(data=st.data())
    def another_program(self, data):
        """Another program adds an attribute to a member that is stored, and the record is read."""
        record = self.pick(data)
        item = self.stored(record)
        if item["data"]["M"]["twigs"]["L"]:
            item["data"]["M"]["twigs"]["L"][0]["M"]["added"] = {"S": "later"}
            self.table.put(item)
            record.refresh(consistent_read=True)
            self.learn(record)


def inside(twig, holder):
    """Whether a list or dict is somewhere within a twig."""
    return any(each is holder for each in holders(twig))


def levels(data):
    """How many twigs are within one another, this one among them."""
    return 1 + max((levels(at(place)) for place in own_places(data)), default=0)


MOST_LEVELS = 12
"""Each twig is a list and a map of the 32 levels that DynamoDB stores."""


def apart(one, other):
    """Whether neither of two twigs is within the other."""
    return all(at(place) is not other for place in places(one)) and all(
        at(place) is not one for place in places(other)
    )


TestOrigins = OriginsMachine.TestCase
TestOrigins.settings = settings(
    max_examples=min(60, settings.default.max_examples), stateful_step_count=12, deadline=None
)


# --- each edit by itself --------------------------------------------------------------------------


def bill():
    """Three members of a list, each with a currency that its class does not declare."""
    table = SimulatedTable()
    table.put(
        {
            "userId": {"S": USER},
            "recordKey": {"S": "x-origins#bill"},
            "dataType": {"S": "x-origins"},
            "recordId": {"S": "bill"},
            "data": {
                "M": {
                    "twigs": {"L": [member(label) for label in "abc"]},
                    "named": {"M": {"x": member("d")}},
                    "rows": {"L": [{"L": [member("e")]}]},
                    "sizes": {"L": [{"N": "1"}, {"N": HUGE}]},
                    "legacy": {"M": {"size": {"N": HUGE}}},
                }
            },
            "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
        }
    )
    user = user_of(table)
    return table, user, user.get(Tree, "bill")


CURRENCY = {"a": "EUR", "b": "USD", "c": "JPY", "d": "CHF", "e": "SEK"}


def member(label):
    return {
        "M": {
            "label": {"S": label},
            "sizes": {"L": []},
            "twigs": {"L": []},
            "named": {"M": {}},
            "currency": {"S": CURRENCY[label]},
        }
    }


def currencies(table, *path, key="x-origins#bill", user_id=USER):
    """The label and currency of each member of a stored list or dict."""
    form = table.get(user_id, key)["data"]
    for name in path:
        form = form["M"][name] if "M" in form else form["L"][name]
    ((_, content),) = form.items()
    forms = content.values() if isinstance(content, dict) else content
    return [(f["M"]["label"]["S"], f["M"].get("currency", {}).get("S")) for f in forms]


def by_label(twig):
    return twig.label


LIST_EDITS = {
    "sorted copies": lambda twigs: sorted(copy.deepcopy(twigs), key=by_label, reverse=True),
    "sorted shallow copies": lambda twigs: sorted(
        map(copy.copy, twigs), key=by_label, reverse=True
    ),
    "evolved": lambda twigs: [attrs.evolve(twig, sizes=[2]) for twig in reversed(twigs)],
    "filtered": lambda twigs: [
        attrs.evolve(twig, sizes=[2]) for twig in twigs if twig.label != "a"
    ],
    "pickled": lambda twigs: pickle.loads(pickle.dumps(twigs))[::-1],
    "sliced": lambda twigs: twigs[1:] + twigs[:1],
    "twice": lambda twigs: [*twigs, *copy.deepcopy(twigs)],
}


@pytest.mark.parametrize("edit", LIST_EDITS)
def test_each_member_keeps_what_it_was_read_with(edit):
    """However a list is made anew of its members and their copies, each keeps its own."""
    table, user, record = bill()
    record.data.twigs = LIST_EDITS[edit](record.data.twigs)
    user.update(record)
    labels = [twig.label for twig in record.data.twigs]
    assert currencies(table, "twigs") == [(label, CURRENCY[label]) for label in labels]


ALL_EDITS = {
    "append": lambda twigs: twigs.append(TwigData(label="new")),
    "pop": lambda twigs: twigs.pop(0),
    "reverse": lambda twigs: twigs.reverse(),
    "replace": lambda twigs: twigs.__setitem__(0, TwigData(label="new")),
    "pop and insert": lambda twigs: twigs.insert(0, TwigData(label=twigs.pop(0).label)),
}


@pytest.mark.parametrize("edit", ALL_EDITS)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, attrs.evolve, lambda data: data])
def test_a_copy_of_all_data_can_be_edited(edit, how):
    """In a copy of the whole data members keep their own, and a new one has nothing of another."""
    table, user, record = bill()
    old = list(record.data.twigs)
    record.data = how(record.data)
    ALL_EDITS[edit](record.data.twigs)
    kept = {twig.label: twig for twig in old if any(twig == each for each in record.data.twigs)}
    user.update(record)
    new = {"replace": {0}, "pop and insert": {0}, "append": {3}}.get(edit, set())
    for index, (label, currency) in enumerate(currencies(table, "twigs")):
        assert currency == (None if index in new else CURRENCY[label])
    assert kept
    sent = table.sent()
    user.update(record)
    assert table.sent() == sent
    with user.unit_of_work() as work:
        work.attach(record)
        assert not work.plan().requests


def test_members_move_between_fields_and_records():
    """A member takes along what it was read with: to another field, name, row or record."""
    table, user, record = bill()
    other = user.add(TreeData(), record_id="other")
    data = record.data
    data.named["z"] = copy.copy(data.named.pop("x"))
    data.rows[0].append(data.twigs.pop(0))
    data.twin = data.twigs.pop(0)
    other.data.twigs.append(data.rows[0].pop(0))
    with user.unit_of_work() as work:
        work.attach(record)
        work.attach(other)
    assert currencies(table, "named") == [("d", "CHF")]
    assert currencies(table, "rows", 0) == [("a", "EUR")]
    assert table.get(USER, "x-origins#bill")["data"]["M"]["twin"] == member("b")
    assert currencies(table, "twigs", key="x-origins#other") == [("e", "SEK")]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, attrs.evolve, lambda twig: twig])
def test_nothing_undeclared_goes_to_another_user(how):
    """Into another user's record a payload goes with its declared fields alone."""
    table, _, record = bill()
    other = user_of(table, OTHER)
    taken = other.add(TreeData(twigs=[how(record.data.twigs[0])]), record_id="taken")
    taken.data.twigs.append(how(record.data.twigs[1]))
    other.update(taken)
    assert currencies(table, "twigs", key="x-origins#taken", user_id=OTHER) == [
        ("a", None),
        ("b", None),
    ]


def test_numbers_that_moved_are_written_as_they_were():
    """A number that JavaScript cannot hold stays where its neighbours go, and where it is moved."""
    table, user, record = bill()
    record.data.sizes.pop(0)
    record.extra_data["renamed"] = record.extra_data.pop("legacy")
    record.extra_attributes["top"] = [record.data.sizes[0]]
    user.update(record)
    stored = table.get(USER, "x-origins#bill")
    assert stored["data"]["M"]["sizes"] == {"L": [{"N": HUGE}]}
    assert stored["data"]["M"]["renamed"] == {"M": {"size": {"N": HUGE}}}
    assert stored["top"] == {"L": [{"N": HUGE}]}
    record.data.sizes[0] += 1
    with pytest.raises(UnsafeNumberError):
        user.update(record)


def test_an_origin_is_not_seen_from_outside():
    """attrs, comparison and the repr of a payload show its declared fields alone."""
    _, _, record = bill()
    one = record.data.twigs[0]
    same = TwigData(label="a")
    assert one == same
    assert attrs.asdict(one) == attrs.asdict(same)
    assert [field.name for field in attrs.fields(TwigData)] == list(attrs.asdict(same))
    assert repr(one) == repr(same)
    assert typing.get_type_hints(TwigData).keys() == attrs.asdict(same).keys()


# --- one payload, several records -----------------------------------------------------------------


def test_a_payload_that_is_given_to_several_records_is_copied():
    """A template that makes several records stays one record's; the others have copies of it."""
    table = SimulatedTable()
    user = user_of(table)
    template = TreeData(twigs=[TwigData(label="a")], sizes=[1])
    with user.unit_of_work() as work:
        first, second, third = (work.add(template, record_id=i) for i in "abc")
    assert first.data is template
    first.data.twigs[0].label = "edited"
    first.data.sizes.append(2)
    for record in (second, third):
        assert record.data == TreeData(twigs=[TwigData(label="a")], sizes=[1])
        user.update(record)
        assert table.get(USER, record.record_key)["updatedAt"] == record.item["updatedAt"]
    user.update(first)
    assert table.sent("UpdateItem") == 1


def test_the_data_of_one_record_given_to_another_is_copied():
    """Taking over another record's data, or one dict twice, leaves each record its own."""
    _, user, record = bill()
    record.data.sizes.pop()  # a number that JavaScript cannot hold belongs to its record
    other = user.add(record.data)
    assert other.data == record.data
    other.data.twigs[0].label = "edited"
    assert record.data.twigs[0].label == "a"
    record.data = record.data
    data = record.data
    record.data = data
    assert record.data is data
    given = {"list": [1]}
    notes = [UnknownRecord(USER, data_type="x-note", data=given) for _ in range(2)]
    notes[0].data["list"].append(2)
    assert notes[1].data == given == {"list": [1]}


def test_a_payload_within_the_data_belongs_to_one_record_too():
    """A member that two records are given is one record's, and the other has a copy of it."""
    _, user, record = bill()
    line = TwigData(label="shared")
    one, two = (user.add(TreeData(twigs=[line])) for _ in range(2))
    assert one.data.twigs[0] is line
    three = user.add(TreeData(twigs=[record.data.twigs[0]]))
    three.data.twigs.append(record.data.twigs[1])  # seen when it is written
    user.update(three)
    for twig in (line, *three.data.twigs):
        twig.label = "edited"
    assert two.data.twigs == [TwigData(label="shared")]
    assert "edited" not in {twig.label for twig in record.data.twigs}
    kept = record.data.twigs[0]
    record.data = TreeData(twigs=[kept])
    assert record.data.twigs[0] is kept


# --- from within the data to its top --------------------------------------------------------------


@payload
class NodeData:
    label: str = ""
    node: NodeData | None = None


class Node(UserRecord, discriminator="x-inner-origins"):
    data: PayloadAttribute[NodeData] = PayloadAttribute(NodeData)


def node(user, table, extras, within):
    inner = {"M": {"label": {"S": "in"}} | within}
    item = {
        "userId": {"S": USER},
        "recordKey": {"S": "x-inner-origins#n"},
        "dataType": {"S": "x-inner-origins"},
        "recordId": {"S": "n"},
        "data": {"M": {"label": {"S": "top"}, "node": inner} | extras},
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
    }
    table.put(item)
    return user.get(Node, "n")


def test_a_nested_payload_that_becomes_the_data_brings_what_it_was_read_with():
    """A payload that moves from within the data to its top brings its undeclared attributes."""
    table = SimulatedTable()
    user = user_of(table)
    record = node(user, table, {"mine": {"S": "x"}}, {"size": {"N": HUGE}})
    record.data = record.data.node
    user.update(record)
    assert table.get(USER, "x-inner-origins#n")["data"]["M"] == {
        "label": {"S": "in"},
        "size": {"N": HUGE},
        "mine": {"S": "x"},
    }
    sent = table.sent()
    user.update(record)
    assert table.sent() == sent
    record.extra_data["size"] = 1
    user.update(record)
    assert table.get(USER, "x-inner-origins#n")["data"]["M"]["size"] == {"N": "1"}


def test_where_it_is_open_whose_an_attribute_is_nothing_is_guessed():
    """An attribute that the record and the payload both have is refused, with path and way out."""
    table = SimulatedTable()
    user = user_of(table)
    record = node(user, table, {"mark": {"S": "top"}}, {"mark": {"S": "in"}})
    inner, sent = record.data.node, table.sent()
    with pytest.raises(InvalidRecordError, match=r"record\.extra_data\['mark'\]") as caught:
        record.data = inner
    assert caught.value.path == "data.mark"
    assert table.sent() == sent
    del record.extra_data["mark"]
    record.data = inner
    user.update(record)
    assert table.get(USER, "x-inner-origins#n")["data"]["M"] == {
        "label": {"S": "in"},
        "mark": {"S": "in"},
    }


# --- rollback, refresh, lost replies --------------------------------------------------------------


def scrambled(record):
    """Members that are equal but for what is undeclared, in another order, and one of them gone."""
    for twig in record.data.twigs:
        twig.label = "same"
    record.data.twigs = [attrs.evolve(twig) for twig in reversed(record.data.twigs)][1:]
    record.data.named["y"] = record.data.rows[0].pop()


def test_a_rollback_gives_each_member_its_own_again():
    """After a rollback every member has what is stored in its place; nothing is left to send."""
    table, user, _ = bill()
    before = table.get(USER, "x-origins#bill")
    work = user.unit_of_work()
    record = work.get(Tree, "bill")
    scrambled(record)
    work.rollback()
    sent = table.sent()
    user.update(record)
    assert table.sent() == sent
    record.data.twigs.reverse()
    user.update(record)
    assert currencies(table, "twigs") == [("c", "JPY"), ("b", "USD"), ("a", "EUR")]
    assert table.get(USER, "x-origins#bill")["data"]["M"]["named"] == before["data"]["M"]["named"]


def test_edits_after_a_lost_reply_keep_each_members_own():
    """Edits made while it is unknown whether the first write was applied go where they belong."""
    table, user, record = bill()
    record.data.twigs.reverse()
    table.fail_always(faults.LoseReply(applied=True))
    with pytest.raises(OutcomeUnknownError):
        user.update(record)
    table.heal()
    scrambled(record)
    user.update(record)
    assert currencies(table, "twigs") == [("same", "USD"), ("same", "JPY")]
    assert currencies(table, "named") == [("d", "CHF"), ("e", "SEK")]
    sent = table.sent()
    user.update(record)
    assert table.sent() == sent
