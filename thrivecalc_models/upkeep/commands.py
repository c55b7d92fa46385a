"""Commands to copy, of `thrivecalc` and of AWS, for the table in use."""

from __future__ import annotations

import shlex

import attrs

from thrivecalc_models.table import Settings


@attrs.frozen
class Commands:
    """Shell commands with the table, region and endpoint in use."""

    settings: Settings

    def thrivecalc(self, *words: str, table: str | None = None) -> str:
        """Return a command of `thrivecalc`, for this table or the one that is named."""
        place = ["--table", table or self.settings.table_name, "--region", self.settings.region]
        if self.settings.endpoint is not None:
            place += ["--endpoint", self.settings.endpoint]
        return shlex.join(["thrivecalc", *words, *place])

    def aws(self, *words: str) -> str:
        """Return a command of the AWS command line interface, for this table."""
        place = ["--table-name", self.settings.table_name, "--region", self.settings.region]
        if self.settings.endpoint is not None:
            place += ["--endpoint-url", self.settings.endpoint]
        operation, *options = words
        return shlex.join(["aws", "dynamodb", operation, *place, *options])
