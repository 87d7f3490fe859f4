"""The contract that the operator and the runtime share.

DNA, digests, artifact metadata, API types, labels, exit codes. It exists so that neither side has to
import the other's world (kopf on one, torch on the other) to agree on a name. Standard library and
pydantic only; pure unless a module says [I/O].
"""
