"""Tables of the command, in pipes and terminals: what is copied from them stays in one piece."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

from cli import Place, on_moto, run
from hypothesis import given
from hypothesis import strategies as st
from machines import goal_item
from rich.console import Console

from thrivecalc_models.cli.common import Session
from thrivecalc_models.cli.tables import Grid

ARN = (
    "arn:aws:dynamodb:us-east-1:900000000000:table/thrivecalc-user-data/backup/01795394164768-bb58"
)
KEY = "portfolio-holding#550e8400-e29b-41d4-a716-446655440000"
LONG_KEY = "budget#my own plan for the summer of next year, with everybody who comes along"


def printed(columns, rows, *, width=80, terminal=True, keep=(), title=""):
    """What a table looks like in a terminal of that width, or in a pipe."""
    out = io.StringIO()
    kept = frozenset(columns.index(name) for name in keep)
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    Grid(title, columns, rows, frozenset(), kept).print_to(console)
    return out.getvalue()


def test_words_are_not_broken():
    """In a terminal text goes on below itself at blanks, and keys and ids stay whole."""
    what = "the payload does not fit its type, and cannot be read as it stands in the table"
    shown = printed(["key", "what"], [(KEY, what)], keep=["key"])
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert KEY in shown
    assert " ".join(shown.split(KEY)[1].split()) == what


def test_rows_become_lines_where_columns_have_no_room():
    """Where the whole keys leave no room, a row is a few lines, each column with its name."""
    rows = [("before", "2026-01-01", ARN), ("", "2026-01-02", LONG_KEY)]
    shown = printed(["name", "made", "arn"], rows, keep=["name", "arn"], title="Backups")
    assert shown.splitlines() == [
        "Backups",
        "before",
        "  made: 2026-01-01",
        "  arn:",
        ARN,
        "",
        "  made: 2026-01-02",
        "  arn:",
        f"    {LONG_KEY}" if len(LONG_KEY) <= 76 else LONG_KEY,
    ]


@given(
    st.lists(
        st.tuples(*[st.text("ab #-", max_size=60)] * 2, st.text("abc \n", max_size=120)), max_size=4
    ),
    st.integers(20, 120),
)
def test_every_word_and_key_is_whole_at_any_width(rows, width):
    """Whatever the width: each key is in one piece, and every word of the rest on one line."""
    shown = printed(["user", "key", "note"], rows, width=width, keep=["user", "key"])
    for user, key, note in rows:
        assert user.strip() in shown
        assert key.strip() in shown
        assert set(note.split()) <= set(shown.split())


def test_a_pipe_has_whole_rows_without_blanks_at_their_end():
    """Without a terminal a row is one line, as long as it is, and no line ends with a blank."""
    rows = [(KEY, "word " * 60 + "end", "x"), ("k", "short", "")]
    lines = printed(["key", "what", "more"], rows, terminal=False).splitlines()
    assert len(lines) == 4
    assert all(line == line.rstrip() for line in lines)
    assert "word " * 60 + "end" in lines[2]


@on_moto
def test_columns_is_for_terminals(made: Place, monkeypatch):
    """COLUMNS changes nothing in a pipe."""
    made.fill([goal_item(KEY.partition("#")[2])])
    before = made.run("users").stdout
    monkeypatch.setenv("COLUMNS", "30")
    assert made.run("users").stdout == before


@on_moto
def test_a_real_terminal_of_80_columns(made: Place):
    """In a terminal of 80 columns a key of 54 characters and a user id of 35 are in one piece."""
    item = goal_item("550e8400-e29b-41d4-a716-446655440000")
    item["userId"] = {"S": "google-oauth2|270091642818450806000"}
    made.fill([item])
    users = in_terminal("users", *made.options)
    assert "google-oauth2|270091642818450806000" in users
    show = in_terminal("show", item["userId"]["S"], *made.options)
    assert item["recordKey"]["S"] in show
    assert max(len(line.rstrip()) for line in show.splitlines()) <= 80


def in_terminal(*words, columns=80):
    """What the command prints to a terminal, without its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "thrivecalc_models.cli", *words]
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, stdin=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:
            break
        if not some:
            break
        shown += some
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    for style in ("\x1b[1m", "\x1b[0m", "\x1b[3m"):
        text = text.replace(style, "")
    return text


def test_json_steers_no_terminal(capsys):
    """Control characters in JSON are escapes, C1 controls and changes of direction too."""
    Session(table=None, region=None, endpoint=None, json=True).emit({"a": "\x9b1m\u202e\x7f é"})
    assert capsys.readouterr().out == '{\n  "a": "\\u009b1m\\u202e\\u007f é"\n}\n'


@on_moto
def test_stored_text_cannot_look_like_another_row(made: Place):
    """A line feed in a key, an id or a text is shown as an escape: a row stays one row."""
    item = goal_item("a\nsavings-goal#b")
    item["userId"] = {"S": "one\ntwo"}
    item["data"]["M"]["name"] = {"S": "first\nsecond"}
    made.fill([item])
    assert "one\\ntwo" in made.run("users").stdout
    shown = made.run("show", "one\ntwo", "--reveal").stdout
    assert "savings-goal#a\\nsavings-goal#b" in shown
    assert "name: first\\nsecond" in shown


def test_columns_do_not_change_the_help_of_a_pipe(monkeypatch):
    """The help is as wide in a pipe as it is, whatever COLUMNS says."""
    before = run("import", "--help").stdout
    monkeypatch.setenv("COLUMNS", "50")
    assert run("import", "--help").stdout == before
