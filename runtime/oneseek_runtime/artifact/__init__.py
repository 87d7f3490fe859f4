"""The format of a certified version: its files, their names, signatures and proofs. Read and written here alone."""
