"""Records in a Firestore database of a Google Cloud project: the same ledger, no volume."""
