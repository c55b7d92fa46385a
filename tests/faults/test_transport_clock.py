"""Signatures that the service finds too old or too new, on either transport."""

from __future__ import annotations

import hashlib
import hmac
import time
from contextlib import closing, contextmanager
from email.utils import formatdate

import pytest
from sending import ask
from servers import Service

from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.auto import make_transport

SECRET = "thrivecalc"  # what stands in for credentials on this machine
PUT = {"TableName": "t", "Item": {"k": {"S": "1"}}}


def verifies(path, headers, body):
    """Whether the signature is right, by the rules of Signature Version 4."""
    parts = headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    given = dict(part.strip().split("=", 1) for part in parts)
    scope = given["Credential"].split("/", 1)[1]
    names = given["SignedHeaders"].split(";")
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", path, "", *lines, "", ";".join(names), digest])
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["X-Amz-Date"], scope, hashed])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex() == given["Signature"]


@contextmanager
def answering(transport, answer):
    """A service that verifies every signature, and then answers with what `answer` returns.

    That gets the time of the signature, in Unix seconds, and the number of the request, from 1. It
    returns the service's time, and the code and text of an error, or None. Yields the times.
    """
    times = []

    def reply(service, number, request):
        headers = service.headers[number]
        assert verifies(service.paths[number], headers, service.bodies[number])
        stamp = time.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        times.append(time.mktime(stamp) - time.timezone)
        now, error = answer(times[-1], len(times))
        date = {"Date": formatdate(now, usegmt=True)}
        if error is not None:
            return 400, {"__type": f"x#{error[0]}", "message": error[1]}, date
        return 200, {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.0}}, date

    with closing(Service(reply)) as service:
        settings = Settings(table_name="t", region="us-east-1", endpoint=service.endpoint)
        made = make_transport(transport, settings, timeout=5, max_concurrency=1)
        with closing(made):
            yield times, made


EXPIRED = ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2 (3 - 5 min.)")
TOO_NEW = ("InvalidSignatureException", "Signature not yet current: 2 is still later than 1")
SKEWED = ("RequestTimeTooSkewed", "The difference is too large.")
WRONG = ("InvalidSignatureException", "The signature does not match.")


@pytest.mark.parametrize("error", [EXPIRED, SKEWED])
def test_a_process_that_stood_still(transport, error):
    """A request refused as signed too long ago, by a service whose clock agrees with ours, was not
    applied: it is signed anew and sent once more."""

    def first_was_late(signed, number):
        return time.time(), error if number == 1 else None

    with answering(transport, first_was_late) as (times, made):
        assert isinstance(ask(made, "PutItem", PUT), Reply)
        assert isinstance(ask(made, "PutItem", PUT), Reply)
    assert len(times) == 3
    assert max(times) - min(times) < 60


def test_only_once_more(transport):
    """Refused again for its time, it ends as not applied."""
    with answering(transport, lambda signed, number: (time.time(), EXPIRED)) as (times, made):
        failure = ask(made, "PutItem", PUT)
    assert (failure.kind, failure.applied_maybe) == (FailureKind.CREDENTIALS, False)
    assert len(times) == 2


def test_a_signature_that_is_wrong(transport):
    """What was refused for anything but its time is not sent again."""
    with answering(transport, lambda signed, number: (time.time(), WRONG)) as (times, made):
        assert ask(made, "PutItem", PUT).kind is FailureKind.CREDENTIALS
    assert len(times) == 1


@pytest.mark.parametrize("offset", [-3600, 86_400])
def test_a_clock_that_is_wrong(transport, offset):
    """Where the service's clock disagrees with ours its time is taken over: for the request that
    was refused, and for all that follow."""

    def strict(signed, number):
        now = time.time() + offset
        error = EXPIRED if signed < now - 300 else TOO_NEW if signed > now + 300 else None
        return now, error

    with answering(transport, strict) as (times, made):
        for _ in range(3):
            assert isinstance(ask(made, "PutItem", PUT), Reply)
    assert len(times) == 4
