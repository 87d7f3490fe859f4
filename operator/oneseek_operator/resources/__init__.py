"""Kubernetes manifests as plain data. Pure: equal inputs give equal manifests."""
