"""`POST /api/oqt/multi-model-query`: the models that are loaded, asked side by side, and their answers compared."""
