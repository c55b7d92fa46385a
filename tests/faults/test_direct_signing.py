"""The signature of the direct transport, with botocore's as the oracle."""

from __future__ import annotations

import datetime

from botocore.auth import SigV4Auth, _host_from_url
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models.transport.signing import CONTENT_TYPE, Signer, host_of

PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
URLS = [
    "https://dynamodb.us-east-1.amazonaws.com/",
    "https://dynamodb.us-east-1.amazonaws.com",
    "https://123456789012.ddb.us-east-1.amazonaws.com:443/",
    "http://localhost:8000/",
    "http://Neighbour:80/some/../path//x y/",
    "https://[::1]:8443/",
]
OPERATIONS = ["GetItem", "BatchWriteItem", "UpdateContinuousBackups"]

urls = st.sampled_from(URLS)
regions = st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1"])
credentials = st.builds(
    ReadOnlyCredentials,
    st.text(PLAIN, min_size=1, max_size=20),
    st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
    st.none() | st.text(PLAIN + "+/= ", max_size=80),
)
times = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 12, 31))


def signed_by_botocore(url, region, operation, body, keys, now):
    """The headers that botocore makes of the same request."""
    request = AWSRequest(
        "POST",
        url,
        headers={"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"DynamoDB_20120810.{operation}"},
        data=body,
    )
    signing = Credentials(keys.access_key, keys.secret_key, keys.token)
    auth = SigV4Auth(signing, "dynamodb", region)
    # Its add_auth(), but at a time of ours.
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return dict(request.headers.items())


def signed_by_us(signer, operation, body, keys, now):
    seconds = now.replace(tzinfo=datetime.UTC).timestamp()
    lines = signer.headers(operation, body, keys, seconds)
    return dict(line.split(": ", 1) for line in lines)


@given(urls, regions, st.data())
def test_the_signature_is_botocores(url, region, data):
    """Whatever is sent, as whom and when, one after the other, it is signed as botocore does."""
    signer = Signer(url, region=region)
    # Few of each, so that requests share their second, their day, their operation or their sender.
    moments = data.draw(st.lists(times, min_size=1, max_size=2))
    moments += [moment.replace(microsecond=0) for moment in moments]
    senders = data.draw(st.lists(credentials, min_size=1, max_size=2))
    for _ in range(data.draw(st.integers(1, 8))):
        operation = data.draw(st.sampled_from(OPERATIONS))
        body = data.draw(st.binary(max_size=50))
        keys, now = data.draw(st.sampled_from(senders)), data.draw(st.sampled_from(moments))
        theirs = signed_by_botocore(url, region, operation, body, keys, now)
        ours = signed_by_us(signer, operation, body, keys, now)
        assert ours == {name: theirs[name] for name in ours}
        assert ours.keys() | {"Content-Type"} == theirs.keys()


@given(urls)
def test_the_host_is_botocores(url):
    """The Host header is the one that botocore signs."""
    assert host_of(url) == _host_from_url(url)


def test_secrets_are_not_shown():
    """The repr of a signer and of what it keeps has no secret in it."""
    signer = Signer(URLS[0], region="us-east-1")
    signer.headers("GetItem", b"{}", ReadOnlyCredentials("key", "hidden", "hush"), 0.0)
    shown = repr(signer) + repr(vars(signer))
    assert "hidden" not in shown
    assert "hush" not in shown
