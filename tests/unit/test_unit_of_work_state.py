"""A unit serves one user and one caller at a time, and cannot be taken elsewhere."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from machines import USER, user_of

from thrivecalc_models import SavingsGoal, SavingsGoalData, UnitOfWorkStateError
from thrivecalc_models.testing import faults

SECONDS = 5  # bounds a wait that a broken promise would make endless


pytestmark = pytest.mark.usefixtures("a_stored_goal")


CALLS = {
    "get": lambda work: work.get(SavingsGoal, "x"),
    "get_many": lambda work: work.get_many([(SavingsGoal, "x")]),
    "list": lambda work: work.list(SavingsGoal),
    "list_all": lambda work: work.list_all(),
    "add": lambda work: work.add(SavingsGoalData(name="n", target_amount=1)),
    "put": lambda work: work.put(SavingsGoalData(name="n", target_amount=1)),
    "delete": lambda work: work.delete(SavingsGoal, "x"),
    "plan": lambda work: work.plan(),
    "commit": lambda work: work.commit(),
    "rollback": lambda work: work.rollback(),
    "close": lambda work: work.close(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_two_threads_at_once_are_refused(table, work, call):
    """While one thread is in a call, every call of another thread is a UnitOfWorkStateError."""
    refused = []

    def second(_table):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(SECONDS)

    def attempt():
        try:
            call(work)
        except UnitOfWorkStateError as error:
            refused.append(error)

    table.fail_next(faults.OtherWriter(second), "GetItem")
    goal = work.get(SavingsGoal, "g")
    assert "another thread" in str(refused[0])
    assert work.list_all() == [goal]


def test_a_unit_may_move_between_threads(table, work):
    """One thread after the other may use a unit."""
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    results = []
    thread = threading.Thread(target=lambda: results.append(work.commit()))
    thread.start()
    thread.join(SECONDS)
    assert results[0].applied == ["savings-goal#g"]


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_nothing_with_a_table_behind_it_is_pickled_or_copied(table, work, how):
    """Units, records, users and stores cannot be pickled; the error says so."""
    goal = work.get(SavingsGoal, "g")
    for thing in (work, goal, user_of(table)):
        with pytest.raises(TypeError, match="pickled"):
            how(thing)


def test_the_repr_shows_no_personal_data(work):
    """A unit shows its state and its size."""
    work.get(SavingsGoal, "g")
    assert repr(work) == "<UnitOfWork open, 1 record>"
    assert USER not in repr(work)


def test_a_unit_knows_its_user(work):
    """A unit is bound to the user it was made for."""
    assert work.user_id == USER


def test_a_block_may_close_its_unit(table, user):
    """What was pending in a unit that its block closes is not sent, and the block ends quietly."""
    with user.unit_of_work() as work:
        work.add(SavingsGoalData(name="n", target_amount=1))
        with pytest.warns(ResourceWarning, match="closed"):
            work.close()
    assert table.sent() == 0
