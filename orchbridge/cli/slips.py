"""A bug of ours in what the bridge does beside its streams: told by its place, so that it can be found."""

from __future__ import annotations

import traceback
from pathlib import Path

import orchbridge

_HOUSE = Path(orchbridge.__file__).parent


def place(error: BaseException) -> str:
    """Return the innermost line of ours that an error passed: `cli/canary/flight.py:46 fly`.

    Never the error's own text, which may hold a token or a parameter.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=None)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_relative_to(_HOUSE):
            return f"{path.relative_to(_HOUSE)}:{frame.lineno} {frame.name}"
    return "nowhere in orchbridge"
