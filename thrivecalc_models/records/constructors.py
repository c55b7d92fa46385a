"""Types of calls that make a record, for type checkers: the record class of each payload class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

    from thrivecalc_models.payloads import (
        BudgetData,
        PortfolioHoldingData,
        ProfileData,
        RetirementPlanData,
        SavingsGoalData,
        TransactionData,
    )
    from thrivecalc_models.records.attributes import PayloadAttribute
    from thrivecalc_models.records.classes import (
        Budget,
        PortfolioHolding,
        Profile,
        RetirementPlan,
        SavingsGoal,
        Transaction,
    )
    from thrivecalc_models.records.model import UserRecord

    P = ParamSpec("P")
    R = TypeVar("R", bound=UserRecord)
    D = TypeVar("D")

    class RecordOf(UserRecord, Any, Generic[D]):  # type: ignore[misc]  # Any: see below
        """The record of a payload of a service's own class.

        Its class is known at run time only, so that it also goes where that class is asked for.
        """

        data: PayloadAttribute[D]

    class MakesRecord(Protocol[P]):
        """A call with a payload, a record, or a type and its data first."""

        @overload
        def __call__(self, given: R, /, *args: P.args, **kwargs: P.kwargs) -> R: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(self, given: type[R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, given: SavingsGoalData, /, *args: P.args, **kwargs: P.kwargs
        ) -> SavingsGoal: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, given: PortfolioHoldingData, /, *args: P.args, **kwargs: P.kwargs
        ) -> PortfolioHolding: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, given: RetirementPlanData, /, *args: P.args, **kwargs: P.kwargs
        ) -> RetirementPlan: ...
        @overload
        def __call__(self, given: ProfileData, /, *args: P.args, **kwargs: P.kwargs) -> Profile: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, given: TransactionData, /, *args: P.args, **kwargs: P.kwargs
        ) -> Transaction: ...
        @overload
        def __call__(self, given: BudgetData, /, *args: P.args, **kwargs: P.kwargs) -> Budget: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(
            self, given: str | tuple[Any, Any], /, *args: P.args, **kwargs: P.kwargs
        ) -> Any: ...
        @overload
        def __call__(self, given: D, /, *args: P.args, **kwargs: P.kwargs) -> RecordOf[D]: ...

    class _Making(Generic[P]):
        def __get__(self, instance: object, owner: type) -> MakesRecord[P]: ...

    class MakesRecordAwaited(Protocol[P]):
        """The same as a coroutine function."""

        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: R, /, *args: P.args, **kwargs: P.kwargs
        ) -> R: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: type[R], /, *args: P.args, **kwargs: P.kwargs
        ) -> R: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: SavingsGoalData, /, *args: P.args, **kwargs: P.kwargs
        ) -> SavingsGoal: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: PortfolioHoldingData, /, *args: P.args, **kwargs: P.kwargs
        ) -> PortfolioHolding: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: RetirementPlanData, /, *args: P.args, **kwargs: P.kwargs
        ) -> RetirementPlan: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: ProfileData, /, *args: P.args, **kwargs: P.kwargs
        ) -> Profile: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: TransactionData, /, *args: P.args, **kwargs: P.kwargs
        ) -> Transaction: ...
        @overload
        async def __call__(  # type: ignore[overload-overlap]
            self, given: BudgetData, /, *args: P.args, **kwargs: P.kwargs
        ) -> Budget: ...
        @overload
        async def __call__(
            self, given: str | tuple[Any, Any], /, *args: P.args, **kwargs: P.kwargs
        ) -> Any: ...
        @overload
        async def __call__(self, given: D, /, *args: P.args, **kwargs: P.kwargs) -> RecordOf[D]: ...

    class _MakingAwaited(Generic[P]):
        def __get__(self, instance: object, owner: type) -> MakesRecordAwaited[P]: ...

    def makes_record(method: Callable[Concatenate[Any, Any, P], Any]) -> _Making[P]:
        """Declare for type checkers which record class each payload class makes; nothing else."""

    def makes_record_awaited(
        method: Callable[Concatenate[Any, Any, P], Coroutine[Any, Any, Any]],
    ) -> _MakingAwaited[P]:
        """Declare the same of a coroutine function."""

else:

    def makes_record(method):
        """Declare for type checkers which record class each payload class makes; nothing else."""
        return method

    makes_record_awaited = makes_record
