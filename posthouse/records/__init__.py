"""Role records: the one owner of the record, over gRPC. EmailRecords for producers, Store for our own processes.

Health (by asking the store) and reflection are open; all else wants a key. It starts and stops like every other part:
a stop says NOT_SERVING first, takes no new calls, and finishes those under way.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from posthouse.records.emails import SCOPES, SERVICE, Emails, emails_service
from posthouse.records.guard import Guard
from posthouse.records.internal import internal_scopes, internal_service
from posthouse.records.wake import Wake
from posthouse.store import wire
from posthouse.store.catalog import Catalog
from posthouse.submission.auth import Keyring
from posthouse.submission.health import Ready

__all__ = ["Emails", "RecordsServer", "Tls", "Wake", "read_tls"]

LARGEST = 64 << 20
"""Bytes of a message."""
STOP_SECONDS = 10.0
"""Seconds that calls under way may take when the server stops."""
SERVICES = (SERVICE, wire.SERVICE)

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", LARGEST + (1 << 20)),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Certificate chain and key (PEM). With `ca` only clients with a certificate of these authorities may call."""

    cert: bytes
    key: bytes
    ca: bytes | None = None


def read_tls(cert: Path | None, key: Path | None, ca: Path | None) -> Tls | None:
    """From the files of these settings; raises ValueError, which names one that cannot be read."""
    if cert is None or key is None:
        return None
    return Tls(cert=_read("CERT", cert), key=_read("KEY", key), ca=None if ca is None else _read("CA", ca))


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"POSTHOUSE_GRPC_TLS_{name}: cannot be read: {error.strerror}") from None


class RecordsServer:
    """Serves `emails`, and the ports of the same store and of `catalog`, at `address` (host:port)."""

    def __init__(
        self,
        address: str,
        keys: Keyring,
        emails: Emails,
        catalog: Catalog,
        wake: Wake,
        ready: Ready,
        tls: Tls | None = None,
    ) -> None:
        self._address, self._tls, self._wake = address, tls, wake
        self._health = _Health(ready)
        self._guard = Guard(keys, SCOPES | internal_scopes())
        self._services = (emails_service(emails), internal_service(emails.store, catalog, wake))

    async def start(self) -> int:
        """Takes calls from now on; answers the port. Raises OSError."""
        self._server = grpc.aio.server(interceptors=[self._guard], options=_OPTIONS)
        self._server.add_generic_rpc_handlers(self._services)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        shown = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(shown, self._server)
        port = self._listen()
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self) -> None:
        """Takes no more, finishes what is under way."""
        await self._health.enter_graceful_shutdown()
        self._wake.close()
        await self._server.stop(STOP_SECONDS)

    def _listen(self) -> int:
        try:
            if self._tls is None:
                return self._server.add_insecure_port(self._address)
            pairs, ca = [(self._tls.key, self._tls.cert)], self._tls.ca
            credentials = grpc.ssl_server_credentials(pairs, ca, require_client_auth=ca is not None)
            return self._server.add_secure_port(self._address, credentials)
        except RuntimeError:
            raise OSError(f"cannot listen on {self._address} for gRPC") from None


class _Health(health.aio.HealthServicer):
    """grpc.health.v1: a service whose store does not answer is not serving. Watch tells of the process alone."""

    def __init__(self, ready: Ready) -> None:
        super().__init__()
        self._ready = ready

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = await super().Check(request, context)
        missing: Mapping[str, str] = await self._ready()
        if missing:
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
        return answer
