"""What every test may ask for: the real services. No test is timed: others may use the machine, too."""

from hypothesis import settings

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

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
