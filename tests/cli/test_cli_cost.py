"""`thrivecalc cost`: the guide's estimate, and one measured on the table."""

from __future__ import annotations

import json
import os
from decimal import Decimal

import pytest
from cli import run, run_alone, sample_items

from thrivecalc_models import SavingsGoal, SavingsGoalData
from thrivecalc_models.infra import GUIDE, operation_costs
from thrivecalc_models.signals import RequestEvent
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.wire import item_size

GUIDES = ("--reads", "3000", "--writes", "300", "--bytes", "10240")
GUIDES_PRICES = ("--read-price", "0.25", "--write-price", "1.25", "--storage-price", "0.25")


def lines_of(result):
    """The first table: its labels and numbers."""
    rows = [line.rsplit(None, 3) for line in result.stdout.splitlines()]
    return {row[0].strip(): row[1:] for row in rows if len(row) == 4}


def test_the_guides_example():
    """3,000 reads, 300 writes and 10 KB at the guide's prices: below 0.002 USD, also with the
    index's writes."""
    lines = lines_of(run("cost", *GUIDES, *GUIDES_PRICES))
    assert lines["3,000 reads, consistent"] == ["0.000750", "0.75", "7.50"]
    assert lines["300 writes"] == ["0.000375", "0.38", "3.75"]
    assert lines["the guide's estimate"] == ["0.001127", "1.13", "11.27"]
    assert lines["+ writes of the index"] == ["0.000375", "0.38", "3.75"]
    assert lines["the table as it should be"] == ["0.001507", "1.51", "15.07"]
    assert lines["reads eventually consistent"] == ["-0.000375", "-0.38", "-3.75"]
    assert lines["all writes in transactions"] == ["0.000750", "0.75", "7.50"]
    assert lines["all writes in batches"] == ["0.000000", "0.00", "0.00"]


def test_without_options():
    """It is the guide's example at the latest prices, and shows the guide's beside it."""
    output = run("cost").stdout
    assert "Prices of 2024-11-01 in us-east-1, in USD:" in output
    (other,) = [line for line in output.splitlines() if "2018-11-28" in line]
    assert other.split() == ["2018-11-28", "0.25", "1.25", "0.25", "0.001127", "0.001507"]


def test_json_has_every_digit():
    """The JSON is exact, and agrees with the table that people see."""
    found = json.loads(run("cost", *GUIDES, *GUIDES_PRICES, "--json").stdout)
    one, many = found["usdAMonth"]["1"], found["usdAMonth"]["10000"]
    assert one["guideEstimate"] == "0.001127384185791015625"
    assert {name: Decimal(usd) * 10_000 for name, usd in one.items()} == {
        name: Decimal(usd) for name, usd in many.items()
    }
    assert found["usage"]["reads"] == "3000"
    assert {each["operation"] for each in found["operations"]} >= {"GetItem", "TransactWriteItems"}


def test_prices_of_a_file(tmp_path):
    """What --json prints as prices is a price file; options go before it."""
    prices = json.loads(run("cost", "--json").stdout)["prices"]
    prices |= {"since": "2031-01-01", "region": "eu-west-1", "writeMillion": "2"}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(prices), encoding="utf-8")
    output = run("cost", *GUIDES, "--prices", str(file), "--read-price", "1").stdout
    assert "Prices of 2031-01-01 in eu-west-1" in output
    assert "\n1 a million read units, 2 a million write units,\n" in output


def test_it_fits_a_terminal():
    """No line is longer than 80 characters."""
    for options in ([], [*GUIDES, *GUIDES_PRICES], ["--help"]):
        assert max(map(len, run("cost", *options).stdout.splitlines())) <= 80


def test_alone():
    """It runs as a command, without network, credentials, colours or a table."""
    done = run_alone("cost", *GUIDES)
    assert "the guide's estimate" in done.stdout
    assert done.stderr == ""


# --- measured -------------------------------------------------------------------------------------


def test_measured(filled):
    """Sizes and counts are those of the table's items, of whole users, by type."""
    found = filled.json("cost", "--measure", "--reads", "3000", "--writes", "300")
    items = sample_items()
    users = {item["userId"]["S"] for item in items}
    counted = found["measured"]["all"]
    assert found["measured"]["complete"] is True
    assert (counted["items"], counted["users"]) == (len(items), len(users))
    assert counted["bytes"] == sum(map(item_size, items))
    assert Decimal(found["usage"]["bytes"]) == Decimal(counted["bytes"] + 100 * len(items)) / len(
        users
    )
    by_type = found["measured"]["byType"]
    assert sum(each["items"] for each in by_type.values()) == len(items)
    assert {"savings-goal", "transaction", "net-worth-snapshot"} <= set(by_type)
    queries = [each for each in found["operations"] if each["operation"] == "Query"]
    assert len(queries) == 2
    assert lines_of(filled.run("cost", "--measure"))["300 writes"]


@pytest.mark.parametrize("engine", ["moto", "dynoxide"], indirect=True)
def test_a_sample(filled):
    """No more pages are read than the sample takes, and it says that it is a part."""
    output = filled.run("cost", "--measure", "--sample", "60").stdout
    assert output.startswith("Measured on a part of the table: ")
    found = filled.json("cost", "--measure", "--sample", "60")["measured"]
    assert found["complete"] is False
    assert 0 < found["all"]["items"] <= 60


def test_an_empty_table(made):
    """There is nothing to measure, and it says what to do instead."""
    result = made.run("cost", "--measure", exit_code=2)
    assert result.stderr == (
        "Error: the table is empty and has nothing to measure; give --bytes instead\n"
    )


def test_no_table(place):
    """Measuring a table that is not there is the service's no, in one line."""
    result = place.run("cost", "--measure", exit_code=3)
    assert place.name in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def units_of(store_observed_by):
    """Units of the last request of each operation on small records, as the service reports them."""
    seen = {}

    def see(event):
        if isinstance(event, RequestEvent):
            seen[event.operation] = event.read_units + event.write_units

    with store_observed_by(see) as store:
        user = store.user("google-oauth2|1")
        goal = user.add(SavingsGoalData(name="Car", target_amount=5), record_id="a")
        user.get(SavingsGoal, "a")
        goal.data.current_amount += 1
        user.update(goal)
        with user.unit_of_work(atomic=True) as work:
            for _ in range(2):
                work.add(SavingsGoalData(name="Car", target_amount=5))
        with user.unit_of_work() as work:
            for _ in range(25):
                work.add(SavingsGoalData(name="Car", target_amount=5))
        user.delete(goal)
    return seen


ESTIMATED = {
    each.operation: each.units for each in operation_costs(GUIDE) if "100" not in each.what
}
ESTIMATED["GetItem"] = Decimal("0.5")  # the one that is not consistent


@pytest.mark.parametrize("engine", ["dynamodb-local"], indirect=True)
def test_the_units_that_dynamodb_local_reports(made):
    """The units of each operation are those reported; transactions are not counted twice there."""
    reported = units_of(lambda see: made.store(observer=see))
    assert reported | {"TransactWriteItems": 8} == ESTIMATED


def test_the_units_that_the_simulation_reports():
    """The units of each operation are those reported, transactions included."""
    assert units_of(lambda see: simulated_store(SimulatedTable(), observer=see)) == ESTIMATED


# --- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--reads", "-1"),
        ("--reads", "many"),
        ("--writes", "1.5"),
        ("--bytes", "10KB"),
        ("--bytes", "9" * 5000),
        ("--sample", "0"),
        ("--measure", "--bytes", "5"),
        ("--read-price", "nan"),
        ("--read-price", "-0.25"),
        ("--write-price", "1,25"),
        ("--storage-price", "1e400"),
        ("--prices",),
        ("--prices", "/nowhere/prices.json"),
        ("--prices", os.curdir),
    ],
    ids=" ".join,
)
def test_wrong_options(options):
    """A wrong number or file is one line of error, and exit code 2."""
    result = run("cost", *options, exit_code=2)
    assert [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert result.stdout == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"[]", b'{"since": "2030-01-01"}', b"{" * 9999, b"\x00"],
    ids=len,
)
def test_wrong_price_files(tmp_path, content):
    """A file that is no price list is named, with what is wrong with it."""
    file = tmp_path / "prices.json"
    file.write_bytes(content)
    result = run("cost", "--prices", str(file), exit_code=2)
    assert result.stderr.startswith(f"Error: {file} is not a price list: ")
    assert result.stderr.count("\n") == 1


def test_a_file_that_may_not_be_read(tmp_path):
    """The system's reason is given; a pipe or device that never ends is not waited for."""
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    result = run("cost", "--prices", str(tmp_path / "gone"), exit_code=2)
    assert "No such file" in result.stderr
    assert "not a price list" in run("cost", "--prices", "/dev/zero", exit_code=2).stderr


def test_large_numbers():
    """Numbers that nobody has are reckoned with all the same."""
    output = run("cost", "--reads", "9" * 40, "--read-price", "1000000").stdout
    assert "the guide's estimate" in output
