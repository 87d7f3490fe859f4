"""Kopf handlers: which event wakes which loop, the loops, and what a deletion leaves to do. With `__main__`, all that imports kopf."""
