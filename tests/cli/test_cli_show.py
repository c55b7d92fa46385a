"""`thrivecalc show`: a user's records, and nothing of what is in them unless asked."""

from __future__ import annotations

import json

import pytest
from cli import run, run_alone, sample_items
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from leaks import AMOUNT, NAME, USER
from machines import EXPIRED, goal_item, item

from thrivecalc_models.cli import common
from thrivecalc_models.cli.app import app
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.strategies import odd_items, stored_items
from thrivecalc_models.wire import item_size, with_text

GUIDE = "google-oauth2|123456789"
ODD = "google-oauth2|555000111222333444"


def lines_of(result):
    """The rows of the table by record key, and the last line."""
    lines = result.stdout.splitlines()
    return {line.split()[0]: line for line in lines[2:-1] if line[:1].strip()}, lines[-1]


def test_the_guides_records(filled):
    """The two records of the guide are shown by the names of their fields."""
    rows, last = lines_of(filled.run("show", GUIDE))
    assert last == "2 records"
    key = "savings-goal#550e8400-e29b-41d4-a716-446655440000"
    assert list(rows) == ["portfolio-holding#abc123", key]
    assert "2025-01-07 12:30" in rows[key]
    for name in ("name", "targetAmount", "currentAmount", "targetDate", "monthlyContribution"):
        assert name in rows[key]
    for value in ("Emergency", "20000", "2025-12-31"):
        assert value not in rows[key]


def test_reveal_shows_the_payload(filled):
    """With --reveal the values are there, amounts as they are stored."""
    text = filled.run("show", GUIDE, "--reveal").stdout
    assert "name: Emergency Fund" in text
    assert "targetAmount: 20000" in text
    assert "targetDate: 2025-12-31" in text
    assert "symbol: VTI" in text


def test_one_type_is_shown(filled):
    """With --type only records of that type are read, by key: no scan, no filter."""
    rows, last = lines_of(filled.run("show", GUIDE, "--type", "portfolio-holding"))
    assert list(rows) == ["portfolio-holding#abc123"]
    assert last == "1 record"
    assert filled.json("show", GUIDE, "--type", "budget", exit_code=1) == []


def test_odd_items_are_shown_with_their_problem(filled):
    """Malformed, unknown and expired items are all there, and say what they are."""
    rows, last = lines_of(filled.run("show", ODD))
    assert last == "22 records"
    assert "malformed: data is missing" in rows["savings-goal#m01"]
    assert "malformed: dataType is missing" in rows["savings-goal#m07"]
    assert "malformed: recordKey has no #" in rows["savings-goal"]
    assert "5 others" in rows["net-worth-snapshot#m11"]
    assert "ttl is no time in seconds" in rows["savings-goal#m15"]
    assert "expires 2030-01-01" in rows["savings-goal#m16"]
    assert "updatedAt is missing" in rows["savings-goal#m19"]
    assert "expired 2020-09-13" in rows["savings-goal#m22"]
    assert "malformed" not in rows["savings-goal#m12"]


def test_json_has_everything_but_the_payload(filled):
    """What is printed for machines has keys, times, sizes and problems; values only if revealed."""
    found = {each["recordKey"]: each for each in filled.json("show", ODD)}
    stored = {each["recordKey"]["S"]: each for each in sample_items() if each["userId"]["S"] == ODD}
    assert found.keys() == stored.keys()
    assert found["savings-goal#m01"] == {
        "recordKey": "savings-goal#m01",
        "dataType": "savings-goal",
        "recordId": "m01",
        "createdAt": "2025-01-01T00:00:00.000Z",
        "updatedAt": "2025-01-01T00:00:00.000Z",
        "ttl": None,
        "expired": False,
        "bytes": item_size(stored["savings-goal#m01"]),
        "malformed": True,
        "problems": ["data is missing"],
        "fields": [],
        "otherFields": 0,
    }
    assert sorted(found["savings-goal#m12"]["fields"]) == ["name", "targetAmount"]
    assert found["savings-goal#m12"]["otherFields"] == 2
    assert [key for key, each in found.items() if each["expired"]] == ["savings-goal#m22"]
    revealed = {each["recordKey"]: each["item"] for each in filled.json("show", ODD, "--reveal")}
    assert revealed == {key: with_text(each) for key, each in revealed.items()}
    assert revealed["net-worth-snapshot#m11"]["data"]["M"]["bin"] == {"B": "AAEC"}


def test_nothing_is_stored(made):
    """A user without records ends with 1, as a search that finds nothing does."""
    assert made.run("show", "nobody", exit_code=1).stdout == "0 records\n"
    assert made.json("show", "nobody", exit_code=1) == []


def test_a_type_that_is_nearly_one_is_warned_of(made):
    """`show --type savings_goal` says which type may be meant, and exits with 1: it has nothing."""
    result = made.run("show", "u", "--type", "savings_goal", exit_code=1)
    assert "'savings-goal'" in result.stderr
    assert "0 records" in result.stdout


@pytest.mark.parametrize("arguments", [("",), (USER, "--type", "a#b"), (USER, "--type", "")])
def test_what_no_key_can_be(arguments):
    """An empty user id and an impossible type are usage errors, in one line."""
    result = run("show", *arguments, "--endpoint", "http://localhost:1", exit_code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")


def test_a_process_of_its_own(filled):
    """Exit code 0 and no colours; 3 where there is no table."""
    assert "2 records" in run_alone("show", GUIDE, *filled.options).stdout
    done = run_alone("show", GUIDE, *filled.options, "--table", "not-there", exit_code=3)
    assert done.stderr.startswith("Error: Query of page 1 found no table")


# --- nothing leaks --------------------------------------------------------------------------------


def shown(items, *arguments):
    """What a command prints of a simulated table with these items, findings or none."""
    table = SimulatedTable()
    for each in items:
        table.put(each)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "DataStore", lambda **given_settings: simulated_store(table))
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (0, 1), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def marked(form):
    """The same form with every scalar replaced by one that would be noticed."""
    ((tag, content),) = form.items()
    match tag:
        case "S":
            return {"S": "Zwitscher"}
        case "N":
            return {"N": "7342119.5"}
        case "B":
            return {"B": "Wndp"}
        case "SS":
            return {"SS": ["Zwitscher"]}
        case "NS":
            return {"NS": ["7342119.5"]}
        case "BS":
            return {"BS": ["Wndp"]}
        case "L":
            return {"L": [marked(each) for each in content]}
        case "M":
            return {"M": {name: marked(each) for name, each in content.items()}}
    return form


def with_marks(stored):
    """An item whose payload and undeclared attributes hold nothing but marks."""
    known = {"userId", "recordKey", "dataType", "recordId", "createdAt", "updatedAt", "ttl"}
    return {name: form if name in known else marked(form) for name, form in stored.items()}


COMMANDS = [
    ["users"],
    ["users", "--json"],
    ["show", USER],
    ["show", USER, "--json"],
    ["audit"],
    ["audit", "--json", "--user", USER],
    ["audit", "--repair", "--json"],
    ["audit", "--repair", "--apply"],
    ["erase", USER, "--yes"],
]


@given(
    st.lists(
        st.one_of(stored_items(user_id=USER), odd_items(user_id=USER)).map(with_marks), max_size=4
    )
)
def test_no_output_has_a_value_of_a_payload(items):
    """Of generated records, sound and odd, no command prints a value unless told to reveal it."""
    for arguments in COMMANDS:
        printed = shown(items, *arguments)
        for mark in ("Zwitscher", "7342119", "7,342,119", "Wndp"):
            assert mark not in printed
        if arguments[0] == "audit":
            assert USER not in printed


def test_revealed_values_would_be_noticed():
    """The marks of the test above are printed where they may be."""
    printed = shown([goal_item()], "show", USER, "--reveal")
    assert NAME in printed
    assert AMOUNT in printed


def test_names_that_may_be_personal_are_counted_only():
    """Undeclared names, and the keys of a dict, may be somebody's words: they are not shown."""
    budget = item(
        "budget",
        "b",
        {
            "name": {"S": "x"},
            "period": {"S": "monthly"},
            "limits": {"M": {"divorce lawyer": {"N": "1"}}},
            "my secret": {"S": "y"},
        },
    )
    for arguments in (["show", USER], ["show", USER, "--json"]):
        printed = shown([budget], *arguments)
        assert "limits" in printed
        assert "divorce" not in printed
        assert "secret" not in printed
    assert "1 other" in shown([budget], "show", USER)


def test_what_is_stored_cannot_steer_a_terminal():
    """Escape sequences in keys and values are shown as text."""
    evil = goal_item("\x1b[2J\u202e") | {"ttl": EXPIRED}
    evil["data"]["M"]["name"] = {"S": "\x1b[31mred\x07"}
    printed = shown([evil], "show", USER, "--reveal")
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "\u202e" not in printed
    assert "\\x1b[31mred" in printed
    assert json.loads(shown([evil], "show", USER, "--json"))[0]["recordId"] == "\x1b[2J\u202e"
