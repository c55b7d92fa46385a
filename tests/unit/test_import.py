"""What importing the library takes: nothing that most programs never use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from places import PACKAGE, ROOT

OTHERS = ("moto", "hypothesis", "msgspec", "pycurl", "click", "rich", "pyarrow", "jsonschema")
OURS = (
    "catalogue",
    "changes",
    "cli",
    "codec.compiled",
    "codec.merging",
    "data_store",
    "exchange",
    "infra",
    "json_schema",
    "local",
    "operations.reading",
    "protocol.puts",
    "protocol.tables",
    "records.edits",
    "records.pynamo.batch",
    "testing",
    "transport.botocore",
    "transport.auto",
    "transport.bodies",
    "transport.direct",
    "typescript",
    "unit_of_work.bulk",
    "upkeep",
    "whole_table",
)


def after_import(code: str) -> Any:
    """What `code` leaves as `shown`, in a process that has imported the library alone."""
    script = f"import json, sys, thrivecalc_models\n{code}\nprint(json.dumps(shown))"
    ran = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return json.loads(ran.stdout)


def test_what_few_programs_use_is_not_loaded():
    """Importing the library loads no extra, and of its own modules only those for a user's data."""
    loaded = set(after_import("shown = sorted(sys.modules)"))
    assert "pynamodb.models" in loaded
    assert not loaded & {*OTHERS, *(f"thrivecalc_models.{name}" for name in OURS)}


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="elsewhere the source is tested")
def test_ci_tests_the_wheel():
    """In CI the suite and its processes import the installed wheel; the source is out of reach."""
    installed = sysconfig.get_path("purelib")
    assert PACKAGE.is_relative_to(installed)
    assert Path(after_import("shown = thrivecalc_models.__file__")).is_relative_to(installed)
    assert not (ROOT / "thrivecalc_models").exists()
