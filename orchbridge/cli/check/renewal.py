"""What `check` says of a token that is to be renewed: whether a new one could be put in its place."""

from __future__ import annotations

from orchbridge.config import Source
from orchbridge.core.ports import Finding
from orchbridge.orchestrator.token_file import replacing

SUBJECT = "token renewal"


def inspect(source: Source) -> list[Finding]:
    """Try to make room beside the file, the way a renewal does."""
    if not source.renew_token or source.token_file is None:
        return []
    try:
        with replacing(source.token_file):
            pass
    except OSError as error:
        hint = f"let the user orchbridge runs as write to {source.token_file.parent}, or set renew_token = false"
        return [Finding(SUBJECT, "failed", f"{source.token_file} cannot be replaced: {error.strerror}", hint)]
    return [Finding(SUBJECT, "ok", f"at two thirds of its life; {source.token_file} can be replaced")]
