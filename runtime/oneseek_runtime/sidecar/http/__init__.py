"""What every request passes, whatever it asks: limits, bodies, origins, the access log."""
