"""The web application's data-store API, as functions with the names that TypeScript users know.

`data` is a payload or a camelCase mapping. All calls use one store, made from the environment at
the first call; `configure(store)` sets another. If the environment names no endpoint while a
`DataStore.local()` is open in this process, the calls raise ConfigurationError. Otherwise they
raise what the methods of `UserData` raise.
"""

from __future__ import annotations

import threading
from typing import Any

from thrivecalc_models import table
from thrivecalc_models.payloads import is_payload
from thrivecalc_models.records import UserRecord, default_session, set_default_session
from thrivecalc_models.records.scope import DataTypeLike, RecordId
from thrivecalc_models.store import DataStore
from thrivecalc_models.transport.process import PerProcess


class _Current:
    store: DataStore | None = None
    lock = PerProcess(threading.Lock)


def configure(store: DataStore | None) -> None:
    """Use this store from now on, here and in the class methods of the models.

    After `configure(None)` the next call makes a store from the environment again. Raises
    ConfigurationError for an AsyncDataStore.
    """
    set_default_session(None if store is None else store.session)
    _Current.store = store


def _store() -> DataStore:
    with _Current.lock.get():
        if _Current.store is None:
            _Current.store = DataStore()
            set_default_session(_Current.store.session, of_environment=True)
        default_session()
        return _Current.store


def save_user_data(user_id: str, data_type: DataTypeLike, data: Any) -> str:
    """Create a record and return its generated record id."""
    record: UserRecord = _store().user(user_id).add(data_type, data)
    return record.record_id


def get_user_data(user_id: str, data_type: DataTypeLike, record_id: RecordId) -> UserRecord | None:
    """Return the record; None if it does not exist or has expired."""
    return _store().user(user_id).get(data_type, record_id)


def list_user_data(user_id: str, data_type: DataTypeLike) -> list[UserRecord]:
    """Return all records of a type, ordered by record key."""
    return _store().user(user_id).list(data_type)


def list_all_user_data(user_id: str) -> list[UserRecord]:
    """Return all records of the user, ordered by record key."""
    return _store().user(user_id).list_all()


def update_user_data(
    user_id: str, data_type: DataTypeLike, record_id: RecordId, data: Any
) -> UserRecord:
    """Replace all of `data` by a mapping, or its declared fields by a payload's; return the record.

    Raises RecordNotFoundError if there is no such record.
    """
    user = _store().user(user_id)
    if is_payload(data, table.DATA):
        return user.set_fields(data_type, record_id, data)
    return user.replace_data(data_type, record_id, data)


def delete_user_data(user_id: str, data_type: DataTypeLike, record_id: RecordId) -> None:
    """Delete a record. A record that does not exist is no error."""
    _store().user(user_id).delete(data_type, record_id)
