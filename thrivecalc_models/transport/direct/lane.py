"""What requests straight to the service have in common, whoever waits for them.

They are signed, started and judged here. A thread and an event loop only wait in different ways.
"""

from __future__ import annotations

from collections.abc import Callable

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.checks import Answered, GarbledReplyError
from thrivecalc_models.transport.clock import Clock
from thrivecalc_models.transport.direct.connections import Connections, Handle, fixed_headers
from thrivecalc_models.transport.direct.replies import (
    field_of,
    head_of,
    result_of,
    transfer_failure,
)
from thrivecalc_models.transport.direct.route import Route
from thrivecalc_models.transport.failures import not_sent
from thrivecalc_models.transport.signing import Credentials


class Lane:
    """The route of a process, and which of its connections may be used again.

    After a kept connection broke without a reply, or none could be made, a new generation begins
    and no connection of an earlier one is used again: a server that forgot one of them has probably
    forgotten all. `forget` is called then, to close those that are idle.
    """

    def __init__(
        self,
        route: Route,
        timeout: float,
        max_concurrency: int,
        *,
        credentials: Callable[[], Credentials],
        forget: Callable[[], object],
    ) -> None:
        self._route = route
        self._timeout = timeout
        self._max_concurrency = max_concurrency
        self._credentials = credentials
        self._forget = forget
        self._headers = fixed_headers(route)
        self._generation = 0
        self._clock = Clock()
        self._answered = Answered()

    def connect(self) -> Connections:
        """New connections, which open when they are needed."""
        return Connections(
            self._route, self._timeout, self._max_concurrency, generation=self._generation
        )

    def trusts(self, connections: Connections) -> bool:
        """Whether further requests may use them."""
        return connections.trusted and connections.generation == self._generation

    def start(self, connections: Connections, handle: Handle) -> Failure | None:
        """Sign and start a request. A failure means that it was not started."""
        if not self.trusts(connections):
            connections.distrust()
        try:
            self._load(handle)
            connections.start(handle)
        except Exception as error:  # noqa: BLE001 - of any kind: nothing was sent
            connections.put_back(handle)
            return not_sent(error)
        return None

    def result(
        self, connections: Connections, handle: Handle, code: int, text: str
    ) -> bytes | Failure | None:
        """The result of a request that has ended; None if it was sent again with a better time."""
        if code:
            stale = handle.stale
            if stale or not handle.begun:
                self._generation += 1
                self._forget()
            failure = transfer_failure(
                code,
                text,
                begun=handle.begun,
                stale=stale,
                proxy=self._route.proxy,
                proxy_status=handle.proxy_status,
            )
            connections.put_back(handle)
            return failure
        head = head_of(handle.lines)
        result = result_of(head, handle.reply(), self._answered, connections.distrust)
        if isinstance(result, Failure):
            if result.code == GarbledReplyError.__name__:
                connections.distrust()
            if not handle.signed_anew and self._clock.signs_anew(
                result, field_of(head, b"\ndate:"), handle.skew
            ):
                handle.signed_anew = True
                return self.start(connections, handle)
        connections.put_back(handle)
        return result

    def _load(self, handle: Handle) -> None:
        skew = self._clock.skew
        signed = self._route.signer.headers(
            handle.operation, handle.body, self._credentials(), self._clock.now()
        )
        handle.load(self._headers + signed, skew)
