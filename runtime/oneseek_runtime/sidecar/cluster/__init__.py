"""[I/O] The Kubernetes API as the sidecar uses it: the model and its runs, token reviews, requests to the operator."""
