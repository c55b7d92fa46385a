"""The engines that tests run on: each started when first needed, once a run, stopped at its end.

A test that takes the fixture `engine` runs on every engine. To run on some of them only:

    @pytest.mark.parametrize("engine", ["dynamodb-local"], indirect=True)

and where one of them is wrong:

    @pytest.mark.not_on("moto", reason="accepts put and delete of one key in a batch")

An engine that cannot be had is skipped, with what is missing; with CI=true it fails the test. The
table at the end of a run says for each engine how many tests ran on it, or why none did. The same
holds for the TypeScript peer, which tests take as the fixture `peer`.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import botocore.session
import peer as typescript_peer
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from places import ROOT

STARTING_TAKES_AT_MOST = 60  # seconds
STOPPING_TAKES_AT_MOST = 10
SESSION = botocore.session.Session()  # one, which reads botocore's data files once


class EngineMissing(Exception):
    """Says in a few words why an engine cannot be had here."""


@attrs.frozen
class Engine:
    """One that answers at `endpoint`, for any credentials."""

    name: str
    version: str
    endpoint: str
    region: str = "us-east-1"
    access_key: str = "standin"  # letters and digits only, or DynamoDB Local refuses it
    secret_key: str = attrs.field(default="standin", repr=False)

    def client(self) -> Any:
        """A botocore client with credentials of its own, so that the environment needs none."""
        return SESSION.create_client(
            "dynamodb",
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def moto(directory: Path) -> Iterator[Engine]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # or it writes a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Engine("moto", importlib.metadata.version("moto"), f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def dynamodb_local(directory: Path) -> Iterator[Engine]:
    home = directory / "dynamodb-local"
    jars = list(home.glob("DynamoDBLocal-*.jar"))
    if not jars:
        raise EngineMissing("its jars are not here; `make engines` fetches them")
    if shutil.which("java") is None:
        raise EngineMissing("java is not installed")
    port = free_port()
    command = ["java", f"-Djava.library.path={home}", "-cp", f"{home}/*"]
    command += ["software.amazon.dynamodb.services.local.main.ServerRunner"]
    command += ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    with running(command, port) as endpoint:
        yield Engine("dynamodb-local", jars[0].stem.removeprefix("DynamoDBLocal-"), endpoint)


@contextmanager
def dynoxide(directory: Path) -> Iterator[Engine]:
    homes = list((directory / "dynoxide/node_modules/@dynoxide").glob("*"))
    if not homes:
        raise EngineMissing("its program is not here; `make engines` fetches it")
    port = free_port()
    with running([str(homes[0] / "dynoxide"), "--port", str(port)], port) as endpoint:
        version = json.loads((homes[0] / "package.json").read_text())["version"]
        yield Engine("dynoxide", version, endpoint)


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "moto": moto,
    "dynamodb-local": dynamodb_local,
    "dynoxide": dynoxide,
}


@contextmanager
def typescript(directory: Path) -> Iterator[typescript_peer.Peer]:
    home = directory / "typescript"
    missing = typescript_peer.why_missing(home)
    if missing:
        raise EngineMissing(missing)
    with typescript_peer.running(home) as running_peer:
        yield running_peer


STARTED: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
    **ENGINES,
    "typescript": typescript,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# The engine becomes this shell's process; beside it a watcher waits for the end of standard input,
# which comes when we close it and also when we are killed. No engine outlives its run.
WATCHED = 'exec 3<&0; (cat <&3 >/dev/null; kill $$) & exec "$@" 3<&-'


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[str]:
    """Run an engine in a session of its own, where Ctrl-C does not reach it; gives its endpoint."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            ["/bin/sh", "-c", WATCHED, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            if not answers(port, process):
                log.seek(0)
                *_, last = log.read().decode(errors="replace").strip().splitlines() or ["no output"]
                raise EngineMissing(f"it did not start: {last}")
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something accepts connections on the port, unless the process ends first."""
    deadline = time.monotonic() + STARTING_TAKES_AT_MOST
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.02)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOPPING_TAKES_AT_MOST)
    except subprocess.TimeoutExpired:
        process.kill()


# What pytest does with them.


class Engines:
    """The engines of one run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Any] = {}
        self._open = ExitStack()

    def get(self, name: str) -> Any:
        """The engine, or an EngineMissing."""
        if name not in self._known:
            try:
                self._known[name] = self._open.enter_context(STARTED[name](self._directory))
            except EngineMissing as missing:
                self._known[name] = missing
        return self._known[name]

    def close(self) -> None:
        self._open.close()


ENGINES_OF_RUN = pytest.StashKey[Engines]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        default=str(ROOT / ".engines"),
        metavar="DIRECTORY",
        help="where `make engines` has put them",
    )


def pytest_configure(config: pytest.Config) -> None:
    engines = Engines(Path(config.getoption("--engines")))
    config.stash[ENGINES_OF_RUN] = engines
    config.add_cleanup(engines.close)


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn; a test is skipped before it asks for one that is missing."""
    found = request.config.stash[ENGINES_OF_RUN].get(request.param)
    assert isinstance(found, Engine)
    return found


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest) -> typescript_peer.Peer:
    """The web application's side; a test is skipped before it asks for it where Node is missing."""
    found = request.config.stash[ENGINES_OF_RUN].get("typescript")
    assert isinstance(found, typescript_peer.Peer)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in needed(item):
        use(item, name)


def needed(item: pytest.Item) -> Iterator[str]:
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "engine" in callspec.params:
        yield callspec.params["engine"]
    if "peer" in getattr(item, "fixturenames", ()):
        yield "typescript"


def use(item: pytest.Item, name: str) -> None:
    facts: dict[str, str] = {}
    item.user_properties.append((f"engine {name}", facts))
    for mark in item.iter_markers("not_on"):
        if mark.args == (name,):
            pytest.skip(f"{name} {mark.kwargs['reason']}")
    found = item.config.stash[ENGINES_OF_RUN].get(name)
    if not isinstance(found, EngineMissing):
        facts["version"] = found.version
        return
    facts["missing"] = str(found)
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is missing, and with CI=true it must not be: {found}", pytrace=False)
    pytest.skip(f"{name} is missing: {found}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, Counter[str]] = {name: Counter() for name in STARTED}
    facts: dict[str, dict[str, str]] = {name: {} for name in STARTED}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for property, found in getattr(report, "user_properties", ()):
                name = property.removeprefix("engine ")
                if name in STARTED:
                    counts[name][outcome] += 1
                    facts[name] |= found
    terminalreporter.section("engines")
    terminalreporter.line(row("engine", "version", "ran", "passed", "failed", "skipped"))
    for name, count in counts.items():
        failed = 0 if "missing" in facts[name] else count["failed"] + count["error"]
        numbers = (count["passed"] + failed, count["passed"], failed, count["skipped"])
        version = facts[name].get("version", "-")
        terminalreporter.line(row(name, version, *numbers, why_unused(count, facts[name])))


def why_unused(count: Counter[str], facts: dict[str, str]) -> str:
    if "missing" in facts:
        return f"missing: {facts['missing']}"
    return "" if count.total() else "no test of this run needs it"


def row(name: str, version: str, *columns: object) -> str:
    *numbers, last = columns if len(columns) > 4 else (*columns, "")
    return f"{name:16}{version:>8}" + "".join(f"{n:>9}" for n in numbers) + f"   {last}".rstrip()
