"""The findings of a source, in the words they share."""

from __future__ import annotations

from collections.abc import Iterable

from orchbridge.core.ports import Finding


def ok(subject: str, message: str) -> Finding:
    """Return what is well."""
    return Finding(subject, "ok", message)


def warning(subject: str, message: str, hint: str) -> Finding:
    """Return what is worth knowing, with what to do."""
    return Finding(subject, "warning", message, hint)


def failed(subject: str, message: str, hint: str) -> Finding:
    """Return what must be mended, with how."""
    return Finding(subject, "failed", message, hint)


def not_checked(subjects: Iterable[str], why: str) -> list[Finding]:
    """Return that these could not be looked at."""
    return [warning(subject, f"not checked: {why}", "mend what failed above, then check again") for subject in subjects]
