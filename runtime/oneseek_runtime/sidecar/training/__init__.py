"""What clients send to learn from, and training runs as old clients read them."""
