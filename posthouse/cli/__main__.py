"""`python -m posthouse.cli` is `posthouse`."""

from posthouse.cli import main

main()
