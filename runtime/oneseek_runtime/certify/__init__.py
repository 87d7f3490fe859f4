"""The certify Job: checks what training left, and seals it as a version. No torch, and no training code."""
