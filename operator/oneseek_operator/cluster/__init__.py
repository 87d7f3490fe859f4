"""[I/O] The Kubernetes API. The only importer of kubernetes."""
