"""`thrivecalc table`: it makes the whole table, and sees whatever is not as it should be."""

from __future__ import annotations

import shlex

import pytest
from proxy import Answer, FaultyProxy, always

from thrivecalc_models.protocol import tables
from thrivecalc_models.testing import faults

# What these engines cannot tell, which the service does.
UNKNOWN = {
    "moto": {"encryption"},
    "dynamodb-local": {"encryption", "point-in-time recovery"},
    "dynoxide": {"encryption", "point-in-time recovery"},
}

KEYS = [("userId", "HASH"), ("recordKey", "RANGE")]
INDEX_KEYS = [("userId", "HASH"), ("dataType", "RANGE")]


def key_schema(pairs):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in pairs]


def make(place, *, keys=KEYS, index_keys=INDEX_KEYS, projection=None, **options):
    """A table as another tool may have made it: no TTL, no recovery, no protection."""
    names = sorted({name for name, _ in [*keys, *(index_keys or [])]})
    if index_keys:
        options["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "DataTypeIndex",
                "KeySchema": key_schema(index_keys),
                "Projection": projection or {"ProjectionType": "ALL"},
                **(
                    {"ProvisionedThroughput": options["ProvisionedThroughput"]}
                    if "ProvisionedThroughput" in options
                    else {}
                ),
            }
        ]
    place.client.create_table(
        TableName=place.name,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=key_schema(keys),
        **{"BillingMode": "PAY_PER_REQUEST", **options},
    )


def states(place, *, exit_code=1):
    found = place.json("table", "check", exit_code=exit_code)
    return {aspect["name"]: aspect["state"] for aspect in found["aspects"]}


def aspect(place, name, *, exit_code=1):
    found = place.json("table", "check", exit_code=exit_code)
    (one,) = [aspect for aspect in found["aspects"] if aspect["name"] == name]
    return one


def test_create_makes_all_that_check_looks_for(place):
    """A table made by the command passes its check; only what an engine cannot tell is unknown."""
    made = place.json("table", "create")
    assert made == place.json("table", "check")
    assert made["ok"] is True
    by_state = {"ok": set(), "unknown": set()}
    for one in made["aspects"]:
        by_state[one["state"]].add(one["name"])
    assert by_state["unknown"] == UNKNOWN[place.engine.name]
    assert len(by_state["ok"]) == 11 - len(UNKNOWN[place.engine.name])
    description = place.client.describe_table(TableName=place.name)["Table"]
    assert description["DeletionProtectionEnabled"] is True
    ttl = place.client.describe_time_to_live(TableName=place.name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_create_again_changes_nothing(place):
    """Making a table that is whole sends questions only."""
    place.run("table", "create")
    with FaultyProxy(place.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "CreateTable", "UpdateTable", "UpdateTimeToLive")
        place.through(proxy.endpoint).run("table", "create")
        assert {name for name, _ in proxy.requests} == {
            "DescribeTable",
            "DescribeTimeToLive",
            "DescribeContinuousBackups",
        }


def test_create_adds_what_is_missing(place):
    """A bare table of the right keys becomes whole, and its items stay."""
    make(place, index_keys=None)
    item = {"userId": {"S": "u"}, "recordKey": {"S": "t#1"}, "dataType": {"S": "t"}}
    place.fill([item])
    wrong = states(place)
    assert wrong["index"] == wrong["ttl"] == wrong["deletion protection"] == "differs"
    assert "projection" not in wrong
    place.run("table", "create")
    assert "differs" not in states(place, exit_code=0).values()
    assert place.items() == [item]


def test_another_table_is_refused(place):
    """A table with other keys is left alone by create, and named by check with the way out."""
    make(place, keys=[("pk", "HASH")], index_keys=None)
    refused = place.run("table", "create", exit_code=2)
    assert refused.stderr.startswith("Error: the table ")
    keys = aspect(place, "keys")
    assert keys["state"] == "differs"
    assert (keys["should"], keys["found"]) == ("userId (S), recordKey (S)", "pk (S)")
    assert "thrivecalc table create --table ANOTHER-NAME" in keys["wayOut"]


def test_keys_of_another_type_differ(place):
    """The same names with a number for a key are other keys."""
    place.client.create_table(
        TableName=place.name,
        AttributeDefinitions=[
            {"AttributeName": "userId", "AttributeType": "S"},
            {"AttributeName": "recordKey", "AttributeType": "N"},
        ],
        KeySchema=key_schema(KEYS),
        BillingMode="PAY_PER_REQUEST",
    )
    assert aspect(place, "keys")["found"] == "userId (S), recordKey (N)"


def test_an_index_with_other_keys_or_projection_differs(place):
    """An index of the right name is not enough, and create does not touch it."""
    make(place, index_keys=[("dataType", "HASH")], projection={"ProjectionType": "KEYS_ONLY"})
    place.run("table", "create", exit_code=1)
    found = states(place)
    assert found["index"] == "ok"
    assert found["index keys"] == found["projection"] == "differs"
    mend = aspect(place, "index keys")["wayOut"].partition(" and, when")[0]
    words = shlex.split(mend)
    assert words[:3] == ["aws", "dynamodb", "update-table"]
    assert words[words.index("--table-name") + 1] == place.name
    assert words[-1] == '[{"Delete":{"IndexName":"DataTypeIndex"}}]'


def test_billing_ttl_protection_and_stream_are_told(place):
    """Provisioned billing, TTL elsewhere, no protection and a narrow stream are differences."""
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    make(
        place,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        StreamSpecification=stream,
    )
    place.client.update_time_to_live(
        TableName=place.name,
        TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True},
    )
    found = {one["name"]: one for one in place.json("table", "check", exit_code=1)["aspects"]}
    assert found["billing"]["found"] == "PROVISIONED"
    assert found["ttl"]["found"] == "on expires"
    assert "Enabled=false,AttributeName=expires" in found["ttl"]["wayOut"]
    assert found["deletion protection"]["found"] == "off"
    assert found["stream"]["found"] == "KEYS_ONLY"
    for name in ("billing", "ttl", "deletion protection", "stream"):
        assert found[name]["state"] == "differs"
        assert f"--table-name {place.name}" in found[name]["wayOut"] or (
            f"thrivecalc table create --table {place.name}" in found[name]["wayOut"]
        )


def test_a_full_stream_is_fine(place):
    """A stream of new and old images is reported as what is, not as a difference."""
    make(
        place,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    place.run("table", "create")
    assert aspect(place, "stream", exit_code=0)["found"] == "NEW_AND_OLD_IMAGES"


@pytest.mark.parametrize("engine", ["moto"], indirect=True)
def test_recovery_that_is_off_differs(place):
    """Point-in-time recovery that is off is a difference, where the engine tells."""
    make(place)
    found = aspect(place, "point-in-time recovery")
    assert (found["state"], found["found"]) == ("differs", "off")
    assert found["wayOut"].startswith("thrivecalc table create")


@pytest.mark.parametrize("engine", ["moto"], indirect=True)
def test_backups_that_are_not_ready_are_waited_for(place, monkeypatch):
    """A new table can be active before its backups can be switched on: that is waited for."""
    monkeypatch.setattr(tables, "POLL_SECONDS", 0.01)
    soon = Answer({"__type": "x#ContinuousBackupsUnavailableException", "message": ""}, 400)
    late = iter([soon, soon])
    with FaultyProxy(place.engine.endpoint) as proxy:
        proxy.schedule = lambda number, operation, request: (
            next(late, None) if operation == "UpdateContinuousBackups" else None
        )
        place.through(proxy.endpoint).run("table", "create")
        assert proxy.sent("UpdateContinuousBackups") == 3
        proxy.schedule = always(soon, "UpdateContinuousBackups")
        place.client.update_continuous_backups(
            TableName=place.name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
        )
        place.through(proxy.endpoint).run("table", "create", exit_code=3)


def test_what_the_credentials_may_not_see_is_unknown(made):
    """A denied question leaves its aspect unknown, with the action, and the others stand."""
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "DescribeTimeToLive", "DescribeContinuousBackups")
        found = made.through(proxy.endpoint).json("table", "check", exit_code=1)
    unknown = {one["name"]: one["found"] for one in found["aspects"] if one["state"] == "unknown"}
    assert unknown["ttl"] == "dynamodb:DescribeTimeToLive is denied"
    assert unknown["point-in-time recovery"] == "dynamodb:DescribeContinuousBackups is denied"


def test_no_table_is_service_trouble(place):
    """Without a table, check ends with 3 and one line that names the way out."""
    result = place.run("table", "check", exit_code=3)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: DescribeTable found no table '{place.name}'")
    assert "`thrivecalc table create`" in line


def test_what_people_read(made):
    """For people: a table without colours, the mending command in one piece, and a count."""
    result = made.run("table", "check", exit_code=1)
    assert "\x1b" not in result.output
    lines = result.stdout.splitlines()
    assert lines[0].strip() == f"Table {made.name}"
    mend = (
        f"thrivecalc table create --table {made.name} --region {made.engine.region}"
        f" --endpoint {made.engine.endpoint}"
    )
    assert f"deletion protection: {mend}" in lines
    assert lines[-1].startswith("1 of 11 differ; not known: ")
