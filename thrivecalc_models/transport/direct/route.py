"""Find the URL, the credentials and the proxy of requests as botocore would.

botocore is asked once a process: endpoint rules (FIPS, dual stack, partitions, account endpoints),
the region of signatures, proxies and certificates are exactly its own. It builds no request for
that, since hooks and logs would see a request that is never sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import attrs
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from thrivecalc_models.table import Settings
from thrivecalc_models.transport.botocore import make_client
from thrivecalc_models.transport.signing import Credentials, Signer


@attrs.frozen
class Route:
    """The URL and its signer, the proxy, and credentials that renew themselves.

    To call `credentials` may take a while, and network, if they are `due` to be renewed.
    """

    url: str
    signer: Signer
    credentials: Callable[[], Credentials] = attrs.field(repr=False)
    due: Callable[[], bool] = attrs.field(repr=False)
    user_agent: str
    ca_file: str
    proxy: str | None = attrs.field(repr=False)


def find_route(settings: Settings, *, timeout: float, max_concurrency: int) -> Route:
    """Ask botocore for the route. Raises ConfigurationError and NoCredentials."""
    session, identity, client = make_client(
        settings, timeout=timeout, max_concurrency=max_concurrency
    )
    with closing(client):
        url, region, service = _destination(client, settings.table_name)
        user_agent = client.meta.config.user_agent
    identity.frozen()
    proxies = {} if settings.stand_in_credentials else get_environ_proxies(url)
    return Route(
        url=url,
        signer=Signer(url, region=region, service=service),
        credentials=identity.frozen,
        due=identity.is_due,
        user_agent=user_agent,
        ca_file=_ca_file(session),
        proxy=ProxyConfiguration(proxies).proxy_url_for(url),
    )


def _destination(client: Any, table_name: str) -> tuple[str, str, str]:
    """The URL of requests, and the region and service that they are signed for."""
    model = client.meta.service_model.operation_model("GetItem")
    context: dict[str, Any] = {}
    url, _, _ = client._resolve_endpoint_ruleset(model, {"TableName": table_name}, context)
    signing = context.get("signing", {})
    signer = client._request_signer
    return (
        url if urlsplit(url).path else f"{url}/",
        signing.get("region") or signer.region_name,
        signing.get("signing_name") or signer.signing_name,
    )


def _ca_file(session: Any) -> str:
    given = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    return str(get_cert_path(given or True))
