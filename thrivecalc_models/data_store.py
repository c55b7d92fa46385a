"""The web application's data-store API, for those who know it from TypeScript.

`data` is a payload or a camelCase mapping. All calls use one store, made from the environment at
the first call; `configure(store)` sets another. If the environment names no endpoint while a
`DataStore.local()` is open in this process, the calls raise ConfigurationError.
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

    None goes back to a store made from the environment at the next call.
    """
    _Current.store = store
    set_default_session(None if store is None else store.session)


def _store() -> DataStore:
    with _Current.lock.get():
        if _Current.store is None:
            _Current.store = DataStore()
            set_default_session(_Current.store.session, of_environment=True)
        default_session()
        return _Current.store


def save_user_data(user_id: str, data_type: DataTypeLike, data: Any) -> str:
    """Create a record under a generated id, which is returned."""
    record: UserRecord = _store().user(user_id).add(data_type, data)
    return record.record_id


def get_user_data(user_id: str, data_type: DataTypeLike, record_id: RecordId) -> UserRecord | None:
    """The record, or None."""
    return _store().user(user_id).get(data_type, record_id)


def list_user_data(user_id: str, data_type: DataTypeLike) -> list[UserRecord]:
    """All records of a type, by record key."""
    return _store().user(user_id).list(data_type)


def list_all_user_data(user_id: str) -> list[UserRecord]:
    """All records of the user, by record key."""
    return _store().user(user_id).list_all()


def update_user_data(
    user_id: str, data_type: DataTypeLike, record_id: RecordId, data: Any
) -> UserRecord:
    """Replace all of `data` by a mapping, or its declared fields by a payload's.

    Raises RecordNotFoundError if there is no such record.
    """
    user = _store().user(user_id)
    if is_payload(data, table.DATA):
        return user.set_fields(data_type, record_id, data)
    return user.replace_data(data_type, record_id, data)


def delete_user_data(user_id: str, data_type: DataTypeLike, record_id: RecordId) -> None:
    """Delete what is under the key; nothing there is fine."""
    _store().user(user_id).delete(data_type, record_id)
