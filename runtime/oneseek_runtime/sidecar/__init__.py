"""The HTTP face of a colour: legacy and health routes for clients, state, probe and drain for the operator."""
