"""The base Job: claims the volume for one model, makes the tree's skeleton and brings the base model onto it."""
