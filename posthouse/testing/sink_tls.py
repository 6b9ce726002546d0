"""A certificate authority for one test: makes a server's certificate, and the context that trusts it."""

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import Any


class Authority:
    """`pem` is the CA's certificate, to be trusted through SSL_CERT_FILE; `server` is the server's side of TLS, with a
    certificate for `names` (host names and IP addresses); `chain` is its key and its certificate (PEM). Needs the
    package cryptography (a development dependency).
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.pem, self.chain = _make(names)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "chain.pem")
            path.write_bytes(self.chain)
            self.server.load_cert_chain(path)

    def context(self) -> ssl.SSLContext:
        """The client's side: trusts this authority and nobody else."""
        return ssl.create_default_context(cadata=self.pem.decode("ascii"))


def _make(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """The CA's certificate, and the server's key with its certificate; both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Posthouse test CA")
    ca = _sign(ca_name, ca_key.public_key(), ca_name, ca_key, x509.BasicConstraints(ca=True, path_length=0))
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    certificate = _sign(_name(names[0]), key.public_key(), ca_name, ca_key, alternatives)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ca.public_bytes(pem), private + certificate.public_bytes(pem)


def _name(text: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sign(subject: Any, public_key: Any, issuer: Any, issuer_key: Any, extension: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1),
        not_valid_after=now + datetime.timedelta(days=30),
    )
    return builder.add_extension(extension, critical=False).sign(issuer_key, hashes.SHA256())
