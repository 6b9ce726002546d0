"""The catalog's secret: random words made with it, for tokens that leave the house and come back.

It is kept here, and not beside a process, since whoever writes a link and whoever answers it may be two machines.
"""

from typing import Protocol


class OwnSecret(Protocol):
    """See the module."""

    async def secret(self) -> str:
        """The same for all processes, and for ever; 128 random bits or more."""
        ...
