"""What can go wrong in a way that a person can do something about."""


class DevError(Exception):
    """One sentence or two: what failed, where, and what to do about it. Shown without a traceback."""


class CommandError(DevError):
    """A program that we ran ended with a failure."""


class ProcessEndedError(DevError):
    """A long-running program ended by itself."""
