"""The table and its settings, and one user's part of the table."""

from thrivecalc_models.store.async_user_data import AsyncUserData
from thrivecalc_models.store.pages import Page
from thrivecalc_models.store.stores import AsyncDataStore, DataStore, LocalOptions
from thrivecalc_models.store.user_data import UserData

__all__ = ["AsyncDataStore", "AsyncUserData", "DataStore", "LocalOptions", "Page", "UserData"]
