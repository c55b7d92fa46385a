"""The state machine of edits, with one seed after another for as long as one likes.

python tests/support/fuzz_edits.py --engine simulation --seconds 60 --seed 1
"""

from __future__ import annotations

import itertools
import sys
import time
from contextlib import ExitStack, closing
from typing import Any

import engines
import fuzzing
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from places import TESTS

from thrivecalc_models import DataStore
from thrivecalc_models.signals import RequestEvent

sys.path.append(str(TESTS / "unit"))
from test_records_origins import OriginsMachine

EXAMPLES = 20
"""Of each seed."""
TABLE = "fuzzed"


class EngineTable:
    """The table of an engine, as another program uses it; `sent` counts what a store has sent."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent = 0

    def observe(self, event: object) -> None:
        self._sent += isinstance(event, RequestEvent)

    def sent(self) -> int:
        return self._sent

    def put(self, item: dict[str, Any]) -> None:
        self._client.put_item(TableName=TABLE, Item=item)

    def get(self, user_id: str, record_key: str) -> Any:
        key = {"userId": {"S": user_id}, "recordKey": {"S": record_key}}
        return self._client.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")


def machine_on(table: EngineTable, store: DataStore) -> type[OriginsMachine]:
    """The machine on a table of an engine. Each history has users of its own."""

    class OnEngine(OriginsMachine):
        def open(self) -> None:
            self.table, self.store = table, store

    return OnEngine


def machines(
    engine: engines.Engine | None, stack: ExitStack
) -> list[tuple[str, type[OriginsMachine]]]:
    """The machine in this process, or on an engine over each transport."""
    if engine is None:
        return [("in this process", OriginsMachine)]
    table = EngineTable(stack.enter_context(closing(engine.client())))
    found = []
    for transport in fuzzing.TRANSPORTS:
        store = DataStore(
            region=engine.region,
            endpoint=engine.endpoint,
            table_name=TABLE,
            transport=transport,
            observer=table.observe,
        )
        stack.enter_context(store).create_table()
        found.append((transport, machine_on(table, store)))
    return found


def play(machine: type[OriginsMachine], number: int) -> None:
    """The histories of a seed. Raises what a history found."""
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def main() -> int:
    options = fuzzing.options(__doc__)
    until = time.monotonic() + options.seconds
    with ExitStack() as stack:
        ends = machines(stack.enter_context(fuzzing.started(options)), stack)
        for number in itertools.count(options.seed):
            name, machine = ends[number % len(ends)]
            play(machine, number)
            print(
                f"{options.engine}, {name}, seed {number}: {EXAMPLES} histories of edits,"
                " none lost or misplaced anything",
                flush=True,
            )
            if time.monotonic() > until and number + 1 >= options.seed + len(ends):
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
