"""Running `thrivecalc` in tests: `run(...)`, and places where there is a table, or none yet."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import attrs
import pytest
import warm
from click.testing import CliRunner, Result
from places import DATA

from thrivecalc_models import DataStore
from thrivecalc_models.cli.app import app
from thrivecalc_models.wire import with_bytes, with_text

COUNTER = itertools.count()

on_moto = pytest.mark.parametrize("engine", ["moto"], indirect=True)
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


def run(*args: str, exit_code: int = 0, **options: Any) -> Result:
    """Run the command in this process; it must end with this code and without a traceback."""
    result = CliRunner().invoke(app, list(args), **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


def run_alone(
    *args: str, exit_code: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a user does; neither colours nor a traceback."""
    with TemporaryFile("w+", encoding="utf-8") as out, TemporaryFile("w+", encoding="utf-8") as err:
        streams = (0, out.fileno(), err.fileno())
        code = warm.call(warm_process(), list(args), {**os.environ, **(env or {})}, streams)
        done = subprocess.CompletedProcess(args, code, *(_all_of(file) for file in (out, err)))
    assert "Traceback" not in done.stderr, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done


def _all_of(file: Any) -> str:
    file.seek(0)
    text: str = file.read()
    return text


WARM = ExitStack()


@functools.cache
def warm_process() -> str:
    """The address of the process that forks for each call, started when first needed."""
    address = f"{WARM.enter_context(TemporaryDirectory())}/warm"
    process = subprocess.Popen(
        [sys.executable, warm.__file__, "serve", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # no file: Python would ask for its position
    )
    WARM.callback(process.communicate)  # the end of its input ends it
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return address


def pytest_unconfigure() -> None:
    WARM.close()


def sample_items(*names: str) -> list[dict[str, Any]]:
    """The items of sample files: of all, without names."""
    names = names or ("records.jsonl", "odd-items.jsonl")
    lines = [line for name in names for line in (DATA / name).read_text("utf-8").splitlines()]
    return [json.loads(line)["Item"] for line in lines]


@attrs.frozen
class Place:
    """A name of a table at an engine; `client` is botocore's, for looking behind the command."""

    engine: Any
    name: str
    client: Any

    @property
    def options(self) -> tuple[str, ...]:
        return (
            *("--table", self.name),
            *("--region", self.engine.region),
            *("--endpoint", self.engine.endpoint),
        )

    def through(self, endpoint: str) -> Place:
        """The same table, by way of a proxy."""
        return attrs.evolve(self, engine=attrs.evolve(self.engine, endpoint=endpoint))

    def run(self, *args: str, exit_code: int = 0, **options: Any) -> Result:
        """Run the command for this table."""
        return run(*args, *self.options, exit_code=exit_code, **options)

    def json(self, *args: str, exit_code: int = 0, **options: Any) -> Any:
        """What the command prints with `--json`."""
        return json.loads(self.run(*args, "--json", exit_code=exit_code, **options).stdout)

    def store(self, **options: Any) -> DataStore:
        """A store of this table; close it."""
        return DataStore(
            table_name=self.name,
            region=self.engine.region,
            endpoint=self.engine.endpoint,
            **options,
        )

    def keep_expired(self) -> None:
        """Switch off what removes expired items."""
        off = {"AttributeName": "ttl", "Enabled": False}
        self.client.update_time_to_live(TableName=self.name, TimeToLiveSpecification=off)

    def fill(self, items: list[dict[str, Any]]) -> None:
        """Put items as they are, with base64 text for binary values as in the samples."""
        for start in range(0, len(items), 25):
            batch = map(with_bytes, items[start : start + 25])
            puts = [{"PutRequest": {"Item": item}} for item in batch]
            reply = self.client.batch_write_item(RequestItems={self.name: puts})
            assert not reply["UnprocessedItems"]

    def items(self, name: str | None = None) -> list[dict[str, Any]]:
        """All that is stored here, or in another table, as in the samples, in order of the keys."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=name or self.name, ConsistentRead=True
        )
        found = [in_order(with_text(item)) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: (item["userId"]["S"], item["recordKey"]["S"]))


def in_order(value: Any) -> Any:
    """A stored value with its sets in order: the engines return them in any."""
    if isinstance(value, list):
        return [in_order(member) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        name: sorted(member)
        if name in ("SS", "NS", "BS") and isinstance(member, list)
        else in_order(member)
        for name, member in value.items()
    }


@pytest.fixture
def place(engine: Any) -> Iterator[Place]:
    """A fresh name on each engine, without a table; what the test makes there goes with it."""
    client = engine.client()
    place = Place(engine, f"command-{next(COUNTER)}", client)
    yield place
    for name in client.list_tables()["TableNames"]:
        if name.startswith(place.name):
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            client.delete_table(TableName=name)
    client.close()


@pytest.fixture
def made(place: Place) -> Place:
    """The same with the table, empty."""
    with place.store() as store:
        store.create_table()
    return place


@pytest.fixture
def filled(made: Place) -> Place:
    """The same with all samples in it, the odd ones too."""
    made.fill(sample_items())
    return made
