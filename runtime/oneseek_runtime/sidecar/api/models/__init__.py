"""`/api/models/*`: certified versions, set-current, reset."""
