"""`thrivecalc users`: who is in the table, in memory proportional to users."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import pytest
from cli import run, run_alone, sample_items
from hypothesis import given
from hypothesis import strategies as st
from machines import goal_item

from thrivecalc_models.upkeep.users import NO_TYPE, Survey, Usage, total, type_of
from thrivecalc_models.wire import item_size, masked_user

SAMPLES = sample_items()


def expected():
    found = {}
    for item in SAMPLES:
        types = found.setdefault(item["userId"]["S"], Counter())
        types[type_of(item)] += 1
    return found


def test_every_user_is_counted_by_type(made):
    """The samples' users come in order, each with records and bytes by type, and their mask."""
    made.fill(SAMPLES)
    users = made.json("users", "--segments", "3")
    assert [user["userId"] for user in users] == sorted(expected())
    for user in users:
        counts = {name: usage["records"] for name, usage in user["types"].items()}
        assert counts == expected()[user["userId"]]
        own = [item for item in SAMPLES if item["userId"]["S"] == user["userId"]]
        assert user["records"] == len(own) == sum(counts.values())
        assert user["bytes"] == sum(map(item_size, own))
        assert user["bytes"] == sum(usage["bytes"] for usage in user["types"].values())
        assert user["masked"] == masked_user(user["userId"])


def test_the_table_for_people(made):
    """One line a user and type, without colours, and the sum at the end."""
    made.fill(SAMPLES)
    lines = made.run("users").stdout.splitlines()
    assert lines[0].split() == ["user", "masked", "type", "records", "bytes"]
    rows = [line.split() for line in lines[2:-1]]
    assert len(rows) == sum(len(types) for types in expected().values())
    assert {row[0] for row in rows} == set(expected())
    size = sum(map(item_size, SAMPLES))
    assert lines[-1] == f"{len(expected())} users, {len(SAMPLES)} records, {size:,} bytes"


def test_an_empty_table_has_no_users(made):
    """Nothing is counted, and that is no failure."""
    assert made.json("users") == []
    assert made.run("users").stdout.splitlines()[-1] == "0 users, 0 records, 0 bytes"


def test_no_table(place):
    """Without a table it is one line and exit code 3, in a process of its own."""
    done = run_alone("users", *place.options, exit_code=3)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: Scan of segment 0 of 4 found no table")


@pytest.mark.parametrize("segments", ["0", "-1", "some"])
def test_segments_that_there_cannot_be(segments):
    """A wrong number of segments is refused before anything is sent."""
    result = run("users", "--segments", segments, exit_code=2)
    assert "--segments" in result.stderr


def odd(name, form):
    item = goal_item("m")
    item.pop(name)
    return item | ({name: form} if form else {})


@pytest.mark.parametrize(
    ("item", "data_type"),
    [
        (goal_item(), "savings-goal"),
        (odd("dataType", None), "savings-goal"),
        (odd("dataType", None) | {"recordKey": {"S": "keyless"}}, NO_TYPE),
        (goal_item() | {"recordKey": {"S": "keyless"}}, "savings-goal"),
        (goal_item() | {"dataType": {"S": "budget"}}, "budget"),
    ],
)
def test_the_type_of_odd_items(item, data_type):
    """An item counts under what it says it is, else under what its key says."""
    assert type_of(item) == data_type


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["budget", "note"]), st.integers(0, 99))
    )
)
def test_a_survey_adds_up(drawn):
    """By user, by type and all together, the same items and bytes are counted."""
    items = [
        goal_item(str(size)) | {"userId": {"S": user}, "dataType": {"S": data_type}}
        for user, data_type, size in drawn
    ]
    survey = Survey()
    survey.add(items)
    everything = Usage(len(items), sum(map(item_size, items)))
    assert total(survey.by_type().values()) == everything
    by_user = [usage for types in survey.by_user.values() for usage in types.values()]
    assert total(by_user) == everything
    assert survey.by_type().keys() == {data_type for _, data_type, _ in drawn}


def test_memory_follows_users_not_items():
    """A hundred times the items of the same users take no more memory."""

    def peak(each):
        survey = Survey()
        tracemalloc.start()
        try:
            for user in range(20):
                for number in range(each):
                    survey.add([goal_item(str(number)) | {"userId": {"S": f"user-{user}"}}])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)  # the first also fills the free lists that Python keeps
    assert peak(200) < 1.5 * peak(2)
