"""Certificates for tests of TLS: an authority of our own, and what it issues."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """One that signs; two of them do not know each other."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"airkeep test {folder.name}")
        own = _builder(self._name, self._name, self._key)
        is_authority = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = own.add_extension(is_authority, critical=True).sign(
            self._key, hashes.SHA256()
        )

    def certificate(self, folder: Path) -> Path:
        """Its own, which a client trusts, written into a folder: PEM."""
        folder.mkdir(exist_ok=True)
        path = folder / "root.crt"
        path.write_bytes(self._certificate.public_bytes(Encoding.PEM))
        return path

    def issue(self, name: str, folder: Path) -> tuple[Path, Path]:
        """Make a key (mode 0600) and its certificate for an IP address, or for a user."""
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._name, key)
        if name[0].isdigit():
            address = x509.IPAddress(ipaddress.ip_address(name))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        private, public = folder / f"{name}.key", folder / f"{name}.crt"
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(signed.public_bytes(Encoding.PEM))
        return private, public


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
    )
