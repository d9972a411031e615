"""What a failed answer about one job or plan means: one rule for both, without doing any of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from orchbridge.core.questions import Trouble

BLOCKED_RETRY_S = 300.0
MISSES_MAX = 2
ABSENT_MAX = 4  # a 404 that does not say what is missing may be somebody else's
FAILURES_MAX = 10  # about eight minutes
HOPELESS = frozenset({"forbidden", "oversize", "absent", "invalid", "malformed"})
AT_ONCE = frozenset({"forbidden", "oversize"})  # the same question will get the same answer

Deed: TypeAlias = Literal["miss", "gone", "drop", "block", "again"]


class Standing(msgspec.Struct, frozen=True):
    """How it stands with the job or plan, this failure not counted yet.

    shown     the newest list shows it
    expired   it is over and the window for late events has ended
    patience  how many hopeless answers in a row it takes to believe them
    listed    a thing without a route of its own is believed to be gone once the list does not show it either
    """

    misses: int
    failures: int
    shown: bool
    expired: bool
    patience: int
    listed: bool


def decide(trouble: Trouble, standing: Standing) -> Deed:
    """Return what to do.

    miss   look again soon: it may only be missing for a moment
    gone   the server forgot it
    drop   nothing more is to be had, and all was said
    block  say so, and look again now and then
    again  try again, later each time
    """
    failures = standing.failures + 1
    if trouble.kind == "missing":
        return "gone" if not standing.shown and standing.misses + 1 >= MISSES_MAX else "miss"
    if standing.expired and (trouble.kind in HOPELESS or failures >= FAILURES_MAX):
        return "drop"
    if trouble.kind in AT_ONCE:
        return "block"
    if trouble.kind == "absent" and standing.listed and not standing.shown and failures >= ABSENT_MAX:
        return "gone"
    return "block" if trouble.kind in HOPELESS and failures >= standing.patience else "again"
