"""Record classes: defined again, derived from others, and in a process that they were sent to."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from own_types import NEW_TYPES

from thrivecalc_models import (
    InvalidKeyError,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UserRecord,
    payload,
)


def run(source, *arguments):
    """The lines that a script prints in a process of its own: its classes are not for others."""
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines(), ended.stderr


def test_a_class_that_is_defined_again_replaces_the_first():
    """A cell that is run again, with a field more, takes the place of its first run, and warns."""
    printed, warned = run(
        """
        from thrivecalc_models import PayloadAttribute, UserRecord, payload
        from thrivecalc_models.testing import SimulatedTable, simulated_store

        CELL = '''
        @payload
        class NoteData:
            text: str
            {more}
        class Note(UserRecord, discriminator="{data_type}"):
            data: PayloadAttribute[NoteData] = PayloadAttribute(NoteData)
        '''
        import textwrap
        user = simulated_store(SimulatedTable()).user("u")
        exec(textwrap.dedent(CELL.format(more="", data_type="x-note")))
        first = user.add(NoteData(text="a"))
        exec(textwrap.dedent(CELL.format(more="stars: int = 0", data_type="x-note")))
        record = user.get("x-note", first.record_id)
        print(type(record) is Note, record.data.stars, type(user.add(NoteData(text="b"))) is Note)
        exec(textwrap.dedent(CELL.format(more="", data_type="x-memo")))
        print(user.add(NoteData(text="c")).data_type, UserRecord.data_type.class_of("x-note"))
        """
    )
    assert printed == ["True 0 True", "x-memo None"]
    assert warned.count("RuntimeWarning: __main__.Note is defined again") == 2


def test_another_class_does_not_take_a_type():
    """A class of another name cannot take a type that is taken."""
    with pytest.raises(InvalidKeyError, match="SavingsGoal"):

        class Other(UserRecord, discriminator="savings-goal"):
            data: PayloadAttribute[SavingsGoalData] = PayloadAttribute(SavingsGoalData)


def test_classes_of_one_function_are_several():
    """A function that makes a class for each type makes several; none replaces another."""

    first_type, second_type = next(NEW_TYPES), next(NEW_TYPES)

    def make(data_type):
        @payload
        class Data:
            text: str

        class Made(UserRecord, discriminator=data_type):
            data: PayloadAttribute[Data] = PayloadAttribute(Data)

        return Made

    one, other = make(first_type), make(second_type)
    assert UserRecord.data_type.class_of(first_type) is one
    assert UserRecord.data_type.class_of(second_type) is other


def test_a_derived_type_leaves_its_payload_to_the_class_that_declares_it(user):
    """A class with a type of its own that inherits its payload does not make `add` ambiguous."""

    class HouseGoal(SavingsGoal, discriminator=next(NEW_TYPES)):
        pass

    data = SavingsGoalData(name="x", target_amount=1)
    assert type(user.add(data)) is SavingsGoal
    assert type(user.add(HouseGoal(data=SavingsGoalData(name="y", target_amount=1)))) is HouseGoal
    assert type(user.add(HouseGoal, {"name": "z", "targetAmount": 1})) is HouseGoal
    assert len(user.list(HouseGoal)) == 2


SENDER = """
from __future__ import annotations

import sys
import cloudpickle
from thrivecalc_models import PayloadAttribute, UserRecord, payload

@payload
class LineData:
    label: str

@payload
class BillData:
    total: int
    lines: list[LineData]
    before: BillData | None = None

class Bill(UserRecord, discriminator="x-bill"):
    data: PayloadAttribute[BillData] = PayloadAttribute(BillData)

def job():
    from thrivecalc_models.testing import SimulatedTable, simulated_store
    user = simulated_store(SimulatedTable()).user("u")
    bill = user.add(BillData(total=1, lines=[LineData(label="a")]))
    bill.data.lines[0].label = "b"
    bill.data.before = BillData(total=2, lines=[])
    user.update(bill)
    (again,) = user.list("x-bill")
    return type(again) is Bill, again.data == bill.data, again.data.lines[0].label, again.data_type

with open(sys.argv[1], "wb") as file:
    cloudpickle.dump(job, file)
"""

RECEIVER = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    content = file.read()
print(*pickle.loads(content)())
print(*pickle.loads(content)())
"""


def test_classes_that_travel_by_value_work_on_the_other_side(tmp_path):
    """Classes of `__main__` that cloudpickle sends along (joblib, Dask) are registered there."""
    file = str(tmp_path / "job")
    run(SENDER, file)
    printed, warned = run(RECEIVER, file)
    assert printed == ["True True b x-bill"] * 2
    assert warned == ""


EXTENSION = """
from datetime import timedelta
from thrivecalc_models import *
from thrivecalc_models.testing import SimulatedTable, simulated_store

def refused(call):
    try:
        call()
    except (InvalidRecordError, InvalidKeyError, TypeError) as error:
        print(type(error).__name__, error)
    else:
        print("taken")

user = simulated_store(SimulatedTable()).user("u")
before = user.add(SavingsGoalData(name="a", target_amount=1))
"""


def test_a_class_that_extends_a_type_takes_its_place():
    """Lists, gets and printed types have the new class; what is added gets its `keep_for`."""
    printed, warned = run(
        EXTENSION
        + textwrap.dedent(
            """
            class MyGoal(SavingsGoal, extends=True):
                keep_for = timedelta(days=30)

            added = user.add(SavingsGoalData(name="b", target_amount=1))
            print(type(added).__name__, added.data_type, added.ttl is not None)
            print({type(each).__name__ for each in user.list(SavingsGoal)}, len(user.list(MyGoal)))
            print(type(user.get("savings-goal", before.record_id)).__name__, MyGoal.key("x"))
            of_type = {}
            (UserRecord.data_type == SavingsGoal).serialize({}, of_type)
            print(of_type, isinstance(added, SavingsGoal))
            print(type(user.add(SavingsGoal, {"name": "c", "targetAmount": 1})).__name__)
            refused(lambda: user.add(SavingsGoal(data=SavingsGoalData(name="d", target_amount=1))))
            from thrivecalc_models import typescript
            module = typescript.module()
            print("interface MyGoal " in module, "interface SavingsGoal " in module)
            """
        )
    )
    assert printed == [
        "MyGoal savings-goal True",
        "{'MyGoal'} 2",
        "MyGoal savings-goal#x",
        "{':0': {'S': 'savings-goal'}} True",
        "MyGoal",
        "InvalidRecordError MyGoal takes the place of SavingsGoal in this process; make a MyGoal",
        "True False",
    ]
    assert warned == ""


def test_a_class_that_extends_a_type_may_have_a_payload_of_its_own():
    """With a payload class derived from the first one, the first is refused by name."""
    printed, _ = run(
        EXTENSION
        + textwrap.dedent(
            """
            @payload
            class MyGoalData(SavingsGoalData):
                colour: str = "red"

            class House(SavingsGoal, discriminator="x-house"):
                pass

            class MyGoal(SavingsGoal, extends=True):
                data: PayloadAttribute[MyGoalData] = PayloadAttribute(MyGoalData)

            record = user.add(MyGoalData(name="b", target_amount=1))
            print(type(record).__name__, record.item["data"]["M"]["colour"])
            record = user.get(SavingsGoal, before.record_id)
            print(record.data.colour, record.malformed)
            record.data.colour = "blue"
            print(user.update(record).item["data"]["M"]["colour"])
            refused(lambda: user.add(SavingsGoalData(name="c", target_amount=1)))
            refused(lambda: user.add("savings-goal", SavingsGoalData(name="c", target_amount=1)))

            class MyGoal(SavingsGoal, extends=True):
                keep_for = timedelta(days=1)

            print(type(user.add(SavingsGoalData(name="d", target_amount=1))) is MyGoal)
            """
        )
    )
    assert printed == [
        "MyGoal {'S': 'red'}",
        "red False",
        "{'S': 'blue'}",
        "InvalidRecordError MyGoal takes the place of the class with SavingsGoalData in this"
        " process; give a MyGoalData",
        "InvalidRecordError data takes MyGoalData, not SavingsGoalData",
        "True",
    ]


def test_what_cannot_extend_a_type_is_refused():
    """Another payload, a type of its own, no base, and a second extension are errors."""
    printed, _ = run(
        EXTENSION
        + textwrap.dedent(
            """
            def other_payload():
                class Bad(SavingsGoal, extends=True):
                    data = PayloadAttribute(BudgetData)

            def own_type():
                class Bad(SavingsGoal, discriminator="x", extends=True):
                    pass

            def no_type():
                class Bad(UserRecord, extends=True):
                    pass

            def second():
                class Bad(SavingsGoal, extends=True):
                    pass

            for each in (other_payload, own_type, no_type):
                refused(each)
            print(UserRecord.data_type.class_of("savings-goal").__name__)

            class MyGoal(SavingsGoal, extends=True):
                pass

            refused(second)
            class Third(MyGoal, extends=True):
                pass
            print(type(user.add(SavingsGoalData(name="d", target_amount=1))).__name__)
            """
        )
    )
    assert [line.partition(" ")[0] for line in printed] == [
        *["TypeError"] * 3,
        "SavingsGoal",
        "InvalidKeyError",
        "Third",
    ]
    assert "taken by MyGoal" in printed[4]


EXTENDING_SENDER = """
import sys
import cloudpickle
from datetime import timedelta
from thrivecalc_models import SavingsGoal, SavingsGoalData

class MyGoal(SavingsGoal, extends=True):
    keep_for = timedelta(days=1)

def job():
    from thrivecalc_models.testing import SimulatedTable, simulated_store
    user = simulated_store(SimulatedTable()).user("u")
    added = user.add(SavingsGoalData(name="a", target_amount=1))
    return type(added) is MyGoal, type(user.list(SavingsGoal)[0]) is MyGoal

with open(sys.argv[1], "wb") as file:
    cloudpickle.dump(job, file)
"""


def test_an_extending_class_travels_by_value(tmp_path):
    """A class that extends a type takes its place in the process that cloudpickle sends it to."""
    file = str(tmp_path / "job")
    run(EXTENDING_SENDER, file)
    printed, warned = run(RECEIVER, file)
    assert printed == ["True True"] * 2
    assert warned == ""
