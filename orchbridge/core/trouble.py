"""What a failed answer about one job or plan means: one rule for both, without doing any of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from orchbridge.core.questions import Trouble

BLOCKED_RETRY_S = 60.0
LARGE_RETRY_S = 300.0  # what is too large was read up to the limit each time
MISSES_MAX = 2
ABSENT_MAX = 4  # a 404 that does not say what is missing may be somebody else's
FAILURES_MAX = 10  # about eight minutes
HOPELESS = frozenset({"forbidden", "oversize", "absent", "invalid", "malformed"})
AT_ONCE = frozenset({"forbidden", "oversize"})  # the same question will get the same answer

Deed: TypeAlias = Literal["miss", "gone", "drop", "block", "again"]


class Standing(msgspec.Struct, frozen=True):
    """How it stands with the job or plan, this failure not counted yet.

    hopeless  answers in a row that time does not mend; `absent`: those of them that do not say what is missing
    shown     the newest list shows it
    expired   it is over and the window for late events has ended
    patience  how many hopeless answers it takes to believe them
    listed    a thing without a route of its own is believed to be gone once the list does not show it either
    """

    misses: int
    failures: int
    hopeless: int
    absent: int
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
    if trouble.kind == "missing":
        return "gone" if not standing.shown and standing.misses + 1 >= MISSES_MAX else "miss"
    if standing.expired and (trouble.kind in HOPELESS or standing.failures + 1 >= FAILURES_MAX):
        return "drop"
    if trouble.kind in AT_ONCE:
        return "block"
    if trouble.kind == "absent" and standing.listed and not standing.shown and standing.absent + 1 >= ABSENT_MAX:
        return "gone"
    return "block" if trouble.kind in HOPELESS and standing.hopeless + 1 >= standing.patience else "again"


class Count(msgspec.Struct, frozen=True):
    """Failed answers about one thing since one that was not: all, the hopeless ones, the last of these without a kind.

    Only rounds count: questions asked together fail together. A source that was away says nothing about the
    thing itself, so that is neither hopeless nor ends a row of such answers.
    """

    failures: int = 0
    hopeless: int = 0
    absent: int = 0

    def after(self, trouble: Trouble) -> Count:
        """Return the count with one more round that failed."""
        if trouble.kind not in HOPELESS:
            return msgspec.structs.replace(self, failures=self.failures + 1)
        absent = self.absent + 1 if trouble.kind == "absent" else 0
        return Count(self.failures + 1, self.hopeless + 1, absent)
