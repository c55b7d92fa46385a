"""Handlers of changes, and the AWS Lambda function that calls them in order."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from thrivecalc_models.changes.change import (
    KINDS,
    Change,
    Kind,
    change_of,
    sequence_of,
    user_of,
    view_type_of,
)
from thrivecalc_models.errors import ConfigurationError, InvalidRecordError
from thrivecalc_models.records import UserRecord
from thrivecalc_models.signals import log
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import plain_text

Handler = Callable[[Change[Any]], Any]
H = TypeVar("H", bound=Handler)

LambdaHandler = Callable[[Any, Any], dict[str, Any]]


@frozen
class _Registered:
    """A handler, with the data types (None: all) and kinds of changes that it is called for."""

    handler: Handler
    data_types: frozenset[str] | None
    kinds: frozenset[str]

    def wants(self, change: Change[Any]) -> bool:
        return change.kind in self.kinds and (
            self.data_types is None or change.data_type in self.data_types
        )


class Changes:
    """Handlers of changes: `on` registers one, `lambda_handler` makes the function that calls them.

    Delivery is at least once, in order for each record. A handler whose effect must happen once
    uses `change.event_id`, for instance as the record id of what it adds, with `exist_ok=True`.
    """

    def __init__(self) -> None:
        self._registered: list[_Registered] = []
        self._told: set[str] = set()

    def on(
        self,
        *types: type[UserRecord] | str,
        kinds: Iterable[Kind] = ("created", "changed", "removed", "expired"),
    ) -> Callable[[H], H]:
        """Decorate a function, or an async one, that is called with each `Change` of some types.

        Without a type it is called for all, also for types without a class. `kinds` are some of
        "created", "changed", "removed" and "expired". Returns the function as it is. Raises
        ConfigurationError for a type that nobody registered, and for another kind.
        """
        data_types = frozenset(map(_data_type, types)) if types else None
        wanted = frozenset([kinds] if isinstance(kinds, str) else kinds)
        if not wanted or not wanted <= KINDS:
            raise ConfigurationError(f"kinds takes some of {', '.join(sorted(KINDS))}")

        def register(handler: H) -> H:
            self._registered.append(_Registered(handler, data_types, wanted))
            return handler

        return register

    def call(self, change: Change[Any], run: Callable[[Awaitable[Any]], object]) -> None:
        """Call the handlers that want a change, in the order in which they were registered.

        `run` is called with what an async handler returns, and runs it to its end.
        """
        for registered in self._registered:
            if registered.wants(change):
                result = registered.handler(change)
                if inspect.isawaitable(result):
                    run(result)

    def lambda_handler(self, *, by_user: bool = False) -> LambdaHandler:
        """Make an AWS Lambda function for an event source mapping of the table's stream.

        It calls the handlers for each change in order. It stops at the first that fails, and
        reports it in `batchItemFailures`, so that Lambda sends the rest again from there: the
        mapping needs `FunctionResponseTypes: [ReportBatchItemFailures]`. With `by_user` it goes on
        with other users' changes after a failure, and never past the failed user's. A record that
        cannot be understood is a failure too. With a tumbling window `state` is given back.

        Raises InvalidRecordError for an event that is not one of a stream, and for a failed record
        without a sequence number, which no reply can name.
        """

        def handler(event: Any, context: Any = None) -> dict[str, Any]:
            records = event.get("Records", []) if isinstance(event, dict) else None
            if not isinstance(records, list):
                raise InvalidRecordError("the event is not one of a stream: it has no Records")
            with _Runner() as runner:
                failed = self._call_each(records, runner.run, by_user=by_user)
            response: dict[str, Any] = {
                "batchItemFailures": [{"itemIdentifier": number} for number in failed]
            }
            if "state" in event:
                response["state"] = event["state"]
            return response

        return handler

    def _call_each(
        self, entries: list[Any], run: Callable[[Awaitable[Any]], object], *, by_user: bool
    ) -> list[str]:
        """Call the handlers for entries in order; return the sequence numbers of what failed."""
        failed: list[str] = []
        stopped: set[str | None] = set()
        for entry in entries:
            user_id = user_of(entry)
            if user_id in stopped:
                continue
            self._tell_view_type(view_type_of(entry))
            try:
                self.call(change_of(entry), run)
            except Exception as error:  # noqa: BLE001 - Lambda sends it again
                failed.append(_number_of_failed(entry, error))
                if not by_user or user_id is None:
                    break
                stopped.add(user_id)
        return failed

    def _tell_view_type(self, view_type: str | None) -> None:
        """Log once that a stream leaves images out."""
        if view_type in (None, "NEW_AND_OLD_IMAGES") or view_type in self._told:
            return
        self._told.add(str(view_type))
        log(
            logging.WARNING,
            "the stream has the view type %s: changes lack the images that it leaves out",
            view_type,
        )


def _number_of_failed(entry: Any, error: Exception) -> str:
    """Log a failure and return the sequence number to report; raise it if there is none."""
    number = sequence_of(entry)
    if number is None:
        raise error
    log(logging.ERROR, "the change %s was not handled (%s)", number, type(error).__name__)
    return number


class _Runner:
    """Runs what async handlers return, on one event loop, which is made when one does."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._runner is not None:
            self._runner.close()

    def run(self, awaitable: Awaitable[Any]) -> None:
        async def awaited() -> None:
            await awaitable

        if self._runner is None:
            self._runner = asyncio.Runner()
        self._runner.run(awaited())


def _data_type(given: type[UserRecord] | str) -> str:
    """The data type of a record class or a text. Raises ConfigurationError if nobody has it."""
    known = UserRecord.data_type
    if isinstance(given, str):
        text = plain_text(given)
        if known.class_of(text) is not None:
            return text
        near = known.nearest(given)
        hint = f"; is {near!r} meant?" if near else "; define a record class for it first"
        raise ConfigurationError(f"nobody registered the data type {given!r}{hint}")
    data_type = (
        given.own_data_type() if isinstance(given, type) and issubclass(given, UserRecord) else None
    )
    if data_type is None:
        raise ConfigurationError(
            "on() takes record classes and data types, such as SavingsGoal or 'savings-goal';"
            " leave them out for all types"
        )
    return data_type
