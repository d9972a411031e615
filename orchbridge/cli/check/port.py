"""What `check` says of our own port: whether it can be opened, to whom, and how long its certificate lasts."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from orchbridge.cli import wiring
from orchbridge.config import Http, values
from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import Finding
from orchbridge.ops import serve
from orchbridge.orchestrator.doctor.chain import in_file

DAYS_LEFT_MIN = 14
SECRETS = ("tls_key_file", "bearer_token_file", "basic_password_file")


def inspect(http: Http) -> tuple[Finding, ...]:
    """Return everything there is to say of it; nothing is left listening."""
    return tuple(_everything(http))


def _everything(http: Http) -> Iterator[Finding]:
    yield _listening(http)
    yield from _encrypted(http)
    yield _guarded(http)
    for name in SECRETS:
        path: Path | None = getattr(http, name)
        if path is not None and _open_to_all(path):
            yield Finding(f"http.{name}", "warning", f"everybody on this machine can read {path}", f"chmod 600 {path}")


def _listening(http: Http) -> Finding:
    try:
        serve.listening(http.host, http.port).close()
    except ConfigError as error:
        busy = "in use" in str(error)
        hint = "well if that is the orchbridge you run already; else write another port" if busy else error.hint
        return Finding("http.listen", "warning" if busy else "failed", str(error), hint)
    return Finding("http.listen", "ok", f"{http.listen} is free")


def _encrypted(http: Http) -> Iterator[Finding]:
    if http.tls_cert_file is None:
        return
    subject = "http.tls_cert_file"
    try:
        wiring.certificates_of(http)
    except ConfigError as error:
        yield Finding(subject, "failed", str(error), error.hint)
        return
    for own in in_file(http.tls_cert_file)[:1]:
        said, days = (
            f"{own.subject}, issued by {own.issuer}, for {own.made_for}, until {own.until}",
            own.days_left(time.time()),
        )
        if days < DAYS_LEFT_MIN:
            hint = "replace both files in time; no restart is needed"
            yield Finding(subject, "failed" if days < 0 else "warning", f"{said}: {days:.0f} more days", hint)
        else:
            yield Finding(subject, "ok", said)


def _guarded(http: Http) -> Finding:
    subject = "credentials"
    try:
        keys = wiring.keys_to(http)
    except ConfigError as error:
        return Finding(subject, "failed", str(error), error.hint)
    asked = ["a client certificate"] if http.client_ca_file else []
    either = [word for word, key in (("bearer token", keys.bearer), ("password", keys.password)) if key]
    asked += ["a " + " or a ".join(either)] if either else []
    if asked:
        return Finding(subject, "ok", f"{' and '.join(asked)}; /healthz and /readyz say a word without")
    if values.loopback(http.host):
        return Finding(subject, "ok", "none are asked for, on this machine's own address alone")
    said = f"whoever reaches {http.listen} sees jobs, nodes and errors"
    return Finding(subject, "warning", said, "set http.bearer_token_file or http.client_ca_file, with TLS")


def _open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False
