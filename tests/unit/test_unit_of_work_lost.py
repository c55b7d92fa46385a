"""Changes that a unit of work would lose are not lost in silence."""

from __future__ import annotations

import gc
import warnings

import pytest
from leaks import USER
from machines import changed, goal_item, requests, user_of

from thrivecalc_models import (
    CommitError,
    InvalidRecordError,
    SavingsGoal,
    SavingsGoalData,
    UnattachedRecordWarning,
)
from thrivecalc_models.testing import SimulatedTable


@pytest.fixture
def table():
    table = SimulatedTable()
    for record_id in "gh":
        table.put(goal_item(record_id))
    return table


def goal():
    return SavingsGoalData(name="x", target_amount=1)


def edited(record):
    record.data.current_amount += 500
    return record


PENDING = {
    "an add": lambda work: work.add(goal()),
    "a put": lambda work: work.put(goal(), record_id="p"),
    "a delete": lambda work: work.delete(SavingsGoal, "g"),
    "an edit": lambda work: edited(work.get(SavingsGoal, "g")),
    "an edit that cannot be written": lambda work: work.get(SavingsGoal, "g").extra_data.update(
        x=object()
    ),
}


@pytest.mark.parametrize("pending", PENDING)
def test_a_unit_that_is_closed_with_pending_changes_warns(table, user, pending):
    """`close()` of a unit with pending changes is a ResourceWarning, once; nothing is sent."""
    work = user.unit_of_work()
    PENDING[pending](work)
    sent = table.sent()
    with pytest.warns(ResourceWarning, match="closed with pending changes") as caught:
        work.close()
    assert caught[0].filename == __file__
    assert table.sent() == sent
    del work
    gc.collect()


@pytest.mark.parametrize("pending", PENDING)
def test_a_unit_that_is_dropped_with_pending_changes_warns(user, pending):
    """A unit that nobody has any more, with changes that were never sent, is a ResourceWarning."""

    def use():
        PENDING[pending](user.unit_of_work())
        gc.collect()

    with pytest.warns(ResourceWarning, match="dropped with pending changes") as caught:
        use()
    assert caught[0].filename == __file__


def read_only(work, user):
    work.list(SavingsGoal)


def committed(work, user):
    work.add(goal())
    work.commit()


def rolled_back(work, user):
    work.add(goal())
    edited(work.get(SavingsGoal, "g"))
    work.rollback()


def failed(work, user):
    record = edited(work.get(SavingsGoal, "g"))
    edited(user.get(SavingsGoal, "g"))
    user.put(edited(user.get(SavingsGoal, "g")))
    with pytest.raises(CommitError):
        work.commit()
    assert record


def left_by_an_exception(work, user):
    def block():
        with work:
            work.add(goal(), exist_ok=work.add(goal()).data.target_amount / 0)

    with pytest.raises(ZeroDivisionError):
        block()


def single_write_that_is_refused(work, user):
    with pytest.raises(InvalidRecordError):
        user.add("savings-goal", {"name": "x", "targetAmount": 1, "a": 2**60})
    record = user.add(goal())
    record.extra_data["x"] = object()
    with pytest.raises(InvalidRecordError):
        user.update(record)


@pytest.mark.parametrize(
    "use",
    [
        read_only,
        committed,
        rolled_back,
        failed,
        left_by_an_exception,
        single_write_that_is_refused,
    ],
)
def test_a_unit_that_ended_as_it_should_says_nothing(user, use):
    """A unit that was committed, rolled back, read from only, or left by an error does not warn."""
    work = user.unit_of_work()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use(work, user)
        del work
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_what_was_committed_is_not_compared_once_more(table):
    """A unit whose commit was complete is dropped at once: a Ctrl-C there would be lost."""
    asked = []

    def clock():
        asked.append(None)
        return table.clock()

    work = user_of(table, clock=clock).unit_of_work()
    work.add(goal())
    work.commit()
    asked.clear()
    del work
    gc.collect()
    assert asked == []


# --- records beside the unit ----------------------------------------------------------------------

GIVEN = {
    "get": lambda user: user.get(SavingsGoal, "g"),
    "get_many": lambda user: user.get_many([(SavingsGoal, "g")])[0],
    "list": lambda user: user.list(SavingsGoal)[0],
    "list_all": lambda user: user.list_all()[0],
    "iterate": lambda user: next(iter(list(user.iterate(SavingsGoal)))),
    "page": lambda user: user.page(SavingsGoal).records[0],
    "add": lambda user: user.add(goal()),
    "put": lambda user: user.put(goal(), record_id="n"),
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("atomic", [False, True])
def test_an_edit_of_a_record_that_the_unit_has_not_got_is_warned_of(table, user, given, atomic):
    """A record of the scope that is edited in the block is not written, and the commit says so."""

    def block():
        with user.unit_of_work(atomic=atomic) as work:
            kept.append(edited(GIVEN[given](user)))
            work.add(goal(), record_id="of the unit")

    kept = []
    with pytest.warns(UnattachedRecordWarning, match="savings-goal#") as caught:
        block()
    assert [warning.filename for warning in caught] == [__file__]
    assert table.get(USER, "savings-goal#of the unit")


def test_the_warning_comes_before_the_first_request(table, user):
    """As an error, the warning stops the commit before anything is sent; it can be made again."""
    work = user.unit_of_work()
    kept = []

    def block():
        with work:
            kept.append(edited(user.get(SavingsGoal, "g")))
            work.add(goal(), record_id="n")

    with pytest.raises(UnattachedRecordWarning):
        block()
    assert requests(table) == [("GetItem", ("savings-goal#g",))]
    work.commit()
    assert table.get(USER, "savings-goal#n")
    user.update(*kept)


def test_those_who_do_it_right_are_not_warned(table, user):
    """The unit's own records, unchanged ones, and those that were written otherwise are silent."""
    other = user_of(table, "somebody else")
    outside = user.get(SavingsGoal, "g")
    with user.unit_of_work() as work:
        edited(work.get(SavingsGoal, "g"))
        user.get(SavingsGoal, "h")
        user.update(edited(user.get(SavingsGoal, "h")))
        edited(other.add(goal()))
        outside.data.name += "?"
    with user.unit_of_work():
        pass
    edited(user.get(SavingsGoal, "g"))


def test_a_record_that_joins_the_unit_is_the_units(table, user):
    """A record that was put into the unit, or attached to it, is written by it."""
    with user.unit_of_work() as work:
        work.attach(edited(user.get(SavingsGoal, "g")))
        work.put(edited(user.get(SavingsGoal, "h")))
    for record_id in "gh":
        stored = table.get(USER, f"savings-goal#{record_id}")
        assert stored["data"] == changed(goal_item(), currentAmount={"N": "600"})["data"]
