"""Run DynamoDB on this machine: moto's server in this process, or a program that keeps its data."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.transport.process import forks_wait

_accounts = itertools.count(900_000_000_000)
_POLL_SECONDS = 0.05
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class LocalEngine:
    """An engine on this machine, which answers at `endpoint` until `close()`."""

    endpoint: str

    def close(self) -> None:
        """Stop the engine."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class EmbeddedEngine(LocalEngine):
    """moto's server in this process, with tables of its own in memory.

    It listens on `port`, or with 0 on a free one. moto keeps its data in globals. Each engine has
    its own account there, so that it shares no table with other engines or with moto's `mock_aws`;
    but entering `mock_aws` empties every engine.

    Raises ConfigurationError if moto is not installed or the port is taken.
    """

    def __init__(self, *, port: int = 0) -> None:
        self._account = str(next(_accounts))
        self._pid = os.getpid()
        self._server = _make_server(self._account, port)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._thread: threading.Thread | None = threading.Thread(
            target=self._server.serve_forever,
            args=(_POLL_SECONDS,),
            name="thrivecalc-engine",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and drop its data. In a forked child it does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._server.shutdown()
        thread.join()
        _forget(self._account)

    def __del__(self) -> None:
        """Stop an engine that is no longer referenced, with its thread and its socket."""
        thread = getattr(self, "_thread", None)
        if thread is None or self._pid != os.getpid() or sys.is_finalizing():
            return
        warnings.warn(
            "a DataStore.local(), or its engine, was dropped without close(); close it, or use it"
            " in a `with` block",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        if thread is threading.current_thread():  # which cannot wait for itself
            threading.Thread(target=_stop, args=(self._server, self._account)).start()
        else:
            self.close()


def _stop(server: Any, account: str) -> None:
    server.shutdown()
    _forget(account)


class Dynoxide(LocalEngine):
    """The program dynoxide in a process of its own; with a `path` it keeps its data in that file.

    Without `program`, the path of the program, it is searched on PATH. Raises ConfigurationError if
    it is not found or does not start, or if the port is taken.
    """

    def __init__(
        self, *, program: Path | None = None, path: Path | None = None, port: int = 0
    ) -> None:
        found = _find_dynoxide(program)
        port = _free_port(port)
        keep = [] if path is None else ["--db-path", str(path)]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(
                [found, "--port", str(port), *keep],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for us, and we end it
            )
        except OSError as error:
            self._log.close()
            raise ConfigurationError(f"{found} cannot be started: {error.strerror}") from error
        self.endpoint = f"http://127.0.0.1:{port}"
        try:
            self._wait_for(port)
        except BaseException:
            self.close()
            raise

    def ended(self) -> bool:
        """Whether the program has ended by itself."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the program; its data stay in the file, if it has one."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        self._log.seek(0)
        *_, last = self._log.read().decode(errors="replace").strip().splitlines() or ["no output"]
        raise ConfigurationError(f"dynoxide did not start: {last}")


def _find_dynoxide(program: Path | None) -> str:
    found = shutil.which(program or "dynoxide")
    if found is not None:
        return found
    if program is not None:
        raise ConfigurationError(f"there is no program {str(program)!r} that can be run")
    system = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}.get(platform.system())
    machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x64"
    package = f"@dynoxide/{system or 'YOUR-SYSTEM'}-{machine}"
    raise ConfigurationError(
        f"dynoxide is not on PATH; `npm install {package}` brings it, then give"
        f" --program node_modules/{package}/dynoxide"
    )


def _free_port(port: int) -> int:
    """Return the port if it is free, or for 0 any free one. Raises ConfigurationError."""
    try:
        with socket.create_server(("127.0.0.1", port)) as server:
            free: int = server.getsockname()[1]
    except OSError as error:
        raise ConfigurationError(
            f"port {port} of this machine cannot be used ({error.strerror}); choose another one"
        ) from error
    return free


def _make_server(account: str, port: int) -> Any:
    """Make moto's server; the caller runs it. Raises ConfigurationError."""
    try:
        with forks_wait:
            from moto.moto_server.werkzeug_app import (
                DomainDispatcherApplication,
                MotoRequestHandler,
                create_backend_app,
            )
            from werkzeug.serving import make_server
    except ImportError as missing:
        raise ConfigurationError(
            "the embedded engine is moto, which is not installed here:"
            ' pip install "thrivecalc-models[local]"'
        ) from missing

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    # werkzeug ends the process if the port is taken, so it is tried before.
    return make_server(
        "127.0.0.1",
        _free_port(port) if port else 0,
        _in_account(DomainDispatcherApplication(create_backend_app), account),
        threaded=True,
        request_handler=Quiet,
    )


def _in_account(application: Any, account: str) -> Any:
    """Return moto's application as one that uses an account, and handles one request at a time."""
    one_at_a_time = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        with one_at_a_time:  # moto checks a condition and then writes, with no lock of its own
            return application(environ, start_response)

    return answer


def _forget(account: str) -> None:
    with forks_wait:
        from moto.backends import get_backend

    for accounts in (get_backend("dynamodb"), get_backend("dynamodbstreams"), get_backend("iam")):
        regions = accounts.pop(account, None)
        if regions is not None:
            regions.clear()  # a cache of moto's holds on to what was popped
