"""Conditional updates and deletes as PartiQL statements, 25 to a BatchExecuteStatement.

Sources: "PartiQL update statements", "PartiQL delete statements" and "Running batch operations with
PartiQL for DynamoDB", Amazon DynamoDB Developer Guide; "BatchExecuteStatement", API Reference.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from thrivecalc_models import table
from thrivecalc_models.operations.conditions import (
    Absent,
    AllOf,
    AnyOf,
    Condition,
    Equal,
    Exists,
    IsMap,
    Path,
)
from thrivecalc_models.operations.replies import FATAL, Failure, FailureKind, Reply, Result
from thrivecalc_models.operations.requests import DeleteItem, Operation, UpdateItem
from thrivecalc_models.value import internal
from thrivecalc_models.wire import AttributeValue, Json

MAX_STATEMENT_BYTES: Final = 8192


@internal(kw_only=True)
class BatchStatements:
    """Up to 25 conditional updates and deletes of distinct keys, each with its own outcome.

    One key twice is refused as a whole after both were applied (DynamoDB Local 3.1.0).
    """

    name: ClassVar[str] = "BatchExecuteStatement"
    writes: tuple[UpdateItem | DeleteItem, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The actions that it needs, each once, as IAM names them."""
        return tuple(dict.fromkeys(map(action_of, self.writes)))

    def request(self, table_name: str) -> Json:
        return {
            "Statements": [statement_request(write, table_name) for write in self.writes],
            "ReturnConsumedCapacity": "TOTAL",
        }


def action_of(write: UpdateItem | DeleteItem) -> str:
    """IAM's name for a write in a batch of statements."""
    return "PartiQLUpdate" if isinstance(write, UpdateItem) else "PartiQLDelete"


def statement_request(write: UpdateItem | DeleteItem, table_name: str) -> Json:
    """The statement as an entry of a BatchExecuteStatement."""
    text, parameters = statement(write, table_name)
    return {
        "Statement": text,
        "Parameters": parameters,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def has_fitting_text(entry: Json) -> bool:
    """Whether the text of a statement has at most 8,192 bytes, and names that it may have.

    A longer one refuses the whole batch. A name that begins with `#` or `:` is taken for a
    placeholder, even between quotation marks (DynamoDB Local 3.1.0).
    """
    text = entry["Statement"]
    return len(text.encode()) <= MAX_STATEMENT_BYTES and '"#' not in text and '":' not in text


def statement(write: UpdateItem | DeleteItem, table_name: str) -> tuple[str, list[AttributeValue]]:
    """The text of a statement, and the values that its question marks stand for.

    It writes only what is stored: an update of a missing item fails as a condition does, and a
    delete of one succeeds.
    """
    parameters: list[AttributeValue] = []
    if isinstance(write, UpdateItem):
        clauses = [f"UPDATE {_name(table_name)}"]
        if write.sets:
            assignments = (f"{_equal(path, value, parameters)}" for path, value in write.sets)
            clauses.append("SET " + ", ".join(assignments))
        clauses += [f"REMOVE {_path(path)}" for path in write.removes]
        end = " RETURNING ALL NEW *"
    else:
        clauses, end = [f"DELETE FROM {_name(table_name)}"], ""
    key = (Equal((name,), form) for name, form in write.key.item().items())
    found = _text(AllOf((*key, write.condition or AllOf(()))), parameters)
    return f"{' '.join(clauses)} WHERE {found}{end}", parameters


# --- conditions -----------------------------------------------------------------------------------

_IS_STORED: Final = ""
"""The text of a condition that holds for every stored item, as a statement meets no other."""


def _text(condition: Condition, parameters: list[AttributeValue]) -> str:
    """The condition as PartiQL.

    There is no text for `IsMap`: a path that leads through anything else cannot be updated, which
    is a ValidationError of the statement. The stored item then says which condition it was.
    """
    match condition:
        case Exists((table.RECORD_KEY,)) | IsMap():
            return _IS_STORED
        case Exists(path):
            return f"{_path(path)} IS NOT MISSING"
        case Absent(path):
            return f"{_path(path)} IS MISSING"
        case Equal(path, value):
            return _equal(path, value, parameters)
        case AllOf(parts):
            found = (_text(part, parameters) for part in parts)
            return " AND ".join(text for text in found if text != _IS_STORED)
        case AnyOf(parts):
            own: list[AttributeValue] = []
            texts = [_text(part, own) for part in parts if not _is_gone(part)]
            if _IS_STORED in texts:
                return _IS_STORED
            parameters += own
            return texts[0] if len(texts) == 1 else f"({' OR '.join(texts)})"


def _is_gone(condition: Condition) -> bool:
    """Whether it holds only where no item is stored."""
    return isinstance(condition, Absent) and condition.path == (table.RECORD_KEY,)


def _equal(path: Path, value: AttributeValue, parameters: list[AttributeValue]) -> str:
    parameters.append(value)
    return f"{_path(path)} = ?"


def _path(path: Path) -> str:
    return ".".join(map(_name, path))


def _name(name: str) -> str:
    """A name in quotation marks, so that it may be any text: one in it is doubled."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


# --- outcomes -------------------------------------------------------------------------------------


def is_of_the_whole(failure: Failure) -> bool:
    """Whether a batch was refused as invalid, which says of no statement that it was not applied.

    What is wrong with one statement is an error of that statement alone.
    """
    return failure.kind is FailureKind.INVALID and failure.code.startswith("Validation")


def results_of(batch: BatchStatements, reply: Reply) -> list[Result]:
    """The result of each statement, as that of its write alone would be."""
    return [_result(response, reply) for response in reply.body["Responses"]]


def is_fatal(operation: Operation, result: Result) -> bool:
    """Whether every further request would meet the same, so that none is to be started.

    It is enough that one statement of a batch met it.
    """
    if isinstance(result, Failure):
        return result.kind in FATAL
    return isinstance(operation, BatchStatements) and any(
        isinstance(each, Failure) and each.kind in FATAL for each in results_of(operation, result)
    )


def _result(response: Json, reply: Reply) -> Result:
    error: Any = response.get("Error")
    if error is None:
        item = response.get("Item")
        body = {} if item is None else {"Attributes": item}
        return Reply(body=body, request_id=reply.request_id, proven=True)
    kind, again, applied_maybe = _VERDICTS.get(error["Code"], _UNEXPLAINED)
    message = error.get("Message")
    return Failure(
        kind=kind,
        code=error["Code"],
        again=again,
        applied_maybe=applied_maybe,
        message=message if isinstance(message, str) else "",
        item=error.get("Item"),
        request_id=reply.request_id,
    )


_Verdict = tuple[FailureKind, bool, bool]
"""The kind, whether the same write can succeed later, and whether it may have been applied."""

_UNEXPLAINED: Final[_Verdict] = (FailureKind.UNAVAILABLE, False, True)
_THROTTLED: Final[_Verdict] = (FailureKind.THROTTLED, True, False)
_VERDICTS: Final[dict[str, _Verdict]] = {
    "ConditionalCheckFailed": (FailureKind.CONDITION_FAILED, False, False),
    "DuplicateItem": (FailureKind.CONDITION_FAILED, False, False),
    "ValidationError": (FailureKind.INVALID, False, False),
    "ItemCollectionSizeLimitExceeded": (FailureKind.INVALID, False, False),
    "AccessDenied": (FailureKind.DENIED, False, False),
    "ResourceNotFound": (FailureKind.NO_TABLE, False, False),
    "ProvisionedThroughputExceeded": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "ThrottlingError": _THROTTLED,
    "TransactionConflict": (FailureKind.TRANSACTION_CONFLICT, True, False),
    "InternalServerError": (FailureKind.UNAVAILABLE, True, True),
}
"""Source: BatchStatementError, Amazon DynamoDB API Reference."""
