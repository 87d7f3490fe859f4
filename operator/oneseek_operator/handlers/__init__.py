"""Thin Kopf functions: which events wake which loop. The only place, with `__main__`, that imports kopf."""
