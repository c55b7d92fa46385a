"""Units of work: collect changes, and commit them."""

from thrivecalc_models.unit_of_work.outcomes import Capacity, CommitResult
from thrivecalc_models.unit_of_work.unit import AsyncUnitOfWork, UnitOfWork

__all__ = ["AsyncUnitOfWork", "Capacity", "CommitResult", "UnitOfWork"]
