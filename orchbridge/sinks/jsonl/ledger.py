"""The cursor file: how many bytes of each file are real, and what every stream remembers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core.errors import Corrupt

NAME = "orchbridge.cursors.json"
VERSION = 1

_RESTORE = "restore the whole directory from one backup, or move it away to start anew"


class Mark(msgspec.Struct, frozen=True):
    """How many bytes of a topic's current file are real, and which part of the topic it is, from 1."""

    size: int = 0
    part: int = 1


class Ledger(msgspec.Struct, frozen=True):
    """Topic -> mark of its current file, and cursor key -> document (JSON)."""

    files: Mapping[str, Mark] = {}
    documents: Mapping[str, bytes] = {}


class _Form(msgspec.Struct):
    v: int
    files: dict[str, Mark]
    documents: dict[str, msgspec.Raw]


def encode(ledger: Ledger) -> bytes:
    """Return the file's content: JSON, one document a line so that a person can read it."""
    documents = b",\n".join(msgspec.json.encode(key) + b": " + value for key, value in ledger.documents.items())
    return b'{"v": %d, "files": %s,\n"documents": {\n%s}}\n' % (VERSION, msgspec.json.encode(ledger.files), documents)


def decode(content: bytes, place: str) -> Ledger:
    """Return what the file says; raise Corrupt where it cannot be ours."""
    try:
        form = msgspec.json.decode(content, type=_Form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(f"{place} cannot be read: {error}", hint=_RESTORE) from error
    if form.v != VERSION:
        raise Corrupt(
            f"{place} has version {form.v}, this program reads version {VERSION}",
            hint="run the version of orchbridge that wrote it",
        )
    if any(mark.size < 0 or mark.part < 1 for mark in form.files.values()):
        raise Corrupt(f"{place} vouches for impossible sizes", hint=_RESTORE)
    return Ledger(form.files, {key: bytes(value) for key, value in form.documents.items()})
