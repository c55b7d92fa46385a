"""BatchExecuteStatement on the simulated table, for the PartiQL that this library writes.

Any other statement is a ValidationError. A statement becomes the UpdateItem or DeleteItem of the
same meaning. Source: "PartiQL: a SQL-compatible query language for Amazon DynamoDB", Developer
Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import attrs

from thrivecalc_models import table
from thrivecalc_models.testing.capacity import Consumed, reported
from thrivecalc_models.testing.refusals import (
    CONDITION_FAILED,
    VALIDATION_ERROR,
    ConditionFailed,
    Invalid,
    Refusal,
)
from thrivecalc_models.testing.requests import (
    KEY_NAMES,
    REPEATED_IN_BATCH,
    check_distinct,
    check_parameters,
    list_of,
)
from thrivecalc_models.testing.state import Key, Storage
from thrivecalc_models.testing.writes import WriteRequest, decided, write_of
from thrivecalc_models.wire import Json

MAX_STATEMENTS: Final = 25
MAX_STATEMENT_LENGTH: Final = 8192
THROTTLED_STATEMENT: Final = "ProvisionedThroughputExceeded"

_MEMBERS: Final = ("Statement", "Parameters", "ReturnValuesOnConditionCheckFailure")


@attrs.frozen(kw_only=True)
class StatementErrors:
    """Which statements end with an error whatever they say, and whether they are performed."""

    codes: Mapping[int, str]
    applied: bool = False


NO_ERRORS: Final = StatementErrors(codes={})


def batch_execute_statement(
    storage: Storage,
    request: Json,
    *,
    errors: StatementErrors = NO_ERRORS,
    shows_stored: bool = True,
) -> Json:
    """Perform statements, each with its own outcome.

    Two statements of one key are performed, and then refused as a whole, as on DynamoDB Local.
    Without `shows_stored` no item comes with a failed condition, as on dynoxide.
    """
    known = ("Statements", "ReturnConsumedCapacity")
    check_parameters(request, known, required=("Statements",))
    entries = list_of(request["Statements"], "Statements", at_most=MAX_STATEMENTS)
    for entry in entries:
        check_parameters(entry, _MEMBERS, required=("Statement", "Parameters"))
        if len(entry["Statement"]) > MAX_STATEMENT_LENGTH:
            raise Invalid("Member must have length less than or equal to 8192")
    responses: list[Json] = []
    consumed = Consumed()
    for number, entry in enumerate(entries):
        code = errors.codes.get(number)
        response, cost = {"TableName": storage.table_name}, Consumed()
        if code is None or errors.applied:
            response, cost = _performed(storage, entry, shows_stored=shows_stored)
        if code is not None:
            response = {"TableName": storage.table_name} | _error(code, "simulated")
        responses.append(response)
        consumed += cost
    check_distinct(
        [key for entry in entries for key in keys_of_statement(entry)], REPEATED_IN_BATCH
    )
    capacity = reported(consumed, request, storage.table_name)
    body: Json = {"Responses": responses}
    return body if capacity is None else body | {"ConsumedCapacity": [capacity]}


def keys_of_statement(entry: Json) -> Iterator[Key]:
    """The key that a statement is about; none if it is not one of ours."""
    try:
        yield write_of(*_as_write(entry)).key
    except Refusal:
        return


def _performed(storage: Storage, entry: Json, *, shows_stored: bool) -> tuple[Json, Consumed]:
    named = {"TableName": storage.table_name}
    try:
        member, content = _as_write(entry)
        if content["TableName"] != storage.table_name:
            return _error("ResourceNotFound", "Requested resource not found"), Consumed()
        write = write_of(member, content)
        change = decided(storage.state, _of_stored(storage, write))
    except ConditionFailed as refusal:
        item = refusal.failure.item if shows_stored else None
        return named | _error(CONDITION_FAILED, refusal.failure.message, item), Consumed()
    except Invalid as refusal:
        return named | _error(VALIDATION_ERROR, refusal.failure.message), Consumed()
    change.apply(storage.state)
    shown = {"Item": change.new} if change.new is not None else {}
    return named | shown, change.cost


def _of_stored(storage: Storage, write: WriteRequest) -> WriteRequest:
    """The write without its condition if it deletes what is not stored: that succeeds."""
    if write.touched or write.key in storage.state.items:
        return write
    return attrs.evolve(write, condition=None)


def _error(code: str, message: str, item: Any = None) -> Json:
    error = {"Code": code, "Message": message}
    return {"Error": error if item is None else error | {"Item": item}}


# --- from PartiQL to expressions ------------------------------------------------------------------


class _Translated(NamedTuple):
    """A statement as an update or delete, whose values are numbered in the order of `?`.

    The values of the key are those of the first two terms of its condition.
    """

    member: str
    table_name: str
    update: str
    condition: str
    names: Mapping[str, str]
    values: int
    first_of_key: int


def _as_write(entry: Json) -> tuple[str, Json]:
    """The member of a transaction that means the same, as its name and its content."""
    statement = _translated(entry["Statement"])
    parameters = entry["Parameters"]
    if not isinstance(parameters, list) or len(parameters) != statement.values:
        raise Invalid("Number of parameters in request and statement don't match")
    values = {f":{number}": value for number, value in enumerate(parameters)}
    key = [values.pop(f":{statement.first_of_key + at}") for at in range(len(KEY_NAMES))]
    content: Json = {
        "TableName": statement.table_name,
        "Key": dict(zip(KEY_NAMES, key, strict=True)),
    }
    if statement.update:
        content["UpdateExpression"] = statement.update
    if statement.condition:
        content["ConditionExpression"] = statement.condition
    if statement.names:
        content["ExpressionAttributeNames"] = dict(statement.names)
    if values:
        content["ExpressionAttributeValues"] = values
    wanted = "ReturnValuesOnConditionCheckFailure"
    if wanted in entry:
        content[wanted] = entry[wanted]
    return statement.member, content


@lru_cache(maxsize=2048)
def _translated(text: str) -> _Translated:
    return _Parser(text).statement()


_TOKEN: Final = re.compile(r'(?:"(?:[^"]|"")*"|[A-Z]+|[=?,.()*]) ?')


class _Parser:
    """Reads one statement by recursive descent, and writes it as expressions."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        if "".join(self._tokens) != text or text.endswith(" "):
            raise self._problem("unexpected text")
        self._tokens = [token.rstrip(" ") for token in self._tokens]
        self._at = 0
        self._names: dict[str, str] = {}
        self._values = 0

    def statement(self) -> _Translated:
        if self._accepts("UPDATE"):
            table_name, update = self._name(), self._update()
            self._expect("WHERE")
            first, condition = self._values, self._condition()
            self._expect("RETURNING", "ALL", "NEW", "*")
            placeholder = self._placeholder(table.RECORD_KEY)
            # An update of what is not stored fails as a condition does.
            condition = [f"attribute_exists({placeholder})", *condition]
            member = "Update"
        else:
            self._expect("DELETE", "FROM")
            table_name, update, member = self._name(), "", "Delete"
            self._expect("WHERE")
            first, condition = self._values, self._condition()
        if self._at != len(self._tokens):
            raise self._problem("there is more behind its end")
        return _Translated(
            member,
            table_name,
            update,
            " AND ".join(condition),
            {placeholder: name for name, placeholder in self._names.items()},
            self._values,
            first,
        )

    def _update(self) -> str:
        clauses = []
        if self._accepts("SET"):
            clauses.append("SET " + ", ".join(self._separated(",", self._equal)))
        removed = []
        while self._accepts("REMOVE"):
            removed.append(self._path())
        if removed:
            clauses.append("REMOVE " + ", ".join(removed))
        if not clauses:
            raise self._problem("it updates nothing")
        return " ".join(clauses)

    def _condition(self) -> list[str]:
        """The terms behind those of the key, which come first."""
        for name in KEY_NAMES:
            if self._name() != name:
                raise self._problem("its condition does not begin with the key")
            self._expect("=", "?")
            self._values += 1
            if not self._accepts("AND"):
                if name == KEY_NAMES[-1]:
                    return []
                raise self._problem("its condition does not begin with the key")
        return self._separated("AND", self._term)

    def _term(self) -> str:
        if not self._accepts("("):
            return self._test()
        choices = self._separated("OR", lambda: " AND ".join(self._separated("AND", self._term)))
        self._expect(")")
        if len(choices) < 2:
            raise self._problem("it has needless parentheses")
        return f"({' OR '.join(choices)})"

    def _test(self) -> str:
        path = self._path()
        if self._accepts("IS"):
            is_stored = self._accepts("NOT")
            self._expect("MISSING")
            return f"attribute_{'' if is_stored else 'not_'}exists({path})"
        return self._equal_to(path)

    def _equal(self) -> str:
        return self._equal_to(self._path())

    def _equal_to(self, path: str) -> str:
        self._expect("=", "?")
        self._values += 1
        return f"{path} = :{self._values - 1}"

    def _path(self) -> str:
        return ".".join(map(self._placeholder, self._separated(".", self._name)))

    def _placeholder(self, name: str) -> str:
        return self._names.setdefault(name, f"#{len(self._names)}")

    def _separated(self, sign: str, part: Callable[[], str]) -> list[str]:
        parts = [part()]
        while self._accepts(sign):
            parts.append(part())
        return parts

    def _name(self) -> str:
        token = self._next()
        if not token.startswith('"'):
            raise self._problem("a name is missing")
        self._at += 1
        name = token[1:-1].replace('""', '"')
        if name.startswith(("#", ":")):
            raise Invalid(f"An expression attribute name is not defined; attribute name: {name}")
        return name

    def _accepts(self, token: str) -> bool:
        accepted = self._next() == token
        self._at += accepted
        return accepted

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if not self._accepts(token):
                raise self._problem(f"{token} is missing")

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _problem(self, what: str) -> Invalid:
        return Invalid(f"Statement wasn't well formed, can't be processed: {what}")
