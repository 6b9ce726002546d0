"""Whether an answer is what the OpenAPI document says: status, headers, content type, body.

Every answer that a contract test gets from the app is held against it (tests/contract/asgi.py).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker

PROBLEM = "application/problem+json"

PLAIN = {"content-type", "content-length", "x-content-type-options", "referrer-policy"}
"""Headers that need no description."""


class Document:
    """An OpenAPI document to hold answers against."""

    def __init__(self, raw: bytes) -> None:
        self.plain: dict[str, Any] = msgspec.json.decode(raw)
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fails if such an answer to such a request is not described."""
        operation = self._operation("GET" if method == "HEAD" else method, path)
        if operation is None:
            self._check_elsewhere(method, status, headers, body)
            return
        assert str(status) in operation["responses"], f"{status} is not described for {method} {path}"
        told = operation["responses"][str(status)]
        self._check_headers(told["headers"], headers)
        if "content" in told:
            assert headers["content-type"] in {media.lower() for media in told["content"]} | {
                f"{media}; charset=utf-8" for media in told["content"]
            }
            if method != "HEAD" and "json" in headers["content-type"]:
                (content,) = told["content"].values()
                self._check_body(content["schema"], body)
        else:
            assert body == b""

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, methods in self.plain["paths"].items():
            pattern = re.sub(r"\{[a-zA-Z]+\}", "[^/]+", re.sub(r"[.]", r"[.]", template))
            if re.fullmatch(pattern, path):
                return methods.get(method.lower())
        return None

    def _check_elsewhere(self, method: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """What is answered to any path or method that is not there."""
        if method == "OPTIONS" and status == 204:
            assert set(headers["allow"].split(", ")) > {"OPTIONS"}
            return
        assert status in (404, 405)
        assert (status == 405) == ("allow" in headers)
        assert headers["content-type"] == PROBLEM
        if method != "HEAD":
            self._check_body({"$ref": "#/components/schemas/ProblemDocument"}, body)

    def _check_headers(self, told: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        known = {name.lower(): header for name, header in told.items()}
        assert {name for name in headers if name not in PLAIN} <= set(known), "a header is not described"
        for name, header in known.items():
            if name in headers:
                resolved = self._resolve(header)
                value: Any = headers[name]
                self._validator(resolved["schema"]).validate(
                    int(value) if resolved["schema"]["type"] == "integer" else value
                )
            else:
                assert not header.get("required"), f"the header {name} is missing"

    def _resolve(self, told: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in told:
            return told
        found: Any = self.plain
        for step in told["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found

    def _check_body(self, schema: dict[str, Any], body: bytes) -> None:
        self._validator(schema).validate(msgspec.json.decode(body))

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        name = str(schema)
        if name not in self._validators:
            whole = {"components": self.plain["components"], **schema}
            self._validators[name] = Draft202012Validator(whole, format_checker=FormatChecker())
        return self._validators[name]
