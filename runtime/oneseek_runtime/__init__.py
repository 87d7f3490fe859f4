"""What runs in the pods: the Jobs that make a version, and the engine and sidecar that answer with it.

torch, transformers and peft are imported below `train/` and `engine/` only; everything else runs in the slim image.
"""
