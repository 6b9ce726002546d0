"""The request that all load is made of: a mail of 4 KiB HTML, as an application posts it."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.mime import page
from benchmarks.processes import KEY

PATH = "/email/send"
SIZE = 4200
"""Characters that make a page of 4 KiB, as in benchmarks.mime."""
NUMBER = "123456"
"""Stands in subject and HTML, for each mail to have its own: nothing is to be gained by mails that are all alike."""

_SCRIPT = """\
wrk.method = "POST"
wrk.headers["authorization"] = "Bearer {key}"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[{body}]==]
function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format("figures %d %d %d\\n", summary.requests, summary.duration,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
"""


def body() -> str:
    """The JSON."""
    subject = f"Your order {NUMBER} is on its way"
    return json.dumps({"to": "ann@example.net", "subject": subject, "html": page(SIZE)})


def raw(url: str) -> list[bytes]:
    """The request as it goes out, in the pieces between which a number of six digits is to stand."""
    content = body().encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\nauthorization: Bearer {KEY}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    first, *rest = content.split(NUMBER.encode())
    return [head.encode() + first, *rest]


def script(folder: Path) -> Path:
    """The same as a script for wrk, which prints at its end: requests, microseconds, failures."""
    path = folder / "send.lua"
    path.write_text(_SCRIPT.format(key=KEY, body=body()))
    return path
