"""pgbouncer in transaction mode before a PostgreSQL: each statement may run on another session."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.cluster import find, free_ports, run_by

CONFIGURATION = """
[databases]
{database} = host={host} port={server} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
server_idle_timeout = 1
"""


@asynccontextmanager
async def pooler(server: str) -> AsyncIterator[str]:
    """Runs it before the server of a URL; gives the URL to use instead. It ends with the block."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="posthouse-pgbouncer-") as folder:
        configuration = _configure(Path(folder), server, port)
        process = subprocess.Popen(
            [*run_by("postgres"), find("pgbouncer") or "pgbouncer", "-q", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = urlsplit(server)._replace(netloc=f"posthouse@127.0.0.1:{port}").geturl()
        try:
            await _until_it_answers(url)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _configure(folder: Path, server: str, port: int) -> Path:
    """Whoever comes is let in, as the user of the server's URL."""
    folder.chmod(0o755)
    parts = urlsplit(server)
    text = CONFIGURATION.format(
        database=parts.path.lstrip("/"),
        host=parts.hostname,
        server=parts.port,
        user=parts.username,
        password=f" password={parts.password}" if parts.password else "",
        port=port,
    )
    (folder / "pgbouncer.ini").write_text(text)
    return folder / "pgbouncer.ini"


async def _until_it_answers(url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                connection = await asyncpg.connect(url, statement_cache_size=0)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                return
