"""Where requests go and as whom: what botocore makes of settings, environment and profile.

botocore is asked once a process, by having it prepare a request that is never sent: endpoint rules
(FIPS, dual stack, partitions, account endpoints, AWS_ENDPOINT_URL_DYNAMODB), the region that is
signed for, proxies and certificates are its own, to the letter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn

import attrs
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.table import Settings, resolve_settings
from thrivecalc_models.transport.botocore import make_client
from thrivecalc_models.transport.signing import Credentials, Signer, signed_for, text_of


@attrs.frozen
class Route:
    """The URL with its signature, the way to it, and credentials that renew themselves."""

    url: str
    signer: Signer
    credentials: Callable[[], Credentials] = attrs.field(repr=False)
    user_agent: str
    ca_file: str
    proxy: str | None = attrs.field(repr=False)


class _Prepared(Exception):
    """Carries a request out of botocore just before it would be sent."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


def find_route(
    settings: Settings, *, timeout: float, max_concurrency: int, allow_http: bool
) -> Route:
    """Raises what botocore raises, such as NoCredentialsError, and ConfigurationError."""
    session, client = make_client(
        settings, timeout=timeout, max_concurrency=max_concurrency, allow_http=allow_http
    )
    try:
        request = _prepared_request(client, settings.table_name)
    finally:
        client.close()
    resolve_settings(endpoint=request.url, allow_http=allow_http)
    region, service = signed_for(request.headers)
    proxies = {} if settings.stand_in_credentials else get_environ_proxies(request.url)
    return Route(
        url=request.url,
        signer=Signer(request.url, region=region, service=service),
        credentials=session.get_credentials().get_frozen_credentials,
        user_agent=text_of(request.headers["User-Agent"]),
        ca_file=_ca_file(session),
        proxy=ProxyConfiguration(proxies).proxy_url_for(request.url),
    )


def _prepared_request(client: Any, table_name: str) -> Any:
    def catch(request: Any, **_: Any) -> NoReturn:
        raise _Prepared(request)

    client.meta.events.register_first("before-send.dynamodb", catch)
    try:
        client._make_api_call("GetItem", {"TableName": table_name, "Key": {}})
    except _Prepared as prepared:
        return prepared.request
    raise ConfigurationError(
        "something answers in place of botocore, so that nobody can tell where requests would go;"
        " use transport='auto' or 'botocore'"
    )


def _ca_file(session: Any) -> str:
    given = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    return str(get_cert_path(given or True))
