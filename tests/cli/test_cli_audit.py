"""`thrivecalc audit`: each kind is found and nothing else is; repairs are honest."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from cli import run, run_alone
from hypothesis import given
from hypothesis import strategies as st
from leaks import AMOUNT, CANARY, USER
from machines import LATER, goal_item, item
from proxy import FaultyProxy, always, in_turn

from thrivecalc_models import SavingsGoal, UnavailableError
from thrivecalc_models.cli import common
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store
from thrivecalc_models.testing.strategies import odd_items, stored_items
from thrivecalc_models.upkeep.audit import EXAMPLES, Tally, audit
from thrivecalc_models.upkeep.findings import FindingKind, findings
from thrivecalc_models.upkeep.repairs import perform, repair_of
from thrivecalc_models.upkeep.users import Survey, total
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import (
    item_size,
    masked_user,
    parse_timestamp,
    same_item,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IN_TIME = "1924992000"  # 2031
MASKED = masked_user(USER)


def goal(record_id="g", *, without=(), data=(), **attributes):
    """A sound savings goal, with attributes and payload fields as given."""
    made = goal_item(record_id)
    made["data"]["M"] |= dict(data)
    for name in without:
        del made[name]
    return made | attributes


def sized(size):
    """A goal of exactly so many bytes."""
    small = item_size(goal(data={"text": {"S": ""}}))
    return goal(data={"text": {"S": "x" * (size - small)}})


def text(value):
    return {"S": value}


def number(value):
    return {"N": value}


NEAR = 409_600 * 9 // 10
JUST_PAST = str(int(datetime.now(UTC).timestamp()) - 4 * 365 * 86_400)
FRESH = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

# Of each kind: what shows it, what is said of it, and an item beside it that does not show it.
CASES = {
    "no data": ("malformed", goal(without=["data"]), "data is missing", goal(data={})),
    "data is no map": ("malformed", goal() | {"data": text("{}")}, "data is no map", goal()),
    "a field is missing": (
        "malformed",
        item("savings-goal", "g", {"name": text("x")}),
        "data.targetAmount is missing",
        item("savings-goal", "g", {"name": text("x"), "targetAmount": number("1")}),
    ),
    "a field of another type": (
        "malformed",
        goal(data={"targetAmount": text("12")}),
        "data.targetAmount is not a number",
        goal(data={"targetDate": {"NULL": True}}),
    ),
    "no dataType": (
        "key-disagreement",
        goal(without=["dataType"]),
        "dataType is missing",
        goal("a#b"),
    ),
    "no recordId": (
        "key-disagreement",
        goal(without=["recordId"]),
        "recordId is missing",
        goal("ü"),
    ),
    "another recordId": (
        "key-disagreement",
        goal(recordId=text("other")),
        "recordId disagrees with recordKey",
        goal(),
    ),
    "a key without #": (
        "key-disagreement",
        goal(recordKey=text("savings-goal")),
        "recordKey has no #",
        goal(),
    ),
    "a type nobody knows": (
        "unknown-type",
        item("note", "n", {}),
        "no record class",
        item("profile", "p", {}),
    ),
    "Python's name of a field": (
        "spelling",
        goal(data={"target_date": text("2025-12-31")}),
        "data.target_date is spelt targetDate in the table",
        goal(data={"target": text("2025-12-31")}),
    ),
    "a wide integer": (
        "unsafe-number",
        goal(data={"currentAmount": number("9007199254740992")}),
        "data.currentAmount is a number that JavaScript cannot hold",
        goal(data={"currentAmount": number("9007199254740991")}),
    ),
    "a long decimal, deep inside": (
        "unsafe-number",
        goal(data={"more": {"L": [{"M": {"deep": number("0.12345678901234567890")}}]}}),
        "data.more[0].deep is a number that JavaScript cannot hold",
        goal(data={"more": {"L": [{"M": {"deep": number("0.1234567890123456")}}]}}),
    ),
    "in a set outside the payload": (
        "unsafe-number",
        goal(flags={"NS": ["1", "1e30"]}),
        "flags is a number that JavaScript cannot hold",
        goal(flags={"NS": ["1", "1e3"]}),
    ),
    "a ttl of text": ("ttl", goal(ttl=text("soon")), "ttl is no number", goal()),
    "a ttl of text digits": (
        "ttl",
        goal(ttl=text(IN_TIME)),
        "no number",
        goal(ttl=number(IN_TIME)),
    ),
    "a ttl in milliseconds": (
        "ttl",
        goal(ttl=number(IN_TIME + "000")),
        "ttl is beyond the year 9999, as a time in milliseconds is",
        goal(ttl=number(IN_TIME + ".5")),
    ),
    "a ttl long past": (
        "ttl",
        goal(ttl=number("1420070400")),
        "ttl is over five years past",
        goal(ttl=number(JUST_PAST)),
    ),
    "a ttl below zero": ("ttl", goal(ttl=number("-1")), "ttl is before 1970", goal()),
    "no updatedAt": ("timestamp", goal(without=["updatedAt"]), "updatedAt is missing", goal()),
    "a time that is none": (
        "timestamp",
        goal(createdAt=text("yesterday")),
        "createdAt is no timestamp",
        goal(),
    ),
    "a time of another program": (
        "timestamp",
        goal(updatedAt=text("2025-01-02T04:04:05.678+01:00")),
        "updatedAt is not as toISOString",
        goal(updatedAt=text("2025-01-02T03:04:05.678Z")),
    ),
    "a time in the future": (
        "timestamp",
        goal(updatedAt=text("2199-01-01T00:00:00.000Z")),
        "updatedAt is in the future",
        goal(updatedAt=text(FRESH)),
    ),
    "updated before created": (
        "timestamp",
        goal(createdAt=text(LATER)),
        "updatedAt is before createdAt",
        goal(updatedAt=text(LATER)),
    ),
    "nearly 400 KB": ("large", sized(NEAR), "has 368,640 of 409,600 bytes", sized(NEAR - 1)),
}


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_kind_is_told_from_what_lies_beside_it(case):
    """An item that breaks a rule is found, told without values; one that just keeps it is not."""
    kind, shows, what, sound = case
    (finding,) = findings(shows, max(NOW, datetime.now(UTC)))
    assert finding.kind == kind
    assert what in finding.what
    assert finding.user == MASKED
    assert findings(sound, max(NOW, datetime.now(UTC))) == []


@pytest.mark.parametrize("kind", FindingKind)
def test_each_kind_has_a_case(kind):
    """No kind goes untested."""
    assert kind in {case[0] for case in CASES.values()}


def of_users(items, prefix=USER):
    """Each item under a user of its own."""
    return [{**each, "userId": text(f"{prefix}{number}")} for number, each in enumerate(items)]


def test_an_engine_is_audited(made):
    """Counts by kind are exact, with examples by key and masked user; sound items are not named."""
    odd = of_users(case[1] for case in CASES.values())
    made.fill(odd)
    made.fill(of_users((case[3] for case in CASES.values() if case[0] != "large"), "sound-"))
    report = made.json("audit", exit_code=1)
    assert report["complete"]
    assert report["items"] == 2 * len(CASES) - 1
    assert report["found"] == dict.fromkeys(FindingKind, 0) | Counter(
        case[0] for case in CASES.values()
    )
    users = {masked_user(each["userId"]["S"]): each["recordKey"]["S"] for each in odd}
    for kind in FindingKind:
        shown = report["examples"][kind]
        assert len(shown) == min(EXAMPLES, report["found"][kind])
        assert {each["user"]: each["recordKey"] for each in shown}.items() <= users.items()


def test_the_samples_are_audited(filled):
    """The odd samples show every kind but the large one; the records, a type nobody knows."""
    report = filled.json("audit", exit_code=1)
    assert report["items"] == 353
    assert report["found"] == {
        "malformed": 7,
        "key-disagreement": 4,
        "unknown-type": 6,
        "spelling": 0,
        "unsafe-number": 2,
        "ttl": 3,
        "timestamp": 3,
        "large": 0,
    }


def test_a_sound_table_exits_with_0(made):
    """Where nothing is found there is one line, and exit code 0."""
    made.fill([goal(str(number)) for number in range(3)])
    result = made.run("audit")
    assert result.stdout.startswith("3 items read for ")
    assert result.stdout.endswith(" read units, 0 findings\n")


def test_one_user_is_audited(filled):
    """With --user only that user's items are read, by queries."""
    odd = "google-oauth2|555000111222333444"
    with FaultyProxy(filled.engine.endpoint) as proxy:
        report = filled.through(proxy.endpoint).json("audit", "--user", odd, exit_code=1)
        assert [operation for operation, _ in proxy.requests] == ["Query"]
    assert report["items"] == 22
    assert {each["user"] for shown in report["examples"].values() for each in shown} == {
        masked_user(odd)
    }
    assert filled.json("audit", "--user", "google-oauth2|123456789")["items"] == 2


def test_segments_are_read_side_by_side(filled):
    """As many segments are asked for as --segments says, each item once."""
    with FaultyProxy(filled.engine.endpoint) as proxy:
        report = filled.through(proxy.endpoint).json("audit", "--segments", "3", exit_code=1)
        asked = [(request["Segment"], request["TotalSegments"]) for _, request in proxy.requests]
    assert set(asked) == {(0, 3), (1, 3), (2, 3)}
    assert report["items"] == 353


BROKEN_NUMBERS = ["\u0663", "1_000", "NaN", "abc", "1e999999", "", "-"]


def with_number(text, place):
    """A goal with a number of that text, as engines store it that do not look."""
    form = {"N": text}
    item = goal_item("broken")
    if place == "ttl":
        return item | {"ttl": form}
    if place == "top":
        return item | {"more": form}
    data = item["data"]["M"]
    nested = {"L": [{"M": {"inner": form, "more": {"NS": [text, "1"]}}}]}
    data |= {"amount": {"targetAmount": form}, "nested": {"extra": nested}}[place]
    return item


@pytest.mark.parametrize("place", ["ttl", "top", "amount", "nested"])
@pytest.mark.parametrize("text", BROKEN_NUMBERS)
def test_a_broken_number_is_a_finding(text, place):
    """An item with a number that is none is found, counted and shown, and nothing fails of it."""
    item = with_number(text, place)
    found, *_ = [each for each in findings(item, NOW) if each.kind is FindingKind.UNSAFE_NUMBER]
    assert found.what.startswith(
        {"ttl": "ttl", "top": "more", "amount": "data.targetAmount", "nested": "data.extra"}[place]
    )
    assert item_size(item) > 0
    survey = Survey()
    survey.add([item])
    assert total(survey.by_type().values()).items == 1


@pytest.mark.parametrize("engine", ["moto"], indirect=True)
def test_a_broken_number_is_audited_and_shown(made):
    """`audit`, `show` and `users` go through a table with numbers that are none, to their end."""
    made.fill([with_number("\u0663", "amount")])
    (item,) = made.items()
    user = item["userId"]["S"]
    assert "unsafe-number" in made.run("audit", exit_code=1).stdout
    assert "savings-goal#broken" in made.run("show", user).stdout
    assert "\\u0663" in ascii(made.run("show", user, "--reveal").stdout)
    assert user in made.run("users").stdout


def test_all_lists_every_finding(made):
    """With --all every finding is listed with its whole key, for people and in JSON."""
    keys = [f"pension#{number:02}-{'x' * 80}" for number in range(EXAMPLES + 2)]
    made.fill(
        [
            goal_item(key.partition("#")[2])
            | {"dataType": {"S": "pension"}, "recordKey": {"S": key}}
            for key in keys
        ]
    )
    shown = made.run("audit", "--all", exit_code=1).stdout
    assert all(f" {key}  no record class" in shown for key in keys)
    report = made.json("audit", "--all", exit_code=1)
    assert sorted(each["recordKey"] for each in report["findings"]) == keys
    assert {each["kind"] for each in report["findings"]} == {"unknown-type"}
    assert "2 more; --all lists every one" in made.run("audit", exit_code=1).stdout


def test_examples_are_few(made):
    """However many are found, a few examples of each kind are kept."""
    made.fill([item("note", str(number), {}) for number in range(40)])
    report = made.json("audit", exit_code=1)
    assert report["found"]["unknown-type"] == 40
    assert len(report["examples"]["unknown-type"]) == EXAMPLES


def test_nothing_personal_is_printed(made):
    """Neither a value nor a full user id is printed, whatever is wrong with an item."""
    made.fill(of_users(case[1] for case in CASES.values() if case[0] != "large"))
    for options in ([], ["--json"], ["--repair"], ["--repair", "--json"]):
        result = made.run("audit", *options, exit_code=1)
        assert not CANARY.search(result.output)
        for value in ("yesterday", "soon", "green", AMOUNT, "9007199254740992", "12345678901234"):
            assert value not in result.output


@given(st.one_of(stored_items(), odd_items()))
def test_every_item_can_be_examined(stored):
    """No item breaks an audit; a repair takes findings away, adds none, and is done at once."""
    for finding in findings(stored, NOW):
        assert finding.what
        assert finding.user == masked_user(stored["userId"]["S"])
    repair = repair_of(stored, NOW)
    if repair is not None:
        assert repair.descriptions(NOW)
        mended = stored | repair.changes
        assert repair_of(mended, NOW) is None
        assert set(findings(mended, NOW)) < set(findings(stored, NOW))


# --- what is mended -------------------------------------------------------------------------------

MENDED = {
    "no dataType": (goal(without=["dataType"]), {"dataType": text("savings-goal")}),
    "no recordId": (goal("a#b", without=["recordId"]), {"recordId": text("a#b")}),
    "neither": (
        goal(without=["dataType", "recordId"]),
        {"dataType": text("savings-goal"), "recordId": text("g")},
    ),
    "milliseconds": (goal(ttl=number(IN_TIME + "000")), {"ttl": number(IN_TIME)}),
    "part of a millisecond": (
        goal(ttl=number(IN_TIME + "000.25")),
        {"ttl": number("1924992001")},
    ),
    "milliseconds of last year": (
        goal(ttl=number("1750000000000")),
        {"ttl": number("1750000000")},
    ),
    "all at once": (
        goal(without=["dataType", "updatedAt"], ttl=number(IN_TIME + "001")),
        {"dataType": text("savings-goal"), "ttl": number("1924992001")},
    ),
}
LEFT = {
    "a sound item": goal(),
    "another dataType": goal(dataType=text("budget")),
    "another recordId": goal(recordId=text("other")),
    "a key without #": goal(recordKey=text("g"), without=["dataType"]),
    "a key without type": goal(recordKey=text("#g"), without=["dataType"]),
    "a key without id": goal(recordKey=text("savings-goal#"), without=["recordId"]),
    "a ttl of text": goal(ttl=text(IN_TIME + "000")),
    "seconds": goal(ttl=number(IN_TIME)),
    "microseconds": goal(ttl=number(IN_TIME + "000000")),
    "milliseconds long past": goal(ttl=number("1420070400000")),
    "milliseconds of the year 9000": goal(ttl=number("221845392000000")),
    "a malformed payload": goal(without=["data"]),
    "an unsafe number": goal(data={"currentAmount": number("9007199254740992")}),
}


@pytest.mark.parametrize(("given_item", "changes"), MENDED.values(), ids=MENDED)
def test_what_follows_from_the_item_is_mended(given_item, changes):
    """A missing part of the key's text, and a ttl in milliseconds: these, and only these."""
    repair = repair_of(given_item, NOW)
    assert repair.changes == changes
    assert not any(CANARY.search(told) for told in repair.descriptions(NOW))


@pytest.mark.parametrize("given_item", LEFT.values(), ids=LEFT)
def test_what_does_not_follow_is_left(given_item):
    """Where two attributes disagree nobody can say which is right; nothing is guessed."""
    assert repair_of(given_item, NOW) is None


def test_a_repair_says_what_it_does():
    """The time at which an item will expire is told, and that this is at once."""
    later = repair_of(goal(ttl=number(IN_TIME + "000")), NOW).descriptions(NOW)
    assert later == ["ttl = 2031-01-01T00:00:00.000Z in seconds"]
    (at_once,) = repair_of(goal(ttl=number("1750000000000")), NOW).descriptions(NOW)
    assert at_once.endswith("which is past: it expires at once")


def damaged():
    return [*of_users(each for each, _ in MENDED.values()), goal("sound")]


def by_user(items):
    return {each["userId"]["S"]: each for each in items}


def test_a_dry_run_writes_nothing(made):
    """--repair alone only reads, and says what it would do."""
    made.fill(damaged())
    before = made.items()
    with FaultyProxy(made.engine.endpoint) as proxy:
        through = made.through(proxy.endpoint)
        result = through.run("audit", "--repair", exit_code=1)
        report = through.json("audit", "--repair", exit_code=1)
        assert {operation for operation, _ in proxy.requests} == {"Scan"}
    assert made.items() == before
    assert result.stdout.count("would set") == len(MENDED)
    assert "nothing was written" in result.stdout
    assert [line["outcome"] for line in report["repairs"]] == ["not tried"] * len(MENDED)


def test_repairs_are_applied(made):
    """--apply sends one conditional update an item, which changes there and in its stamp only."""
    made.keep_expired()  # one of them expires by being mended, and an engine may sweep any moment
    before = damaged()
    made.fill(before)
    with FaultyProxy(made.engine.endpoint) as proxy:
        report = made.through(proxy.endpoint).json("audit", "--repair", "--apply")
        updates = [request for operation, request in proxy.requests if operation != "Scan"]
    assert len(updates) == len(MENDED) == len(report["repairs"])
    assert all("ConditionExpression" in request for request in updates)
    assert {line["outcome"] for line in report["repairs"]} == {"applied"}
    assert report["found"] == report["mended"]
    after = by_user(made.items())
    for number, (_, changes) in enumerate(MENDED.values()):
        stored = after[f"{USER}{number}"]
        was = by_user(before)[f"{USER}{number}"]
        stamp = stored["updatedAt"]["S"]
        assert same_item(stored, was | changes | {"updatedAt": text(stamp)})
        assert stamp > was.get("updatedAt", text(""))["S"]
        assert abs((parse_timestamp(stamp) - datetime.now(UTC)).total_seconds()) < 60
    assert after[USER] == goal("sound")
    assert made.run("audit", "--repair", "--apply").stdout.endswith(
        "0 repairs: 0 applied, 0 not applied, 0 unknown\n"
    )


def test_a_mended_record_is_in_the_index_again(made):
    """A record without dataType is missing from its list, and is there once it is mended."""
    made.fill([goal(without=["dataType"])])
    with made.store() as store:
        assert store.user(USER).list(SavingsGoal) == []
        made.run("audit", "--repair", "--apply")
        (found,) = store.user(USER).list(SavingsGoal)
        assert not found.malformed


def test_a_stamp_never_goes_back():
    """An item with a stamp ahead of our clock gets one that is at most 16 ms later."""
    table = SimulatedTable()
    ahead = goal(without=["dataType"], updatedAt=text("2199-01-01T00:00:00.000Z"))
    table.put(ahead)
    done, end = perform(simulated_store(table), [repair_of(ahead, NOW)])
    assert end is None
    assert [each.outcome for each in done] == ["applied"]
    stamp = table.get(USER, "savings-goal#g")["updatedAt"]["S"]
    assert "2199-01-01T00:00:00.001Z" <= stamp <= "2199-01-01T00:00:00.016Z"


def test_a_stamp_that_nothing_can_follow():
    """Where no later stamp exists the repair is not tried, and says why."""
    table = SimulatedTable()
    last = goal(without=["dataType"], updatedAt=text("9999-12-31T23:59:59.999Z"))
    table.put(last)
    ((done,), end) = perform(simulated_store(table), [repair_of(last, NOW)])
    assert (done.outcome, end) == ("not applied", None)
    assert "9999" in done.why
    assert table.sent() == 0


# --- others, and trouble --------------------------------------------------------------------------

NO_TYPE = goal(without=["dataType"])
IN_MILLISECONDS = goal(ttl=number(IN_TIME + "000"))


def writing(made, new):
    """A schedule in which another writer puts `new` just before the first update arrives."""
    todo = [new]

    def schedule(number, operation, request):
        if operation == "UpdateItem" and todo:
            made.fill([todo.pop()])

    return schedule


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        (NO_TYPE, NO_TYPE | {"updatedAt": text(LATER)}),
        (NO_TYPE, goal()),  # the same stamp, and mended by somebody else
        (IN_MILLISECONDS, IN_MILLISECONDS | {"ttl": number(IN_TIME + "999")}),
    ],
    ids=["a new stamp", "mended meanwhile", "another ttl"],
)
def test_whoever_was_first_wins(made, stored, new):
    """An item that changed since it was read is left as it is: not applied, not tried again."""
    made.fill([stored])
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = writing(made, new)
        through = made.through(proxy.endpoint)
        report = through.json("audit", "--repair", "--apply", exit_code=1)
        assert proxy.sent("UpdateItem") == 1
    (line,) = report["repairs"]
    assert (line["outcome"], line["why"]) == ("not applied", "was changed since it was read")
    assert made.items() == [new]


def test_what_is_gone_stays_gone(made):
    """An item that was deleted meanwhile is not brought back."""
    made.fill([NO_TYPE])
    key = {name: NO_TYPE[name] for name in ("userId", "recordKey")}

    def schedule(number, operation, request):
        if operation == "UpdateItem":
            made.client.delete_item(TableName=made.name, Key=key)

    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = schedule
        result = made.through(proxy.endpoint).run("audit", "--repair", "--apply", exit_code=1)
    assert "not applied: dataType = savings-goal (is gone)" in result.stdout
    assert "1 repair: 0 applied, 1 not applied, 0 unknown" in result.stdout
    assert made.items() == []


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_reply_is_cleared_up(made, applied):
    """A repair whose reply is lost is sent again in the same form, and found out to be applied."""
    made.fill([NO_TYPE])
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = in_turn(*[None] * 4, faults.LoseReply(applied=applied))
        report = made.through(proxy.endpoint).json("audit", "--repair", "--apply")
        updates = [request for operation, request in proxy.requests if operation == "UpdateItem"]
        assert len(updates) == 2
        assert updates[0] == updates[1]
    assert [line["outcome"] for line in report["repairs"]] == ["applied"]
    (stored,) = made.items()
    assert stored["dataType"] == text("savings-goal")


def test_nobody_can_say(made):
    """After a lost reply, another writer's stamp leaves it unknown; it is neither called a
    conflict nor tried again."""
    made.fill([NO_TYPE])
    new = goal(updatedAt=text(LATER))
    updates = []

    def schedule(number, operation, request):
        if operation != "UpdateItem":
            return None
        updates.append(request)
        if len(updates) == 1:
            return faults.LoseReply(applied=True)
        made.fill([new])
        return None

    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = schedule
        through = made.through(proxy.endpoint)
        report = through.json("audit", "--repair", "--apply", exit_code=1)
    assert len(updates) == 2
    assert [line["outcome"] for line in report["repairs"]] == ["unknown"]
    assert report["mended"]["key-disagreement"] == 0
    assert made.items() == [new]


def test_a_denied_repair(made):
    """Without the right to update, nothing more is tried; it is service trouble, and says so."""
    made.fill([{**NO_TYPE, "userId": text(f"{USER}{number}")} for number in range(20)])
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "UpdateItem")
        through = made.through(proxy.endpoint)
        result = through.run("audit", "--repair", "--apply", exit_code=3)
        assert 1 <= proxy.sent("UpdateItem") <= 8
    assert "dynamodb:UpdateItem" in result.stderr
    assert "0 applied" in result.stdout.splitlines()[-1]
    assert "(AccessDeniedException)" in result.stdout
    assert not CANARY.search(result.output)


def test_a_scan_that_fails_tells_what_it_has(made):
    """What was found before an error is printed, and that it is not all."""
    made.fill([item("note", str(number), {}) for number in range(3)])
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "Scan")
        report = made.through(proxy.endpoint)
        result = report.run("audit", "--json", exit_code=3)
    assert '"complete": false' in result.stdout
    assert "dynamodb:Scan" in result.stderr


def test_an_interrupt_tells_its_outcomes_first():
    """Ctrl-C while repairs are under way: each of them has its outcome before it ends."""
    table = SimulatedTable()
    for number in range(3):
        table.put({**NO_TYPE, "userId": text(f"user-{number}")})
    table.fail_next(faults.Interrupt(applied=True), "UpdateItem")
    tally = Tally()
    pages = audit(WholeTable(simulated_store(table)), segments=1, apply=True)
    tally.add(next(pages))
    with pytest.raises(KeyboardInterrupt):
        next(pages)
    assert tally.repairs == 3
    assert tally.outcomes == {"applied": 0, "not applied": 2, "unknown": 1}
    assert table.sent("UpdateItem") == 1


@given(st.lists(st.sampled_from([
    faults.Throttle(), faults.ServerError(), faults.ServerError(applied=True),
    faults.LoseReply(applied=True), faults.LoseReply(applied=False), faults.Late(after=1), None,
]), max_size=12))  # fmt: skip
def test_outcomes_agree_with_the_table(planned):
    """Whatever goes wrong on the way, what is called applied is, and what is not is not."""
    table = SimulatedTable()
    users = [f"user-{number}" for number in range(4)]
    for user in users:
        table.put({**NO_TYPE, "userId": text(user)})
    table.faults = {2 + number: fault for number, fault in enumerate(planned) if fault}
    (page,) = audit(WholeTable(simulated_store(table)), segments=1, apply=True)
    table.deliver_late()
    for user, repaired in zip(users, sorted(page.repaired, key=user_of), strict=True):
        stored = table.get(user, "savings-goal#g")
        changed = "dataType" in stored
        assert table.applied_writes("savings-goal#g", user_id=user) == changed
        if repaired.outcome != "unknown":
            assert changed == (repaired.outcome == "applied")


def user_of(repaired):
    return repaired.repair.item["userId"]["S"]


def test_a_dead_service_ends_it():
    """Where no repair gets through, each is unknown, and the error of the service follows."""
    table = SimulatedTable(page_bytes=1)
    for number in range(2):
        table.put({**NO_TYPE, "userId": text(f"user-{number}")})
    table.fail_always(faults.ServerError(), "UpdateItem")
    pages = audit(WholeTable(simulated_store(table)), segments=1, apply=True)
    page = next(pages)
    assert [each.outcome for each in page.repaired] == ["unknown"]
    assert page.fixed == []
    with pytest.raises(UnavailableError):
        next(pages)
    assert table.sent("Scan") == 1


def test_a_refused_repair_stops_nothing_else():
    """A repair that the service finds invalid is not applied; the next one is."""
    table = SimulatedTable()
    for number in range(2):
        table.put({**NO_TYPE, "userId": text(f"user-{number}")})
    too_large = goal(without=["dataType"], data={"text": text("x" * 409_600)})
    too_large["data"]["M"]["text"] = text("x" * (409_600 - item_size(too_large) + 409_600))
    table.put(too_large)
    (page,) = audit(WholeTable(simulated_store(table)), segments=1, apply=True)
    outcomes = {user_of(each): (each.outcome, each.why) for each in page.repaired}
    assert outcomes == {
        "user-0": ("applied", ""),
        "user-1": ("applied", ""),
        USER: ("not applied", "ValidationException"),
    }


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_ctrl_c_leaves_an_account(options):
    """Stopped by Ctrl-C, it prints what became of each repair, one line, and exits with 130."""
    table = SimulatedTable()
    for number in range(3):
        table.put({**NO_TYPE, "userId": text(f"user-{number}")})
    table.fail_next(faults.Interrupt(applied=True), "UpdateItem")
    arguments = ["audit", "--repair", "--apply", "--segments", "1", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "DataStore", lambda **given_settings: simulated_store(table))
        result = run(*arguments, exit_code=130)
        assert result.stderr.strip() == (
            "Stopped: what is listed as applied is applied; run the same command again to go on."
        )
        if options:
            report = json.loads(result.stdout)
            assert not report["complete"]
            outcomes = [line["outcome"] for line in report["repairs"]]
            assert sorted(outcomes) == ["not applied", "not applied", "unknown"]
        else:
            assert "3 repairs: 0 applied, 2 not applied, 1 unknown" in result.stdout
        run(*arguments)
    assert all("dataType" in each for each in table.items.values())


# --- how it is called -----------------------------------------------------------------------------


def test_apply_needs_repair():
    """--apply alone is refused: nothing is written by chance."""
    assert "--repair" in run("audit", "--apply", exit_code=2).stderr


def test_a_process_of_its_own(filled):
    """Findings are exit code 1 without a traceback, a wrong option 2, no table 3."""
    done = run_alone("audit", *filled.options, exit_code=1)
    assert "findings" in done.stdout
    assert done.stderr == ""
    run_alone("audit", "--sgements", "2", exit_code=2)
    run_alone("audit", *filled.options, "--table", "not-there", exit_code=3)
