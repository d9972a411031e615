"""The token: read from a file, read again when the file changes, never shown."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import TypeAlias

from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.failures import Denial

_TOKEN = re.compile(r"[\x21-\x7e]+")
_TELLING = 8  # so many characters of a token are already a part of the secret

FileMark: TypeAlias = tuple[int, int, int, int] | None


def mark(path: Path) -> FileMark:
    """Return what tells a changed file from an unchanged one, rights included; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Token:
    """The current token of one source. `generation` grows with every new value."""

    def __init__(self, path: Path | None, value: str | None) -> None:
        self._path = path
        self._value = "" if path else (value or "").strip()
        self._mark: FileMark = None
        self.generation = 0
        if self._value and not _TOKEN.fullmatch(self._value):
            raise ConfigError("the token setting holds something that is not a token", hint="give the token alone")

    def __repr__(self) -> str:
        return f"Token({str(self._path) if self._path else 'given' if self._value else 'none'})"

    @property
    def held(self) -> bool:
        """Whether there is a token to send."""
        return bool(self._value)

    @property
    def bare(self) -> str:
        """The token itself, to be asked about, without what it says about keeping it alive."""
        return self._value.removesuffix("|no_keepalive")

    @property
    def changed(self) -> bool:
        """Whether the file differs from the one last read."""
        return self._path is not None and mark(self._path) != self._mark

    def read_if_changed(self) -> Denial | None:
        """Make sure of a current token; return why there is none."""
        return self.read() if self._path and (not self._value or self.changed) else None

    def read(self) -> Denial | None:
        """Read the file again. Where it is away or empty for a moment, the old token stays in use."""
        if not self._path:
            return None
        self._mark = mark(self._path)
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            return self._unless_held(f"cannot be read: {error.strerror}")
        if not text:
            return self._unless_held("is empty")
        if not _TOKEN.fullmatch(text):
            return self._unless_held("holds something that is not a token")
        if text != self._value:
            self._value = text
            self.generation += 1
        return None

    def sign(self, headers: MutableMapping[str, str]) -> None:
        """Put the token where the server looks for it."""
        if self._value:
            headers["X-Authentication"] = self._value

    def hide(self, text: str) -> str:
        """Return the text without the token in it, nor the beginning of one cut short."""
        return re.sub(re.escape(self._value[:_TELLING]) + r"\S*", "[token]", text) if self._value else text

    def _unless_held(self, what: str) -> Denial | None:
        if self._value:
            return None
        return Denial(
            kind="token-file",
            message=f"the token file {self._path} {what}",
            hint=f"write the token alone into {self._path} (puppet-access login --lifetime 1y),"
            " readable by the user orchbridge runs as",
            everything=True,
        )
