"""Requests to AWS: who asks (botocore's chain of credentials), and the signature (Signature Version 4)."""

import time
from collections.abc import Mapping
from typing import Any

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from posthouse.mail.errors import TransportAway
from posthouse.transport.ses.options import SesOptions

FRESH = 60.0
"""Seconds after which it is looked whether credentials that run out have been renewed."""


class Signer:
    """Signs for these options. `ready` may block (files, a metadata service): call it on a thread."""

    def __init__(self, options: SesOptions) -> None:
        self._options = options
        self._source: Any = None
        self._frozen: ReadOnlyCredentials | None = None
        self._until = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether it can sign now."""
        return self._frozen is not None and time.monotonic() < self._until

    def ready(self) -> None:
        """Finds the credentials, or renews them; raises TransportAway."""
        try:
            if self._source is None:
                self._source = self._find()
            if self._source is None:
                raise TransportAway("SES: no AWS credentials were found")
            self._frozen = self._source.get_frozen_credentials()
        except BotoCoreError as error:
            raise TransportAway(f"SES: no AWS credentials could be had: {type(error).__name__}") from None
        self._until = time.monotonic() + FRESH

    def sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        """The headers of such a request, the signature among them."""
        headers = {"content-type": "application/json"} if body else {}
        request = AWSRequest(method, self._options.endpoint + path, headers, body)
        SigV4Auth(self._frozen, "ses", self._options.region).add_auth(request)
        return dict(request.headers.items())

    def _find(self) -> Any:
        if self._options.key_id is not None and self._options.secret is not None:
            return Credentials(self._options.key_id, self._options.secret)
        return Session().get_credentials()
