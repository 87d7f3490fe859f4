"""`POST /api/oqt/multi-model-query`: one question to all loaded models, their answers compared."""
