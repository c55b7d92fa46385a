"""The benchmarks measure what docs/performance.md says, and the page shows what was measured."""

from __future__ import annotations

from contextlib import closing

import pytest

from benchmarks import chart, endpoint, goal, goals, page
from benchmarks.clients import CLIENTS, ThriveCalc, present


def test_page_shows_the_kept_results():
    """The tables and the picture of docs/performance.md are those of the results beside it."""
    text, found = page.PAGE.read_text(encoding="utf-8"), page.results()
    assert page.render(text, found) == text
    assert page.picture(found[0]) == page.PICTURE.read_text(encoding="utf-8")


def test_page_lacks_no_section():
    """A page that lacks the place of a section is refused instead of losing the section."""
    with pytest.raises(ValueError, match="no place for opening"):
        page.render("# Performance\n", page.results())


def test_records_differ():
    """The records that are measured share no value that a client could have computed before."""
    records = [one for which in (0, 1) for one in goal.goals(goal.user_id(500, which))]
    for name in set(goal.Goal.__slots__) - {"user"}:
        values = {getattr(one, name) for one in records}
        assert len(values) > 0.85 * len(records), name


def test_records_are_ordered_as_the_service_would_order_them():
    """The records of a user come in the order of their keys, as a query returns them."""
    keys = [one.record_key for one in goal.goals(goal.user_id(3000))]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("relation", "value", "reached"),
    [
        ("at most", 2.0, True),
        ("at most", 2.01, False),
        ("less than", 2.0, False),
        ("less than", 1.99, True),
        ("at least", 2.0, True),
        ("at least", 1.99, False),
    ],
)
def test_verdicts(relation, value, reached):
    """A goal is reached on the right side of its limit only, and says so beside the value."""
    one = goals.Goal("a thing", relation, 2.0, lambda result: value)
    expected = f"{value:.2f} reached" if reached else f"**{value:.2f} missed**"
    assert one.verdict({}) == expected


def test_a_goal_without_its_peer_is_not_reached():
    """Where a peer was not measured, its goals are neither reached nor missed."""
    result = page.results()[0]
    alone = result | {"cpu": {"direct": result["cpu"]["direct"]}}
    assert {one.verdict(alone) for one in goals.GOALS if "aiodynamo" in one.what} == {"-"}
    assert goals.reached(alone)[1] < goals.reached(result)[1]


def test_typed_goals_are_against_the_best_peer():
    """The best typed peer is the cheapest of those that were measured, operation by operation."""
    cpu = {"direct": {"get": 10.0}, "pydynox": {"get": 40.0}, "dynamoxy": {"get": 20.0}}
    (one,) = (one for one in goals.GOALS if one.what.startswith("CPU of get against the best"))
    assert one.value({"cpu": cpu}) == 0.5


def test_bars_are_as_long_as_their_values():
    """A bar of the picture begins at zero: twice the value is twice the length."""
    drawn = chart.svg("A title", {"a": "A", "b": "B"}, [("get", {"a": 50.0, "b": 100.0})], "a")
    lengths = [float(bar.partition('"')[0]) for bar in drawn.split(' width="')[3:]]
    assert lengths[0] == pytest.approx(lengths[1] / 2, abs=0.1)


@pytest.fixture(scope="module")
def url():
    with endpoint.running() as running:
        yield running


@pytest.mark.parametrize("name", present())
def test_clients_read_the_same(name, url):
    """Each client that is installed reads all the records, and looks at the amount of each."""
    user = goal.user_id(150)
    records = goal.goals(user)
    total = sum(one.target_amount for one in records)
    with closing(CLIENTS[name][1](url)) as client:
        assert client.run(client.list, [user]) == [total]
        assert client.run(client.read, [records]) == [total]
        assert [int(amount) for amount in client.run(client.get, records[:3])] == [
            one.target_amount for one in records[:3]
        ]
        client.run(client.put, records[:3])
        client.run(client.write, [records])


@pytest.mark.parametrize("batched", [False, True])
def test_commits_of_changed_records_are_whole(batched, url):
    """The endpoint answers updates as applied, alone and as statements."""
    with closing(ThriveCalc(url, "botocore", batch_updates=batched)) as client:
        result = client.committing(goal.user_id(30))()
        assert len(result.applied) == 30
        assert result.requests == (2 if batched else 30)
