"""What a sick server says instead of the truth: failures, and answers that are torn, cut, repeated or empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from orchbridge.core.facts import Odd
from orchbridge.core.questions import Answer, Page, Question, Trouble

replace = msgspec.structs.replace

TROUBLES = {
    "unreachable": Trouble("unreachable", "connection refused"),
    "timeout": Trouble("timeout", "no answer within 10 s"),
    "server": Trouble("server", "the service is starting", status=503),
    "throttled": Trouble("throttled", "slow down", status=429, retry_after_s=2.0),
    "missing": Trouble("missing", "unknown-job", status=404),
    "absent": Trouble("absent", "not found", status=404),
    "forbidden": Trouble("forbidden", "not permitted", status=403),
    "invalid": Trouble("invalid", "validation-error", status=400),
    "malformed": Trouble("malformed", "a page of HTML", status=200),
    "oversize": Trouble("oversize", "more than 512 MB"),
}
PASSING = ("unreachable", "timeout", "server", "throttled", "malformed")


def torn(page: Page, random: Random) -> Page:
    """Some items cannot be read."""
    items = [Odd(b'{"torn":%d}' % at, "torn") if random.random() < 0.4 else item for at, item in enumerate(page.items)]
    return replace(page, items=tuple(items))


def repeated(page: Page, random: Random) -> Page:
    """Some items come twice, and not in order."""
    items = [*page.items, *(item for item in page.items if random.random() < 0.5)]
    random.shuffle(items)
    return replace(page, items=tuple(items))


def cut(page: Page, random: Random) -> Page:
    """The body was too large: only its first items."""
    return replace(page, items=page.items[: random.randint(1, 3)], cut=True) if len(page.items) > 3 else page


def empty(page: Page, random: Random) -> Page:
    """Nothing, as if that were the truth."""
    return replace(page, items=(), total=random.choice((0, None)))


def behind(page: Page, random: Random) -> Page:
    """The newest are not there yet."""
    return replace(page, items=page.items[random.randint(1, 2) :])


PAGES: dict[str, Callable[[Page, Random], Page]] = {"torn": torn, "repeated": repeated, "cut": cut, "empty": empty}
ONCE: dict[str, Callable[[Page, Random], Page]] = {"behind": behind}


@dataclass
class Faults:
    """Which questions are answered wrongly: by type name, how, and how often still."""

    at_work: dict[str, tuple[str, int]] = field(default_factory=dict)
    limit: int | None = None
    limit_form: str = "clamped"
    no_offset: bool = False
    met: dict[tuple[str, object], int] = field(default_factory=dict)

    def heal(self) -> None:
        """Be well from now on."""
        self.at_work.clear()
        self.limit, self.no_offset = None, False

    def change(self, question: Question, answer: Answer, random: Random) -> Answer:
        """Return what is heard."""
        name = type(question).__name__
        how, times = self.at_work.get(name, ("", 0))
        if not times:
            return answer
        self.at_work[name] = (how, times - 1)
        if how in TROUBLES:
            return TROUBLES[how]
        return (PAGES | ONCE)[how](answer, random) if isinstance(answer, Page) else answer
