"""The printed IAM policies let everybody do their work, and not more."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import attrs
import click
import pytest
from cli import on_moto, sample_items
from engines import SESSION
from iam import ENTRIES, allows
from proxy import FaultyProxy
from pynamodb.connection import Connection
from pynamodb.transactions import TransactGet, TransactWrite

import thrivecalc_models
from thrivecalc_models import (
    AccessDeniedError,
    Budget,
    BudgetData,
    CommitError,
    ConfigurationError,
    DataStore,
    InvalidKeyError,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    data_store,
    operations,
)
from thrivecalc_models.cli.app import COMMANDS, app
from thrivecalc_models.infra import ROLES, policy
from thrivecalc_models.testing import faults

ACCOUNT = "123456789012"  # moto's
HERE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}"
USER = "google-oauth2|998877665544332211"
OTHER = "google-oauth2|5"
ITEMS = sample_items("odd-items.jsonl")
SOMEBODY = ITEMS[0]["userId"]["S"]


def of(role, name="t-1", **options):
    return policy(role, table_name=name, region="us-east-1", account=ACCOUNT, **options)


def actions_of(document):
    return {
        action.removeprefix("dynamodb:")
        for statement in document["Statement"]
        for action in statement["Action"]
    }


# --- what the library sends, as its source says ---------------------------------------------------


def operations_named_in(*parts):
    """Every operation of DynamoDB whose name stands as text in these parts of the package."""
    loader = SESSION.get_component("data_loader")
    known = set(loader.load_service_model("dynamodb", "service-2")["operations"])
    package = Path(thrivecalc_models.__file__).parent
    found = set()
    for part in parts:
        files = [package / part] if part.endswith(".py") else (package / part).rglob("*.py")
        for file in files:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found |= {
                each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)
            } & known
    return found


def actions_for(names):
    """The IAM actions of operations: transactions need those of their entries."""
    for name in names:
        if name == "TransactWriteItems":
            yield from set(ENTRIES.values()) - {"GetItem"}
        elif name == "TransactGetItems":
            yield "GetItem"
        elif name == "BatchExecuteStatement":
            yield from ("PartiQLUpdate", "PartiQLDelete")
        else:
            yield name


def test_a_service_may_send_every_operation_value():
    """Each operation of `thrivecalc_models.operations` is in the service's policy, but Scan."""
    values = [each for each in vars(operations).values() if attrs.has(each)]
    names = {each.name for each in values if isinstance(getattr(each, "name", None), str)}
    assert {"GetItem", "Query", "TransactWriteItems", "ConditionCheck"} <= names
    needed = set(actions_for(ENTRIES.get(name, name) for name in names))
    assert needed - actions_of(of("service", batch_updates=True)) == {"Scan"}
    statements = {"PartiQLUpdate", "PartiQLDelete"}
    assert needed - actions_of(of("service")) == {"Scan", *statements}


def test_an_operator_may_send_every_operation_there_is():
    """Whatever operation the package names, the operator's policy has it; nobody deletes tables."""
    named = operations_named_in(
        *("operations", "protocol", "records", "transport", "unit_of_work", "store", "upkeep"),
        *("exchange", "cli", "whole_table.py", "data_store.py", "local.py"),
    )
    assert {"Scan", "TransactGetItems", "CreateTable", "CreateBackup"} <= named
    allowed = actions_of(of("operator", batch_updates=True))
    assert set(actions_for(named)) - allowed == {"DeleteTable"}


# --- what is sent when it runs --------------------------------------------------------------------


@contextmanager
def guarded(place, document) -> Iterator[tuple[FaultyProxy, object]]:
    """The place behind a proxy that denies what the policy does not allow."""
    with FaultyProxy(place.engine.endpoint) as proxy:
        proxy.schedule = lambda number, operation, request: (
            None if allows(document, operation, request, HERE) else faults.Denied()
        )
        yield proxy, attrs.evolve(place, engine=attrs.evolve(place.engine, endpoint=proxy.endpoint))


def work(store: DataStore) -> None:
    """Something of everything that a service does for a user."""
    user = store.user(USER)
    goal = user.add(SavingsGoalData(name="Car", target_amount=5))
    user.add(("savings-goal", {"name": "Boat", "targetAmount": 7}), record_id="given")
    goal.data.current_amount += 1
    user.update(goal)
    user.put(goal)
    user.get(SavingsGoal, "given")
    user.get_many([(SavingsGoal, "given"), (SavingsGoal, goal.record_id)], consistent=True)
    assert len(user.list(SavingsGoal)) == len(user.list_all(consistent=True)) == 2
    user.replace_data(SavingsGoal, "given", {"name": "Ship", "targetAmount": 8})
    with user.unit_of_work(atomic=True) as unit:
        found = unit.get(SavingsGoal, "given")
        unit.check(found)
        unit.get(SavingsGoal, goal.record_id).data.name = "House"
        unit.add(TransactionData(date=date(2025, 1, 7), amount=-5))
    with user.unit_of_work() as unit:
        for _ in range(3):
            unit.add(BudgetData(name="b", period="monthly"))
        unit.delete(SavingsGoal, "given")
    user.delete(SavingsGoal, goal.record_id)
    user.delete_all()


@on_moto
@pytest.mark.parametrize("role", ["service", "user", "operator"])
def test_a_service_works(made, role):
    """All that a user's scope and its units of work send is allowed."""
    options = {"user_id": USER} if role == "user" else {}
    with guarded(made, of(role, made.name, **options)) as (proxy, place), place.store() as store:
        work(store)
        assert {"TransactWriteItems", "BatchWriteItem", "BatchGetItem"} <= {
            name for name, _ in proxy.requests
        }


@pytest.mark.parametrize("engine", ["dynamodb-local"], indirect=True)
@pytest.mark.parametrize("role", ["service", "user", "operator"])
@pytest.mark.parametrize("batched", [True, False])
def test_a_service_that_batches_updates(made, role, batched):
    """With --batch-updates its statements are allowed, too; without it they are denied."""
    document = of(
        role, made.name, batch_updates=batched, **({"user_id": USER} if role == "user" else {})
    )
    with guarded(made, document) as (proxy, place), place.store(batch_updates=True) as store:
        user = store.user(USER)
        for _ in range(3):
            user.add(SavingsGoalData(name="Car", target_amount=5))
        work = user.unit_of_work()
        one, two, three = work.list(SavingsGoal)
        one.data.name = two.data.name = "Boat"
        work.delete(three)
        if batched:
            work.commit()
        else:
            with pytest.raises(CommitError) as caught:
                work.commit()
            causes = caught.value.causes.values()
            assert all(isinstance(cause, AccessDeniedError) for cause in causes)
            assert {each.action for each in causes} == {
                "dynamodb:PartiQLUpdate",
                "dynamodb:PartiQLDelete",
            }
            work.rollback()
        assert "BatchExecuteStatement" in {name for name, _ in proxy.requests}


@contextmanager
def of_the_process(store: DataStore) -> Iterator[None]:
    """The store that functions and models of the process use."""
    data_store.configure(store)
    try:
        yield
    finally:
        data_store.configure(None)


@on_moto
def test_the_guides_functions_work(made):
    """So is all that `data_store` sends."""
    with (
        guarded(made, of("service", made.name)) as (_, place),
        place.store() as store,
        of_the_process(store),
    ):
        goal = data_store.save_user_data(USER, "budget", {"name": "b", "period": "weekly"})
        data_store.update_user_data(USER, "budget", goal, {"name": "c", "period": "weekly"})
        found = data_store.get_user_data(USER, "budget", goal)
        assert found is not None
        assert found.data.name == "c"
        assert len(data_store.list_all_user_data(USER)) == 1
        assert len(data_store.list_user_data(USER, "budget")) == 1
        data_store.delete_user_data(USER, "budget", goal)


def connection_of(place):
    """PynamoDB's own connection, for its transactions."""
    return Connection(
        region=place.engine.region,
        host=place.engine.endpoint,
        aws_access_key_id=place.engine.access_key,
        aws_secret_access_key=place.engine.secret_key,
    )


@on_moto
def test_the_models_work(made):
    """PynamoDB's calls on the models are allowed, but those that read every user's records."""
    with (
        guarded(made, of("service", made.name)) as (_, place),
        place.store() as store,
        of_the_process(store),
    ):
        goal = SavingsGoal(USER, data=SavingsGoalData(name="Car", target_amount=5))
        goal.save()
        goal.update(actions=[SavingsGoal.data["currentAmount"].set(3)])
        key = (USER, goal.record_key)
        connection = connection_of(place)
        with TransactGet(connection=connection) as reading:
            read = reading.get(SavingsGoal, *key)
        assert read.get().data.current_amount == 3
        with TransactWrite(connection=connection) as writing:
            writing.update(read.get(), actions=[SavingsGoal.data["currentAmount"].set(4)])
        assert len(list(SavingsGoal.batch_get([key]))) == 1
        assert len(list(SavingsGoal.by_type.query(USER))) == SavingsGoal.count(USER) == 1
        with Budget.batch_write() as batch:
            batch.save(Budget(USER, data=BudgetData(name="b", period="monthly")))
        SavingsGoal.get(*key).delete()
        with pytest.raises(Exception, match="operator"):
            list(SavingsGoal.scan())


@on_moto
def test_one_user_only(made):
    """With credentials for one user nothing can be read or written of another, by any request."""
    with made.store() as store:
        theirs = store.user(OTHER).add(SavingsGoalData(name="Car", target_amount=5))
    data = {"name": "Boat", "targetAmount": 5}
    calls = [
        lambda user: user.get(SavingsGoal, theirs.record_id),
        lambda user: user.get_many([(SavingsGoal, theirs.record_id)]),
        lambda user: user.list(SavingsGoal),
        lambda user: user.list_all(),
        lambda user: user.add(SavingsGoalData(name="Boat", target_amount=5)),
        lambda user: user.replace_data(SavingsGoal, theirs.record_id, data),
        lambda user: user.delete(SavingsGoal, theirs.record_id),
        lambda user: user.delete_all(),
    ]
    with (
        guarded(made, of("user", made.name, user_id=USER)) as (proxy, place),
        place.store() as store,
    ):
        for call in calls:
            with pytest.raises(AccessDeniedError):
                call(store.user(OTHER))
        assert proxy.forwarded == []
        place.run("users", exit_code=3)
        assert proxy.forwarded == []
    assert [item["recordKey"]["S"] for item in made.items()] == [theirs.record_key]


# What a reader may run, and what takes an operator.
READING = [
    ("table", "check"),
    ("users",),
    ("show", SOMEBODY),
    ("audit",),
    ("export", "FILE"),
    ("cost", "--measure"),
]
WRITING = [
    ("audit", "--repair", "--apply"),
    ("erase", SOMEBODY, "--yes"),
    ("import", "FILE"),
    ("backup", "create"),
    ("backup", "restore", "--latest", "--into", "TABLE-restored"),
]
EVERYTHING = [("table", "create"), *READING, *WRITING, ("backup", "list"), ("doctor",)]


def run(place, command, file):
    """Run it; audits find something, and everything else ends well."""
    words = [{"FILE": str(file)}.get(w, w.replace("TABLE", place.name)) for w in command]
    return place.run(*words, exit_code=1 if command[0] == "audit" else 0)


@on_moto
def test_a_reader_reads(made, tmp_path):
    """The commands that only look at the table work with the reader's policy, the others do not."""
    made.fill(ITEMS)
    made.run("table", "create")
    before = made.items()
    file = tmp_path / "all.jsonl"
    with guarded(made, of("reader", made.name)) as (proxy, place):
        for command in READING:
            assert "denied" not in run(place, command, file).stderr
        assert proxy.requests == proxy.forwarded
        for command in WRITING:
            words = [{"FILE": str(file)}.get(word, word) for word in command]
            place.run(*words, exit_code=3)
    assert made.items() == before


@on_moto
def test_an_operator_may_run_every_command(made, tmp_path):
    """No command sends anything that the operator's policy does not allow."""
    made.fill(ITEMS)
    file = tmp_path / "all.jsonl"
    with guarded(made, of("operator", made.name)) as (proxy, place):
        for command in EVERYTHING:
            run(place, command, file)
        assert len(proxy.requests) > 20
        assert proxy.requests == proxy.forwarded


def test_no_command_is_forgotten():
    """Every command there is runs in the tests above, but those that send nothing."""
    context = click.Context(app)
    every = set()
    for entry in COMMANDS:
        command = app.get_command(context, entry.name)
        below = command.commands if isinstance(command, click.Group) else {None: command}
        every |= {(entry.name, name) for name in below}
    run = [("table", "create"), *READING, *WRITING, ("backup", "list"), ("doctor",)]
    known = {
        (command[0], command[1] if command[0] in ("table", "backup") else None) for command in run
    }
    assert {each for each in every - known if each[0] != "infra"} == {("local", None)}


# --- the documents --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@on_moto
def test_iam_takes_the_policy(engine, role):
    """IAM accepts every document: its grammar, actions, resources and conditions."""
    iam = SESSION.create_client(
        "iam",
        region_name=engine.region,
        endpoint_url=engine.endpoint,
        aws_access_key_id=engine.access_key,
        aws_secret_access_key=engine.secret_key,
    )
    document = json.dumps(of(role))
    assert len(document) <= 6144  # of a managed policy
    made = iam.create_policy(PolicyName=f"taken-{role}", PolicyDocument=document)
    iam.delete_policy(PolicyArn=made["Policy"]["Arn"])
    broken = document.replace('"Allow"', '"Permit"')
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_policy(PolicyName="broken", PolicyDocument=broken)
    iam.close()


@pytest.mark.parametrize("role", ROLES)
def test_nobody_gets_more_than_needed(role):
    """No policy has a wildcard in an action, or names another table's resources."""
    for statement in of(role)["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        if statement["Resource"] != ["*"]:
            assert all(f"{HERE}:table/t-1" in each for each in statement["Resource"])
        else:
            assert set(statement["Action"]) == {"dynamodb:ListBackups", "dynamodb:ListTables"}


def test_who_may_not_scan():
    """Services and users read one user at a time."""
    assert "Scan" not in actions_of(of("service")) | actions_of(of("user"))
    assert "Scan" in actions_of(of("reader")) & actions_of(of("operator"))


def test_a_reader_changes_nothing():
    """A reader's actions only read and describe."""
    assert all(
        action.startswith(("Get", "BatchGet", "Query", "Scan", "Describe"))
        for action in actions_of(of("reader"))
    )


def test_the_user_that_is_signed_in():
    """Without a user id the policy takes it from Google's token."""
    condition = of("user")["Statement"][0]["Condition"]
    (key,) = condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
    assert key == "google-oauth2|${accounts.google.com:sub}"


def test_a_user_id_is_no_variable():
    """A user id that looks like a policy variable stands for itself."""
    condition = of("user", user_id="${aws:username}")["Statement"][0]["Condition"]
    (key,) = condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
    assert key == "${$}{aws:username}"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_partitions(region, partition):
    """Regions of China and of GovCloud have their own partition."""
    document = policy("service", table_name="t-1", region=region)
    (arn, _) = document["Statement"][0]["Resource"]
    assert arn == f"arn:{partition}:dynamodb:{region}:*:table/t-1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"table_name": "*"},
        {"table_name": "ab"},
        {"table_name": "t-1/index/x"},
        {"table_name": "t-1\n"},
        {"region": "*"},
        {"region": "us-east-1:*"},
        {"account": "1234"},
        {"account": "12345678901x"},
    ],
    ids=str,
)
def test_names_that_would_widen_a_policy(wrong):
    """Wildcards and separators in table, region or account are refused."""
    with pytest.raises(ConfigurationError):
        policy("service", **{"table_name": "t-1", "region": "us-east-1", **wrong})


def test_a_wrong_user_id():
    """A user id that can be no partition key is refused, and not shown."""
    with pytest.raises(InvalidKeyError, match="2,048") as caught:
        of("user", user_id=USER * 100)
    assert USER not in str(caught.value)
