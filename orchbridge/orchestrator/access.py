"""How one orchestrator is reached: its address, its certificates, its limits."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from orchbridge import __version__
from orchbridge.core.errors import ConfigError

MEBIBYTE = 1024 * 1024
ROOT = "/orchestrator/v1"


HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"orchbridge/{__version__}"}


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """Everything needed to talk to one source. Its repr shows no secret.

    `token` is the token itself, `token_file` a file that holds it; the file wins. `rbac_url` is
    where tokens are looked up, None for port 4433 of the same host. Times are seconds; `total_s`
    bounds one answer from its first byte sent to its last byte read.
    """

    name: str
    url: str
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    token_file: Path | None = None
    token: str | None = None
    proxy: str | None = None
    rbac_url: str | None = None
    connect_s: float = 5.0
    read_s: float = 30.0
    write_s: float = 10.0
    pool_s: float = 30.0
    total_s: float = 120.0
    concurrency: int = 8
    requests_per_s: float = 50.0
    body_bytes_max: int = 512 * MEBIBYTE

    def __repr__(self) -> str:
        return f"Access({self.name!r}, {self.place!r})"

    @property
    def place(self) -> str:
        """Host and port, the way they are shown to people."""
        try:
            return urlsplit(self.url).netloc.rpartition("@")[2]
        except ValueError:
            return "nowhere"

    @property
    def trust(self) -> str:
        """What the server's certificate is checked against, in words."""
        return str(self.ca_file) if self.ca_file else "the system's certificate store"

    @property
    def tls_files(self) -> tuple[Path, ...]:
        """The files the TLS context is made of."""
        return tuple(path for path in (self.ca_file, self.client_cert_file, self.client_key_file) if path)


def base_url(access: Access) -> str:
    """Return the address every request is built from; raise ConfigError where it cannot be used safely."""
    subject = f"the url of source {access.name!r}"
    parts = _parts(access.url)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise ConfigError(f"{subject} is not an https address", hint="write it as https://pe.example.com:8143")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"{subject} carries more than an address",
            hint="give only scheme, host and port; the token belongs into token_file",
        )
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{subject} would send the token in clear text to {host}",
            hint="use https; http is for the simulator on this machine only",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(ROOT)}"


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by name or address, without asking DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ssl_context(access: Access) -> ssl.SSLContext:
    """Return a verifying context of our own; raise ConfigError where a file cannot be used.

    httpx would take its own bundle instead of the system's store, hence ours.
    """
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the CA file {access.ca_file} of source {access.name!r} cannot be used: {_why(error)}",
            hint="copy /etc/puppetlabs/puppet/ssl/certs/ca.pem of the primary there, readable by orchbridge",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Newer Pythons refuse CAs made before RFC 5280 was followed to the letter, as old PE did.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if access.client_cert_file:
        try:
            context.load_cert_chain(access.client_cert_file, access.client_key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the client certificate {access.client_cert_file} of source {access.name!r}"
                f" cannot be used: {_why(error)}",
                hint="give PEM files that belong together: client_cert_file and an unencrypted client_key_file",
            ) from error
    return context


def http_client(access: Access) -> httpx.AsyncClient:
    """Return a client for a few requests to this source: verified, no redirects, nothing taken from the environment."""
    return httpx.AsyncClient(
        base_url=base_url(access), transport=connection(access, context(access)), trust_env=False,
        follow_redirects=False, timeout=timeouts(access), headers=HEADERS,
    )  # fmt: skip


def context(access: Access) -> ssl.SSLContext:
    """Return the TLS context; without TLS there is nothing to load, and a bare context trusts nobody."""
    return ssl_context(access) if base_url(access).startswith("https") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def timeouts(access: Access) -> httpx.Timeout:
    """Return the limits of the steps of one request."""
    return httpx.Timeout(connect=access.connect_s, read=access.read_s, write=access.write_s, pool=access.pool_s)


def connection(access: Access, trust: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    """Return one connection, made when it is first used, kept alive and made anew when it is gone.

    httpx examines every connection of a pool at every request and costs more the more there are,
    so we keep several pools of one.
    """
    for name in ("httpx", "httpcore"):
        # They log every request, and at debug the answer's headers, which may echo the token.
        logging.getLogger(name).setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=20.0)
    return httpx.AsyncHTTPTransport(verify=trust, trust_env=False, proxy=_proxy(access), limits=limits)


def _proxy(access: Access) -> httpx.Proxy | None:
    """Return the proxy; its address is never repeated, since it may hold a password."""
    if not access.proxy:
        return None
    if _parts(access.proxy):
        with suppress(ValueError):
            return httpx.Proxy(access.proxy)
    raise ConfigError(
        f"the proxy of source {access.name!r} is not an address", hint="write it as http://proxy.example.com:3128"
    )


def _parts(url: str) -> SplitResult | None:
    """Return the parts of an address that connecting to will not stumble over, None for any other text."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        usable = bool(httpx.URL(url).host) and parts.port != 0 and url.isprintable() and " " not in url
    except (ValueError, httpx.InvalidURL):
        return None
    return parts if usable else None


def _no_password() -> str:
    """Answer OpenSSL's question for a pass phrase, which would otherwise wait at the terminal."""
    return ""


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return error.strerror or "unreadable"
