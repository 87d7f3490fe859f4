"""The base Job's check: what engine and train will load is loaded before the base model counts as imported."""
