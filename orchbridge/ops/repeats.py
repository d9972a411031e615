"""Saying the same thing once an interval: how often it was left unsaid, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass

KEYS_MAX = 1_000


@dataclass(slots=True)
class _Said:
    at: float
    last: float
    unsaid: int = 0


class Repeats:
    """Remembers what was said when. Times are Unix seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._said: dict[tuple[str, ...], _Said] = {}

    def say(self, key: tuple[str, ...], now: float) -> int | None:
        """Return how often it stayed unsaid since the last time; None where it is too early to say it again."""
        said = self._said.get(key)
        if said is None:
            if len(self._said) >= KEYS_MAX:
                self._said.pop(next(iter(self._said)))
            self._said[key] = _Said(now, now)
            return 0
        said.last = now
        if now - said.at < self._interval_s:
            said.unsaid += 1
            return None
        unsaid, said.at, said.unsaid = said.unsaid, now, 0
        return unsaid

    def over(self, key: tuple[str, ...]) -> bool:
        """Forget it; return whether there was something to forget."""
        return self._said.pop(key, None) is not None

    def quiet(self, prefix: tuple[str, ...], now: float) -> list[tuple[str, ...]]:
        """Forget and return what begins so and has not happened for a whole interval."""
        over = [
            key
            for key, said in self._said.items()
            if key[: len(prefix)] == prefix and now - said.last >= self._interval_s
        ]
        for key in over:
            del self._said[key]
        return over
