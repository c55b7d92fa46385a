"""PynamoDB's methods for the table itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynamodb.exceptions import TableError

from thrivecalc_models.operations.requests import Call
from thrivecalc_models.protocol import ServiceFailure
from thrivecalc_models.records.pynamo.connection import StoreTable, table_of
from thrivecalc_models.records.session import default_session
from thrivecalc_models.transport.process import forks_wait

if TYPE_CHECKING:
    from pynamodb.models import Model
else:
    Model = object  # a part of UserRecord, not a model that PynamoDB would have to examine, too

SECONDS_BETWEEN_LOOKS = 2.0
"""Between looks at a table that is being deleted."""


class PynamoTable(Model):
    """The table: made as `DataStore.create_table()` makes it, and deleted."""

    @classmethod
    def _get_connection(cls) -> StoreTable:
        return table_of(default_session())

    @classmethod
    def create_table(
        cls,
        wait: bool = False,
        read_capacity_units: int | None = None,
        write_capacity_units: int | None = None,
        billing_mode: str | None = None,
        ignore_update_ttl_errors: bool = False,
    ) -> None:
        """Make the table with index, on-demand billing, TTL and recovery, or what is missing of it.

        It returns when the table is active, with or without `wait`, since TTL needs that.
        """
        capacity = (read_capacity_units, write_capacity_units)
        if capacity != (None, None) or billing_mode not in (None, "PAY_PER_REQUEST"):
            raise ValueError(
                "this table is billed on demand; make one with provisioned capacity by your"
                " infrastructure code"
            )
        with forks_wait:
            from thrivecalc_models.protocol.tables import (
                ensure_table,  # few programs make the table
            )

        session = default_session()
        name = session.settings.table_name
        connection = table_of(session).connection
        try:
            connection.perform("CreateTable", ensure_table(name, session.retry, session.rng))
        except ServiceFailure as failed:
            if ignore_update_ttl_errors and "TimeToLive" in failed.operation:
                return
            failure = failed
        else:
            return
        cause = connection.exception(Call(failure.operation, {"TableName": name}), failure.failure)
        raise TableError(f"Failed to create table: {cause}", cause) from cause

    @classmethod
    def delete_table(cls, *, wait: bool = False) -> Any:
        """Delete the table and everything in it; with `wait`, until it is gone."""
        table = cls._get_connection()
        result = table.delete_table()
        while wait and cls.exists():
            table.connection.wait(SECONDS_BETWEEN_LOOKS)
        return result
