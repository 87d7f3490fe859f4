"""One module a verb: `add_arguments` says what it takes, `run` reads and answers. `__main__` has the table."""
