"""A hostile tenant: what strangers, tenants and parts of a model that were taken over try, and what refuses each of it.

`attempts/` has a line an attempt; `place` is where they are made, `table` the part of docs/reference/attempts.md that they are.
tests/cluster/test_hostile_tenant.py makes them all on a real cluster against one model.
"""
