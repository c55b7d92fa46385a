"""What the library prints of its types, and what it is compared with."""

from __future__ import annotations

import json
import subprocess
import sys

from places import DATA, SUPPORT

from thrivecalc_models import read_item
from thrivecalc_models.codec.json_schema import as_json

RECORDS = [json.loads(line)["Item"] for line in (DATA / "records.jsonl").read_text().splitlines()]
STRICTEST = {
    "compilerOptions": {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noUnusedLocals": True,
        "target": "es2022",
        "module": "nodenext",
        "types": [],
        "outDir": "build",
    }
}


def printed(module, *options, folder=SUPPORT):
    """What a command of the library prints, in a process of its own."""
    command = [sys.executable, "-m", f"thrivecalc_models.{module}", *options]
    environment = {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
    run = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True, env=environment
    )
    return run.stdout


def plain(item):
    return {name: as_json(form) for name, form in item.items()}


def without_extras(item):
    """The record as JSON, with the declared attributes and fields only."""
    record = read_item(item)
    whole = {
        name: form for name, form in plain(item).items() if name not in record.extra_attributes
    }
    whole["data"] = {
        name: value for name, value in whole["data"].items() if name not in record.extra_data
    }
    return whole
