"""The command as a whole: its help, how it may end, and what it prints where."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import click
import pytest
from cli import Place, on_moto, run, run_alone, sample_items
from click.testing import CliRunner
from machines import goal_item
from proxy import FaultyProxy, always

from thrivecalc_models.cli import table_commands
from thrivecalc_models.cli.app import COMMANDS, app
from thrivecalc_models.testing import faults


def all_commands(group=app, path=()):
    """Every command with the words that lead to it."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            yield from all_commands(group.get_command(context, name), (*path, name))


PATHS = [path for path, _ in all_commands()]
LEAVES = {path: one for path, one in all_commands() if not isinstance(one, click.Group)}


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_help_fits_80_columns(path):
    """The help of each command and group is whole sentences of at most 80 columns."""
    text = run(*path, "--help", terminal_width=80).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: app {' '.join(path)}".rstrip())
    first = text.split("\n\n")[1].strip()
    assert first[0].isupper() or first.startswith("`")
    assert first.endswith((".", ":"))
    assert run(*path, "-h").stdout == run(*path, "--help").stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_is_explained(path):
    """Each option has a line of help, and says what its value is."""
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_takes_the_same_options(path):
    """The table can be named for all commands, and results are there as JSON."""
    names = {option for parameter in LEAVES[path].params for option in parameter.opts}
    wanted = {"--table", "--region", "--endpoint", "--json"}
    if path == ("local",):
        wanted -= {"--endpoint"}  # it is what makes one
    assert wanted <= names


def test_the_list_is_what_there_is():
    """The help's line of each command is the beginning of what the command says itself."""
    shown = run("--help").stdout
    for entry in COMMANDS:
        assert f"  {entry.name}" in shown
        assert entry.help in " ".join(shown.split())
        assert len(entry.help) <= 68


def test_help_imports_no_command():
    """Help and completion start fast: the modules of the commands are not imported for them."""
    code = (
        "import sys\n"
        "from thrivecalc_models.cli.app import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "names = {name for name in sys.modules if name.startswith('thrivecalc_models.cli.')}\n"
        "print(sorted(names), 'pyarrow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (
        "['thrivecalc_models.cli.app', 'thrivecalc_models.cli.common',"
        " 'thrivecalc_models.cli.tables'] False"
    )


@pytest.mark.parametrize(("words", "code"), [("infra iam-policy", 0), ("show", 2)])
def test_a_warm_process_is_like_a_cold_one(words, code):
    """The process that forks for the tests' calls prints and ends as one that starts anew."""
    command = [sys.executable, "-m", "thrivecalc_models.cli", *words.split()]
    cold = subprocess.run(command, capture_output=True, text=True)
    done = run_alone(*words.split(), exit_code=code)
    assert (done.stdout, done.stderr, code) == (cold.stdout, cold.stderr, cold.returncode)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("thrivecalc ", {entry.name for entry in COMMANDS}),
        ("thrivecalc ta", {"table"}),
        ("thrivecalc table ", {"create", "check"}),
        ("thrivecalc table check --re", {"--region"}),
    ],
)
def test_the_shell_completes(words, found):
    """Commands, their parts and options are completed, as click does it."""
    environment = {
        "_THRIVECALC_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    lines = run_alone(env=environment).stdout.splitlines()
    assert {line.partition(",")[2] for line in lines} == found


def test_without_click_or_rich():
    """Where the extra is not installed, one line says how to install it."""
    for missing in ("click", "rich"):
        code = f"import sys; sys.modules['{missing}'] = None\n"
        code += "from thrivecalc_models.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr == (
            f"Error: this command needs {missing}, which is not installed here:"
            ' pip install "thrivecalc-models[cli]"\n'
        )


@pytest.mark.parametrize(
    "args", [("nothing",), ("table", "nothing"), ("table", "check", "--nothing"), ("show",)]
)
def test_usage_ends_with_2(args):
    """What cannot be understood ends with 2, without a traceback."""
    assert "Error: " in run_alone(*args, exit_code=2).stderr


def test_settings_that_cannot_work_end_with_2():
    """A setting that is refused before anything is sent is one line, and 2."""
    result = run_alone("table", "check", "--endpoint", "http://example.com", exit_code=2)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: plain http to example.com")


def test_no_credentials_end_with_3():
    """Without credentials for the real service, one line says what to set, and it ends with 3."""
    (line,) = run_alone("table", "check", exit_code=3).stderr.splitlines()
    assert line.startswith("Error: DescribeTable was not sent (NoCredentialsError)")
    assert "set AWS_ACCESS_KEY_ID" in line


def test_nobody_answers():
    """Where nothing listens, it ends with 3 and a line that says where."""
    result = run_alone("users", "--endpoint", "http://127.0.0.1:9", exit_code=3)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Scan of segment 0 of 4 got no good answer")
    assert "endpoint http://127.0.0.1:9" in line


@on_moto
def test_a_denied_action_ends_with_3(made):
    """A denied action is one line that names the action and whose policy has it."""
    with FaultyProxy(made.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), "DescribeTable")
        result = made.through(proxy.endpoint).run("table", "check", exit_code=3)
    (line,) = result.stderr.splitlines()
    assert "dynamodb:DescribeTable" in line
    assert "thrivecalc infra iam-policy --for operator" in line


@on_moto
def test_ctrl_c_says_what_is_left(place, monkeypatch):
    """Ctrl-C ends with 130 and a line: what it leaves, and that the same command continues."""

    def interrupted(whole):
        raise KeyboardInterrupt

    monkeypatch.setattr(table_commands, "make_table", interrupted)
    result = place.run("table", "create", exit_code=130)
    assert result.stderr == (
        "\nStopped: what was made stays; the same command adds what is missing.\n"
    )


@on_moto
def test_a_file_that_cannot_be_read_is_one_line(place, monkeypatch):
    """An OSError names the file and the reason, and ends with 2."""

    def fails(whole):
        raise OSError(28, "No space left on device", "records.jsonl")

    monkeypatch.setattr(table_commands, "check_table", fails)
    result = place.run("table", "check", exit_code=2)
    assert result.stderr == "Error: records.jsonl: No space left on device\n"


@on_moto
def test_mistakes_of_ours_keep_their_traceback(place, monkeypatch):
    """An error that is no trouble of the user's is not made pretty."""

    def broken(whole):
        raise ZeroDivisionError

    monkeypatch.setattr(table_commands, "check_table", broken)
    result = CliRunner().invoke(app, ["table", "check", *place.options])
    assert isinstance(result.exception, ZeroDivisionError)


@on_moto
def test_no_colours_but_in_a_terminal(made):
    """Colours come with a terminal only, whatever FORCE_COLOR says."""
    words = ["table", "check", *made.options]
    run_alone(*words, exit_code=1, env={"FORCE_COLOR": "1"})
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    subprocess.run(
        [sys.executable, "-m", "thrivecalc_models.cli", *words], stdout=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert b"\x1b[" in shown
    assert b"deletion protection" in shown


@on_moto
def test_lines_are_not_broken_without_a_terminal(place: Place):
    """A line that is piped elsewhere is as long as it needs to be."""
    result = place.run("doctor", exit_code=1)
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("versions")]
    assert "python" in line
    assert "msgspec" in line
    assert len(line) > 80


@on_moto
def test_a_reader_that_has_gone(made):
    """When whoever reads the output has gone, the command ends quietly, with 141 as of SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "thrivecalc_models.cli", "table", "check", *made.options],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


@on_moto
def test_nothing_stored_steers_the_terminal(made):
    """Control characters of a stored user id are shown as text."""
    user = "evil\x1b]0;title\x07|1"
    made.fill([{"userId": {"S": user}, "recordKey": {"S": "a#1"}, "dataType": {"S": "a"}}])
    shown = made.run("users").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "evil\\x1b]0;title\\x07|1" in shown


def names_in(value):
    """Every name in some JSON, but not those of items as they are stored."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            if name != "item":
                yield from names_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from names_in(member)


@on_moto
def test_json_has_one_spelling(made, tmp_path):
    """Names in --json are spelled as in the table, and the way out has one name everywhere."""
    place, path = made, str(tmp_path / "a.jsonl")
    user = "google-oauth2|555000111222333444"
    place.fill(sample_items("odd-items.jsonl"))
    found = {
        words: json.loads(
            CliRunner().invoke(app, [*words.split(), *place.options, "--json"]).stdout
        )
        for words in (
            "users",
            f"show {user} --reveal",
            "audit --all --repair",
            "table check",
            "backup create",
            "backup list",
            f"backup restore --latest --into {place.name}-2",
            "doctor",
            "cost --measure",
            f"export {path}",
            f"import {path} --check",
            f"erase {user} --yes",
        )
    }
    for words, value in found.items():
        names = {name for name in names_in(value) if not name.startswith("google-oauth2")}
        assert not {name for name in names if "_" in name}, words
        assert "wayOut" in names or not {"mend", "way_out"} & names, words
    assert {"wayOut"} <= set(names_in(found["table check"])) & set(names_in(found["doctor"]))


def test_nothing_of_a_file_steers_the_terminal(tmp_path):
    """Control characters in the name of a file, in its header and in arguments are escapes."""
    path = tmp_path / "a\x1b[31m.csv"
    path.write_text("userId,recordKey,\x1b]0;title\x07\n")
    result = run("import", str(path), exit_code=2)
    assert "a\\x1b[31m.csv" in result.stderr
    assert "\\x1b]0;title\\x07" in result.stderr
    for words in (("us\x1bers",), ("users", "\x1b"), ("users", "--segments", "\x1b")):
        result = run(*words, exit_code=2)
        assert "\x1b" not in result.stderr


OWN_TYPES = """
from thrivecalc_models import PayloadAttribute, UserRecord, payload

@payload
class PensionData:
    provider: str

class Pension(UserRecord, discriminator="pension"):
    data: PayloadAttribute[PensionData] = PayloadAttribute(PensionData)
"""


@on_moto
def test_types_of_a_service_can_be_named(made, tmp_path):
    """A module with a service's own types, in the working directory, makes them known."""
    stored = goal_item("p") | {"dataType": {"S": "pension"}, "recordKey": {"S": "pension#p"}}
    made.fill([stored | {"data": {"M": {"provider": {"S": "P"}}}}])
    (tmp_path / "my_types.py").write_text(OWN_TYPES, encoding="utf-8")
    assert "unknown-type" in made.run("audit", exit_code=1).stdout
    command = [sys.executable, "-m", "thrivecalc_models.cli"]
    for words in (["--import", "my_types", "audit"], ["audit", "--types", "my_types"]):
        subprocess.run(
            [*command, *words, *made.options],
            cwd=tmp_path,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def test_a_module_that_is_not_there():
    """A module that cannot be imported is one line, with its name."""
    for words in (("--import", "no_such_module", "users"), ("users", "--types", "no_such_module")):
        result = run(*words, exit_code=2)
        assert result.stderr == (
            "Error: --types no_such_module: No module named 'no_such_module'\n"
        )
