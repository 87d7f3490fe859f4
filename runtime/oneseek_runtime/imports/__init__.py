"""The import Job: a version that was certified elsewhere is proved here, and taken in. No key to sign with, no torch."""
