"""PynamoDB's way to the table: its models' methods, made right for what is stored here."""

from thrivecalc_models.records.pynamo.reads import PynamoReads
from thrivecalc_models.records.pynamo.writes import PynamoWrites

__all__ = ["PynamoReads", "PynamoWrites"]
