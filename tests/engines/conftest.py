"""On an engine the table, the store and the user are those of `stored`, not simulated ones."""

from stored import async_store, proxy, store, table, user

__all__ = ["async_store", "proxy", "store", "table", "user"]
