"""A small OpenAI-compatible server over transformers and peft, for CPUs and small GPUs."""
