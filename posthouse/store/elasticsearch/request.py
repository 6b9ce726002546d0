"""One request to Elasticsearch, and what its answer says: done, to be tried again (Away), or a bug (Refused).

A good answer comes as bytes: whoever asked knows what to look for in it.
"""

import logging
from typing import Any

import elastic_transport
import elasticsearch as untyped
import msgspec

from posthouse.store.elasticsearch.address import Address

elasticsearch: Any = untyped

BUSY = (429, 502, 503, 504)
"""Statuses of a server that is full, or whose shards are not there yet."""
CONFLICT = 409
JSON = {"content-type": "application/json", "accept": "application/json"}
LINES = {"content-type": "application/x-ndjson", "accept": "application/json"}

_HARMLESS = (
    "cluster_block_exception",
    "es_rejected_execution_exception",
    "index_not_found_exception",
    "security_exception",
)
"""Errors whose reason cannot hold anything of a mail."""


class Refused(Exception):
    """Elasticsearch does not take what it was given: a bug, or a server that is not set up for us."""


class Away(Exception):
    """The server's trouble, in words safe to show: trying again can help."""


class _Bytes(elastic_transport.JsonSerializer):
    """Leaves the decoding to us."""

    def json_loads(self, data: bytes) -> Any:
        return data


def open_client(address: Address, patience: float) -> Any:
    """A client of the server, which gives up after so many seconds, once."""
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # we say ourselves what is away, once
    return elasticsearch.AsyncElasticsearch(
        address.url,
        serializer=_Bytes(),
        max_retries=0,
        retry_on_timeout=False,
        request_timeout=patience,
        **address.options,
    )


async def ask(
    client: Any,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] = JSON,
    expect: tuple[int, ...] = (),
) -> bytes | None:
    """The answer; None where its status is one of `expect`. Raises Away, Refused."""
    try:
        answer = await client.perform_request(method, path, headers=headers, body=body)
    except elasticsearch.ApiError as error:
        status = int(error.status_code)
        if status in expect:
            return None
        said = reason(_decoded(error.body))
        if status in BUSY:
            raise Away(said) from None
        if status in (401, 403):
            raise Away(f"it does not let us in: {said}") from None
        raise Refused(f"Elasticsearch answered {status}: {said}") from None
    except elastic_transport.TlsError:
        raise Away("its certificate is not trusted") from None
    except elastic_transport.ConnectionTimeout:
        raise Away("no answer in time") from None
    except elastic_transport.TransportError as error:
        raise Away(" ".join(str(error.message).split())) from None
    return answer.body


def reason(error: Any) -> str:
    """The type of an error; and its reason, where that cannot hold anything of a mail."""
    try:
        inner = error.get("error", error)
        kind, said = str(inner["type"]), str(inner.get("reason", ""))
    except (AttributeError, KeyError, TypeError):
        return "no reason given"
    return f"{kind}: {said}" if kind in _HARMLESS else kind


def _decoded(body: Any) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, TypeError):
        return None
