"""What is around the command: streams, interrupts, its installation, the working directory."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from cli import Place, needs_full, on_moto, run
from click.testing import CliRunner
from machines import goal_item

from thrivecalc_models.cli.app import app

COMMAND = f"{shlex.quote(sys.executable)} -m thrivecalc_models.cli"


def shell(line: str, **options):
    """Run a line of the shell, in which `thrivecalc` is the command."""
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        ["sh", "-c", line.replace("thrivecalc", COMMAND, 1)],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


@needs_full
@pytest.mark.parametrize("words", ["--help", "--version", "infra cloudformation"])
def test_a_full_disk_is_named(words):
    """Output that does not fit on the disk is one line, which says that it is the output, and 2."""
    done = shell(f"thrivecalc {words} >/dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "Error: standard output: No space left on device\n",
    )


def test_closed_streams():
    """Closed output is refused in one line before anything is done; other streams may be closed."""
    done = shell("thrivecalc infra cloudformation >&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("Error: standard output is closed")
    done = shell("thrivecalc infra cloudformation <&- 2>&-")
    assert done.returncode == 0
    assert "Resources" in json.loads(done.stdout)
    assert shell("thrivecalc nothing 2>&-").returncode == 2


@on_moto
def test_closed_input_has_no_answer(made: Place):
    """A question that nobody can answer, since input is closed, is answered no."""
    made.fill([goal_item()])
    (user,) = {item["userId"]["S"] for item in made.items()}
    done = shell(f"thrivecalc erase {shlex.quote(user)} {shlex.join(made.options)} <&-")
    assert done.returncode == 2
    assert "nothing was deleted" in done.stderr
    assert len(made.items()) == 1


def test_nobody_reads_the_errors():
    """Where standard error is a pipe without a reader, the exit code is still the command's own."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "thrivecalc_models.cli", "nothing"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert (done.returncode, done.stdout) == (2, b"")


@on_moto
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_text_is_printed_in_any_encoding(made: Place, encoding):
    """What the encoding of the output cannot hold is an escape, in JSON one of JSON's."""
    made.fill([goal_item("Zürich→東京")])
    environment = {"PYTHONIOENCODING": encoding}
    done = shell(f"thrivecalc audit --repair {shlex.join(made.options)}", env=environment)
    assert "Traceback" not in done.stderr
    (user,) = {item["userId"]["S"] for item in made.items()}
    words = f"thrivecalc show {shlex.quote(user)} {shlex.join(made.options)}"
    done = subprocess.run(
        ["sh", "-c", words.replace("thrivecalc", COMMAND, 1)],
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u2192\\u6771\\u4eac" in done.stdout
    done = shell(f"{words} --json", env=environment)
    (record,) = json.loads(done.stdout)
    assert record["recordId"] == "Zürich→東京"


INTERRUPTS = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("module", ["attrs", "pynamodb", "rich.console", "thrivecalc_models.store"])
def test_ctrl_c_while_it_starts(tmp_path, module):
    """Ctrl-C in the first half second, during imports, is one line and 130."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS.format(module=module))
    done = shell("thrivecalc users", env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (130, "\nStopped: nothing was begun.\n")


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("1 / 0", ["ZeroDivisionError: division by zero", "broken_types.py, line 1"]),
        ("import sys\nsys.exit(3)", ["ended the process (3)"]),
        ("def (", ["SyntaxError"]),
    ],
)
def test_a_module_that_raises(tmp_path, monkeypatch, code, texts):
    """A module of --types that fails is one line that names it and what it raised, and 2."""
    (tmp_path / "broken_types.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    result = run("users", "--types", "broken_types", exit_code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: --types broken_types: ")
    assert all(text in line for text in texts)


def test_the_version_without_metadata(monkeypatch):
    """--version of a copy that was never installed is one line that says so, and 2."""
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    assert run("--version").stdout == "thrivecalc, version 0.1.0\n"
    monkeypatch.setattr(metadata, "version", missing)
    (line,) = run("--version", exit_code=2).stderr.splitlines()
    assert "thrivecalc-models is not installed" in line


def test_a_working_folder_that_is_gone(tmp_path):
    """In a directory that was removed, commands work or say in one line what they cannot find."""
    gone = tmp_path / "gone"
    gone.mkdir()
    for words, code in [
        ("infra cloudformation", 0),
        ("infra cloudformation --types json", 0),
        ("infra cloudformation --types no_such_types", 2),
        ("export --endpoint http://127.0.0.1:9 a.csv", 2),
        ("import --endpoint http://127.0.0.1:9 a.csv", 2),
    ]:
        gone.mkdir(exist_ok=True)
        done = shell(f"rmdir {gone}; thrivecalc {words} 2>&1 >/dev/null", cwd=gone)
        assert done.returncode == code, done.stdout
        assert done.stdout.count("\n") == (code != 0)
        if code:
            assert done.stdout.startswith("Error: ")
            assert words.split()[-1] in done.stdout or "working directory" in done.stdout


def test_help_does_not_need_docstrings():
    """Every text of the help is there where Python was told to drop docstrings."""
    for words in ("", "import", "backup restore", "infra iam-policy"):
        plain = shell(f"thrivecalc {words} --help").stdout
        stripped = shell(f"thrivecalc {words} --help", env={"PYTHONOPTIMIZE": "2"}).stdout
        assert stripped == plain


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["user"], "thrivecalc users"), (["table", "chek"], "thrivecalc table check")],
)
def test_a_misspelt_command_is_answered_with_the_one_meant(words, meant):
    """A command that is not there is answered with the nearest one that is."""
    result = CliRunner().invoke(app, words, prog_name="thrivecalc")
    assert result.exit_code == 2
    assert f"Did you mean `{meant}`?" in result.stderr


def test_the_shell_completes_types(tmp_path):
    """--type is completed with the registered types, those of a service's own module too."""
    (tmp_path / "my_types.py").write_text(
        "from thrivecalc_models import UserRecord\n"
        "class Pension(UserRecord, discriminator='pension'): pass\n"
    )
    words = "thrivecalc --types my_types show me --type p"
    environment = {
        "_THRIVECALC_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = shell("thrivecalc", env=environment, cwd=tmp_path)
    found = {line.partition(",")[2] for line in done.stdout.splitlines()}
    assert found == {"pension", "portfolio-holding", "profile"}


TYPES_OF_ALL = """
from thrivecalc_models import PayloadAttribute, UserRecord, payload

@payload
class PensionData:
    \"\"\"Zürich → 東京.\"\"\"
    name: str

class Pension(UserRecord, discriminator="pension"):
    data: PayloadAttribute[PensionData] = PayloadAttribute(PensionData)
"""


@needs_full
@pytest.mark.parametrize("module", ["typescript", "json_schema"])
def test_what_prints_the_types_ends_as_the_command_does(tmp_path, module):
    """Full disks, closed streams, other encodings and missing modules: as with `thrivecalc`."""
    (tmp_path / "my_types.py").write_text(TYPES_OF_ALL, encoding="utf-8")

    def printed(rest, **environment):
        line = f"{shlex.quote(sys.executable)} -m thrivecalc_models.{module} {rest}"
        return subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            cwd=tmp_path,
        )

    done = printed(">/dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "Error: standard output: No space left on device\n",
    )
    assert printed(">&-").returncode == 2
    done = printed("--types no_such_types")
    assert done.returncode == 2
    assert "--types no_such_types: No module named" in done.stderr
    done = printed("--types my_types", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Z\\u00fcrich" in done.stdout or "Z\\xfcrich" in done.stdout
    if module == "json_schema":
        assert "Zürich → 東京." in json.dumps(json.loads(done.stdout), ensure_ascii=False)
