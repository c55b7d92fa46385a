"""What changed in the table: its stream's records as typed changes, for AWS Lambda."""

from thrivecalc_models.changes.change import Change, Kind
from thrivecalc_models.changes.handlers import Changes

__all__ = ["Change", "Changes", "Kind"]
