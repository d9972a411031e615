"""Certificates as a server presents them, and as files hold them; read without believing them."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.x509.oid import NameOID

from orchbridge.orchestrator.access import HEADERS, Access, base_url, connection, timeouts
from orchbridge.orchestrator.excerpt import one_line
from orchbridge.orchestrator.look import chain_of

NAMES_MAX = 5
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate in words. `begins` and `ends` are Unix seconds; `names` those it was made for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: float
    ends: float

    def days_left(self, now: float) -> float:
        return (self.ends - now) / DAY_S

    @property
    def until(self) -> str:
        """The day it ends."""
        return datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%d")

    @property
    def made_for(self) -> str:
        """The first of its names."""
        more = f" and {len(self.names) - NAMES_MAX} more" if len(self.names) > NAMES_MAX else ""
        return ", ".join(self.names[:NAMES_MAX]) + more if self.names else "no name at all"

    def fits(self, host: str) -> bool:
        """Whether it was made for this host."""
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(host)) in self.names
        first, _, rest = host.lower().partition(".")
        return any(name.lower() in {host.lower(), f"*.{rest}"} for name in self.names) and bool(first)


def read(raw: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """Return these DER certificates in words, as far as they can be read."""
    return tuple(filter(None, (_read(each) for each in raw)))


async def presented(access: Access) -> tuple[Certificate, ...]:
    """Return what a server presents that we do not trust. It gets no token, only a question for a public page."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(httpx.HTTPError, OSError):
        async with httpx.AsyncClient(
            base_url=base_url(access), transport=connection(access, trust), trust_env=False, follow_redirects=False,
            timeout=timeouts(replace(access, read_s=min(access.read_s, 5.0))), headers=HEADERS,
        ) as http:  # fmt: skip
            response = await http.send(http.build_request("GET", "/status/v1/simple"), stream=True)
            try:
                return read(chain_of(response))
            finally:
                await response.aclose()
    return ()


def in_file(path: Path) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file, as far as they can be read."""
    with contextlib.suppress(OSError, ValueError), _quiet():
        found = x509.load_pem_x509_certificates(path.read_bytes())
        return tuple(filter(None, (_certificate(each) for each in found)))
    return ()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let the library keep to itself what it holds against other people's certificates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(raw: bytes) -> Certificate | None:
    with contextlib.suppress(ValueError), _quiet():
        return _certificate(x509.load_der_x509_certificate(raw))
    return None


def _certificate(found: x509.Certificate) -> Certificate | None:
    try:
        return Certificate(
            _name(found.subject),
            _name(found.issuer),
            _names(found),
            found.not_valid_before_utc.timestamp(),
            found.not_valid_after_utc.timestamp(),
        )
    except ValueError:  # some certificates are read only where one looks
        return None


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return one_line(text, 100) or "nobody"


def _names(found: x509.Certificate) -> tuple[str, ...]:
    try:
        told = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = told.get_values_for_type(x509.DNSName)
    return (*(one_line(host, 100) for host in hosts), *map(str, told.get_values_for_type(x509.IPAddress)))
