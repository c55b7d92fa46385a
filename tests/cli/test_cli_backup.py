"""`thrivecalc backup`: what it makes can be restored, into a new table and never over another."""

from __future__ import annotations

import pytest
from cli import run_alone
from proxy import Amended, Answer, FaultyProxy, always, in_turn

from thrivecalc_models import DataStore
from thrivecalc_models.testing import faults
from thrivecalc_models.upkeep import backups

only_moto = pytest.mark.parametrize("engine", ["moto"], indirect=True)


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    monkeypatch.setattr(backups, "POLL_SECONDS", 0.01)


@pytest.fixture
def proxy(engine):
    with FaultyProxy(engine.endpoint) as proxy:
        yield proxy


def restored(place):
    """The place of the table that tests restore into."""
    return f"{place.name}-again"


@only_moto
def test_a_backup_comes_back_as_it_was(filled):
    """A restored table has every item of the backup, passes the check, and is counted."""
    before = filled.items()
    made = filled.json("backup", "create", "--name", "before-the-change")
    assert made["name"] == "before-the-change"
    assert made["status"] == "AVAILABLE"
    filled.client.delete_item(
        TableName=filled.name, Key={name: before[0][name] for name in ("userId", "recordKey")}
    )
    result = filled.json("backup", "restore", "--backup", made["arn"], "--into", restored(filled))
    assert result["ok"] is True
    assert result["items"] == len(before)
    assert filled.items(restored(filled)) == before
    assert len(filled.items()) == len(before) - 1


@only_moto
def test_what_dynamodb_does_not_restore_is_set_and_said(filled):
    """TTL, point-in-time recovery and deletion protection are set on the new table, and named."""
    filled.run("table", "create")
    result = filled.json("backup", "restore", "--latest", "--into", restored(filled))
    assert result["notRestored"] == ["ttl", "point-in-time recovery", "deletion protection"]
    describe = filled.client.describe_time_to_live(TableName=restored(filled))
    assert describe["TimeToLiveDescription"]["AttributeName"] == "ttl"
    table = filled.client.describe_table(TableName=restored(filled))["Table"]
    assert table["DeletionProtectionEnabled"] is True


@only_moto
def test_the_list_has_every_backup(made):
    """Backups are listed oldest first, with what restores them, page after page."""
    arns = [made.json("backup", "create", "--name", f"backup-{n}")["arn"] for n in range(3)]
    found = made.json("backup", "list")
    assert [one["arn"] for one in found["backups"]] == arns
    assert len(found["pointsInTime"]) == 2
    shown = made.run("backup", "list").stdout
    assert all(arn in shown for arn in arns)


@only_moto
def test_the_list_goes_on_behind_a_page(made, proxy):
    """A page of backups that names a last one is followed by the next."""
    arn = made.json("backup", "create", "--name", "backup")["arn"]
    proxy.schedule = in_turn(Amended(lambda page: page.update(LastEvaluatedBackupArn=arn)))
    found = made.through(proxy.endpoint).json("backup", "list")
    assert [one["arn"] for one in found["backups"]] == [arn, arn]
    first, second = [json for name, json in proxy.requests if name == "ListBackups"]
    assert second == {**first, "ExclusiveStartBackupArn": arn}


@only_moto
def test_nothing_is_restored_over_a_table(filled):
    """A name that is taken is refused with the way out, whatever is to be restored."""
    arn = filled.json("backup", "create")["arn"]
    before = filled.items()
    taken = restored(filled)
    with DataStore(table_name=taken, endpoint=filled.engine.endpoint) as store:
        store.create_table()
    for source in (["--backup", arn], ["--latest"], ["--at", "2026-01-07T12:30:00Z"]):
        refused = filled.run("backup", "restore", *source, "--into", filled.name, exit_code=2)
        assert refused.stderr == (
            f"Error: --into {filled.name} is the table itself; name a new one\n"
        )
        refused = filled.run("backup", "restore", *source, "--into", taken, exit_code=2)
        assert refused.stderr == (
            f"Error: the table '{taken}' exists already, and nothing is restored over it;"
            " choose another name\n"
        )
    assert filled.items() == before


@only_moto
def test_a_restore_that_was_interrupted_goes_on(filled, proxy):
    """The same command finishes a table that DynamoDB names as restored from that backup."""
    arn = filled.json("backup", "create")["arn"]
    proxy.schedule = always(faults.Denied(), "UpdateTimeToLive")
    command = ("backup", "restore", "--backup", arn, "--into", restored(filled))
    filled.through(proxy.endpoint).run(*command, exit_code=3)
    result = filled.json(*command)
    assert result["ok"] is True
    assert result["items"] == len(filled.items())


@only_moto
def test_a_point_in_time_goes_on_only_with_its_own(filled, proxy):
    """A restore of a time goes on with that time's table; with another time it is refused."""
    filled.run("backup", "restore", "--latest", "--into", restored(filled))
    at = 1_788_000_000.25

    def begun(in_progress):
        def amend(reply):
            reply["Table"].get("RestoreSummary", {}).update(
                RestoreDateTime=at, RestoreInProgress=in_progress
            )

        return always(Amended(amend), "DescribeTable")

    place = filled.through(proxy.endpoint)
    command = ("backup", "restore", "--into", restored(filled))
    proxy.schedule = begun(False)
    place.run(*command, "--at", "2026-08-29T10:40:00Z")
    refused = place.run(*command, "--at", "2026-08-29T10:41:00Z", exit_code=2)
    assert "exists already" in refused.stderr
    refused = place.run(*command, "--latest", exit_code=2)
    assert "as of 2026-08-29T10:40:00Z: give --at" in refused.stderr
    proxy.schedule = begun(True)
    place.run(*command, "--latest")


@only_moto
def test_the_time_is_sent_as_given(filled, proxy):
    """`--at` reaches the service as seconds since 1970, whatever its zone."""
    command = ("backup", "restore", "--at", "2026-01-07T13:30:00+01:00", "--into")
    filled.through(proxy.endpoint).run(*command, restored(filled))
    (request,) = [json for name, json in proxy.requests if name == "RestoreTableToPointInTime"]
    assert request == {
        "SourceTableName": filled.name,
        "TargetTableName": restored(filled),
        "RestoreDateTime": 1767789000,
    }


@only_moto
def test_waiting_ends_when_the_table_is_active(filled, proxy):
    """A table that is not known yet, or still being restored, is waited for, never made anew."""
    missing = Answer({"__type": "x#ResourceNotFoundException", "message": ""}, 400)
    creating = Amended(lambda reply: reply["Table"].update(TableStatus="CREATING"))
    proxy.schedule = in_turn(missing, None, missing, creating, creating)
    command = ("backup", "restore", "--latest", "--into", restored(filled))
    filled.through(proxy.endpoint).run(*command)
    names = [name for name, _ in proxy.requests]
    assert names[:6] == ["DescribeTable", "RestoreTableToPointInTime", *["DescribeTable"] * 4]
    assert "CreateTable" not in names


@only_moto
@pytest.mark.parametrize("operation", ["CreateBackup", "RestoreTableToPointInTime"])
def test_what_may_have_begun_is_not_begun_again(made, proxy, operation):
    """After a lost reply nothing is sent again: the message says that it may have begun."""
    proxy.schedule = always(faults.LoseReply(applied=True), operation)
    command = ("create",) if operation == "CreateBackup" else ("restore", "--latest", "--into")
    names = () if operation == "CreateBackup" else (restored(made),)
    result = made.through(proxy.endpoint).run("backup", *command, *names, exit_code=3)
    assert "may have been begun" in result.stderr
    assert proxy.sent(operation) == 1


@only_moto
def test_what_was_throttled_is_begun_again(made, proxy):
    """A request that cannot have been applied is sent again."""
    proxy.schedule = in_turn(faults.Throttle())
    made.through(proxy.endpoint).run("backup", "create")
    assert proxy.sent("CreateBackup") == 2


@only_moto
def test_what_cannot_be_restored_is_said(made):
    """A backup that is not there, and a table without recovery, end with the way out."""
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/none/backup/01234567890123-abcdef12"
    into = ("--into", restored(made))
    result = made.run("backup", "restore", "--backup", arn, *into, exit_code=2)
    assert result.stderr.endswith(
        "Error: RestoreTableFromBackup: there is no such backup; see `thrivecalc backup list`\n"
    )


@pytest.mark.parametrize("engine", ["dynamodb-local", "dynoxide"], indirect=True)
@pytest.mark.parametrize(
    "command",
    [("create",), ("list",), ("restore", "--latest", "--into", "another")],
    ids=lambda command: command[0],
)
def test_engines_without_backups_say_so(made, command):
    """Where there are no backups, each command says that in one line and ends with 2."""
    result = made.run("backup", *command, exit_code=2)
    assert f"the endpoint {made.engine.endpoint} has no backups" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give one of --backup ARN, --at TIME and --latest"),
        (("--latest", "--at", "2026-01-07T12:30:00Z"), "give one of"),
        (("--at", "yesterday"), "--at takes a time with its zone"),
        (("--at", "2026-01-07T12:30:00"), "--at takes a time with its zone"),
    ],
)
def test_sources_that_cannot_be(arguments, problem):
    """Neither or both sources, and a time that could mean several, are usage errors."""
    result = run_alone("backup", "restore", "--into", "another", *arguments, exit_code=2)
    assert problem in result.stderr
