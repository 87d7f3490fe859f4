"""Read, decide, apply: the reconcile of each kind. No kopf and no kubernetes, only ports."""
