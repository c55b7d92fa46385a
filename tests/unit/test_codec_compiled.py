"""The code that is made for a payload class does what the plain way does, field by field."""

from __future__ import annotations

import copy
from datetime import date
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_types import Branch, EverythingData, HouseholdData, Person

from thrivecalc_models import (
    Amount,
    ProfileData,
    RetirementPlanData,
    SavingsGoalData,
    TransactionData,
    payload,
)
from thrivecalc_models.codec import Origins, Unfit, decode_data, encode_data
from thrivecalc_models.codec.data import decode_plainly, encode_fields, has_values
from thrivecalc_models.codec.numbers import EXACT, SAFE
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads.define import camel_case
from thrivecalc_models.table import DATA
from thrivecalc_models.testing import strategies as own


@payload
class Checked:
    """One whose instances cannot be made without `__init__`."""

    name: str = attrs.field(validator=attrs.validators.max_len(3))
    amount: Amount = 0


def any_payload():
    return st.one_of(
        own.any_payload(),
        own.payloads(EverythingData),
        own.payloads(HouseholdData),
        own.payloads(Branch),
        own.payloads(Person),
    )


ODD_TEXTS = ["2025-1-7", "2025-02-30", "2025-01-7 ", "2025-W01-1", "20250107", "soon", ""]
ODD_TEXTS += ["2025-01-07T10:00:00Z", "２０２５-01-07"]  # noqa: RUF001 - other digits than ours
ODD_NUMBERS = ["1.5", "-0", "7", "0.1000", "12345678901234567890.5"]


@st.composite
def stored_maps(draw):
    """A class and a map that may be one of its payloads, but for what was done to some fields."""
    drawn = draw(any_payload())
    content = encode_data(drawn, {}, None, Origins())
    for name in draw(st.sets(st.sampled_from(sorted(content) or ["none"]), max_size=3)):
        forms = st.one_of(st.none(), st.just({"NULL": True}), own.stored_values(), odd_texts())
        form = draw(forms)
        if form is None:
            content.pop(name, None)
        else:
            content[name] = form
    return type(drawn), content


def odd_texts():
    return st.sampled_from([{"S": text} for text in ODD_TEXTS])


@attrs.frozen
class Holder:
    origins: Origins = attrs.field(factory=Origins)


def holder_for(way):
    return Holder() if way is decode_data else Origins()


def read_by(way, cls, content):
    """What a way of reading gives: a payload and its values, or where and why it is unfit."""
    try:
        return way(cls, copy.deepcopy(content), holder_for(way))
    except Unfit as unfit:
        return unfit.path, unfit.reason


@given(stored_maps())
def test_both_ways_read_the_same(drawn):
    """Whatever is stored, both ways read the same, or refuse it with the same path and reason."""
    assert read_by(decode_data, *drawn) == read_by(decode_plainly, *drawn)


WHOLE = [
    SavingsGoalData(name="a", target_amount=1, target_date="2025-01-07", monthly_contribution=2),
    TransactionData(date="2025-01-07", amount=-5, category="b", tags=["c"]),
    RetirementPlanData(name="a", current_age=30, retirement_age=60, inflation_rate="0.02"),
    ProfileData(display_name="a", date_of_birth="1952-08-11"),
]
FORMS = [{"S": text} for text in ODD_TEXTS] + [{"N": text} for text in ODD_NUMBERS]
FORMS += [{"NULL": True}, {"BOOL": True}, {"M": {}}, {"L": []}, {"SS": ["a"]}, None]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("whole", WHOLE, ids=lambda whole: type(whole).__name__)
def test_both_ways_read_each_form_the_same(whole, form):
    """Every field of a class, with every odd form in it, is read or refused the same by both."""
    content = encode_data(whole, {}, None, Origins())
    for field in attrs.fields(type(whole)):
        odd = {**content, camel_case(field.name): form}
        if form is None:
            del odd[camel_case(field.name)]
        assert read_by(decode_data, type(whole), odd) == read_by(decode_plainly, type(whole), odd)


@pytest.mark.parametrize("way", [decode_data, decode_plainly])
def test_a_validator_of_the_class_is_heard(way):
    """A class with a validator refuses what is stored against it, on both ways."""
    assert way(Checked, {"name": {"S": "abc"}}, holder_for(way))[0] == Checked(name="abc")
    assert read_by(way, Checked, {"name": {"S": "abcd"}}) == (DATA, "is refused by Checked")


@given(any_payload(), st.sampled_from([SAFE, EXACT]))
def test_both_ways_write_the_same(drawn, encoding):
    """The map of a new payload is what the plain way makes, in the same order."""
    made = encode_data(drawn, {}, None, Origins(), encoding=encoding)
    assert list(made.items()) == list(
        encode_fields(drawn, None, Origins(), encoding, DATA, 1).items()
    )


@given(own.stored_numbers())
def test_both_ways_refuse_the_same_numbers(number):
    """A number that JavaScript cannot hold is refused with its path by the made code, too."""
    goal = SavingsGoalData(name="", target_amount=number)

    def refused(write):
        try:
            write()
        except InvalidRecordError as error:
            return type(error), error.path, str(error)
        return None

    assert refused(lambda: encode_data(goal, {}, None, Origins())) == refused(
        lambda: encode_fields(goal, None, Origins(), SAFE, DATA, 1)
    )


@given(any_payload(), st.data())
def test_an_assignment_is_noticed(drawn, data):
    """Values that cannot change in place are the same until one of them is replaced."""
    read, values = decode_data(type(drawn), encode_data(drawn, {}, None, Origins()), Holder())
    if values is None:
        return
    assert has_values(read, values)
    fields = [
        field.name
        for field in attrs.fields(type(read))
        if type(getattr(read, field.name)) is Decimal
    ]
    if fields:
        name = data.draw(st.sampled_from(fields))
        setattr(read, name, getattr(read, name) + 1)
        assert not has_values(read, values)


def test_what_can_change_in_place_has_no_values():
    """A list may be appended to, so that a payload with one has to be compared."""
    spent = TransactionData(date=date(2025, 1, 7), amount=-5)
    content = encode_data(spent, {}, None, Origins())
    assert decode_data(TransactionData, content, Holder())[1] is not None
    spent.tags = ["a"]
    content = encode_data(spent, {}, None, Origins())
    assert decode_data(TransactionData, content, Holder())[1] is None
