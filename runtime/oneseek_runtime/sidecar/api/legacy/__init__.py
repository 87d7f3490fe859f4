"""Routes of the old administration, inference and character pages."""
