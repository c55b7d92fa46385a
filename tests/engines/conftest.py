"""On an engine the table, the store and the user are those of `stored`, not simulated ones."""

from stored import proxy, store, table, user

__all__ = ["proxy", "store", "table", "user"]
