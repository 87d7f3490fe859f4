"""Requests that another pod answers: this one no longer may, and passes each on, whole."""
