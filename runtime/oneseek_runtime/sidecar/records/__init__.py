"""Answered questions on their way to the records service: spooled on the pod, handed over in batches, each once."""
