"""Answered questions on their way to the records service: kept on the pod first, handed over in batches, each once."""
