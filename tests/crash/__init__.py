"""The crash matrix: each part of each deployment dies, hangs or loses its link at each moment that matters, and then
what the SMTP server really took is compared with what the records say. `python -m tests.crash` runs all of it.
"""
