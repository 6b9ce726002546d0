"""An issuer of tokens: a real JWKS endpoint on loopback, in a thread, whose keys rotate and which goes down and comes
back; it also signs whatever a test wants to have signed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NAME = "https://issuer.example/"
AUDIENCE = "posthouse"


class Key:
    """A private key with its `kid`, and the public half as the endpoint shows it."""

    def __init__(self, kid: str, algorithm: str = "ES256", private: Any = None) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private = private or _MAKE[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as JSON (RFC 7517)."""
        shown = _SHOW[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        return {**shown, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: dict[str, Any], algorithm: str = "", **headers: Any) -> str:
        """These claims as a token; a header that is None is left out."""
        given = {"kid": self.kid, **headers}
        shown = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(claims, self.private, algorithm or self.algorithm, headers=shown)

    def token(self, scope: str | None = "send", **claims: Any) -> str:
        """A good token for a minute, but for these claims; one that is None is left out."""
        return self.sign(good_claims(scope=scope, **claims))


def good_claims(**claims: Any) -> dict[str, Any]:
    """The claims of a good token, but for these; one that is None is left out."""
    now = int(time.time())
    given = {"iss": NAME, "aud": AUDIENCE, "sub": "shop", "iat": now, "exp": now + 60, **claims}
    return {name: value for name, value in given.items() if value is not None}


class Issuer:
    """The endpoint. `body` is what it answers, with `status`, after `delay` seconds; `fetches` counts the requests."""

    def __init__(self, *keys: Key) -> None:
        self.status, self.delay, self.fetches = 200, 0.0, 0
        self.location = ""
        self.show(*keys)
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def show(self, *keys: Key) -> None:
        """Rotates: these are the keys from now on."""
        self.body = json.dumps({"keys": [key.jwk for key in keys]}).encode()

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def up(self) -> None:
        """Listens, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        """Listens no more: a connection is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def issuer(*keys: Key) -> Iterator[Issuer]:
    """An issuer that shows these keys and is up."""
    opened = Issuer(*keys)
    opened.up()
    try:
        yield opened
    finally:
        opened.down()


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetches += 1
            time.sleep(issuer.delay)
            self.send_response(issuer.status)
            if issuer.location:
                self.send_header("Location", issuer.location)
            self.send_header("Content-Length", str(len(issuer.body)))
            self.end_headers()
            self.wfile.write(issuer.body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


_MAKE: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
_SHOW: dict[str, Any] = {
    "RS256": RSAAlgorithm,
    "ES256": ECAlgorithm,
    "ES384": ECAlgorithm,
    "EdDSA": OKPAlgorithm,
}
