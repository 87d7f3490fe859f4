"""What decisions look at: Kubernetes objects parsed once, and the snapshots made of them. Pure."""
