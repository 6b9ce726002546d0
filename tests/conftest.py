"""What every test may ask for: the real services."""

from tests.services import postfix

__all__ = ["postfix"]
