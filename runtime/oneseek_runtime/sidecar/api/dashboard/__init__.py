"""`/oqt-dashboard`: the page and the view of the model that it shows."""
