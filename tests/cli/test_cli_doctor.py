"""`thrivecalc doctor`: it changes nothing, and each trouble has its row and its way out."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from cli import on_moto, run, run_alone
from proxy import Answer, FaultyProxy, always

from thrivecalc_models import ConfigurationError
from thrivecalc_models.protocol.failures import SERVICE_ACTIONS
from thrivecalc_models.testing import faults
from thrivecalc_models.upkeep import doctor
from thrivecalc_models.upkeep.doctor import diagnose


@pytest.fixture
def whole(place):
    """A table as `thrivecalc table create` makes it."""
    place.run("table", "create")
    return place


@pytest.fixture
def proxy(engine):
    with FaultyProxy(engine.endpoint) as proxy:
        yield proxy


def examined(place, *args, exit_code=0, **options):
    """The rows of `doctor --json` by what was checked."""
    found = place.json("doctor", *args, exit_code=exit_code, **options)
    rows = {row["check"]: row for row in found["rows"]}
    assert len(rows) == len(found["rows"])
    assert found["ok"] is (exit_code == 0)
    for row in rows.values():
        assert (row["state"] == "trouble") <= bool(row["wayOut"])
    return rows


def test_all_is_well(whole):
    """On a whole table nothing is in trouble, and only what an engine cannot tell is unknown."""
    rows = examined(whole)
    unknown = {check for check, row in rows.items() if row["state"] == "unknown"}
    assert (
        unknown
        == {
            "moto": {"table: encryption"},
            "dynamodb-local": {"table: encryption", "table: point-in-time recovery"},
            "dynoxide": {"table: encryption", "table: point-in-time recovery"},
        }[whole.engine.name]
    )
    assert rows["table name"]["what"] == f"{whole.name} (--table)"
    assert rows["region"]["what"] == f"{whole.engine.region} (--region)"
    assert rows["endpoint"]["what"] == f"{whole.engine.endpoint} (--endpoint)"
    assert rows["credentials"]["what"] == "none needed at this endpoint; a stand-in is sent"
    assert rows["clock"]["state"] == "ok"
    assert rows["transport"]["what"].startswith(("direct: ", "botocore: "))
    for name in ("python", "thrivecalc-models", "pynamodb", "botocore", "pycurl", "msgspec"):
        assert f"{name} " in rows["versions"]["what"]


def test_nothing_is_changed(filled, proxy):
    """No item is written, changed or deleted, and no request could do so to any item there is."""
    before = filled.items()
    stored = {item["userId"]["S"] for item in before}
    filled.through(proxy.endpoint).run("doctor", exit_code=1)  # it has no deletion protection
    assert filled.items() == before
    allowed = {"ListTables", "DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"}
    probes = [(name, json) for name, json in proxy.forwarded if name not in allowed]
    for name, request in probes:
        text = repr(request)
        assert not any(user in text for user in stored)
        if name in ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"):
            assert "attribute_exists(#key) AND attribute_not_exists(#key)" in text
        if name == "TransactWriteItems":
            assert [list(entry) for entry in request["TransactItems"]] == [["ConditionCheck"]]
        if name == "BatchWriteItem":
            ((entry,),) = request["RequestItems"].values()
            assert list(entry) == ["DeleteRequest"]
            assert "thrivecalc-doctor-" in entry["DeleteRequest"]["Key"]["userId"]["S"]
        if name == "Scan":
            assert (request["Select"], request["Limit"]) == ("COUNT", 1)
    assert {name for name, _ in probes} == {
        *("GetItem", "BatchGetItem", "Query", "Scan", "BatchWriteItem", "TransactWriteItems"),
        *("PutItem", "UpdateItem", "DeleteItem"),
    }


def test_a_condition_that_cannot_hold_holds_for_nothing(filled):
    """The condition of the probes refuses a write even of an item that is there."""
    (item, *_) = filled.items()
    with pytest.raises(filled.client.exceptions.ConditionalCheckFailedException):
        filled.client.delete_item(
            TableName=filled.name,
            Key={name: item[name] for name in ("userId", "recordKey")},
            ConditionExpression="attribute_exists(#key) AND attribute_not_exists(#key)",
            ExpressionAttributeNames={"#key": "userId"},
        )


def test_every_action_of_a_service_is_tried(whole):
    """There is a row for each action that the service's policy has."""
    tried = {
        check.removeprefix("dynamodb:").partition(" ")[0]
        for check in examined(whole)
        if check.startswith("dynamodb:")
    }
    assert tried - {"Scan"} == SERVICE_ACTIONS


@on_moto
@pytest.mark.parametrize(
    ("operation", "action"),
    [
        *((name, name) for name in sorted(SERVICE_ACTIONS - {"ConditionCheckItem"})),
        ("TransactWriteItems", "ConditionCheckItem"),
    ],
)
def test_a_denied_action_is_trouble(whole, proxy, operation, action):
    """An action that is denied is in trouble, with the policy that allows it; others stand."""
    proxy.schedule = always(faults.Denied(), operation)
    rows = examined(whole.through(proxy.endpoint), exit_code=1)
    troubles = {check for check, row in rows.items() if row["state"] == "trouble"}
    also = {"dynamodb:Query on the index"} if action == "Query" else set()
    assert troubles == {f"dynamodb:{action}"} | also
    row = rows[f"dynamodb:{action}"]
    assert row["what"] == "denied"
    assert f"thrivecalc infra iam-policy --for service --table {whole.name}" in row["wayOut"]


@on_moto
def test_a_service_may_lack_what_only_operators_need(whole, proxy):
    """With the service's policy alone nothing is in trouble: it does not describe, and not scan."""
    denied = ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups", "Scan")
    proxy.schedule = always(faults.Denied(), *denied)
    rows = examined(whole.through(proxy.endpoint))
    assert rows["dynamodb:Scan"]["what"].startswith("denied, as for a service")
    assert rows["dynamodb:PutItem"]["what"] == "allowed"


def test_a_table_that_is_not_there(place):
    """The row says which tables there are, and how to make this one."""
    place.through(place.engine.endpoint).run("table", "check", exit_code=3)
    found = place.json("doctor", exit_code=1)["rows"]
    (row,) = [row for row in found if row["state"] == "trouble"]
    assert row["what"].startswith(f"no table {place.name} in {place.engine.region}; there ")
    assert f"thrivecalc table create --table {place.name}" in row["wayOut"]
    assert not any(row["check"].startswith("dynamodb:") for row in found)


@on_moto
def test_the_wrong_region(made, monkeypatch, tmp_path):
    """Where the AWS configuration says another region, that is the way out."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    place = made.through(made.engine.endpoint)
    options = ("--table", place.name, "--endpoint", place.engine.endpoint)
    result = run("doctor", "--region", "us-west-2", *options, exit_code=1)
    assert "the AWS configuration says region eu-west-1: set AWS_REGION to that" in result.stdout


@on_moto
def test_a_missing_index(place):
    """Queries of an index that is not there are in trouble, and the table's row says so, too."""
    place.client.create_table(
        TableName=place.name,
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("userId", "recordKey")
        ],
        KeySchema=[
            {"AttributeName": "userId", "KeyType": "HASH"},
            {"AttributeName": "recordKey", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    rows = examined(place, exit_code=1)
    assert rows["table: index"]["state"] == rows["table: ttl"]["state"] == "trouble"
    assert rows["dynamodb:Query on the index"]["what"] == "the index is missing"
    assert rows["dynamodb:Query"]["state"] == "ok"


@on_moto
@pytest.mark.parametrize(
    ("fault", "says", "way_out"),
    [
        (faults.ExpiredCredentials(), "ExpiredTokenException", "renew them"),
        (
            Answer({"__type": "x#UnrecognizedClientException", "message": "echoed"}, 400),
            "UnrecognizedClientException",
            "check the access key",
        ),
        (
            Answer({"__type": "x#InvalidSignatureException", "message": "echoed"}, 400),
            "InvalidSignatureException",
            "clock is right",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_credentials_that_are_not_accepted(whole, proxy, fault, says, way_out):
    """Expired, unknown and wrongly signed credentials have a row; nothing more is tried."""
    proxy.schedule = always(fault, "DescribeTable")
    found = whole.through(proxy.endpoint).json("doctor", exit_code=1)["rows"]
    (row,) = [row for row in found if row["state"] == "trouble"]
    assert says in row["what"]
    assert way_out in row["what"] + row["wayOut"]
    assert "echoed" not in repr(found)
    assert proxy.sent("GetItem") == 0


@on_moto
def test_throttling_is_told(whole, proxy):
    """An action that is throttled is in trouble, with what to do about it."""
    proxy.schedule = always(faults.Throttle(), "GetItem")
    rows = examined(whole.through(proxy.endpoint), exit_code=1)
    assert rows["dynamodb:GetItem"]["what"] == "throttled (ThrottlingException)"
    assert "thrivecalc infra alarms" in rows["dynamodb:GetItem"]["wayOut"]


@on_moto
def test_a_service_that_fails_cannot_be_reached(whole, proxy):
    """Errors of the service that last end with 3."""
    proxy.schedule = always(faults.ServerError(503), "DescribeTable")
    found = whole.through(proxy.endpoint).json("doctor", exit_code=3)
    assert found["reached"] is False


@pytest.mark.parametrize("offset", [-3600, -61, 0, 61, 3600])
@on_moto
def test_a_clock_that_is_wrong(whole, offset):
    """A minute off the service's clock is trouble, either way; the row says how far and where."""
    given = {
        "table_name": whole.name,
        "region": whole.engine.region,
        "endpoint": whole.engine.endpoint,
    }
    shift = timedelta(seconds=offset)
    diagnosis = diagnose(given, clock=lambda: datetime.now(UTC) + shift)
    (row,) = [row for row in diagnosis.rows if row.check == "clock"]
    assert row.state == ("trouble" if offset else "ok")
    if offset:
        assert ("ahead of" if offset > 0 else "behind") in row.what


def test_nobody_answers():
    """Where nothing listens, the row names the endpoint, and the exit code is 3."""
    result = run_alone("doctor", "--endpoint", "http://127.0.0.1:9", exit_code=3)
    assert "http://127.0.0.1:9 does not answer (EndpointConnectionError)" in result.stdout


def test_no_credentials():
    """Without credentials the row says what to set; the service is still looked for."""
    with FaultyProxy("http://127.0.0.1:9") as proxy:
        proxy.schedule = always(
            Answer({"__type": "x#MissingAuthenticationTokenException", "message": ""}, 400)
        )
        environment = {
            "AWS_ENDPOINT_URL_DYNAMODB": "http://db.example.com",
            "THRIVECALC_ALLOW_HTTP": "1",
            "HTTP_PROXY": proxy.endpoint,
        }
        result = run_alone("doctor", exit_code=1, env=environment)
        assert [name for name, _ in proxy.requests] == ["ListTables"]
    assert "none found" in result.stdout
    assert "credentials: set AWS_ACCESS_KEY_ID" in result.stdout
    assert "http://db.example.com answers" in result.stdout
    assert "http://db.example.com (AWS_ENDPOINT_URL_DYNAMODB)" in result.stdout


def test_credentials_are_never_shown(whole):
    """The provider is named, and neither key, secret nor token."""
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_SESSION_TOKEN": "FQoGZXIvYXdzE",
    }
    for extra in ([], ["--json"]):
        result = run_alone("doctor", *whole.options, *extra, env=secrets)
        assert "environment variables" in result.stdout
        assert not any(secret in result.stdout + result.stderr for secret in secrets.values())


def test_a_profile_that_is_not_there():
    """A profile that nobody knows is trouble with its name, without a traceback."""
    result = run_alone("doctor", exit_code=1, env={"AWS_PROFILE": "nobody"})
    assert "ProfileNotFound" in result.stdout
    assert "nobody" in result.stdout


def test_where_each_setting_came_from():
    """Settings name the argument, the variable, or that they are the default."""
    environment = {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT": "http://127.0.0.1:9"}
    result = run_alone("doctor", "--table", "mine", env=environment, exit_code=3)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "table name ok mine (--table)" in lines
    assert "region ok eu-west-1 (AWS_REGION)" in lines
    assert "endpoint ok http://127.0.0.1:9 (AWS_ENDPOINT)" in lines
    del environment["AWS_REGION"]
    result = run_alone("doctor", env=environment, exit_code=3)
    assert "thrivecalc-user-data (default)" in result.stdout
    assert "us-east-1 (default)" in result.stdout


def test_an_endpoint_that_cannot_be():
    """Plain http to somewhere far is trouble of the settings, and nothing is sent."""
    result = run_alone("doctor", "--endpoint", "http://example.com", exit_code=1)
    assert "plain http to example.com" in result.stdout
    assert "THRIVECALC_ALLOW_HTTP=1" in result.stdout
    assert os.environ.get("THRIVECALC_ALLOW_HTTP") is None


@on_moto
def test_settings_that_only_a_request_finds_wrong(whole, monkeypatch):
    """Settings that turn out to be wrong at a request have their row, and no traceback."""

    def refuse(*_):
        raise ConfigurationError("DescribeTable was not sent: no account id; set AWS_ACCOUNT_ID")

    monkeypatch.setattr(doctor, "check_table", refuse)
    rows = examined(whole, exit_code=1)
    assert rows["settings"]["what"] == "DescribeTable was not sent: no account id"
    assert rows["settings"]["wayOut"] == "set AWS_ACCOUNT_ID"
