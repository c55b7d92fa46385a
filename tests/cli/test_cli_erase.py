"""`thrivecalc erase`: everything of one user, after a question, and nothing of anybody else."""

from __future__ import annotations

import pytest
from cli import run_alone, sample_items
from leaks import USER
from machines import EXPIRED, goal_item, item
from proxy import FaultyProxy, always

from thrivecalc_models.testing import faults

ODD = "google-oauth2|555000111222333444"


def of(place, user):
    return [each for each in place.items() if each["userId"]["S"] == user]


def test_everything_of_the_user_is_deleted(filled):
    """Malformed, unknown and expired items too, and nothing of other users; counts by type."""
    before = filled.items()
    result = filled.json("erase", ODD, "--yes")
    assert {name: usage["records"] for name, usage in result["before"].items()} == {
        "budget": 1,
        "net-worth-snapshot": 1,
        "savings-goal": 20,
    }
    assert result["after"] == {}
    assert filled.items() == [each for each in before if each["userId"]["S"] != ODD]


def test_it_asks_first(made):
    """The counts are shown, then the question; only yes deletes."""
    made.fill(sample_items("odd-items.jsonl"))
    for answer in ("no\n", "\n", "yesss\n", "y\n", "YES\n"):
        result = made.run("erase", ODD, input=answer, exit_code=1)
        assert "Nothing was deleted" in result.stderr
        assert len(of(made, ODD)) == 22
    result = made.run("erase", ODD, input="yes\n")
    assert "Delete 22 records for good?" in result.stderr
    assert "savings-goal" in result.stdout
    assert result.stdout.endswith("22 records before, 0 after\n")
    assert of(made, ODD) == []


def test_nobody_to_ask(filled):
    """Without an answer, as in a script without --yes, nothing is deleted: exit code 2."""
    result = filled.run("erase", ODD, input="", exit_code=2)
    assert "--yes" in result.stderr
    assert len(of(filled, ODD)) == 22


def test_a_user_without_records(made):
    """There is nothing to delete, and so nothing to ask: exit code 0."""
    with FaultyProxy(made.engine.endpoint) as proxy:
        result = made.through(proxy.endpoint).run("erase", USER, input="")
        assert [operation for operation, _ in proxy.requests] == ["Query"]
    assert result.stdout == f"Nothing is stored of {USER}\n"
    assert made.json("erase", USER) == {"userId": USER, "before": {}, "after": {}}


def test_it_can_be_run_again(made):
    """After trouble on the way the same command deletes the rest."""
    made.fill([goal_item(str(number)) for number in range(60)])
    with FaultyProxy(made.engine.endpoint) as proxy:
        through = made.through(proxy.endpoint)

        def schedule(number, operation, request):
            denied = operation == "BatchWriteItem" and proxy.sent("BatchWriteItem") > 1
            return faults.Denied() if denied else None

        proxy.schedule = schedule
        result = through.run("erase", USER, "--yes", exit_code=3)
    assert "run the same command again" in result.stderr
    assert USER not in result.stderr
    left = len(of(made, USER))
    assert f"{60 - left} records deleted, {left} not deleted, 0 unknown" in result.stderr
    assert 0 < left < 60
    assert made.run("erase", USER, "--yes").stdout.endswith(f"{left} records before, 0 after\n")


def test_a_lost_reply_does_not_matter(made):
    """A delete whose reply is lost is sent again: twice is the same as once."""
    made.fill([goal_item(), item("budget", "b", {}, ttl=EXPIRED)])
    with FaultyProxy(made.engine.endpoint) as proxy:
        lost = iter([faults.LoseReply(applied=True)])
        proxy.schedule = lambda number, operation, request: (
            next(lost, None) if operation == "BatchWriteItem" else None
        )
        made.through(proxy.endpoint).run("erase", USER, "--yes")
    assert made.items() == []


def test_a_denied_read_deletes_nothing(made):
    """Where the records cannot be counted, nothing is deleted: exit code 3."""
    made.fill([goal_item()])
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "Query")
        result = made.through(proxy.endpoint).run("erase", USER, "--yes", exit_code=3)
    assert "dynamodb:Query" in result.stderr
    assert len(made.items()) == 1


def test_someone_who_writes_meanwhile_is_told(made):
    """If there is something again after the last reading, it says so with exit code 1."""
    made.fill([goal_item("a")])
    queries = []

    def schedule(number, operation, request):
        queries.append(operation)
        if queries.count("Query") == 4 and operation == "Query":  # counted, read, read empty
            made.fill([goal_item("b")])

    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = schedule
        result = made.through(proxy.endpoint).run("erase", USER, "--yes", exit_code=1)
    assert result.stdout.endswith("1 record before, 1 after\n")
    assert "run the same command again" in result.stderr


def test_a_process_of_its_own(filled):
    """No colours and no traceback; 3 where there is no table, 2 where nobody answers."""
    run_alone("erase", ODD, *filled.options, "--table", "not-there", exit_code=3)
    assert "0 after" in run_alone("erase", ODD, "--yes", *filled.options).stdout


@pytest.mark.parametrize("user", ["", "x" * 2049])
def test_what_is_no_user_id(made, user):
    """It is a usage error, and the id is not repeated."""
    result = made.run("erase", user, "--yes", exit_code=2)
    assert "the user id" in result.stderr
    assert "xxxx" not in result.stderr
