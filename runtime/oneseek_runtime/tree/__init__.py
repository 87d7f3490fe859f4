"""The tree Job: everything that changes `oneseek-certified/` but sealing a version. One at a time a model, no key."""
