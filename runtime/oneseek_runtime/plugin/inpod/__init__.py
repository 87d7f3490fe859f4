"""What the plugin runs inside a pod through `kubectl exec`, where the token, the claim and the keys are."""
