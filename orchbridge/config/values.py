"""Single values of the configuration: what they may look like, and what to write when they do not."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

PE_PORT = 8143
RBAC_PORT = 4433
TOPIC_CHARS = re.compile(r"[a-zA-Z0-9._-]+")
TOPIC_MAX = 249
LONGEST_CHANNEL = len(".reachability")

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def origin(text: str, port: int = PE_PORT) -> str:
    """Return scheme, host and port of an orchestrator; its documented port is added where none is given.

    The address is never repeated in an error: it may carry a password.
    """
    parts = _split(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f'must be an address; write "https://pe.example.com:{port}"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or password; use token_file")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must end after the port; the paths of the API are added by orchbridge")
    if parts.scheme == "http" and not loopback(parts.hostname):
        raise ValueError("must be https; http is accepted only to this machine itself")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or port}"


def rbac(text: str) -> str:
    """Return the same of the RBAC service."""
    return origin(text, RBAC_PORT)


def proxy(text: str) -> str:
    """Return a proxy's address; unlike a source's it may carry a user and password."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError('must be the address of an HTTP proxy; write "http://proxy.example.com:3128"')
    return text


def job_link(text: str) -> str:
    """Return a console link with `{job}` where the number goes."""
    if urlsplit(text).scheme not in {"http", "https"} or set(re.findall(r"\{[^}]*\}?", text)) != {"{job}"}:
        raise ValueError('must be a link with {job} in it; write "https://pe.example.com/#/run/jobs/{job}"')
    return text


def loopback(host: str) -> bool:
    """Return whether this name or address can only be the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(text: str) -> str:
    """Return `host:port`, with brackets around an IPv6 address; port 0 takes any free one."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or not _is_host(bare, bracketed=bare != host):
        raise ValueError(
            'must be host:port; write "127.0.0.1:9640", "[::1]:9640" or, for all addresses, "0.0.0.0:9640"'
        )
    return text


def user(text: str) -> str:
    """Return a user's name for basic authentication, where a colon ends it."""
    if not text or ":" in text or not text.isprintable():
        raise ValueError('must be a name without ":"; write "prometheus"')
    return text


def _is_host(text: str, *, bracketed: bool) -> bool:
    try:
        return (ipaddress.ip_address(text).version == 6) == bracketed
    except ValueError:
        return not bracketed and _HOST.fullmatch(text) is not None


def start(value: Any) -> str:
    """Return "now", "earliest", "job:<n>" or an RFC 3339 time; TOML's own date-time is taken too."""
    text = value.isoformat() if isinstance(value, datetime) else value
    if isinstance(text, str) and (text in {"now", "earliest"} or re.fullmatch(r"job:[1-9]\d{0,17}", text, re.ASCII)):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError('must be "now", "earliest", "job:350" or a time such as "2026-05-01T00:00:00Z"') from None
    if moment.tzinfo is None:
        raise ValueError(f'must say its offset from UTC; write "{moment.isoformat()}Z"')
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration(value: Any) -> timedelta:
    """Return the length of "30d", "12h", "15m" or "900s"."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError("must be a whole number with s, m, h or d")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise ValueError("is longer than a calendar") from None


def parameters(value: Any) -> Any:
    """Return a table of parameters; as text, in a file or in the environment, it is a JSON object."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('must be a table or a JSON object; write {"name": "value"}')  # noqa: TRY004 - as all others
    return found


def topic_prefix(text: str) -> str:
    """Return a prefix whose topics Kafka accepts; its length is checked with the sources' names."""
    if not TOPIC_CHARS.fullmatch(text.replace("{source}", "x")):
        raise ValueError('may hold letters, digits, ".", "_", "-" and {source}; write "pe.{source}"')
    return text


def bootstrap(text: str) -> str:
    """Return `host:port,host:port`; the port may be left out."""
    for server in text.split(","):
        host, colon, port = server.strip().rpartition(":")
        host, port = (host, port) if colon else (port, "9092")
        bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if bracketed else host
        if not _is_host(bare, bracketed=bracketed) or not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
            raise ValueError('must be host:port, several with commas; write "kafka-1:9092,kafka-2:9092"')
    return text


class Where(NamedTuple):
    """The folder that relative paths are taken from, and whether the files named must be there."""

    folder: Path = Path()
    files_exist: bool = False


# Settings are made through their constructor, which hands no context to validators.
WHERE: ContextVar[Where] = ContextVar("where", default=Where())  # noqa: B039 - a NamedTuple cannot change


def beside(path: Path) -> Path:
    """Return the path, a relative one taken from the configuration file's folder."""
    return WHERE.get().folder / path


def existing(path: Path) -> Path:
    """Return the path beside the configuration; refuse it where files must exist and it does not."""
    found = beside(path)
    if WHERE.get().files_exist:
        complaint = unusable(found)
        if complaint:
            raise ValueError(f"{complaint}; create it, or correct the path")
    return found


def unusable(path: Path) -> str | None:
    """Return why this file cannot be read; None where it can."""
    try:
        if not path.is_file():
            return f"is a folder: {path}" if path.is_dir() else f"no such file: {path}"
    except OSError as error:
        return f"cannot be reached: {path} ({error.strerror})"
    return None if os.access(path, os.R_OK) else f"may not be read by this user: {path}"


def _split(text: str) -> SplitResult:
    """Return the parts of an address; a broken one has none."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts
