"""The examples, run as a user runs them: each in a process of its own, without a terminal."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
from pathlib import Path

import httpx
import pytest
from places import ROOT
from snippets import output_of

from thrivecalc_models import AsyncDataStore

EXAMPLES = ROOT / "examples"
COLOURS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")


def run(name: str, **environment: str) -> str:
    """What an example prints; settings of a terminal are taken away."""
    inherited = {key: value for key, value in os.environ.items() if key not in COLOURS}
    utf8 = {"PYTHONIOENCODING": "utf-8"}
    return output_of(EXAMPLES / name, env=inherited | utf8 | environment)


@pytest.fixture(scope="module")
def quickstart() -> str:
    return run("quickstart.py")


def test_every_example_is_run():
    """No example is without a test here."""
    tested = Path(__file__).read_text(encoding="utf-8")
    for example in EXAMPLES.glob("*.py"):
        assert f'run("{example.name}"' in tested


def test_the_quickstart_lists_one_users_records(quickstart):
    """All six types and an unregistered one are listed, and nothing of the other user."""
    listed = quickstart.partition("3. ")[0]
    for data_type in (
        "budget",
        "net-worth-snapshot",
        "portfolio-holding",
        "profile",
        "retirement-plan",
        "savings-goal",
        "transaction",
    ):
        assert re.search(rf"^ *{data_type} ", listed, re.MULTILINE)
    assert "28 records; those of the other user" in listed
    assert "No class is defined for net-worth-snapshot" in listed
    assert "of 20,000" not in listed


def test_the_quickstart_moves_money(quickstart):
    """The plan is three requests for four records, and that is what the commit takes."""
    assert "3 requests for 4 records" in quickstart
    assert "Committed: 4 records in 3 requests" in quickstart
    assert "before: New car 6,223.02; Emergency Fund 10,659.20" in quickstart
    assert "after:  New car 5,723.02; Emergency Fund 11,159.20" in quickstart
    assert "Kept, though no class declares it: schemaVersion, source." in quickstart


def test_the_quickstart_resolves_conflicts(quickstart):
    """No deposit of either program is lost: 5,723.02 + 250 + 100 + 250 + 100."""
    assert "ConflictError: savings-goal#" in quickstart
    assert "Not applied: 1, unknown: 0." in quickstart
    assert "Stored is now 5,973.02." in quickstart
    assert "The function was called 2 times" in quickstart
    assert "after:  New car 6,423.02" in quickstart


def test_the_quickstart_without_a_terminal(quickstart):
    """No line has escape codes, and the table fits in 80 columns."""
    assert "\x1b" not in quickstart
    listed = quickstart.partition("3. ")[0]
    assert max(map(len, listed.splitlines())) <= 80


def test_the_quickstart_without_unicode():
    """Where only ASCII can be printed, it prints ASCII."""
    printed = run("quickstart.py", PYTHONIOENCODING="ascii")
    assert printed.isascii()
    assert "616,603.33" in printed


def test_the_import():
    """Good lines are stored once however often they are imported, bad ones are named."""
    printed = run("import_transactions.py")
    bad = dict(re.findall(r"^  line (\d+), ([\w.]+): ", printed, re.MULTILINE))
    assert bad == {
        "117": "data.date",
        "118": "data.date",
        "404": "data.amount",
        "405": "data.amount",
        "871": "data.amount",
        "1200": "recordId",
        "1500": "recordId",
    }
    assert "added 1,993 in 1,993 write requests; 0 were there already" in printed
    assert "added 0 in 0 write requests; 1,993 were there already" in printed
    assert "1,993 transactions are stored" in printed


def test_the_guides_functions():
    """A mapping replaces all of data, a payload keeps the rest; deleting twice is fine."""
    printed = run("guide_walkthrough.py")
    assert "Emergency Fund: 15000 of 20000" in printed
    assert "undeclared: {'color': 'teal'}" in printed
    assert "now 15500; undeclared: {}" in printed
    assert "now 'Rainy days' with 15500.5\n" in printed
    assert "read afterwards: None" in printed
    assert "RecordNotFoundError: nothing under portfolio-holding#..." in printed


def test_a_type_of_ones_own():
    """A service's own type is stored in camelCase, expires, and is noticed deep inside."""
    printed = run("own_data_type.py")
    assert "takenAt: {'S': '2025-06-30'}" in printed
    assert "{'bankName': {'S': 'First'}, 'balance': {'N': '216603.33'}" in printed
    assert "removes it in 7 years" in printed
    assert "Read back as NetWorthSnapshot" in printed
    assert "1 request for 1 record" in printed
    assert "Stored now: 215603.33" in printed
    assert "its place in the table: data.byClass.cash" in printed
    assert "2 records, then 1." in printed


def test_models_used_directly():
    """PynamoDB's own calls, a transaction over PynamoDB's connection among them, work here."""
    printed = run("pynamodb_style.py")
    assert "save, get: Emergency Fund, 0 of 20000" in printed
    assert "update with an action: 500" in printed
    assert "get of nothing: DoesNotExist" in printed
    assert "save of a stale object: ConditionalCheckFailedException" in printed
    assert "batch_write, query: 30 transactions" in printed
    assert "query with a filter: june-29, june-30" in printed
    assert "by_type: 1 goal among 31 records" in printed
    assert "TransactWrite: the goal has 800, 31 transactions" in printed


SAID = """
POST /goals       -> 201 Created
POST /goals       -> 201 Created
POST /goals       -> 201 Created
GET  /goals/fund  -> 200 OK
GET  /goals/fund  -> 304 Not Modified
POST /transfers   -> 204 No Content
PUT  /goals/fund  -> 412 Precondition Failed
POST /goals       -> 422 Unprocessable Entity
"""


def test_the_web_service_answers():
    """Sent twice a goal is stored once, an old ETag is refused, and wrong fields have places."""
    said = run("fastapi_service.py")
    assert said.startswith(SAID.lstrip())
    assert "body.name - data.name is missing, but required" in said
    assert "body.targetAmount - data.targetAmount takes a number" in said
    assert said.endswith("New Car 250\n     Emergency Fund 650\n")


def test_the_web_service_under_uvicorn():
    """The service runs under a server, which opens its store and closes it."""
    uvicorn = pytest.importorskip("uvicorn")
    made = runpy.run_path(str(EXAMPLES / "fastapi_service.py"))

    async def asked() -> httpx.Response:
        app = made["service"](AsyncDataStore.local())
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            body = {"name": "Fund", "targetAmount": 20000}
            headers = {"x-user": "u", "idempotency-key": "fund"}
            reply = await client.post("/goals", json=body, headers=headers)
        server.should_exit = True
        await serving
        return reply

    with asyncio.Runner() as runner:
        reply = runner.run(asked())
    assert reply.status_code == 201
    assert reply.json()["data"] == {"name": "Fund", "targetAmount": 20000, "currentAmount": 0}
    assert reply.headers["etag"].strip('"')
