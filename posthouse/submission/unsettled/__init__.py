"""Mail that is left for a person, as work lists: what nobody knows the outcome of, and dead letters."""
