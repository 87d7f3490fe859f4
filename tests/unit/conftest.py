"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# No deadline for a single example: on a machine with other work it says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
