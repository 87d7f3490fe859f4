"""Manifests before they are applied: read as kubectl reads them, checked as the API server and the operator will."""
