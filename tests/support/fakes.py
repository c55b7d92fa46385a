"""A transport without a service, and protocols to run on it."""

from __future__ import annotations

import itertools
import threading

import attrs
from sending import returned

from thrivecalc_models.operations import Failure, Send
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
