"""`/api/oqt/*`: questions, and what the service says of itself."""
