"""How fast it is, and how near to what this machine can do: `python -m benchmarks --help`."""
