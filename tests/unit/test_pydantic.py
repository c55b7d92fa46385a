"""Payloads and records with pydantic, FastAPI, cattrs and msgspec: the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import attrs
import own_types
import pytest
from hypothesis import HealthCheck, given, settings

from thrivecalc_models import (
    BudgetData,
    InvalidRecordError,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnknownRecord,
    UnsafeNumberError,
    UserRecord,
    from_json,
    json_schema,
    payload,
    to_json,
)
from thrivecalc_models.cattrs import configure
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own

pydantic = pytest.importorskip("pydantic", reason="needs the extra test")
cattrs = pytest.importorskip("cattrs", reason="needs the extra test")
fastapi = pytest.importorskip("fastapi", reason="needs the extra test")
testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra test")
msgspec = pytest.importorskip("msgspec")

some = settings(suppress_health_check=list(HealthCheck), deadline=None)
GOAL = {"name": "Fund", "targetAmount": 20000, "currentAmount": 0.1, "targetDate": "2025-12-31"}
BAD = {"targetAmount": "canary", "nmae": "canary", "targetDate": "canary"}


@some
@given(own.any_payload())
def test_a_type_adapter_works_both_ways(drawn):
    """What a TypeAdapter prints is `to_json`, and it reads what `from_json` reads."""
    adapter: Any = pydantic.TypeAdapter(type(drawn))
    try:
        shown = to_json(drawn)
    except UnsafeNumberError:
        return  # of a number that JavaScript cannot hold
    assert adapter.dump_python(drawn) == shown
    assert json.loads(adapter.dump_json(drawn)) == json.loads(json.dumps(shown))
    assert adapter.validate_python(drawn) is drawn
    assert adapter.validate_python(shown) == from_json(type(drawn), shown)


def test_a_body_is_read_from_its_text():
    """JSON text becomes a payload, within models and containers too."""
    goal = from_json(SavingsGoalData, GOAL)
    assert pydantic.TypeAdapter(SavingsGoalData).validate_json(json.dumps(GOAL)) == goal
    assert pydantic.TypeAdapter(list[SavingsGoalData]).validate_python([GOAL]) == [goal]

    class Page(pydantic.BaseModel):
        goals: list[SavingsGoalData]
        first: SavingsGoalData | None = None

    # As text, the annotation is looked up in this module alone.
    page = Page.model_validate({"goals": [GOAL], "first": GOAL})
    assert (page.goals, page.first) == ([goal], goal)
    assert page.model_dump()["first"] == to_json(goal)


def test_all_that_is_wrong_is_in_one_error():
    """Every wrong field is an error with its place and its words, and none shows a value."""
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(list[SavingsGoalData]).validate_python([GOAL, BAD])
    found = {error["loc"]: error["msg"] for error in caught.value.errors()}
    with pytest.raises(InvalidRecordError) as ours:
        from_json(SavingsGoalData, BAD)
    assert found == {
        (1, path.removeprefix("data.")): str(error) for path, error in ours.value.errors.items()
    }
    assert len(found) == 4
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("payload_class", "body", "place"),
    [
        (TransactionData, {"date": "2025-01-07", "amount": 1, "tags": ["a", 1]}, ("tags", 1)),
        (BudgetData, {"name": "", "period": "", "limits": {"food": "x"}}, ("limits", "food")),
        (own_types.HouseholdData, {"people": [{"name": 1}]}, ("people", 0, "name")),
        (SavingsGoalData, [], ()),
        (SavingsGoalData, None, ()),
    ],
)
def test_an_error_has_its_place(payload_class, body, place):
    """Members of lists, maps and nested payloads are named as pydantic names places."""
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(payload_class).validate_python(body)
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_pydantic_is_no_dependency():
    """The library is imported and used without pydantic, cattrs or FastAPI."""
    code = (
        "import sys, thrivecalc_models, thrivecalc_models.cattrs;"
        "thrivecalc_models.to_json(thrivecalc_models.ProfileData());"
        "print(sys.modules.keys() & {'pydantic', 'pydantic_core', 'cattrs', 'fastapi'})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


# --- schemas --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload_class",
    [SavingsGoalData, BudgetData, own_types.EverythingData, own_types.Branch],
)
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_is_that_of_json_schema(payload_class, mode):
    """Fields, formats, words and defaults are those of the printed document, by the same names."""
    found = pydantic.TypeAdapter(payload_class).json_schema(mode=mode)
    definitions = found.pop("$defs", {})
    if "$ref" in found:
        found = definitions[payload_class.__name__]
    ours = json_schema.document()["$defs"]
    assert found == ours[payload_class.__name__]
    for name, definition in definitions.items():
        assert definition == ours[name]


def application(user: Any) -> Any:
    app = fastapi.FastAPI()

    @app.post("/goals", status_code=201)
    def add(goal: Annotated[SavingsGoalData, fastapi.Body()]) -> SavingsGoal:
        return user.add(goal)

    @app.get("/goals")
    def goals() -> list[SavingsGoal]:
        return user.list(SavingsGoal)

    @app.post("/echo")
    def echo(data: Annotated[own_types.HouseholdData, fastapi.Body()]) -> own_types.HouseholdData:
        return data

    return app


@pytest.fixture
def client():
    user = simulated_store(SimulatedTable()).user("u")
    with testclient.TestClient(application(user)) as client:
        yield client


def test_fastapi_takes_payloads_and_gives_records(client):
    """A body becomes a payload; a record is answered as `to_json` shows it."""
    made = client.post("/goals", json=GOAL)
    assert made.status_code == 201
    assert made.json()["data"] == GOAL
    assert made.json()["userId"] == "u"
    assert client.get("/goals").json() == [made.json()]
    household = {"people": [{"name": "Ada", "born": "1815-12-10"}]}
    assert client.post("/echo", json=household).json()["people"] == household["people"]


def test_fastapi_answers_with_all_that_is_wrong(client):
    """A bad body is a 422 with every wrong field, in the table's spelling, without its values."""
    refused = client.post("/goals", json=BAD)
    assert refused.status_code == 422
    assert {tuple(each["loc"]) for each in refused.json()["detail"]} == {
        ("body", "name"),
        ("body", "nmae"),
        ("body", "targetAmount"),
        ("body", "targetDate"),
    }
    assert "canary" not in refused.text


def test_openapi_describes_bodies_and_responses(client):
    """The document has the payload classes and the records by name, with formats and words."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    goal = schemas["SavingsGoalData"]
    assert goal["description"] == "An amount to be saved, by a date."
    assert goal["properties"]["targetDate"]["anyOf"][0] == {"type": "string", "format": "date"}
    record = schemas["SavingsGoal"]
    assert record["properties"]["dataType"] == {"const": "savings-goal"}
    assert record["properties"]["data"] == {"$ref": "#/components/schemas/SavingsGoalData"}
    assert "userId" in record["required"]
    assert schemas["Person"]["properties"]["born"]["anyOf"][0]["format"] == "date"


def test_a_record_is_no_body():
    """A record is refused as a body, when one comes and in the document, and says what to take."""
    app = fastapi.FastAPI()

    @app.post("/goals")
    def add(goal: Annotated[SavingsGoal, fastapi.Body()]) -> None:
        raise AssertionError("a client named a user")

    with testclient.TestClient(app) as client:
        refused = client.post("/goals", json={"userId": "other", "data": GOAL})
    assert refused.status_code == 422
    assert "take SavingsGoalData as the body" in refused.json()["detail"][0]["msg"]
    with pytest.raises(pydantic.PydanticUserError, match="take SavingsGoalData as the body"):
        app.openapi()


def test_other_records_are_responses_too():
    """A record of any type, and of none, has a schema as a response."""
    user = simulated_store(SimulatedTable()).user("u")
    note = user.add("x-note-of-pydantic", {"text": "a"})
    for record_class in (UserRecord, UnknownRecord):
        adapter: Any = pydantic.TypeAdapter(record_class)
        assert adapter.dump_python(note) == to_json(note)
        assert adapter.json_schema(mode="serialization")["properties"]["data"]["type"] == "object"


def test_a_class_that_is_no_payload_is_refused():
    """A class that derives from a payload class without `@payload` says what to do."""

    class Derived(SavingsGoalData):
        pass

    with pytest.raises(TypeError, match="decorate it with @payload"):
        pydantic.TypeAdapter(Derived)


# --- cattrs and msgspec ---------------------------------------------------------------------------


@attrs.define
class Report:
    title: str
    goals: list[SavingsGoalData]
    first: SavingsGoalData | None = None


@some
@given(own.any_payload())
def test_cattrs_converts_payloads(drawn):
    """A configured converter gives what `to_json` gives and reads what `from_json` reads."""
    converter = configure(cattrs.Converter())
    try:
        shown = to_json(drawn)
    except UnsafeNumberError:
        return  # of a number that JavaScript cannot hold
    assert converter.unstructure(drawn) == shown
    assert converter.structure(shown, type(drawn)) == from_json(type(drawn), shown)


def test_cattrs_converts_payloads_within_other_classes():
    """Payloads within attrs classes of one's own are converted, too."""
    converter = configure(cattrs.Converter())
    report = Report("r", [from_json(SavingsGoalData, GOAL)], None)
    shown = converter.unstructure(report)
    assert shown == {"title": "r", "goals": [GOAL], "first": None}
    assert converter.structure(shown, Report) == report
    with pytest.raises(InvalidRecordError) as caught:
        converter.structure(BAD, SavingsGoalData)
    assert len(caught.value.errors) == 4


def test_msgspec_takes_what_to_json_gives():
    """msgspec encodes `to_json` of a payload, and decodes what `from_json` reads."""
    goal = from_json(SavingsGoalData, GOAL)
    text = msgspec.json.encode(to_json(goal))
    assert from_json(SavingsGoalData, msgspec.json.decode(text)) == goal


def test_the_schema_has_the_words_of_fields():
    """`field(doc=...)` is the description of the field, and `stored_as` its name."""
    from thrivecalc_models import field

    @payload
    class WordsData:
        amount: int = field(stored_as="amt", doc="How much there is.")

    found = pydantic.TypeAdapter(WordsData).json_schema()
    found = found.get("$defs", {}).get("WordsData", found)
    assert found["properties"] == {
        "amt": {
            "type": "integer",
            "minimum": -(2**53) + 1,
            "maximum": 2**53 - 1,
            "description": "How much there is.",
        }
    }
    assert found["required"] == ["amt"]
