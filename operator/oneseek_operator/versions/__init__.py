"""Which versions a model has, their states, and which one should answer. Pure."""
