"""Event loops of tests, and asynchronous transports for tests that call one and wait."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from queue import SimpleQueue

from fakes import MOMENT

from thrivecalc_models.transport import Transport, make_async_transport
from thrivecalc_models.transport.auto import make_transport
from thrivecalc_models.transport.process import PerProcess


def runs(test):
    """Run an asynchronous test on a loop of its own, in asyncio's debug mode.

    What asyncio would log, such as an exception that nobody asked for, fails the test.
    """

    async def in_time(arguments):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        async with asyncio.timeout(6 * MOMENT):
            await test(**arguments)
            await turns()
        gc.collect()
        await turns()
        assert not complaints

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


def any_transport(name, settings, **options):
    """The transport of that name; an "async" one, or "uvloop", for callers that wait."""
    kind, _, name = name.rpartition(" ")
    if not kind:
        return make_transport(name, settings, **options)
    return OnLoop(make_async_transport(name, settings, **options), kind)


class OnLoop(Transport):
    """An asynchronous transport as a synchronous one, on a loop in a thread of its own.

    A forked child has a loop and a thread of its own, as it would have one by `asyncio.run`.
    """

    def __init__(self, transport, kind="async"):
        self.name = transport.name
        self._kind = kind
        self._transport = transport
        self._running = PerProcess(self._run)

    def _run(self):
        if self._kind == "uvloop":
            import uvloop

            loop = uvloop.new_event_loop()
        else:
            loop = asyncio.new_event_loop()
        loop.set_debug(True)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        return loop, thread

    def _call(self, coroutine):
        loop, _ = self._running.get()
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def send(self, operation, body):
        return self._call(self._transport.send(operation, body)).result()

    def send_many(self, requests, limit):
        ended, source, flying = SimpleQueue(), iter(requests), 0
        while True:
            while flying < limit() and (request := next(source, None)) is not None:
                number, operation, body = request
                future = self._call(self._transport.send(operation, body))
                future.add_done_callback(lambda f, number=number: ended.put((number, f)))
                flying += 1
            if not flying:
                return
            number, future = ended.get()
            flying -= 1
            yield number, future.result()

    def close(self):
        self._call(self._transport.close()).result()
        loop, thread = self._running.take()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
