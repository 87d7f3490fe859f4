"""[I/O] Everything that leaves the process: the Kubernetes API (the only importer of `kubernetes`), sidecars, records services, Secrets of the operator."""
