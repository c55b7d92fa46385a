"""The transport of a run of these tests is the one that its command names."""

from __future__ import annotations

import subprocess
import sys

from thrivecalc_models import DataStore

ASKED = """
from thrivecalc_models import DataStore
with DataStore(endpoint="http://127.0.0.1:9") as store:
    print(store.transport)
"""


def expected(config):
    return "direct: " if config.getoption("--transport") == "auto" else "botocore: botocore has a"


def test_stores_of_this_run(pytestconfig):
    """A store that may choose takes the transport that the run is for."""
    with DataStore(endpoint="http://127.0.0.1:9") as store:
        assert store.transport.startswith(expected(pytestconfig))


def test_stores_of_processes_of_this_run(pytestconfig):
    """So does a store in a process that a test starts."""
    ran = subprocess.run(
        [sys.executable, "-c", ASKED], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert ran.stdout.startswith(expected(pytestconfig))
