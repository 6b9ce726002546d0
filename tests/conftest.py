"""What every test may ask for: the real services."""

from tests.services import (
    elasticsearch,
    elasticsearch_server,
    exim,
    node,
    peer,
    postfix,
    postgres,
    postgres_server,
    promtool,
    rabbitmq,
    redis,
)

__all__ = [
    "elasticsearch",
    "elasticsearch_server",
    "exim",
    "node",
    "peer",
    "postfix",
    "postgres",
    "postgres_server",
    "promtool",
    "rabbitmq",
    "redis",
]
