"""BACK: what providers tell of our mail after they took it."""
