"""PynamoDB's model methods, corrected for this table."""

from thrivecalc_models.records.pynamo.reads import PynamoReads
from thrivecalc_models.records.pynamo.writes import PynamoWrites

__all__ = ["PynamoReads", "PynamoWrites"]
