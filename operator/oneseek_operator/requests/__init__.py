"""What people ask by annotation: promote, rollback, release, reset, retry. Pure."""
