"""The credentials that sign requests, and messages if a provider of them fails.

botocore's providers raise what they like: errors of files, of JSON, of other services. Whatever it
is, nothing was sent. What a provider printed or received is never shown, since it may hold keys.
"""

from __future__ import annotations

from typing import Any, Final

import botocore.exceptions as aws

from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.transport.signing import Credentials

PROVIDERS: Final = {
    "env": "environment variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "iam-role": "the role of this EC2 instance",
    "container-role": "the role of this container",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a role assumed with a web identity",
    "sso": "IAM Identity Center",
    "login": "the login of the AWS CLI",
    "custom-process": "a credential process",
}

_REMEDIES = {
    "env": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN with temporary"
    " ones, anew",
    "shared-credentials-file": "fix profile {profile} in that file (AWS_SHARED_CREDENTIALS_FILE)",
    "config-file": "fix profile {profile} in that file (AWS_CONFIG_FILE)",
    "iam-role": "check that this instance has a role, and that its metadata can be reached from"
    " here (from a container: a hop limit of 2)",
    "container-role": "check AWS_CONTAINER_CREDENTIALS_FULL_URI,"
    " AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "assume-role": "check role_arn and its source in profile {profile}, and whom the role trusts",
    "assume-role-with-web-identity": "check AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, and whom"
    " the role trusts",
    "sso": "log in with `aws sso login --profile {profile}`",
    "login": "log in with `aws login --profile {profile}`",
    "custom-process": "run the credential_process of profile {profile} by hand to see what it says",
}
_ANY_REMEDY = "check AWS_PROFILE (now {profile}) and the AWS configuration files"
NONE_FOUND: Final = (
    "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile with"
    " AWS_PROFILE, or give this machine a role"
)

_LOGIN_ERROR = getattr(aws, "LoginError", aws.SSOError)  # newer than the oldest botocore we take
# Their sentences name settings and files, and repeat nothing that was received.
_SAYING_WHY = (
    aws.SSOError,
    _LOGIN_ERROR,
    aws.TokenRetrievalError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.ConfigNotFound,
    aws.ConfigParseError,
    aws.InvalidConfigError,
    aws.UnknownCredentialError,
    aws.InvalidIMDSEndpointError,
    aws.InvalidIMDSEndpointModeError,
)


class NoCredentials(Exception):
    """There are no credentials: the name of the exception, and a message that says what to do."""

    def __init__(self, code: str, advice: str) -> None:
        super().__init__(code, advice)
        self.code = code
        self.advice = advice


class Identity:
    """The credentials of a session, which renew themselves. Raises NoCredentials, nothing else."""

    def __init__(self, session: Any) -> None:
        self._profile = session.get_config_variable("profile") or "default"
        try:
            with forks_wait:
                session.get_component("credential_provider")
            self._found = session.get_credentials()
        except Exception as error:
            raise self._failed(error, _provider_in(error)) from error

    @property
    def provider(self) -> str | None:
        """botocore's name of the provider, None where there are no credentials."""
        return None if self._found is None else self._found.method

    def frozen(self) -> Credentials:
        """Credentials for now."""
        if self._found is None:
            raise NoCredentials(aws.NoCredentialsError.__name__, NONE_FOUND)
        try:
            found: Credentials = self._found.get_frozen_credentials()
        except Exception as error:
            raise self._failed(error, _provider_in(error) or self._found.method) from error
        for text in (found.access_key, found.secret_key, found.token or ""):
            if not (text.isascii() and text.isprintable()):
                raise NoCredentials(
                    "ConfigurationError",
                    f"the credentials of {self._named(self._found.method)} have characters in them"
                    " that no header can carry, such as a line break at the end;"
                    f" {self._remedy(self._found.method)}",
                )
        return found

    def is_due(self) -> bool:
        """Whether `frozen` would ask the provider, which may take a while."""
        refresh_needed = getattr(self._found, "refresh_needed", None)
        return refresh_needed is not None and bool(refresh_needed())

    def _failed(self, error: Exception, method: str | None) -> NoCredentials:
        if method is None and isinstance(error, (aws.SSOError, aws.TokenRetrievalError)):
            method = "sso"
        if method is None and isinstance(error, _LOGIN_ERROR):
            method = "login"
        return NoCredentials(
            type(error).__name__,
            f"{self._named(method)} gave no credentials: {_what(error)}; {self._remedy(method)}",
        )

    def _named(self, method: str | None) -> str:
        if method is None:
            return "the AWS configuration"
        return PROVIDERS.get(method, method)

    def _remedy(self, method: str | None) -> str:
        return _REMEDIES.get(method or "", _ANY_REMEDY).format(profile=self._profile)


def _what(error: Exception) -> str:
    """What went wrong, without what was received."""
    if isinstance(error, _SAYING_WHY):
        return str(error).rstrip(".")
    if isinstance(error, aws.ClientError):
        code = error.response.get("Error", {}).get("Code", "no code")
        return f"{error.operation_name} was refused ({code})"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}"
    if isinstance(error, RuntimeError) and "expired" in str(error):
        return "what it gave has expired already"
    if isinstance(error, (aws.ConnectionError, aws.HTTPClientError)):
        return f"it could not be reached ({type(error).__name__})"
    return type(error).__name__


def _provider_in(error: Exception) -> str | None:
    """The innermost of botocore's providers in which an exception was raised."""
    found = None
    step = error.__traceback__
    while step is not None:
        method = getattr(step.tb_frame.f_locals.get("self"), "METHOD", None)
        found = method if method in PROVIDERS else found
        step = step.tb_next
    return found
