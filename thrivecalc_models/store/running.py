"""Run a function in a unit of work, again after conflicts."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    InvalidRecordError,
    RecordExistsError,
)
from thrivecalc_models.protocol import full_jitter, pause
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.unit_of_work import AsyncUnitOfWork, UnitOfWork
from thrivecalc_models.unit_of_work.core import enter, leave

T = TypeVar("T")
W = TypeVar("W", UnitOfWork, AsyncUnitOfWork)


async def run(
    scope: Scope, function: Callable[[UnitOfWork], T], *, attempts: int, atomic: bool
) -> T:
    """Call a function in a fresh unit of work for each attempt; return what it returned last."""

    async def call(work: UnitOfWork) -> T:
        result = function(work)
        _check_done(result)
        return result

    _check_attempts(attempts)
    _check_plain(function)
    return await _attempts(lambda: UnitOfWork(scope, atomic=atomic), call, scope, attempts)


async def run_async(
    scope: Scope,
    function: Callable[[AsyncUnitOfWork], Awaitable[T]],
    *,
    attempts: int,
    atomic: bool,
) -> T:
    """Await an async function in a fresh unit of work for each attempt, as `run`."""

    async def call(work: AsyncUnitOfWork) -> T:
        given = function(work)
        if not inspect.isawaitable(given):  # a plain function: its work is done, but not awaited
            raise TypeError(_NOT_ASYNC)
        return await given

    _check_attempts(attempts)
    return await _attempts(lambda: AsyncUnitOfWork(scope, atomic=atomic), call, scope, attempts)


def _check_attempts(attempts: object) -> None:
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise InvalidRecordError("attempts takes a whole number, at least 1")


async def _attempts(
    make: Callable[[], W], call: Callable[[W], Awaitable[T]], scope: Scope, attempts: int
) -> T:
    session = scope.session
    tried = 0
    while True:
        tried += 1
        work = make()
        try:
            result = await _in_block(work, call)
        except CommitError as error:
            if work.has_applied or not _only_conflicts(error):
                raise
            if tried == attempts:
                if len(error.causes) == 1:
                    error.args = tuple(map(str, error.causes.values()))
                raise
        else:
            return result
        seconds = full_jitter(session.retry, session.retry.base, tried - 1, session.rng)
        await session.run(pause(seconds))


async def _in_block(work: W, call: Callable[[W], Awaitable[T]]) -> T:
    """Call a function in the block of a unit, which commits at its end."""
    enter(work)
    try:
        result = await call(work)
    except BaseException as error:
        await leave(work, error)
        raise
    await leave(work, None)
    return result


def _check_plain(function: Callable[..., object]) -> None:
    """Raise TypeError for a function whose call only makes a coroutine or a generator."""
    for each in (function, getattr(function, "__call__", None)):  # noqa: B004 - it may be async
        if (
            inspect.iscoroutinefunction(each)
            or inspect.isgeneratorfunction(each)
            or inspect.isasyncgenfunction(each)
        ):
            raise TypeError(
                "run() calls a plain function; an async function or a generator would not have run"
                " when its unit is committed"
            )


_NOT_ASYNC = (
    "run() of an asynchronous store awaits an async function, `async def move_money(work)`; this"
    " function is a plain one, and nothing was sent"
)


def _check_done(result: object) -> None:
    """Raise TypeError for a result that shows that the function has not done its work yet."""
    if inspect.isawaitable(result) or inspect.isasyncgen(result):
        if inspect.iscoroutine(result):
            result.close()  # otherwise Python warns that it was never awaited
        raise TypeError(
            "the function of run() returned something to be awaited, so its work is not done, and"
            " nothing was sent; give a plain function"
        )


def _only_conflicts(error: CommitError) -> bool:
    """Whether nothing was applied or is unknown, and every cause is a conflict or a taken key."""
    return not (error.applied or error.existing or error.unknown) and all(
        isinstance(cause, ConflictError | RecordExistsError) for cause in error.causes.values()
    )
