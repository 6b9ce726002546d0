"""What the running server says of itself is true: Schemathesis tries every operation of /openapi.json, in good ways
and bad, and finds no answer that is not described."""

import asyncio
import os
import sys
from pathlib import Path

from tests.journey.house import KEY, opened

ROOT = Path(__file__).parents[2]
SECONDS = 90
"""It takes a third of that on a free machine."""
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def test_schemathesis_has_no_findings(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)),
            *(
                "run",
                f"http://127.0.0.1:{house.port}/openapi.json",
                "--header",
                f"Authorization: Bearer {KEY}",
            ),
            *("--output-truncate", "false", "--no-color"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                told, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, told.decode()
        made = {item["subject"] for item in await house.all()} - {"Fresh horses"}
        assert made, "of the mails that it made up, beside our examples, none was accepted"
