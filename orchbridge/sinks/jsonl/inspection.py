"""What `orchbridge check` says about the directory, without changing it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchbridge.core.errors import Corrupt
from orchbridge.core.ports import Finding
from orchbridge.sinks.jsonl import disk, ledger

SPACE_MIN = 1 << 30


def inspect(directory: Path) -> list[Finding]:
    """Return one finding for every question, the good answers too."""
    ground = directory
    while not ground.exists() and ground != ground.parent:
        ground = ground.parent
    findings = [_writable(directory, ground), _space(ground)]
    if directory.is_dir():
        try:
            findings += [_lock(directory), _ledger(directory)]
        except OSError as error:
            fix = f"let the user of orchbridge (uid {os.geteuid()}) read everything in it"
            findings.append(Finding(str(directory), "failed", f"cannot be read: {error}", fix))
    return findings


def _writable(directory: Path, ground: Path) -> Finding:
    name = str(directory)
    if ground.is_dir() and os.access(ground, os.R_OK | os.W_OK | os.X_OK):
        return Finding(name, "ok", "writable" if ground == directory else f"will be created in {ground}")
    hint = f"create it and let the user of orchbridge (uid {os.geteuid()}) write to it"
    return Finding(name, "failed", "not writable" if ground.is_dir() else f"{ground} is not a directory", hint)


def _space(ground: Path) -> Finding:
    free = shutil.disk_usage(ground).free
    if free >= SPACE_MIN:
        return Finding("disk space", "ok", f"{free / 1e9:.1f} GB free")
    return Finding("disk space", "warning", f"only {free / 1e6:.0f} MB free", "orchbridge stands still on a full disk")


def _lock(directory: Path) -> Finding:
    if disk.locked(directory):
        hint = "one directory takes one writer; well if that is the orchbridge you run already"
        return Finding("writer", "warning", f"process {disk.holder(directory)} is writing here", hint)
    return Finding("writer", "ok", "nobody writes here now")


def _ledger(directory: Path) -> Finding:
    path = directory / ledger.NAME
    if not path.exists():
        strangers = sorted(directory.glob("*.jsonl"))
        if strangers:
            return Finding(ledger.NAME, "failed", f"missing beside {strangers[0].name}", "move the .jsonl files away")
        return Finding(ledger.NAME, "ok", "no memory yet, starts anew")
    try:
        book = ledger.decode(path.read_bytes(), str(path))
    except Corrupt as error:
        return Finding(ledger.NAME, "failed", str(error), error.hint)
    for topic, mark in book.files.items():
        file = directory / f"{topic}.jsonl"
        size = file.stat().st_size if file.exists() else 0
        if size < mark.size and not disk.locked(directory):
            hint = "restore the whole directory from one backup"
            return Finding(
                ledger.NAME, "failed", f"{file.name} is shorter than it was: {size} of {mark.size} bytes", hint
            )
    return Finding(ledger.NAME, "ok", f"{len(book.documents)} documents, {len(book.files)} files")
