"""Look after the table: check it, audit its items, list its users, back it up."""
