"""Looking after the table: is it as it should be, is what it holds sound, who is in it, backups."""
