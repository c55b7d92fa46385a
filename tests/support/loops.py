"""Event loops of tests."""

from __future__ import annotations

import asyncio
import inspect

from fakes import MOMENT


def runs(test):
    """Run an asynchronous test on a loop of its own, in asyncio's debug mode."""

    async def in_time(arguments):
        async with asyncio.timeout(6 * MOMENT):
            await test(**arguments)

    def run(**arguments):
        asyncio.run(in_time(arguments), debug=True)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__signature__ = inspect.signature(test)
    run.pytestmark = getattr(test, "pytestmark", [])
    return run


async def turns(count=5):
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
