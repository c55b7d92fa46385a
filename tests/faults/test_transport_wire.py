"""Both transports against servers on this machine that do what networks do."""

from __future__ import annotations

import base64
import datetime
import json
import os
import socket
import ssl
from contextlib import closing, contextmanager
from unittest import mock
from zlib import crc32

import botocore.client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loops import any_transport
from sending import ask
from servers import Listener, meaning, read_request

from thrivecalc_models import ConfigurationError
from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.botocore import new_session
from thrivecalc_models.wire.binary import with_bytes, with_text
from thrivecalc_models.wire.json_text import encode

GET = {"TableName": "t", "Key": {"k": {"S": "1"}}}
QUICKLY = 0.3  # seconds until a request is given up
LOST = (FailureKind.UNAVAILABLE, True, True)
NOT_UNDERSTOOD = (FailureKind.NOT_UNDERSTOOD, True, True)


class Chosen:
    transport = "botocore"


@pytest.fixture(
    scope="module",
    params=["botocore", "direct", "async botocore", "async direct", "uvloop direct"],
    autouse=True,
)
def chosen(request):
    """Every test of this module runs on each transport."""
    if request.param.startswith("uvloop"):
        pytest.importorskip("uvloop")
    Chosen.transport = request.param
    yield request.param
    Chosen.transport = "botocore"


@pytest.fixture
def botocore_only(chosen):
    if chosen != "botocore":
        pytest.skip("what is patched here is part of botocore's way only")


def http(status=200, body=b"{}", **headers):
    """The bytes of a reply; `crc=` sets x-amz-crc32."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/x-amz-json-1.0", "x-amzn-RequestId: r-1"]
    lines += [f"x-amz-crc32: {value}" for name, value in headers.items() if name == "crc"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(code, status=400, **more):
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return http(status, {"__type": kind, "message": "no", **more})


class Server(Listener):
    """Answers each request with the bytes that `answer` says; None closes the connection."""

    def __init__(self, answer, tls=None):
        self.requests = []
        self.peers = []
        self._answer = answer
        super().__init__(tls=tls)

    def converse(self, number, connection, incoming):
        while (asked := read_request(incoming)) is not None:
            self.requests.append(asked[1])
            self.peers.append(connection.getpeername())
            answer = self._answer(self)
            if answer is None:
                return
            connection.sendall(answer)
            if b"Content-Length: 999" in answer:  # more was promised than comes
                return


def transport_to(endpoint, **options):
    options = {"timeout": QUICKLY, "max_concurrency": 2} | options
    settings = Settings(table_name="t", region="us-east-1", endpoint=endpoint)
    return closing(any_transport(Chosen.transport, settings, **options))


@contextmanager
def answering(answer, *, context=None):
    """A server that gives this answer, and a transport to it."""
    giving = answer if callable(answer) else lambda server: answer
    with (
        closing(Server(giving, context)) as server,
        transport_to(server.endpoint) as transport,
    ):
        yield server, transport


def free_endpoint():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("body", [b"", b"<html>too large</html>", b"{}", b'{"message": "x"}'])
def test_a_request_that_is_too_long(body):
    """HTTP 413, whatever its body: nothing was applied, and the same would be refused again."""
    with answering(http(413, body)) as (_, transport):
        failure = ask(transport, "GetItem", GET)
    assert failure.status == 413
    assert not failure.applied_maybe
    assert not failure.again


def test_sessions_share_what_was_read_of_botocores_files(monkeypatch, tmp_path):
    """A second session reads no data file again, unless AWS_DATA_PATH names other files."""
    loaders = [new_session().get_component("data_loader") for _ in range(2)]
    assert loaders[0] is loaders[1]
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert str(tmp_path) in new_session().get_component("data_loader").search_paths
    assert str(tmp_path) not in loaders[0].search_paths


def test_a_reply():
    """A good reply arrives as DynamoDB's JSON, with its request id and nothing of botocore's."""
    body = {"Item": {"k": {"S": "1"}, "b": {"B": "AAE="}}, "ConsumedCapacity": None}
    with answering(http(body=body)) as (server, transport):
        reply = ask(transport, "GetItem", GET)
    assert reply == Reply(body={"Item": body["Item"]}, request_id="r-1")
    assert reply.proven
    assert server.requests == [GET]


def test_nobody_there():
    """A refused connection means that nothing was sent."""
    with transport_to(free_endpoint()) as transport:
        failure = ask(transport, "PutItem", {})
    assert meaning(failure) == (FailureKind.UNAVAILABLE, True, False)


def test_a_name_that_does_not_resolve(botocore_only):
    """A host that has no address means that nothing was sent."""
    unknown = mock.patch("socket.getaddrinfo", side_effect=socket.gaierror("no such host"))
    with unknown, transport_to("http://nowhere") as transport:
        failure = ask(transport, "PutItem", {})
    assert meaning(failure) == (FailureKind.UNAVAILABLE, True, False)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="closed before the reply"),
        pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(http(500, b"<html>oops</html>"), id="500 with a page"),
        pytest.param(http(500, b"[]"), id="500 with other JSON"),
        pytest.param(http(503, b""), id="503 with nothing"),
        pytest.param(refusal("InternalServerError", 500), id="InternalServerError"),
        pytest.param(refusal("ServiceUnavailable", 503), id="ServiceUnavailable"),
        pytest.param(http(crc=1), id="wrong crc"),
        pytest.param(http(400, {"__type": "x#AccessDenied"}, crc=1), id="wrong crc of an error"),
        pytest.param(http(crc="x"), id="crc that is no number"),
        pytest.param(http(400, b"<html>Proxy</html>"), id="400 with a page"),
        pytest.param(http(302, b""), id="redirect"),
    ],
)
def test_lost_or_garbled(answer):
    """Whatever breaks a reply, the request may have been applied, and is sent no second time."""
    with answering(answer) as (server, transport):
        failure = ask(transport, "PutItem", {"TableName": "t"})
    assert meaning(failure) == LOST
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(body=b"<html>Login</html>"), id="200 with a page"),
        pytest.param(http(body=b""), id="200 with nothing"),
        pytest.param(http(body=b"[]"), id="200 with other JSON"),
        pytest.param(http(body=b"\xff"), id="200 with no text"),
    ],
)
def test_a_good_reply_that_says_nothing(answer):
    """What comes as a good reply but is no JSON object leaves the outcome unknown, and says so."""
    with answering(answer) as (server, transport):
        failure = ask(transport, "PutItem", {"TableName": "t"})
    assert meaning(failure) == NOT_UNDERSTOOD
    assert failure.advice == "its body is no JSON object"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"It', id="closed mid body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", id="closed after headers"),
    ],
)
def test_a_reply_that_is_cut_short(chosen, answer):
    """It is no reply. libcurl notices that it is too short, botocore only that it is no JSON."""
    with answering(answer) as (server, transport):
        failure = ask(transport, "PutItem", {"TableName": "t"})
    assert (
        meaning(failure)
        == {
            "direct": LOST,
            "botocore": NOT_UNDERSTOOD,
        }[chosen.rpartition(" ")[2]]
    )
    assert len(server.requests) == 1


def test_a_slow_reply():
    """A reply that comes too late is lost: the request may have been applied."""

    def late(server):
        server.released.wait(5)

    with answering(late) as (server, transport):
        failure = ask(transport, "PutItem", {})
    assert meaning(failure) == LOST
    assert len(server.requests) == 1


def test_the_right_sum():
    """A reply that matches its x-amz-crc32 is taken."""
    body = b'{"Item": {"k": {"S": "1"}}}'
    with answering(http(body=body, crc=crc32(body))) as (_, transport):
        assert ask(transport, "GetItem", GET).body == json.loads(body)


KEY = {"userId": {"S": "u"}, "recordKey": {"S": "a#b"}}


@pytest.mark.parametrize(
    ("operation", "request_", "member"),
    [
        ("Query", {"TableName": "t"}, "Count"),
        ("Query", {"TableName": "t", "Select": "COUNT"}, "Count"),
        ("BatchGetItem", {"RequestItems": {"t": {"Keys": []}}}, "Responses"),
        ("BatchWriteItem", {"RequestItems": {"t": []}}, "UnprocessedItems"),
        ("UpdateItem", {"TableName": "t", "Key": KEY, "ReturnValues": "ALL_NEW"}, "Attributes"),
        ("DescribeTable", {"TableName": "t"}, "Table"),
    ],
)
def test_a_reply_that_lacks_what_it_must_have(operation, request_, member):
    """A reply without what its operation promises is no reply: a write may have been applied."""
    with answering(http()) as (server, transport):
        failure = ask(transport, operation, request_)
    assert (failure.kind, failure.again) == NOT_UNDERSTOOD[:2]
    assert (failure.code, failure.advice) == ("ReplyNotUnderstood", f"it has no {member}")
    if operation in ("Query", "BatchGetItem", "BatchWriteItem", "UpdateItem"):
        assert failure.applied_maybe == (operation in ("BatchWriteItem", "UpdateItem"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ThrottlingException", (FailureKind.THROTTLED, True, False)),
        ("ProvisionedThroughputExceededException", (FailureKind.THROTTLED, True, False)),
        ("AccessDeniedException", (FailureKind.DENIED, False, False)),
        ("UnrecognizedClientException", (FailureKind.CREDENTIALS, False, False)),
        ("ResourceNotFoundException", (FailureKind.NO_TABLE, False, False)),
        ("ValidationException", (FailureKind.INVALID, False, False)),
        ("TransactionInProgressException", (FailureKind.TRANSACTION_IN_PROGRESS, True, True)),
    ],
)
def test_an_error_reply(code, expected):
    """An error reply is classified by its code, with the request id, and sent no second time."""
    with answering(refusal(code)) as (server, transport):
        failure = ask(transport, "PutItem", {"TableName": "t"})
    assert meaning(failure) == expected
    assert (failure.code, failure.status, failure.request_id) == (code, 400, "r-1")
    assert len(server.requests) == 1


def test_a_failed_condition():
    """The stored item that comes with a failed condition arrives, binary values as text."""
    item = {"k": {"S": "1"}, "b": {"B": "AAE="}, "bs": {"BS": ["AA==", "AQ=="]}}
    with answering(refusal("ConditionalCheckFailedException", Item=item)) as (_, transport):
        failure = ask(transport, "PutItem", {"TableName": "t"})
    assert failure.kind is FailureKind.CONDITION_FAILED
    assert failure.item == item


def test_a_cancelled_transaction():
    """The reasons of a cancelled transaction arrive in order, with their stored items."""
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": {"b": {"B": "AA=="}}}]
    answer = refusal("TransactionCanceledException", CancellationReasons=reasons)
    with answering(answer) as (_, transport):
        failure = ask(transport, "TransactWriteItems", {"ClientRequestToken": "x"})
    assert failure.kind is FailureKind.TRANSACTION_CANCELLED
    assert [(reason.code, reason.item) for reason in failure.reasons] == [
        ("None", None),
        ("ConditionalCheckFailed", {"b": {"B": "AA=="}}),
    ]


def test_binary_goes_out_as_it_came_in():
    """Base64 text of binary values is on the wire once encoded, in attributes of any name."""
    item = {
        "B": {"B": "AAE="},
        "BS": {"BS": ["AA==", "AQ=="]},
        "m": {"M": {"B": {"S": "AA=="}, "x": {"L": [{"B": "/w=="}]}}},
    }
    request = {"TableName": "t", "Item": item}
    with answering(http()) as (server, transport):
        ask(transport, "PutItem", request)
    assert server.requests == [request]


values = st.recursive(
    st.binary(max_size=4).map(lambda b: {"B": base64.b64encode(b).decode()})
    | st.lists(st.binary(max_size=2), min_size=1).map(
        lambda bs: {"BS": [base64.b64encode(b).decode() for b in bs]}
    )
    | st.text(max_size=4).map(lambda text: {"S": text}),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: {"L": members})
        | st.dictionaries(st.sampled_from(["B", "BS", "S", "x"]), inner).map(lambda m: {"M": m})
    ),
)


@given(st.dictionaries(st.sampled_from(["B", "BS", "x"]), values))
def test_binary_there_and_back(item):
    """Turning base64 text to bytes and back changes no item, whatever its attributes are named."""
    assert with_text(with_bytes(item)) == item


def test_without_binary_nothing_is_copied():
    """A request that has no binary value is passed on as the same object."""
    request = {"Item": {"B": {"S": "x"}, "m": {"M": {"BS": {"L": [{"N": "1"}]}}}}}
    assert with_bytes(request) is request


def untrusted_context(directory):
    """A TLS context with a certificate for 127.0.0.1 that nobody has signed."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_is_not_trusted(tmp_path):
    """Nothing is sent to a server whose certificate does not verify, and it is not asked again."""
    with answering(http(), context=untrusted_context(tmp_path)) as (server, transport):
        failure = ask(transport, "PutItem", {})
    assert meaning(failure) == (FailureKind.UNAVAILABLE, False, False)
    assert server.requests == []


def test_no_credentials_for_the_real_service(monkeypatch):
    """Without credentials the real service is not called, and the failure says so."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with transport_to(None) as transport:
        failure = ask(transport, "GetItem", GET)
    assert (meaning(failure), failure.code) == (
        (FailureKind.CREDENTIALS, False, False),
        "NoCredentialsError",
    )


def test_the_instance_metadata_is_not_asked_for_a_local_engine(monkeypatch):
    """Stand-in credentials for this machine are found without asking EC2's slow metadata."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    refuse = mock.patch(
        "botocore.credentials.InstanceMetadataProvider.load", side_effect=AssertionError
    )
    with refuse, answering(http()) as (_, transport):
        assert ask(transport, "GetItem", GET) == Reply(body={}, request_id="r-1")


def test_a_proxy_does_not_see_what_is_for_this_machine(monkeypatch):
    """Requests to this machine do not leave it by way of HTTP_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", free_endpoint())
    with answering(http()) as (_, transport):
        assert isinstance(ask(transport, "GetItem", GET), Reply)


def test_plain_http_by_way_of_botocores_settings(monkeypatch):
    """An endpoint from botocore's own settings may not be plain http to another machine either."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://db.example.com")
    with pytest.raises(ConfigurationError, match=r"plain http .*AWS_ENDPOINT_URL_DYNAMODB"):
        transport_to(None)


def test_the_users_retry_settings_do_not_count(monkeypatch):
    """Retries are ours alone, whatever the environment says about botocore's."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    with answering(http(500, b"")) as (server, transport):
        assert meaning(ask(transport, "GetItem", GET)) == LOST
    assert len(server.requests) == 1


def test_connections_are_kept():
    """Requests one after the other use one connection; after close() there is a new one."""
    with answering(http()) as (server, transport):
        for _ in range(3):
            ask(transport, "GetItem", GET)
        assert len(set(server.peers)) == 1
        transport.close()
        ask(transport, "GetItem", GET)
        assert len(set(server.peers)) == 2


def test_a_patched_botocore_is_used(botocore_only):
    """Who patches botocore's `_make_api_call`, as test tools do, answers our requests too.

    Such a reply is believed without its capacity.
    """
    reply = {"Item": {"b": {"B": b"\x00"}}, "ResponseMetadata": {"RequestId": "r-2"}}
    with (
        mock.patch.object(botocore.client.BaseClient, "_make_api_call", return_value=reply),
        transport_to(free_endpoint()) as transport,
    ):
        expected = Reply(body={"Item": {"b": {"B": "AA=="}}}, request_id="r-2")
        reply = ask(transport, "GetItem", GET)
    assert reply == expected
    assert reply.proven


def test_an_interrupt_passes_through(botocore_only):
    """KeyboardInterrupt is not a failure of the service: it passes through."""
    with (
        mock.patch.object(
            botocore.client.BaseClient, "_make_api_call", side_effect=KeyboardInterrupt
        ),
        transport_to(free_endpoint()) as transport,
        pytest.raises(KeyboardInterrupt),
    ):
        ask(transport, "GetItem", GET)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection():
    """After a fork the child uses another connection, and the parent goes on with its own."""
    with answering(http()) as (server, transport):
        ask(transport, "GetItem", GET)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if isinstance(ask(transport, "GetItem", GET), Reply) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        ask(transport, "GetItem", GET)
    first, of_the_child, last = server.peers
    assert first == last != of_the_child


TABLE = {
    "TableName": "transport-wire",
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def test_every_engine_gives_what_its_operations_promise(engine):
    """On a real engine every operation we send is answered by a whole reply."""
    name, key = TABLE["TableName"], {"k": {"S": "1"}}
    item = key | {"b": {"B": "AAE="}, "BS": {"BS": ["AA=="]}}
    update = {
        "TableName": name,
        "Key": key,
        "UpdateExpression": "SET #n = :v",
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":v": {"N": "1"}},
        "ReturnValues": "ALL_NEW",
    }
    query = {
        "TableName": name,
        "KeyConditionExpression": "k = :k",
        "ExpressionAttributeValues": {":k": {"S": "1"}},
    }
    with transport_to(engine.endpoint, timeout=10) as transport:
        for operation, member, request in [
            ("CreateTable", "TableDescription", TABLE),
            ("DescribeTable", "Table", {"TableName": name}),
            (
                "BatchWriteItem",
                "UnprocessedItems",
                {"RequestItems": {name: [{"PutRequest": {"Item": item}}]}},
            ),
            ("BatchGetItem", "Responses", {"RequestItems": {name: {"Keys": [key]}}}),
            ("Query", "Items", query),
            ("Query", "Count", query | {"Select": "COUNT"}),
            ("UpdateItem", "Attributes", update),
        ]:
            reply = transport.send(operation, encode(request))
            assert isinstance(reply, bytes), operation
            assert member in json.loads(reply), operation
        read = ask(transport, "GetItem", {"TableName": name, "Key": key})
        assert read.body["Item"] == item | {"n": {"N": "1"}}
        refused = ask(
            transport,
            "PutItem",
            {
                "TableName": name,
                "Item": key,
                "ConditionExpression": "attribute_not_exists(k)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        )
        assert (refused.kind, refused.item) == (FailureKind.CONDITION_FAILED, read.body["Item"])
        assert isinstance(ask(transport, "DeleteTable", {"TableName": name}), Reply)
