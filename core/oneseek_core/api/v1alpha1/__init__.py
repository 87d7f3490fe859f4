"""`oneseek.io/v1alpha1`: one module a kind. Within a version changes are additive and defaults never change."""
