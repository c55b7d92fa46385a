"""What every test has around it: the engines, a clean environment, and Hypothesis' profiles."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

pytest_plugins = ["engines", "leaks", "cli", "pytester", "shells", "simulated", "transports"]

settings.register_profile("dev", max_examples=50, deadline=1000)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("again", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("dev")

SETTINGS = ("AWS_", "DYNAMODB_", "PYNAMODB_", "THRIVECALC_", "REQUESTS_CA_BUNDLE")


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of the developer's own account is seen or asked for; a test sets what it needs."""
    if os.environ.get("CI") == "true":
        settings.load_profile("ci" if config.getoption("--transport") == "auto" else "again")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start inherits this
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
