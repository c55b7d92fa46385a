"""DynamoDB in this process: moto's server on a free port of this machine."""

from __future__ import annotations

import itertools
import os
import threading
from types import TracebackType
from typing import Any

from thrivecalc_models.errors import ConfigurationError

_accounts = itertools.count(900_000_000_000)
_POLL_SECONDS = 0.05


class EmbeddedEngine:
    """An engine with tables of its own, at `endpoint` until `close()`. It keeps nothing on disk.

    moto keeps its data in globals; an account of its own keeps each engine apart from the others
    and from the account of moto's `mock_aws`, which empties every engine when it is entered.
    Raises ConfigurationError where moto is not installed.
    """

    endpoint: str

    def __init__(self) -> None:
        self._account = str(next(_accounts))
        self._pid = os.getpid()
        self._server = _make_server(self._account)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._thread: threading.Thread | None = threading.Thread(
            target=self._server.serve_forever,
            args=(_POLL_SECONDS,),
            name="thrivecalc-engine",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and drop its data. A forked child leaves its parent's engine alone."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._server.shutdown()
        thread.join()
        _forget(self._account)

    def __enter__(self) -> EmbeddedEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _make_server(account: str) -> Any:
    try:
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

    application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def in_account(environ: dict[str, Any], start_response: Any) -> Any:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        with one_at_a_time:  # moto checks a condition and then writes, with no lock of its own
            return application(environ, start_response)

    class Quiet(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    return make_server("127.0.0.1", 0, in_account, threaded=True, request_handler=Quiet)


def _forget(account: str) -> None:
    from moto.backends import get_backend

    for accounts in (get_backend("dynamodb"), get_backend("dynamodbstreams"), get_backend("iam")):
        regions = accounts.pop(account, None)
        if regions is not None:
            regions.clear()  # a cache of moto's holds on to what was popped
