"""How far one job's or plan's events have been read in this claim, and from where to ask next.

Event ids ascend but can become visible out of order, so every question overlaps what was already
read: the whole list while it is short, else from the id that was newest half a minute ago.
"""

from __future__ import annotations

import msgspec

SHORT_LIST = 100
OVERLAP_S = 30.0
PATIENCE = 15
WEARY_PAUSE_S = 30.0

replace = msgspec.structs.replace


class Reading(msgspec.Struct, frozen=True):
    """Volatile: after a claim everything is read from the start once, and known ids are passed over.

    whole      a read from the first event has been folded since the claim
    settled    everything up to this id was visible at least OVERLAP_S ago
    resume     the last answer was cut: ask on from here
    began_at   when the first question of the read under way was asked; done_at of the last whole answer
    due        not to be asked before; `fruitless` counts answers in a row that held nothing new
    """

    whole: bool = False
    settled: int = 0
    mark: int = 0
    mark_at: float = 0.0
    resume: int | None = None
    began_at: float = 0.0
    done_at: float = 0.0
    due: float = 0.0
    fruitless: int = 0
    failures: int = 0


def start(reading: Reading, delivered: int, *, full: bool = False) -> int | None:
    """Return the lowest id to ask for, None for all; `delivered` counts the events delivered so far."""
    if reading.resume is not None:
        return reading.resume
    if full or not reading.whole or delivered <= SHORT_LIST or not reading.settled:
        return None
    return reading.settled


def after(  # what the answer was, in values
    reading: Reading,
    *,
    asked_at: float,
    now: float,
    newest: int,
    fresh: int,
    cut_at: int | None,
    poll_s: float,
    patience: int = PATIENCE,
) -> Reading:
    """Return the reading after an answer with `fresh` new events; `newest` is the highest id delivered.

    `cut_at` is the last id of an answer that was too large to take at once, else None. After `patience`
    answers without news the questions become rarer.
    """
    began_at = reading.began_at if reading.resume is not None else asked_at
    if cut_at is not None:
        return replace(reading, resume=cut_at + 1, began_at=began_at, due=now, fruitless=0, failures=0)
    marks = (reading.settled, reading.mark, reading.mark_at)
    if not reading.mark_at:
        marks = (0, newest, now)
    elif now - reading.mark_at >= OVERLAP_S:
        marks = (reading.mark, newest, now)
    fruitless = 0 if fresh else reading.fruitless + 1
    pause = poll_s / 2 if fruitless < patience else WEARY_PAUSE_S
    return Reading(
        whole=True,
        settled=marks[0],
        mark=marks[1],
        mark_at=marks[2],
        began_at=began_at,
        done_at=began_at,
        due=now + pause,
        fruitless=fruitless,
    )
