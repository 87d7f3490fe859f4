"""What a OneSeekModel needs next, and what its status says. Pure."""
