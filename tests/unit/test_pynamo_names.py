"""PynamoDB's public names: each is handled here, so that a new one cannot slip in unseen."""

from __future__ import annotations

from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.models import BatchWrite, Model

from thrivecalc_models import UserRecord

HERE = {
    "batch_get",
    "batch_write",
    "count",
    "create_table",
    "delete",
    "delete_table",
    "deserialize",
    "from_dynamodb_dict",
    "from_raw_data",
    "from_simple_dict",
    "get",
    "get_delete_kwargs_from_instance",
    "get_operation_kwargs_from_class",
    "get_save_kwargs_from_instance",
    "get_update_kwargs_from_instance",
    "query",
    "refresh",
    "save",
    "scan",
    "serialize",
    "to_dynamodb_dict",
    "to_simple_dict",
    "update",
    "update_local_version_attribute",
}
"""Methods that are this library's own, where PynamoDB's would be wrong on this table."""

RIGHT_AS_THEY_ARE = {
    "DoesNotExist": "one for each class, made by the metaclass",
    "describe_table": "goes through our connection",
    "exists": "goes through our connection",
    "get_attributes": "what was declared",
    "update_ttl": "goes through our connection",
}

OF_AN_INDEX = {
    "Meta": "name and projection",
    "count": "calls the model's",
    "query": "calls the model's",
    "scan": "calls the model's",
}

OF_A_BATCH = {"save", "delete", "commit"}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_method_of_a_model_is_handled():
    """Each public name of PynamoDB's Model is either ours or known to be right as it is."""
    assert public(Model) == HERE | RIGHT_AS_THEY_ARE.keys()


def test_what_is_said_to_be_ours_is_ours():
    """Each method listed as ours is not PynamoDB's, and the others are."""
    ours = {
        name
        for name in public(Model)
        if not getattr(UserRecord, name).__module__.startswith("pynamodb")
        and name != "DoesNotExist"
    }
    assert ours == HERE


def test_every_method_of_an_index_is_handled():
    """Each public name of PynamoDB's GlobalSecondaryIndex is known."""
    assert public(GlobalSecondaryIndex) == OF_AN_INDEX.keys()


def test_every_method_of_a_batch_is_handled():
    """Each public name of PynamoDB's BatchWrite is known."""
    assert public(BatchWrite) == OF_A_BATCH
