"""Where the table is: arguments, environment and AWS files, and what is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cli import run

from thrivecalc_models import ConfigurationError, DataStore, TableNotFoundError
from thrivecalc_models.table import resolve_settings

HERE = "http://127.0.0.1:9"
AWAY = "https://db.example.com"


def refused(**options):
    with pytest.raises(ConfigurationError) as caught:
        DataStore(**options)
    return str(caught.value)


# --- the endpoint in use --------------------------------------------------------------------------


def test_the_endpoint_of_a_variable(monkeypatch, transport):
    """Endpoints of botocore's own variables are named by all that names one, with the variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", AWAY)
    with DataStore(transport=transport) as store:
        assert store.endpoint == AWAY
        assert f"{AWAY} from AWS_ENDPOINT_URL" in repr(store)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", HERE)
    with DataStore(transport=transport) as store:
        assert store.endpoint == HERE
        assert f"{HERE} from AWS_ENDPOINT_URL_DYNAMODB" in repr(store)


def test_the_endpoint_of_a_profile(monkeypatch, config):
    """So are those of a profile and of its services section, by the profile's name."""
    config(
        f"""
        [default]
        endpoint_url = {AWAY}
        [profile dev]
        services = near
        [services near]
        dynamodb =
          endpoint_url = {HERE}
        """
    )
    with DataStore() as store:
        assert f"{AWAY} from endpoint_url of profile default" in repr(store)
    monkeypatch.setenv("AWS_PROFILE", "dev")
    with DataStore() as store:
        assert f"{HERE} from services near of profile dev" in repr(store)
        assert store.settings.stand_in_credentials
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    with DataStore() as store:
        assert store.endpoint is None


def test_arguments_and_our_own_variable_beat_them(monkeypatch):
    """The argument counts before AWS_ENDPOINT, and that before botocore's variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:2")
    with DataStore() as store:
        assert store.endpoint == "http://127.0.0.1:2"
    with DataStore(endpoint="http://127.0.0.1:3") as store:
        assert store.endpoint == "http://127.0.0.1:3"
        assert repr(store).endswith("at http://127.0.0.1:3>")


def test_the_endpoint_stays(monkeypatch, transport):
    """What the environment says after a store was made does not move it."""
    with DataStore(transport=transport, endpoint=HERE) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", AWAY)
        assert store.endpoint == HERE


def test_errors_name_the_endpoint_in_use(monkeypatch, transport):
    """A missing table is looked for where the error says, and the error says what named it."""
    with DataStore.local() as local:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", local.endpoint)
        with (
            DataStore(transport=transport, table_name="other") as store,
            pytest.raises(TableNotFoundError) as caught,
        ):
            store.user("u").list_all()
    assert f"endpoint {local.endpoint} from AWS_ENDPOINT_URL_DYNAMODB" in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_plain_http_by_way_of_a_variable(monkeypatch, transport, name):
    """The rule for plain http holds for every endpoint, whatever named it."""
    monkeypatch.setenv(name, "http://db.example.com")
    message = refused(transport=transport)
    assert "plain http to db.example.com" in message
    assert name in message
    monkeypatch.setenv("THRIVECALC_ALLOW_HTTP", "1")
    with DataStore(transport=transport) as store:
        assert store.endpoint == "http://db.example.com"
        assert not store.settings.stand_in_credentials


def test_allow_http_as_an_option():
    """`allow_http=True` permits plain http to another machine, for that store alone."""
    with DataStore(endpoint="http://db.example.com", allow_http=True) as store:
        assert store.endpoint == "http://db.example.com"
    assert "allow_http=True" in refused(endpoint="http://db.example.com")


# --- hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "db.localhost", "dynamodb", "dynamodb-local"),
        *("127.0.0.1", "127.1", "127.9.9.9", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
        *(
            "[::1]",
            "[::ffff:127.0.0.1]",
            "127\u30020\u30020\u30021",
            "\uff11\uff12\uff17.0.0.1",
            "0.0.0.0",
        ),
    ],
)
def test_this_machine_and_its_neighbours(host):
    """Plain http and stand-in credentials go to this machine, however it is spelt, and to names
    without a dot."""
    assert resolve_settings(endpoint=f"http://{host}:8000").stand_in_credentials


@pytest.mark.parametrize(
    "host",
    [
        *("134744072", "0x8080808", "0x8.0x8.0x8.0x8", "010.010.010.010", "8.8", "8.8.8.8"),
        *(
            "8\u30028\u30028\u30028",
            "\uff18.8.8.8",
            "8\uff0e8\uff0e8\uff0e8",
            "[::ffff:8.8.8.8]",
            "[2001:db8::1]",
        ),
        *("db.example.com", "com.", "localhost.example.com", "127.0.0.1.example.com"),
    ],
)
def test_another_machine(host):
    """A host is judged as the address that the resolver makes of it: numbers name the network."""
    endpoint = f"http://{host}:8000"
    with pytest.raises(ConfigurationError, match="plain http to"):
        resolve_settings(endpoint=endpoint)
    assert not resolve_settings(endpoint=endpoint, allow_http=True).stand_in_credentials


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://8%2e8%2e8%2e8:8000",
        "http://127%2e0.0.1",
        "http://99999999999",
        "http://08080808",
        "http://0x",
        "http://256.1.1.1",
        "http://1.2.3.4.5",
        f"https://{'a' * 64}.example.com",
        "https://a..b",
        "https://\ud800.example.com",
        "https://a\\b",
        "http://[::1",
        "http://[nonsense]",
        "https://db.example.com:99999",
        "ftp://db.example.com",
        "localhost:8000",
        "https://",
    ],
)
def test_no_host_at_all(transport, endpoint):
    """A host that cannot be, a port that cannot be, and what is no URL is refused at once."""
    assert "endpoint" in refused(endpoint=endpoint, transport=transport)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://me:hidden@db.example.com",
        "http://me:hidden@localhost:8000",
        "me:hidden@localhost:8000",
        "https://me:hidden@℀.example.com",
        "https://me:hidden@db.example.com:99999",
    ],
)
def test_a_password_in_the_endpoint(monkeypatch, endpoint):
    """A user name or a password in the endpoint is refused, and never shown."""
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.setenv(name, endpoint)
        message = refused()
        assert f"{name} has a user name or a password in it" in message
        assert "hidden" not in message
        monkeypatch.delenv(name)


# --- what is refused before there is a request ----------------------------------------------------


@pytest.mark.parametrize("text", ["{}\r", "{}\n", " {}", "{}\x00", "{}\N{NO-BREAK SPACE}"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DYNAMODB_TABLE_NAME", "t"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT", HERE),
        ("AWS_ENDPOINT_URL", HERE),
        ("AWS_ENDPOINT_URL_DYNAMODB", HERE),
        ("AWS_PROFILE", "dev"),
        ("AWS_ACCESS_KEY_ID", "hidden"),
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("AWS_SESSION_TOKEN", "hidden"),
        ("AWS_CA_BUNDLE", "/ca.pem"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", HERE),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_DEFAULTS_MODE", "legacy"),
        ("HTTPS_PROXY", HERE),
        ("THRIVECALC_ALLOW_HTTP", "1"),
    ],
)
def test_blanks_and_control_characters(monkeypatch, name, value, text):
    """A setting with a blank or a control character at its end is refused by name, unseen."""
    if "\x00" in text:
        monkeypatch.setattr(os, "environ", dict(os.environ) | {name: text.format(value)})
    else:
        monkeypatch.setenv(name, text.format(value))
    message = refused()
    assert message.startswith(f"{name} has ")
    assert "hidden" not in message


@pytest.mark.parametrize("name", ["table_name", "region", "endpoint"])
def test_blanks_in_arguments(name):
    """So is an argument."""
    assert refused(**{name: "http://localhost:8000 "}).startswith(f"{name} has ")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_PROFILE", "", "The config profile () could not be found"),
        ("AWS_PROFILE", "nobody", "The config profile (nobody) could not be found"),
        ("AWS_DEFAULT_PROFILE", "nobody", "The config profile (nobody) could not be found"),
        ("AWS_DEFAULTS_MODE", "fast", "fast"),
        ("AWS_REGION", "us_east_1", "us_east_1"),
        ("AWS_ENDPOINT", "http://dynamodb_local:8000", "http://dynamodb_local"),
        ("AWS_ENDPOINT_URL", "http://localhost:99999", "Port out of range"),
        ("AWS_CA_BUNDLE", "", "is empty"),
        ("REQUESTS_CA_BUNDLE", "", "is empty"),
        ("AWS_CA_BUNDLE", "/not/there.pem", "/not/there.pem"),
        ("AWS_CA_BUNDLE", __file__, "no certificates"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "soon", "soon"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv5", "ipv5"),
    ],
)
def test_what_botocore_refuses(monkeypatch, transport, name, value, says):
    """What botocore refuses before there is a request is refused when the store is made, with the
    variable and botocore's own sentence; by `doctor`, too, in a row of its own."""
    monkeypatch.setenv(name, value)
    message = refused(transport=transport)
    assert name in message
    assert says in message
    result = run("doctor", "--json", exit_code=1)
    assert '"check": "settings"' in result.stdout
    assert name in result.stdout


def test_a_broken_configuration_file(config):
    """A configuration file that cannot be read is named, with the variable that names it."""
    config("[default\nregion")
    message = refused()
    assert "AWS_CONFIG_FILE" in message
    assert os.environ["AWS_CONFIG_FILE"] in message


def test_a_services_section_that_is_not_there(config):
    """So is a services section that a profile names and nobody wrote."""
    config("[default]\nservices = near\n")
    assert '"near" services configuration does not exist' in refused()


def test_files_that_say_something_else(config):
    """A file that says something else than botocore expects never ends in an error of Python's."""
    config("[default]\nservices = x\n[services x]\ndynamodb = y\n")
    assert "the AWS configuration" in refused()


def test_botocore_in_a_zip_file(tmp_path):
    """Where a zip file hides botocore's data, that is what the error says."""
    import botocore

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        root = Path(botocore.__file__).parent
        for path in [*root.rglob("*.py"), *root.rglob("*.pem")]:
            archive.write(path, path.relative_to(root.parent))
    code = "from thrivecalc_models import DataStore\nDataStore()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "all.zip"), "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "ConfigurationError" in ran.stderr
    assert "botocore's data files" in ran.stderr


# --- a region that is not used --------------------------------------------------------------------


@pytest.mark.parametrize("by_profile", [False, True])
def test_a_region_that_does_not_count(monkeypatch, config, by_profile):
    """A region of AWS_DEFAULT_REGION or of a profile is not used, and that is said by `doctor` and
    where the table is missing."""
    if by_profile:
        config("[default]\nregion = eu-west-1\n")
        says = "the AWS configuration says region eu-west-1"
    else:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        says = "AWS_DEFAULT_REGION says region eu-west-1"
    with DataStore.local() as local, DataStore(endpoint=local.endpoint, table_name="no") as store:
        assert store.region == "us-east-1"
        with pytest.raises(TableNotFoundError, match=says):
            store.user("u").list_all()
    result = run("doctor", "--endpoint", HERE, exit_code=3)
    assert f"region: {says}: set AWS_REGION to that" in result.stdout
    with DataStore(endpoint=HERE, region="eu-west-1") as store:
        assert store.settings.other_region == ""


def test_what_was_found_holds_as_long_as_the_surroundings(monkeypatch, config):
    """A store looks at variables and files anew where they have changed since the last one."""
    for endpoint in (None, AWAY, "https://other.example.com"):
        config(f"[default]\nendpoint_url = {endpoint}\n" if endpoint else "")
        with DataStore() as store:
            assert store.endpoint == endpoint
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "AWS_PROFILE" in refused()
    monkeypatch.delenv("AWS_PROFILE")
    with DataStore() as store:
        assert store.endpoint == "https://other.example.com"
