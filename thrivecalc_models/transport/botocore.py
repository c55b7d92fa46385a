"""The transport over botocore's own pipeline: its credentials, signature, hooks and connections."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - Python imports it late, for the first name of a host
import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import create_loader

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.table import Settings, check_endpoint
from thrivecalc_models.transport.base import ReplyBody, Request, Transport
from thrivecalc_models.transport.botocore_pool import Trust, limit_connections
from thrivecalc_models.transport.checks import Answered, GarbledReplyError, check_sum
from thrivecalc_models.transport.clock import Clock
from thrivecalc_models.transport.failures import classify, classify_exception, not_sent
from thrivecalc_models.transport.hooks import before_connected, find_hook, find_patch, raised_by
from thrivecalc_models.transport.identity import Identity
from thrivecalc_models.transport.process import PerProcess, forks_wait
from thrivecalc_models.transport.signing import TARGET, Signer, signed_for, text_of
from thrivecalc_models.transport.threads import Threads
from thrivecalc_models.wire.binary import with_bytes, with_text
from thrivecalc_models.wire.json_text import decode, encode

STAND_IN: Final = "thrivecalc"
"""DynamoDB Local takes only letters and digits in an access key."""

SPARE_CONNECTIONS: Final = 32
_METADATA = "ResponseMetadata"
_OURS = "thrivecalc_models: read"  # what we made of a body, beside what botocore makes of it


class BotocoreTransport(Transport):
    """Requests through `client._make_api_call`, so that hooks of botocore see them.

    `timeout` is in seconds, for all of a request. The client is made by the first
    request of each process; after `close()` the next request makes another.
    """

    name = "botocore"

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float,
        max_concurrency: int,
    ) -> None:
        self._settings = settings
        self._timeout = timeout
        self._max_concurrency = max_concurrency
        self._clock = Clock()
        self._client: PerProcess[_Client] = PerProcess(self._make_client)
        self._stage = _Stage()
        self._threads = Threads(max_concurrency)

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        try:
            client = self._client.get()
            parameters = with_bytes(decode(body))
        except Exception as error:  # noqa: BLE001 - of any kind: nothing was sent
            return not_sent(error)
        skew = self._clock.skew
        result, date = self._call(client, operation, parameters)
        if isinstance(result, Failure):
            if result.code == GarbledReplyError.__name__:
                client.trust.end()
            if self._clock.signs_anew(result, date, skew):
                result, _ = self._call(client, operation, parameters)
        return result

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        return self._threads.send_many(self.send, requests, limit)

    def _call(
        self, client: _Client, operation: str, parameters: dict[str, Any]
    ) -> tuple[ReplyBody | Failure, str | None]:
        """The result of a call, and the Date header of an error reply."""
        stage = self._stage
        stage.begin()
        try:
            response = client.client._make_api_call(operation, parameters)
            return _reply(response, client.trust.end), None
        except ClientError as error:
            metadata = error.response.get(_METADATA, {})
            failure = error.response.get(_OURS) or classify_exception(error)
            return failure, metadata.get("HTTPHeaders", {}).get("date")
        except Exception as error:  # noqa: BLE001 - a transport returns what went wrong
            early = stage.nothing_sent(error)
            return not_sent(error) if early else classify_exception(error), None

    def close(self) -> None:
        self._threads.close()
        client = self._client.take()
        if client is not None:
            client.client.close()

    def _make_client(self) -> _Client:
        _, identity, client = make_client(
            self._settings,
            timeout=self._timeout,
            max_concurrency=self._max_concurrency,
        )

        def frozen(**_: Any) -> None:
            identity.frozen()  # botocore asks right after; what a provider raises is known here

        events = client.meta.events
        events.register_first("provide-client-params.dynamodb", self._stage.make)
        events.register_first("before-sign.dynamodb", frozen)
        events.register_first("before-send.dynamodb", self._stage.send)
        events.register("before-send.dynamodb", partial(_sign_by, self._clock, identity))
        events.register("before-parse.dynamodb", partial(_read_body, Answered()))
        trust = Trust()
        limit_connections(client, trust)
        return _Client(client, trust)


class _Client(NamedTuple):
    client: Any
    trust: Trust


class _Stage(threading.local):
    """How far botocore has come with this thread's request."""

    making = False
    sending = False

    def begin(self) -> None:
        self.making = self.sending = False

    def make(self, **_: Any) -> None:
        self.making = True

    def send(self, **_: Any) -> None:
        self.making, self.sending = False, True

    def nothing_sent(self, error: Exception) -> bool:
        """Whether an exception came before anything of the request was sent.

        What a patch of botocore raises says nothing: it may stand in the place of the network.
        """
        by_hook = raised_by(error) is not None
        if self.making:
            return not by_hook or find_patch() is None
        return self.sending and not by_hook and before_connected(error)


def new_session() -> Any:
    """A botocore session of our own, which shares with the others what was read of its data files.

    Reading them takes some 80 ms, and would be done again for every store.
    """
    session = botocore.session.Session()
    loader = _loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


@functools.cache
def _loader(data_path: str | None) -> Any:
    return create_loader(data_path)


def make_client(
    settings: Settings, *, timeout: float, max_concurrency: int
) -> tuple[Any, Identity, Any]:
    """A session of our own, the identity that it signs as, and its client.

    Raises ConfigurationError and NoCredentials.
    """
    check_endpoint(settings)
    session = new_session()
    session.set_config_variable("region", settings.region)  # for roles that are assumed
    if settings.stand_in_credentials:
        with forks_wait:
            providers = session.get_component("credential_provider")
        providers.remove("iam-role")  # slow where there is none
    identity = Identity(session)
    if settings.stand_in_credentials and identity.provider is None:
        session.set_credentials(STAND_IN, STAND_IN)
        identity = Identity(session)
    if identity.provider is not None:
        identity.frozen()  # botocore's client asks for them, too, and hides who failed
    # Single requests are sent by the callers' threads, whose number is not known.
    client = create_client(
        session,
        settings,
        timeout=timeout,
        max_pool_connections=max_concurrency + SPARE_CONNECTIONS,
    )
    return session, identity, client


def create_client(
    session: Any,
    settings: Settings,
    *,
    timeout: float = 10.0,
    max_pool_connections: int = 1,
    pinned: bool = True,
    **credentials: str,
) -> Any:
    """A client for the endpoint of the settings; if `pinned`, the environment's is ignored."""
    config = Config(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        parameter_validation=False,
        max_pool_connections=max_pool_connections,
        ignore_configured_endpoint_urls=True if pinned else None,
        # Requests to this machine must not leave it through HTTP_PROXY.
        proxies={} if settings.stand_in_credentials else None,
    )
    with forks_wait:
        return session.create_client(
            "dynamodb",
            region_name=settings.region,
            endpoint_url=settings.endpoint,
            config=config,
            **credentials,
        )


def _sign_by(clock: Clock, identity: Identity, request: Any, **_: Any) -> None:
    """Called by botocore with what it has signed: where its clock is wrong, sign that anew."""
    if not clock.skew:
        return
    region, service = signed_for(request.headers)
    operation = text_of(request.headers["X-Amz-Target"]).removeprefix(TARGET)
    lines = Signer(request.url, region=region, service=service).headers(
        operation, request.body, identity.frozen(), clock.now()
    )
    for line in lines:
        name, value = line.split(": ", 1)
        request.headers[name] = value


def _read_body(
    answered: Answered,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: Any,
) -> None:
    """Check the raw body and keep it: botocore's own parser would walk all of it.

    Called by botocore before it parses; what goes into `customized_response_dict` is returned to
    the caller, and botocore finds an empty object where a good reply was, and no more than code and
    text of an error.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    headers = response_dict["headers"]
    request_id = headers.get("x-amzn-requestid")
    answered.check(request_id)
    check_sum(headers.get("x-amz-crc32"), body, encoding=lambda: headers.get("content-encoding"))
    response = customized_response_dict
    if status < 300:
        response[_OURS] = body
        response.update(_shown(body))
        response_dict["body"] = b"{}"
    else:
        response[_OURS] = failure = classify(status, body, request_id=request_id)
        error = {"__type": failure.code, "message": failure.message}
        response_dict["body"] = encode(error)


def _shown(body: bytes) -> dict[str, Any]:
    """The content of a reply for hooks of botocore, without the parts that botocore adds."""
    if find_hook() is None:
        return {}
    try:
        content = decode(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: each for name, each in content.items() if name not in (_METADATA, _OURS)}


def _reply(response: Mapping[str, Any], distrust: Callable[[], object]) -> ReplyBody:
    request_id = response.get(_METADATA, {}).get("RequestId")
    if _OURS in response:
        return ReplyBody(response[_OURS], request_id=request_id, distrust=distrust)
    # A mock answered in place of the network, and is believed.
    content = {name: each for name, each in response.items() if name != _METADATA}
    text = json.dumps(with_text(content), default=_seconds)
    return ReplyBody(text.encode(), request_id=request_id, believed=True)


def _seconds(moment: object) -> float:
    """Times are Unix seconds on the wire, and datetimes in what botocore returns."""
    if isinstance(moment, datetime):
        return moment.timestamp()
    raise TypeError(f"{type(moment).__name__} is not a value of DynamoDB's JSON")
