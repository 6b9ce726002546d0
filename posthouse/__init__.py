"""Posthouse: a self-hosted email-sending platform that keeps the true record of every mail."""

__version__ = "0.1.0"
