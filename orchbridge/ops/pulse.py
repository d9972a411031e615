"""How a source answers: whether it is up, and how often it is asked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

UP_S = 30.0
GOOD_S = 120.0  # for so long a good answer says something
BAD_S = 330.0  # and a bad one: the server may ask to be left alone for five minutes
RATE_S = 60
TOOK_MAX = 500


@dataclass(slots=True)
class Pulse:
    """The last good and bad answer of a source (Unix seconds), and its requests of the last minute.

    `took` says when a good answer came and how many seconds it took.
    """

    last_good: float | None = None
    last_bad: float | None = None
    seconds: deque[list[int]] = field(default_factory=lambda: deque(maxlen=RATE_S + 1))
    took: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=TOOK_MAX))

    def beat(self, now: float, *, good: bool, seconds: float = 0.0) -> None:
        """Take note of one finished request, and of how long a good answer took."""
        if good:
            self.last_good = now
            self.took.append((now, seconds))
        else:
            self.last_bad = now
        if self.seconds and self.seconds[-1][0] == int(now):
            self.seconds[-1][1] += 1
        else:
            self.seconds.append([int(now), 1])

    def up(self, now: float, patience_s: float = 0.0) -> bool | None:
        """Return whether it answered well within the last 30 s or last time; None where nobody knows.

        One endpoint that fails beside healthy ones (the inventory without its broker) is not "down". Nobody knows
        before the first answer, and once the last one is older than minutes and `patience_s`: we do not ask any more.
        """
        good, bad = self.last_good or 0.0, self.last_bad or 0.0
        last_time = good >= bad
        if now - max(good, bad) > max(GOOD_S if last_time else BAD_S, patience_s):
            return None
        return last_time or now - good < UP_S

    def per_s(self, now: float) -> float:
        """Return requests a second over the last minute."""
        return sum(count for second, count in self.seconds if now - RATE_S < second <= now) / RATE_S

    def answers_s(self, now: float) -> tuple[float, float] | None:
        """Return how long half of the last minute's good answers took at most, and 95 % of them; None without any."""
        took = sorted(seconds for at, seconds in self.took if now - RATE_S < at)
        return (took[len(took) // 2], took[int(0.95 * len(took))]) if took else None
