"""The prepare Job: fetches, validates and digests the data before anything expensive is held for it."""
