"""Commands that the plugin runs in pods with `kubectl exec`, where the token, the claim and the keys are."""
