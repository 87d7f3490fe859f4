"""The operator: watches OneSeekModels and TrainingRuns, decides with pure functions, applies what is missing.

Direction of imports: handlers -> reconcile -> {decide, build}; `cluster` and `sidecars` do what reconcile's ports ask.
It never imports torch and mounts no model volume.
"""
