"""Composition root: from Settings to a running process with the roles api, worker and records."""
