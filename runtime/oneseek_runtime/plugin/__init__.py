"""`kubectl oneseek`: ask what is, what was, and whether it can be proved. One module a verb, in `verbs`. No torch."""
