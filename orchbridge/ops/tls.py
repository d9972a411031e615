"""TLS of the operations port: its certificate, whose client certificates it takes, and renewal without a restart."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from orchbridge.core.errors import ConfigError
from orchbridge.ops.repeats import Repeats

REPEAT_S = 60.0
_Mark: TypeAlias = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. With `client_ca` a client certificate that it signed is demanded of whoever wants to see more
    than whether we are healthy."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.cert, self.key, self.client_ca) if path)


class Certificates:
    """The files as last loaded whole. A connection gets what the files hold when it is made.

    Raises ConfigError where they cannot be used at the start; later the old ones stay in use, and the
    log says why.
    """

    def __init__(self, tls: Tls, log: FilteringBoundLogger | None = None) -> None:
        self._tls = tls
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger("orchbridge")
        self._repeats = Repeats(REPEAT_S)
        self._marks = self._now()
        self._current = self.first = _context(tls)
        # Called for every handshake, with or without a name in it; a server keeps the context it began with.
        self.first.sni_callback = self._newest

    def refresh(self) -> None:
        """Load the files again where one of them has changed."""
        marks = self._now()
        if marks == self._marks:
            return
        try:
            self._current = _context(self._tls)
        except ConfigError as error:
            # Files are replaced one after the other: the next handshake looks again.
            if self._repeats.say(("certificate",), time.time()) is not None:
                self._log.warning("http.certificate_kept", explanation=str(error), hint=error.hint)
            return
        self._marks = marks
        self._repeats.over(("certificate",))
        self._log.info("http.certificate_loaded", cert=str(self._tls.cert))

    def _newest(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002 - as called
        self.refresh()
        connection.context = self._current

    def _now(self) -> tuple[_Mark, ...]:
        return tuple(mark(path) for path in self._tls.files)


def mark(path: Path) -> _Mark:
    """Return what tells a changed file from an unchanged one; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # No resumption: a session would outlive the client certificate, or the authority, it was made with.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"http.tls_cert_file: {tls.cert} and http.tls_key_file {tls.key} cannot be used: {_why(error)}",
            hint="give PEM files that belong together: the certificate with its chain, and its unencrypted key",
        ) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"http.client_ca_file: {tls.client_ca} cannot be used: {_why(error)}",
                hint="give a PEM file with the certificates of the authorities that sign your clients'",
            ) from error
        # A wrong certificate ends the handshake; none at all gets as far as the door, so that probes can ask.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_password() -> str:
    """Answer OpenSSL's question for a pass phrase, which would otherwise wait at the terminal."""
    return ""


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return error.strerror or "unreadable"
