"""The six functions of the web application's data-store guide, in Python.

If you know the TypeScript API: only the spelling of the names differs, and `data` is a camelCase
mapping, as it is stored. The functions also accept a typed payload.

    python examples/guide_walkthrough.py
"""

from __future__ import annotations

from thrivecalc_models import DataStore, RecordNotFoundError, SavingsGoalData, data_store
from thrivecalc_models.data_store import (
    delete_user_data,
    get_user_data,
    list_all_user_data,
    list_user_data,
    save_user_data,
    update_user_data,
)

USER_ID = "google-oauth2|123456789"


def main() -> None:
    with DataStore.local() as store:
        # A service leaves this out; the functions then make a store from the environment.
        data_store.configure(store)
        try:
            walk()
        finally:
            data_store.configure(None)


def walk() -> None:
    print("saveUserData: store a savings goal under a new id")
    goal = {
        "name": "Emergency Fund",
        "targetAmount": 20000,
        "currentAmount": 15000,
        "targetDate": "2025-12-31",
        "color": "teal",  # not declared in Python, but stored as well
    }
    goal_id = save_user_data(USER_ID, "savings-goal", goal)
    holding_id = save_user_data(USER_ID, "portfolio-holding", {"symbol": "VTI", "shares": 100})
    print(f"  a goal and a holding are stored; their ids have {len(goal_id)} characters")

    print("getUserData: read it back as a typed record")
    record = get_user_data(USER_ID, "savings-goal", goal_id)
    print(f"  {record.data.name}: {record.data.current_amount} of {record.data.target_amount}")
    print(f"  by {record.data.target_date:%d %B %Y}; undeclared: {record.extra_data}")

    print("listUserData: all of one type")
    print(f"  {len(list_user_data(USER_ID, 'savings-goal'))} savings goal")

    print("listAllUserData: all of the user")
    print(f"  {', '.join(record.data_type for record in list_all_user_data(USER_ID))}")

    print("updateUserData with a mapping: replaces all of data")
    smaller = {"name": "Emergency Fund", "targetAmount": 20000, "currentAmount": 15500}
    record = update_user_data(USER_ID, "savings-goal", goal_id, smaller)
    print(f"  now {record.data.current_amount}; undeclared: {record.extra_data}")

    print("updateUserData with a payload: replaces the declared fields, keeps the rest")
    payload = SavingsGoalData(name="Rainy days", target_amount=20000, current_amount="15500.50")
    record = update_user_data(USER_ID, "savings-goal", goal_id, payload)
    print(f"  now {record.data.name!r} with {record.data.current_amount}")

    print("deleteUserData: twice is fine")
    delete_user_data(USER_ID, "portfolio-holding", holding_id)
    delete_user_data(USER_ID, "portfolio-holding", holding_id)
    print(f"  read afterwards: {get_user_data(USER_ID, 'portfolio-holding', holding_id)}")

    print("updateUserData of a record that does not exist")
    try:
        update_user_data(USER_ID, "portfolio-holding", holding_id, {"symbol": "VTI", "shares": 1})
    except RecordNotFoundError as error:
        print(f"  {type(error).__name__}: nothing under {error.record_key.partition('#')[0]}#...")


if __name__ == "__main__":
    main()
