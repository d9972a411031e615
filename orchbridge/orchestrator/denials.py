"""What the server refused for good: from then on nothing is asked until a token or certificate file changes."""

from __future__ import annotations

from orchbridge.core.errors import Denied
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.pool import Pool
from orchbridge.orchestrator.tokens import Token

_EVERYTHING = ""


class Denials:
    """The refusals that only a person can lift, shared by everything that asks with one token."""

    def __init__(self, token: Token, pool: Pool) -> None:
        self._token = token
        self._pool = pool
        self._known: dict[str, Denied] = {}
        self._generation = token.generation  # of the token that was denied

    def lifted(self) -> bool:
        """Whether asking again may help: true as long as nothing is denied.

        Looks at the token and certificate files (a few stat calls), and forgets the denials
        when one of them differs from what was loaded.
        """
        if self._token.changed or self._token.generation != self._generation or self._pool.stale:
            self._known.clear()
        return not self._known

    def standing(self, *places: str) -> Denied | None:
        """Return what forbids asking at one of these (`Request.place`); without any, what forbids asking at all."""
        if not self._known or self.lifted():
            return None
        return next((found for place in (_EVERYTHING, *places) if (found := self._known.get(place))), None)

    def add(self, denial: Denial, place: str) -> Denied:
        """Remember a refusal; return it as the error to raise."""
        self._generation = self._token.generation
        denied = Denied(denial.message, hint=denial.hint, kind=denial.kind)
        self._known[_EVERYTHING if denial.everything else place] = denied
        return denied
