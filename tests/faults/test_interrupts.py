"""Ctrl-C between any two steps of a commit leaves an account that is true."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from leaks import USER
from machines import goal_data

import thrivecalc_models
from thrivecalc_models import (
    CommitError,
    RetryPolicy,
    SavingsGoal,
    data_store,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.faults import Interrupt, LoseReply

ROOMS = tuple(
    str(Path(thrivecalc_models.__file__).parent / room)
    for room in ("transport", "protocol", "unit_of_work")
)

GATE_OF_A_UNIT = "call"  # where it would keep the unit for its own thread
STEP = 3  # lines from one interrupt to the next; 1 takes them all


class CtrlC:
    """Raises KeyboardInterrupt at the n-th line that is run within the rooms of a commit."""

    def __init__(self, n):
        self.n = n
        self.line = 0

    def frame(self, frame, event, argument):
        within = frame.f_code.co_filename.startswith(ROOMS)
        return self.step if within and frame.f_code.co_name != GATE_OF_A_UNIT else None

    def step(self, frame, event, argument):
        if event == "line":
            self.line += 1
            if self.line == self.n:
                raise KeyboardInterrupt
        return self.step

    def within(self, call):
        """Call it; returns the interrupt, None where it came to its end before that line."""
        before = sys.gettrace()
        sys.settrace(self.frame)
        try:
            call()
        except KeyboardInterrupt as interrupt:
            return interrupt
        finally:
            sys.settrace(before)
        return None


def add_one(work):
    work.add(goal_data(), record_id="a")


def add_three(work):
    for _ in range(3):
        work.add(goal_data())


def change(work):
    work.get(SavingsGoal, "stored").data.current_amount += 5


def replace(work):
    work.put(work.get(SavingsGoal, "stored"))


def delete(work):
    work.delete(work.get(SavingsGoal, "stored"))


def everything(work):
    change(work)
    work.add(goal_data(), record_id="a")
    work.delete(SavingsGoal, "other")


CASES = [
    (add_one, False),
    (add_three, False),
    (change, False),
    (replace, False),
    (delete, False),
    (everything, True),
]


@pytest.mark.parametrize(("queue", "atomic"), CASES)
def test_an_interrupt_between_two_lines_leaves_a_true_account(queue, atomic):
    """Wherever Ctrl-C falls, its cause agrees with the table, and another commit does the rest."""
    n = 1
    interrupt = True
    with_cause = 0
    while interrupt is not None:
        table = SimulatedTable()
        user = simulated_store(table).user(USER)
        for name in ("stored", "other"):
            user.add(goal_data(), record_id=name)
        before = table.items
        work = user.unit_of_work(atomic=atomic)
        queue(work)
        keys = {key for request in work.plan().requests for key in request.keys}
        sent = table.sent()
        interrupt = CtrlC(n).within(work.commit)
        done = {key for key in keys if before.get((USER, key)) != table.items.get((USER, key))}
        account = interrupt.__cause__ if interrupt is not None else None
        if account is not None:
            with_cause += 1
            assert isinstance(account, CommitError)
            assert {*account.applied, *account.not_applied, *account.unknown} == keys
            assert set(account.applied) <= done
            assert not set(account.not_applied) & done
        elif table.sent() > sent:
            assert done == keys
        work.commit()
        assert len(work.plan()) == 0
        for key in keys:
            assert table.applied_writes(key) <= 2 or queue is replace
            assert (USER, key) not in before or before[USER, key] != table.items.get((USER, key))
        n += STEP
    assert with_cause * STEP > n / 2


@pytest.mark.parametrize("applied", [False, True])
def test_an_interrupted_batch_of_pynamodb_has_its_account(applied):
    """Ctrl-C within PynamoDB's batch passes through, with every record in its cause."""
    table = SimulatedTable()
    data_store.configure(simulated_store(table))
    records = [SavingsGoal(USER, data=goal_data()) for _ in range(3)]
    table.fail_next(Interrupt(applied=applied))

    def write():
        with SavingsGoal.batch_write() as batch:
            for record in records:
                batch.save(record)

    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            write()
    finally:
        data_store.configure(None)
    account = caught.value.__cause__
    assert isinstance(account, CommitError)
    assert account.unknown == [record.record_key for record in records]
    assert set(account.causes) == set(account.unknown)


def test_ctrl_c_within_the_unknown_part_of_a_commit():
    """A second commit may need several requests: Ctrl-C within the first lets that one finish."""
    table = SimulatedTable()
    user = simulated_store(table, retry=RetryPolicy(attempts=1)).user(USER)
    work = user.unit_of_work()
    goal = work.add(goal_data(), record_id="a")
    table.fail_next(LoseReply(applied=True))
    with pytest.raises(CommitError):
        work.commit()
    goal.data.current_amount = 20
    send = table.send

    def pressed(operation, request):
        result = send(operation, request)
        signal.raise_signal(signal.SIGINT)
        return result

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    table.send = pressed
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            work.commit()
    finally:
        signal.signal(signal.SIGINT, before)
        table.send = send
    assert caught.value.__cause__.not_applied == [goal.record_key]  # the change; the add is known
    assert caught.value.__cause__.unknown == []
    work.commit()
    assert table.applied_writes(goal.record_key) == 2
