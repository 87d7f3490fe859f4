"""The engine behind the sidecar, and who answers besides: hot swap, the verifier, previous and external models."""
