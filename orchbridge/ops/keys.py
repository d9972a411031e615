"""What opens the operations port: a bearer token, a user with a password, or either; never shown, read anew."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path

from orchbridge.core.errors import ConfigError
from orchbridge.ops.tls import mark

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Secret:
    """A secret given in place or in a file; the file is read again when it has changed.

    Raises ConfigError where it cannot be used at the start. Later a file that is away, empty or torn for a
    moment leaves the old secret in use; `trouble` then says what is wrong.
    """

    def __init__(self, key: str, value: str | None, path: Path | None, *, token: bool) -> None:
        self._key, self._path, self._token = key, path, token
        self._mark = mark(path) if path else None
        self.trouble: str | None = None
        found = self._read() if path else self._judged(value or "")
        if isinstance(found, ConfigError):
            raise found
        self._value = found

    def __repr__(self) -> str:
        return f"Secret({self._key!r})"

    def current(self) -> bytes:
        """Return the secret of the moment."""
        if self._path is not None:
            seen = mark(self._path)
            if seen != self._mark:
                found = self._read()
                self.trouble = str(found) if isinstance(found, ConfigError) else None
                if not isinstance(found, ConfigError):
                    self._value, self._mark = found, seen
        return self._value

    def _read(self) -> bytes | ConfigError:
        assert self._path is not None
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError as error:
            return ConfigError(
                f"http.{self._key}_file: {self._path} cannot be read: {error.strerror}",
                hint="make it readable to the user orchbridge runs as",
            )
        except UnicodeDecodeError:
            return self._unfit()
        return self._judged(text.strip() if self._token else text.removesuffix("\n").removesuffix("\r"))

    def _judged(self, text: str) -> bytes | ConfigError:
        fits = _TOKEN.fullmatch(text) if self._token else text and text.isprintable()
        return text.encode() if fits else self._unfit()

    def _unfit(self) -> ConfigError:
        what = "a token: visible ASCII characters without spaces" if self._token else "a password: one line of text"
        where = f"http.{self._key}_file: {self._path}" if self._path else f"http.{self._key}:"
        return ConfigError(f"{where} does not hold {what}", hint="make one: openssl rand -hex 32")


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the door; nothing of it where neither is set. Both may be set: either opens."""

    bearer: Secret | None = field(default=None)
    user: str = ""
    password: Secret | None = field(default=None)

    def __bool__(self) -> bool:
        return self.bearer is not None or self.password is not None

    @property
    def challenges(self) -> tuple[str, ...]:
        """The values of WWW-Authenticate."""
        bearer = ('Bearer realm="orchbridge"',) if self.bearer else ()
        basic = ('Basic realm="orchbridge", charset="UTF-8"',) if self.password else ()
        return (*bearer, *basic)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with files that have changed since they were last usable."""
        return tuple(secret.trouble for secret in (self.bearer, self.password) if secret and secret.trouble)

    def open(self, authorization: bytes) -> bool:
        """Return whether this Authorization header opens; how long that takes tells nothing of a secret."""
        scheme, _, rest = authorization.strip().partition(b" ")
        match scheme.lower():
            case b"bearer" if self.bearer is not None:
                return _same(rest.strip(), self.bearer.current())
            case b"basic" if self.password is not None:
                return _same(_plain(rest.strip()), self.user.encode() + b":" + self.password.current())
            case _:
                return False


def _plain(credentials: bytes) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _same(given: bytes, wanted: bytes) -> bool:
    """Compare digests: the comparison of texts tells, by its time, where their lengths differ."""
    return hmac.compare_digest(*(hmac.digest(b"orchbridge", text, "sha256") for text in (given, wanted)))
