"""What the operator and the pods that answer clients tell each other."""
