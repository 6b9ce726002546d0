"""IN: what callers say to us and what we answer."""
