"""Observe, decide, apply: the loop body of each kind. No kopf, no kubernetes: only ports."""
