"""The train job: a frozen base model and prepared data in, a LoRA adapter with measured figures out.

`recipe` is the story, to be read from top to bottom; `job` is its border to the pod; the rest are small parts.
"""
