"""What every test has around it: the engines, a clean environment, and Hypothesis' profiles."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from thrivecalc_models.transport import choice

pytest_plugins = ["engines", "leaks", "cli", "pytester"]

settings.register_profile("dev", max_examples=50, deadline=1000)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

SETTINGS = ("AWS_", "DYNAMODB_", "PYNAMODB_", "THRIVECALC_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=["auto", "botocore"],
        default="auto",
        help="what stores of these tests take for transport='auto', which else is the direct one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of the developer's own account is seen or asked for; a test sets what it needs."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    if config.getoption("--transport") == "botocore":
        choice.find_hook = lambda: "these tests are to run on botocore"
