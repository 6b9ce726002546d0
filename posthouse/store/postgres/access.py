"""How the parts of the PostgreSQL store reach their database."""

from posthouse.store.postgres.connection import Connections


class Access:
    """Its connections. Each part of the store and of the catalog is a class that derives from this one."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
