"""What /metrics tells: counted where mail moves, gathered when Prometheus asks."""
