"""Makers, waiting with deadlines, and working simulators that tests share."""
