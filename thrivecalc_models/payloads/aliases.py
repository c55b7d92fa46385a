"""Annotations, for type checkers, of fields that accept more types than they return.

To mypy and pyright each of these is a descriptor: reading returns one type, assignment accepts
another. Neither looks for a descriptor in `X | None` or `dict[str, X]`, so those have separate
names. At run time each alias is what it says.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NewType, overload

if TYPE_CHECKING:
    from collections.abc import Mapping

    AmountLike = Decimal | int | float | str
    DayLike = date | str

    class Amount(Decimal):
        """An amount, a price, a rate or a number of shares: reads as Decimal, takes any number."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Decimal: ...
        def __set__(self, instance: object, value: AmountLike) -> None: ...

    class OptionalAmount(Decimal):
        """`Amount | None`."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Decimal | None: ...
        def __set__(self, instance: object, value: AmountLike | None) -> None: ...

    class Amounts(dict[str, Decimal]):
        """`dict[str, Amount]`."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> dict[str, Decimal]: ...
        def __set__(self, instance: object, value: Mapping[str, AmountLike]) -> None: ...

    class OptionalAmounts(dict[str, Decimal]):
        """`dict[str, Amount] | None`."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> dict[str, Decimal] | None: ...
        def __set__(self, instance: object, value: Mapping[str, AmountLike] | None) -> None: ...

    class Day(date):
        """A date that also takes ISO text."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> date: ...
        def __set__(self, instance: object, value: DayLike) -> None: ...

    class OptionalDay(date):
        """`Day | None`."""

        @overload  # type: ignore[no-overload-impl]  # only type checkers see this class
        def __get__(self, instance: None, owner: type) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: type) -> date | None: ...
        def __set__(self, instance: object, value: DayLike | None) -> None: ...

else:
    Amount = NewType("Amount", Decimal)
    OptionalAmount = Amount | None
    Amounts = dict[str, Amount]
    OptionalAmounts = Amounts | None
    Day = date
    OptionalDay = Day | None
