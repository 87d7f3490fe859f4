"""Desired Kubernetes objects as plain data. Pure: equal inputs give equal manifests."""
