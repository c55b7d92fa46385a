"""PynamoDB's methods for the table itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynamodb.exceptions import TableError

from thrivecalc_models.protocol import ServiceFailure
from thrivecalc_models.records.pynamo.connection import StoreTable, table_of
from thrivecalc_models.records.session import default_session
from thrivecalc_models.transport.process import forks_wait

if TYPE_CHECKING:
    from pynamodb.models import Model
else:
    Model = object  # a part of UserRecord, not a model that PynamoDB would have to examine, too

SECONDS_BETWEEN_LOOKS = 2.0
"""Between two requests for the state of a table that is being deleted."""


class PynamoTable(Model):
    """Create the table, as `DataStore.create_table()` does, and delete it."""

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
        """Create the table with index, on-demand billing, TTL and recovery; add what is missing.

        Returns when the table is active, with or without `wait`: TTL needs an active table. Raises
        ValueError for provisioned capacity, and TableError.
        """
        capacity = (read_capacity_units, write_capacity_units)
        if capacity != (None, None) or billing_mode not in (None, "PAY_PER_REQUEST"):
            raise ValueError(
                "this table is billed on demand; make one with provisioned capacity by your"
                " infrastructure code"
            )
        with forks_wait:
            from thrivecalc_models.protocol.tables import ensure_table  # seldom used

        session = default_session()
        connection = table_of(session).connection
        protocol = ensure_table(session.settings.table_name, session.retry, session.rng)
        try:
            connection.perform("CreateTable", protocol)
            return
        except ServiceFailure as failed:
            if ignore_update_ttl_errors and "TimeToLive" in failed.operation:
                return
            cause = connection.exception(failed.operation, failed.failure)
        raise TableError(f"Failed to create table: {cause}", cause) from cause

    @classmethod
    def delete_table(cls, *, wait: bool = False) -> Any:
        """Delete the table and all of its items; with `wait`, return when it is gone."""
        table = cls._get_connection()
        result = table.delete_table()
        while wait and cls.exists():
            table.connection.wait(SECONDS_BETWEEN_LOOKS)
        return result
