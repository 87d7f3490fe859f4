"""OneSeek's local cluster: a real Kubernetes on this machine, its registry and its images.

Standard library only, because it is what runs on a bare machine before anything could be installed.
"""
