"""Pure decisions: a snapshot and a time in, actions and a status out."""
