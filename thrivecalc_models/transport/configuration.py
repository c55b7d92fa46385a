"""Read the environment and the AWS files as botocore does, once, when a store is made.

Nothing here asks the network, and credentials are not looked for.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Hashable, Iterator
from typing import Any
from urllib.parse import urlsplit

import attrs
import botocore.exceptions as aws
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.table import DEFAULT_TABLE_NAME, REAL_SERVICE, Settings, check_endpoint
from thrivecalc_models.transport.advice import LATE_PATCH
from thrivecalc_models.transport.botocore import STAND_IN, create_client, new_session
from thrivecalc_models.transport.process import forks_wait

_SERVICE = "dynamodb"
_ENDPOINTS = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
_OTHERS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ACCOUNT_ID",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "REQUESTS_CA_BUNDLE",
    "THRIVECALC_ALLOW_HTTP",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_KEYS = frozenset(name for name in _OTHERS if "KEY" in name or "TOKEN" in name)

# Which variables stand behind what botocore refuses.
_BEHIND: tuple[tuple[tuple[type[Exception], ...], tuple[str, ...]], ...] = (
    ((aws.ProfileNotFound,), ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")),
    (
        (aws.ConfigParseError, aws.ConfigNotFound),
        ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    ),
    ((aws.InvalidDefaultsMode,), ("AWS_DEFAULTS_MODE",)),
    ((aws.DataNotFoundError,), ("AWS_DATA_PATH",)),
    ((PermissionError,), ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")),
    ((aws.BaseEndpointResolverError,), ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")),
)


def configured(settings: Settings) -> Settings:
    """Settings with the endpoint that botocore's own settings name, where no argument does.

    Raises ConfigurationError for settings that botocore would refuse before the first request; the
    message has the name of the setting and botocore's own sentence.
    """
    _check_variables()
    check_endpoint(settings)
    surroundings = tuple(each for each in _variables() if each[0] not in _KEYS), _files()
    given = settings.endpoint_source or "endpoint"
    endpoint, source, other_region = _look(
        _without_port(settings.endpoint), given, settings.region, surroundings
    )
    if settings.endpoint is not None:
        endpoint = settings.endpoint
    settings = attrs.evolve(
        settings, endpoint=endpoint, endpoint_source=source, other_region=other_region
    )
    check_endpoint(settings)
    return settings


@functools.lru_cache(maxsize=64)
def _look(
    endpoint: str | None, source: str, region: str, surroundings: Hashable
) -> tuple[str | None, str, str]:
    """The endpoint, what names it, and the word about another region, once botocore agrees.

    It takes some 10 ms, and is done again where the variables or the files have changed.
    """
    try:
        session = new_session()
        _check_bundle(session)
        if endpoint is None:
            endpoint, source = _configured_endpoint(session)
        settings = Settings(
            table_name=DEFAULT_TABLE_NAME, region=region, endpoint=endpoint, allow_http=True
        )
        check_endpoint(attrs.evolve(settings, endpoint_source=source))
        session.get_component("credential_provider")
        create_client(
            session,
            settings,
            pinned=False,
            aws_access_key_id=STAND_IN,
            aws_secret_access_key=STAND_IN,
        ).close()
        return endpoint, source, _other_region(session, region)
    except ConfigurationError:
        raise
    except Exception as error:
        # Files that cannot be read, or that say something else than botocore expects.
        raise refusal(error, endpoint, source, region) from error


def _without_port(endpoint: str | None) -> str | None:
    """What botocore looks at of an endpoint: the scheme and the host."""
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.netloc.removesuffix(port)}"


def _files() -> tuple[tuple[str, int, int] | None, ...]:
    """The files that botocore reads, with what changes when they do."""
    names = (
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        *(os.environ.get(name, "") for name in _BUNDLES),
    )
    return tuple(map(_stamp, names))


def _stamp(name: str) -> tuple[str, int, int] | None:
    path = os.path.expanduser(os.path.expandvars(name))
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size


def refusal(error: Exception, endpoint: str | None, source: str, region: str) -> ConfigurationError:
    """Convert what botocore raises to an error that names the setting."""
    if isinstance(error, RecursionError):
        return ConfigurationError(f"no client can be made (RecursionError): {LATE_PATCH}")
    if isinstance(error, aws.InvalidRegionError):
        named = "AWS_REGION" if os.environ.get("AWS_REGION") == region else "region"
    elif endpoint and endpoint in str(error):
        named = source
    else:
        named = _named(error)
    return ConfigurationError(
        f"{named} cannot be used ({type(error).__name__}): {str(error).rstrip('.')}"
        f"{_way_out(error)}"
    )


def _way_out(error: Exception) -> str:
    if isinstance(error, aws.DataNotFoundError):
        return (
            "; botocore's data files are not where it looks for them: install botocore as files,"
            " since a zip file (zipapp, pex, shiv) hides them"
        )
    return "; correct it, or remove it"


def _named(error: Exception) -> str:
    sentence = str(error)
    for kinds, names in _BEHIND:
        if isinstance(error, kinds):
            there = [name for name in names if name in os.environ]
            return " or ".join(there or names)
    there = [name for name, value in _variables() if value and value in sentence and len(value) > 1]
    return " or ".join(there) or "the AWS configuration (AWS_PROFILE, AWS_CONFIG_FILE)"


# --- the environment ------------------------------------------------------------------------------


def _variables() -> Iterator[tuple[str, str]]:
    """The variables that botocore or we read, with their values; those that are set."""
    names = dict.fromkeys((*_ENDPOINTS, *_OTHERS))
    for _, variable, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        for name in [variable] if isinstance(variable, str) else variable or ():
            names[name] = None
    for name in names:
        value = os.environ.get(name)
        if value is not None:
            yield name, value


def _check_variables() -> None:
    for name, value in _variables():
        if not value.isprintable() or value != value.strip():
            raise ConfigurationError(
                f"{name} has a line break or another control character in it, or a blank at one of"
                " its ends; remove it (an .env file with Windows line ends leaves one in every"
                " value)"
            )


def _check_bundle(session: Any) -> None:
    """Look at the bundle of certificates. Of an empty name botocore makes "trust everybody"."""
    given = session.get_config_variable("ca_bundle")
    name = "AWS_CA_BUNDLE"
    if given is None:
        given, name = os.environ.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"
    elif name not in os.environ:
        name = "ca_bundle of the AWS profile"
    if given is None:
        return
    if not given:
        raise ConfigurationError(
            f"{name} is empty, with which botocore would trust every certificate; unset it, or give"
            " a file of certificates"
        )
    try:
        with forks_wait:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(given)
    except OSError as error:  # what ssl says of junk is one, too
        what = error.strerror if not isinstance(error, ssl.SSLError) else "it has no certificates"
        raise ConfigurationError(
            f"{name} cannot be used: {given}: {what}; give a file of certificates (PEM), or unset"
            " it"
        ) from error


# --- endpoint and region --------------------------------------------------------------------------


def _configured_endpoint(session: Any) -> tuple[str | None, str]:
    """The endpoint of botocore's settings and what names it, in botocore's order."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None, REAL_SERVICE
    for name in _ENDPOINTS:
        if os.environ.get(name):
            return os.environ[name], name
    profile = session.get_config_variable("profile") or "default"
    scoped = session.get_scoped_config()
    section = session.full_config.get("services", {}).get(scoped.get("services"), {})
    found = section.get(_SERVICE, {}).get("endpoint_url")
    if found:
        return found, f"services {scoped['services']} of profile {profile}"
    found = scoped.get("endpoint_url")
    return (found, f"endpoint_url of profile {profile}") if found else (None, REAL_SERVICE)


def _other_region(session: Any, region: str) -> str:
    """A sentence about a configured region that is not used; "" where there is none."""
    configured = session.get_config_variable("region")
    if not configured or configured == region:
        return ""
    where = (
        "AWS_DEFAULT_REGION" if os.environ.get("AWS_DEFAULT_REGION") else "the AWS configuration"
    )
    return f"{where} says region {configured}: set AWS_REGION to that, since no other one counts"
