"""Units of work, and the writes that need none."""

from thrivecalc_models.unit_of_work.outcomes import Capacity, CommitResult
from thrivecalc_models.unit_of_work.unit import UnitOfWork
from thrivecalc_models.unit_of_work.without_unit import delete_everything, perform_edit

__all__ = ["Capacity", "CommitResult", "UnitOfWork", "delete_everything", "perform_edit"]
