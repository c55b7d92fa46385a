"""Hypothesis strategies: payloads, records and stored items, of the six types and of your own.

    from hypothesis import given
    from thrivecalc_models.testing.strategies import payloads, stored_items

    @given(payloads(SavingsGoalData))
    def test_a_goal_is_shown(goal): ...

What these generate can be written and is read back equal, unless a docstring says otherwise.
Needs hypothesis, which is in the extra `test`.
"""

try:
    import hypothesis as _  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "thrivecalc_models.testing.strategies needs hypothesis; pip install"
        ' "thrivecalc-models[test]"'
    ) from missing

from thrivecalc_models.testing.strategies.fields import payloads, values_of
from thrivecalc_models.testing.strategies.records import (
    any_payload,
    odd_items,
    records,
    stored_items,
)
from thrivecalc_models.testing.strategies.values import (
    amounts,
    dates,
    names,
    plain_values,
    record_ids,
    stored_numbers,
    stored_values,
    texts,
    times_to_live,
    timestamps,
    user_ids,
)

__all__ = [
    "amounts",
    "any_payload",
    "dates",
    "names",
    "odd_items",
    "payloads",
    "plain_values",
    "record_ids",
    "records",
    "stored_items",
    "stored_numbers",
    "stored_values",
    "texts",
    "times_to_live",
    "timestamps",
    "user_ids",
    "values_of",
]
