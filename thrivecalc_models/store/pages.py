"""Pages of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from thrivecalc_models.records import UserRecord
from thrivecalc_models.value import frozen

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = TypeVarWithDefault("P", bound=UserRecord, default=UserRecord, covariant=True)
else:
    P = TypeVar("P", bound=UserRecord, covariant=True)


@frozen
class Page(Generic[P]):
    """Some records, and the cursor of the next page, which is None at the end.

    A page may be empty while a cursor remains: expired records are left out.
    """

    records: list[P]
    cursor: str | None
