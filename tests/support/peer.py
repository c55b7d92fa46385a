"""The web application's side of the table: the program of `tests/typescript`, driven line by line.

A test that takes the fixture `peer` runs only where Node is there; see `engines` for what is said
and done otherwise. One program serves a whole run.
"""

from __future__ import annotations

import filecmp
import json
import select
import shutil
import subprocess
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
from places import TESTS

SOURCE = TESTS / "typescript"
ANSWERS_WITHIN = 60  # seconds


class Undefined:
    """JavaScript's undefined; `UNDEFINED` is the only one."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


class BigInt(int):
    """JavaScript's bigint; other numbers are Decimals here."""


class TypeScriptError(Exception):
    """What the peer threw: `name` and message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


@attrs.frozen
class Peer:
    """The running program."""

    home: Path
    version: str
    _process: subprocess.Popen[bytes]
    _log: Any

    def call(self, name: str, *args: Any, at: dict[str, str] | None = None) -> Any:
        """Have the peer do something, and give back its answer. Raises TypeScriptError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"at": at or {}, "call": name, "args": args})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], ANSWERS_WITHIN)[0]:
            raise TimeoutError(f"the TypeScript peer did not answer {name}")
        reply = self._process.stdout.readline()
        if not reply:
            self._log.seek(0)
            raise ConnectionError(f"the TypeScript peer ended: {self._log.read().decode()}")
        answer = json.loads(reply)
        if "error" in answer:
            raise TypeScriptError(answer["error"]["name"], answer["error"]["message"])
        return answer["ok"]

    def on_table(self, name: str, *args: Any, at: dict[str, str]) -> Any:
        """One of the six functions, with JavaScript's values for arguments and answer."""
        return from_javascript(self.call(name, *map(to_javascript, args), at=at))

    def tsc(self, directory: Path, *options: str) -> str:
        """What the compiler has to say about a folder with a tsconfig.json: nothing is good."""
        (directory / "node_modules").symlink_to(self.home / "node_modules")
        compiler = self.home / "node_modules/typescript/bin/tsc"
        command = ["node", str(compiler), "--project", str(directory), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def to_javascript(value: Any) -> Any:
    """A Python value as the peer reads it: Decimals are numbers, dicts are objects."""
    match value:
        case None | bool() | str():
            return value
        case Undefined():
            return ["undefined"]
        case BigInt():
            return ["bigint", str(value)]
        case int() | float() | Decimal():
            return ["number", str(Decimal(str(value)))]  # Infinity, as JavaScript has it
        case bytes():
            return ["bytes", b64encode(value).decode()]
        case list():
            return ["list", [to_javascript(inner) for inner in value]]
        case set():
            return ["set", [to_javascript(inner) for inner in value]]
        case dict():
            return ["map", [[name, to_javascript(inner)] for name, inner in value.items()]]
    raise TypeError(f"JavaScript has no {type(value).__name__}")


def from_javascript(tagged: Any) -> Any:
    if not isinstance(tagged, list):
        return tagged
    kind, *content = tagged
    match kind:
        case "undefined":
            return UNDEFINED
        case "number":
            return Decimal(content[0])
        case "bigint":
            return BigInt(content[0])
        case "bytes":
            return b64decode(content[0])
        case "list":
            return [from_javascript(inner) for inner in content[0]]
        case "set":
            return {from_javascript(inner) for inner in content[0]}
        case "map":
            return {name: from_javascript(inner) for name, inner in content[0]}
    raise TypeError(f"no value is called {kind}")


def why_missing(home: Path) -> str | None:
    """Why the peer cannot be started from there, if so."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (home / "build/peer.js").exists():
        return "its program is not here; `make engines` builds it"
    sources = [path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file()]
    _, changed, absent = filecmp.cmpfiles(SOURCE, home, map(str, sources), shallow=False)
    if changed or absent:
        return f"{[*changed, *absent][0]} has changed since; `make engines` builds it anew"
    return None


@contextmanager
def running(home: Path) -> Iterator[Peer]:
    """The program, in a session of its own; it ends when its input does, even if we are killed."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            ["node", str(home / "build/peer.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            bufsize=0,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Peer(home, version.stdout.strip().removeprefix("v"), process, log)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
