"""A certificate authority of our own, for the simulator: a CA, a server and a client certificate in one folder."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LASTS = timedelta(days=397)
SPARE = timedelta(days=1)
NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the files are, all PEM. The CA's own key is never written."""

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


def make_tls(directory: str | Path) -> TlsFiles:
    """Return the TLS files of a folder; make them all anew unless they are there, belong together and last a day.

    The server's certificate is for this machine's loopback names and for its host name, under which other
    containers of a network reach a simulator.
    """
    folder = Path(directory)
    files = TlsFiles(
        ca=folder / "ca.pem",
        cert=folder / "server.pem",
        key=folder / "server-key.pem",
        client_cert=folder / "client.pem",
        client_key=folder / "client-key.pem",
    )
    if not _usable(files):
        folder.mkdir(parents=True, exist_ok=True)
        _make(files)
    return files


def _names() -> tuple[str, ...]:
    host = socket.gethostname()
    return NAMES if not host or host in NAMES else (*NAMES, host)


def _usable(files: TlsFiles) -> bool:
    try:
        ca, server, client = (
            x509.load_pem_x509_certificate(path.read_bytes()) for path in (files.ca, files.cert, files.client_cert)
        )
        for path, certificate in ((files.key, server), (files.client_key, client)):
            certificate.verify_directly_issued_by(ca)
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            if key.public_key() != certificate.public_key() or certificate.not_valid_after_utc < _now() + SPARE:
                return False
        named = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if not {_alternative(name) for name in _names()} <= set(named):
            return False
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True


def _make(files: TlsFiles) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("orchbridge simulator CA")
    ca = _sign(
        _builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True),
        ca_name,
        ca_key,
    )
    names = [_alternative(name) for name in _names()]
    _leaf(files.cert, files.key, "localhost", ExtendedKeyUsageOID.SERVER_AUTH, ca, ca_key, names)
    _leaf(files.client_cert, files.client_key, "client", ExtendedKeyUsageOID.CLIENT_AUTH, ca, ca_key, [])
    files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))


def _leaf(
    cert_path: Path,
    key_path: Path,
    name: str,
    purpose: x509.ObjectIdentifier,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(_name(name), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(authority, critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = _sign(builder, ca.subject, ca_key)
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_path.unlink(missing_ok=True)  # so that the mode below holds for an old file too
    with os.fdopen(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


def _builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - SPARE)
        .not_valid_after(_now() + LASTS)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.issuer_name(issuer).sign(key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _now() -> datetime:
    return datetime.now(UTC)
