"""The page for those who know the TypeScript API: both columns run, and do the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from decimal import Decimal

import pytest
from places import ROOT
from printed import STRICTEST, printed

import thrivecalc_models
from thrivecalc_models import DataStore, data_store
from thrivecalc_models.codec.json_schema import as_json

PAGE = (ROOT / "docs/typescript.md").read_text(encoding="utf-8")
PAIR = re.compile(r"<!-- side by side: (.+?) -->\n```ts\n(.*?)```\n```python\n(.*?)```", re.DOTALL)
PAIRS = PAIR.findall(PAGE)
USER = "google-oauth2|123456789"

PROGRAM = """
import {{
  saveUserData, getUserData, listUserData, listAllUserData, updateUserData, deleteUserData, close,
}} from "{store}";
import type {{ SavingsGoalData }} from "./records.js";

const userId = "{user}";
const left: unknown[] = [];

async function look(): Promise<void> {{
  left.push((await listAllUserData(userId)).map(({{ dataType, data }}) => [dataType, data]));
}}

{blocks}
console.log(JSON.stringify(left));
console.error([target, goals, everything, house].length);
close();
export {{}};
"""


@pytest.fixture(scope="module")
def table(engine):
    """The settings of a fresh table, as the environment has them."""
    name = f"docs-{uuid.uuid4().hex}"
    settings = {"AWS_ENDPOINT": engine.endpoint, "DYNAMODB_TABLE_NAME": name}
    with DataStore(endpoint=engine.endpoint, table_name=name) as store:
        store.create_table()
    return settings


def after_typescript(peer, folder, settings):
    """The records after each TypeScript block, as (type, data)."""
    blocks = "\n".join(f"{code}await look();" for _, code, _ in PAIRS)
    store = (peer.home / "build/data-store.js").as_posix()
    (folder / "tsconfig.json").write_text(json.dumps(with_node(peer)))
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "records.ts").write_text(printed("typescript"), encoding="utf-8")
    program = PROGRAM.format(store=store, user=USER, blocks=blocks)
    (folder / "page.ts").write_text(program, encoding="utf-8")
    guard = PAGE.split("// with records.ts\n")[1].split("```")[0]
    imports = 'import { isSavingsGoal, type RecordEnvelope } from "./records.js";\n'
    (folder / "guard.ts").write_text(f"{imports}export {guard}", encoding="utf-8")
    assert peer.tsc(folder) == ""
    run = subprocess.run(
        ["node", str(folder / "build/page.js")],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env=os.environ | settings,
    )
    assert run.returncode == 0, run.stderr
    return [as_set(records) for records in json.loads(run.stdout)]


def with_node(peer):
    options = {**STRICTEST["compilerOptions"], "types": ["node"], "skipLibCheck": True}
    return {"compilerOptions": options}


def after_python(settings, user_id):
    """The records after each Python block, as (type, data)."""
    store = DataStore(endpoint=settings["AWS_ENDPOINT"], table_name=settings["DYNAMODB_TABLE_NAME"])
    names = {"user_id": user_id, "store": store, "Decimal": Decimal}
    names |= {name: getattr(thrivecalc_models, name) for name in thrivecalc_models.__all__}
    names |= {n: f for n, f in vars(data_store).items() if n.endswith("_user_data")}
    data_store.configure(store)
    try:
        with store:
            for _, _, code in PAIRS:
                exec(compile(code, "docs/typescript.md", "exec"), names)
                yield as_set(
                    [record.data_type, as_json(record.item["data"])]
                    for record in store.user(user_id).list_all(consistent=True)
                )
    finally:
        data_store.configure(None)


def as_set(records):
    """Records in no order, since their ids differ."""
    return sorted(json.dumps(record, sort_keys=True) for record in records)


@pytest.mark.parametrize("engine", ["dynoxide"], indirect=True)
def test_both_columns_do_the_same(peer, table, tmp_path):
    """After each example the table holds the same, whichever language ran it."""
    typescript = after_typescript(peer, tmp_path, table)
    python = list(after_python(table, "google-oauth2|987654321"))
    for (name, _, _), one, other in zip(PAIRS, typescript, python, strict=True):
        assert one == other, f"the example {name!r} does something else in Python"


def test_every_function_is_shown():
    """Each of the six functions is on the page in both languages."""
    shown = "".join(code for _, *both in PAIRS for code in both)
    for name in ["save", "get", "list", "listAll", "update", "delete"]:
        assert f"{name}UserData" in shown
        assert re.sub("([A-Z])", r"_\1", f"{name}UserData").lower() in shown
