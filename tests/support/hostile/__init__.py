"""Hostile artifacts: what somebody could do to a certified folder, and the reason with which it must be refused.

Three kinds of attacker: one who can write to the volume (the pinned digest stands), one from whom a folder comes
without a pinned digest, and one who has a signing key as well (a faulty or bribed certifier): the last must still not
get code run, nor a version served as another. `reseal` plays the last.
"""

from __future__ import annotations

from support.hostile import bases, contents, files, identity

__all__ = ["CASES"]

CASES = files.CASES | identity.CASES | contents.CASES | bases.CASES
