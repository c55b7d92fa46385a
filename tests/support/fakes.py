"""A transport without a service, and protocols to run on it."""

from __future__ import annotations

import asyncio
import itertools
import threading

import attrs
from sending import returned

from thrivecalc_models.operations import Failure, Send
from thrivecalc_models.transport import AsyncTransport
from thrivecalc_models.transport.threads import Threads

MOMENT = 5
"""Seconds; bounds a wait that a broken promise would make endless."""


@attrs.frozen
class Op:
    name: str

    def request(self, table_name):
        return {"TableName": table_name, "Op": self.name}


class Fake:
    """A transport that answers what `answer(name)` returns, and remembers who asked for what."""

    name = "fake"

    def __init__(self, answer=lambda name: None):
        self.sent = []
        self.threads = set()
        self._pool = Threads(8)
        self.closed = 0
        self._answer = answer

    def send(self, operation, body):
        assert not self.closed
        self.sent.append(operation)
        self.threads.add(threading.current_thread())
        result = self._answer(operation)
        return returned(result) if result else body

    def send_many(self, requests, limit):
        return self._pool.send_many(self.send, requests, limit)

    def close(self):
        self.closed += 1
        self._pool.close()


class FakeMany(Fake):
    """The same with several requests in flight by one thread."""

    def send_many(self, requests, limit):
        source = iter(requests)
        while flying := [
            (number, self.send(name, request))
            for number, name, request in itertools.islice(source, limit())
        ]:
            yield from flying


def ops(*names):
    return Send(tuple(Op(name) for name in names))


def sending(*effects):
    """A protocol that asks for these, and returns all it was told."""
    told = []
    for effect in effects:
        told.append((yield effect))
        if told[-1].interrupt is not None:
            break
    return told


def kinds(received):
    return [
        result.kind if isinstance(result, Failure) else "replied" for result in received.results
    ]


class FakeAsync(AsyncTransport):
    """The same for an event loop; requests whose name is in `held` end when they are released."""

    name = "fake"

    def __init__(self, answer=lambda name: None, held=()):
        self.sent, self.ended = [], []
        self.flying = self.most_flying = self.interrupted = self.closed = 0
        self._answer = answer
        self._held = {name: asyncio.Event() for name in held}

    async def send(self, operation, body):
        assert not self.closed
        self.sent.append(operation)
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            await (self._held[operation].wait() if operation in self._held else asyncio.sleep(0))
            self.ended.append(operation)
            result = self._answer(operation)
        except asyncio.CancelledError:
            self.interrupted += 1
            raise
        finally:
            self.flying -= 1
        return returned(result) if result else body

    def release(self, name):
        self._held[name].set()

    async def close(self):
        self.closed += 1
