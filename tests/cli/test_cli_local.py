"""`thrivecalc local`: an engine with the table, told by three variables, gone at Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli import DATA, run_alone

from thrivecalc_models import DataStore

NAMES = ("DYNAMODB_TABLE_NAME", "AWS_REGION", "AWS_ENDPOINT")


@pytest.fixture
def dynoxide(request):
    """Where the program is; `make engines` fetches it."""
    home = Path(request.config.getoption("--engines")) / "dynoxide/node_modules/@dynoxide"
    programs = [path / "dynoxide" for path in home.glob("*")]
    if not programs and os.environ.get("CI") != "true":
        pytest.skip("dynoxide's program is not here; `make engines` fetches it")
    return str(programs[0])


class Local:
    """A running `thrivecalc local`: the variables it printed, and how it ends."""

    def __init__(self, process):
        self._process = process
        lines = [process.stdout.readline()]
        more = 4 if lines[0].startswith("{") else 2  # an object, a member a line
        lines += [process.stdout.readline() for _ in range(more)]
        if more == 4:
            self.variables = json.loads("".join(lines))
        else:
            assert all(line.startswith("export ") for line in lines)  # so that programs get them
            pairs = [line.removeprefix("export ").rstrip("\n").split("=", 1) for line in lines]
            self.variables = dict(pairs)

    def wait(self):
        """Its exit code, and what it said on standard error, when it ends by itself."""
        _, errors = self._process.communicate(timeout=60)
        return self._process.returncode, errors

    @property
    def store(self):
        table, region, endpoint = (self.variables[name] for name in NAMES)
        return DataStore(table_name=table, region=region, endpoint=endpoint)

    def stop(self, with_signal=signal.SIGINT):
        """End it; its exit code, and what it said on standard error."""
        self._process.send_signal(with_signal)
        return self.wait()


@contextmanager
def local(*args, **variables):
    with subprocess.Popen(
        [sys.executable, "-m", "thrivecalc_models.cli", "local", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    ) as process:
        try:
            yield Local(process)
        finally:
            process.kill()


def answers(endpoint):
    try:
        parts = urlsplit(endpoint)
        socket.create_connection((parts.hostname, parts.port), timeout=1).close()
    except OSError:
        return False
    return True


def all_records(store):
    user = store.user("google-oauth2|123456789")
    return {record.record_key for record in user.list_all(include_expired=True)}


def test_the_variables_lead_to_the_table():
    """What is printed, and nothing else, leads to a table with its index, filled from the seed."""
    seed = str(DATA / "records.jsonl")
    with local("--seed", seed, "--table", "mine", AWS_ENDPOINT="http://localhost:1") as engine:
        assert list(engine.variables) == list(NAMES)
        assert engine.variables["DYNAMODB_TABLE_NAME"] == "mine"
        with engine.store as store:
            assert "savings-goal#550e8400-e29b-41d4-a716-446655440000" in all_records(store)
        done = run_alone("table", "check", "--json", env=engine.variables, exit_code=1)
        wrong = [one for one in json.loads(done.stdout)["aspects"] if one["state"] == "differs"]
        assert [one["name"] for one in wrong] == ["deletion protection"]
        code, errors = engine.stop()
    assert code == 130
    assert f"{seed}: 331 written" in errors
    assert errors.endswith("Stopped: the engine has ended, and what it held is gone.\n")
    assert "Traceback" not in errors
    assert not answers(engine.variables["AWS_ENDPOINT"])


def test_the_port_can_be_chosen():
    """The engine listens on --port; a port that is taken is said in one line, with 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_alone("local", "--port", str(port), exit_code=2)
        assert result.stderr.startswith(f"Error: port {port} of this machine cannot be used (")
        assert result.stderr.count("\n") == 1
    with local("--port", str(port)) as engine:
        assert engine.variables["AWS_ENDPOINT"] == f"http://127.0.0.1:{port}"
        assert engine.stop()[0] == 130


def test_json_for_programs():
    """With --json the variables are one JSON object."""
    with local("--json", "--table", "mine") as engine:
        assert list(engine.variables) == list(NAMES)
        assert answers(engine.variables["AWS_ENDPOINT"])
        assert engine.stop()[0] == 130


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_dynoxide_keeps_its_data(dynoxide, tmp_path, how):
    """What was stored is there again at the next start, also after SIGTERM; no engine stays."""
    path = tmp_path / "kept.db"
    command = ("--engine", "dynoxide", "--program", dynoxide, "--path", str(path))
    seed = ("--seed", str(DATA / "records.jsonl"))
    with local(*command, *seed) as engine:
        with engine.store as store:
            before = all_records(store)
        code, errors = engine.stop(how)
    assert code == 130
    assert f"Stopped: {path} has the data; the same command uses it again." in errors
    assert not answers(engine.variables["AWS_ENDPOINT"])
    with local(*command) as engine:
        with engine.store as store:
            assert all_records(store) == before != set()
        engine.stop()


def test_dynoxide_that_is_missing(tmp_path):
    """Without the program, the line says which npm command brings it and what to give then."""
    result = run_alone("local", "--engine", "dynoxide", env={"PATH": str(tmp_path)}, exit_code=2)
    assert "`npm install @dynoxide/" in result.stderr
    assert "--program node_modules/@dynoxide/" in result.stderr


def test_a_program_that_does_not_start(tmp_path):
    """A program that ends at once is told with its last line; one that is not there, too."""
    program = tmp_path / "dynoxide"
    program.write_text("#!/bin/sh\necho the file is locked >&2\nexit 1\n")
    program.chmod(stat.S_IRWXU)
    command = ("local", "--engine", "dynoxide", "--program")
    result = run_alone(*command, str(program), exit_code=2)
    assert result.stderr == "Error: dynoxide did not start: the file is locked\n"
    result = run_alone(*command, str(tmp_path / "none"), exit_code=2)
    assert "there is no program" in result.stderr


def test_an_engine_that_ends_is_told(dynoxide, tmp_path):
    """When the program ends by itself the command ends too, with 3."""
    program = tmp_path / "dynoxide"
    program.write_text(f'#!/bin/sh\n"{dynoxide}" "$@" &\necho $! > "{tmp_path}/pid"\nwait\n')
    program.chmod(stat.S_IRWXU)
    with local("--engine", "dynoxide", "--program", str(program)) as engine:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        code, errors = engine.wait()
    assert code == 3
    assert errors.endswith("Error: dynoxide has ended unexpectedly; start it again\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--path", "kept.db"), "moto stores nothing"),
        (("--seed", "/nowhere/seed.jsonl"), "/nowhere/seed.jsonl"),
        (("--port", "0"), "'--port'"),
    ],
)
def test_what_cannot_be(arguments, problem):
    """Bad arguments and a missing seed end with 2 and no engine left."""
    assert problem in run_alone("local", *arguments, exit_code=2).stderr
