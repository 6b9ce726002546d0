"""Shipped for whoever adds an adapter: the contracts of the ports, and a scriptable SMTP server as the far end."""
