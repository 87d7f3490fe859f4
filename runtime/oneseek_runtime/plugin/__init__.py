"""`kubectl oneseek`: shows, asks, verifies and changes models. `verbs` has a module for each verb. Imports no torch."""
