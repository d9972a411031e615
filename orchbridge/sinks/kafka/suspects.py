"""Finding the one record that a broker will not take, by sending ever smaller batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHARES = 8  # a refused batch is next tried in about this many parts


class Suspects:
    """What one stream has learned of refused batches; it outlives lanes, because each refusal costs one.

    `per_batch` is how many suspects may travel together in the next attempt.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._verdicts: dict[str, str] = {}
        self._refused: set[str] = set()
        self.per_batch = 1

    def suspect(self, id_: str) -> bool:
        """Whether the record was in a batch that was refused."""
        return id_ in self._ids

    def verdict(self, id_: str) -> str | None:
        """Return why the broker refused this very record, None where it did not."""
        return self._verdicts.get(id_)

    def bare(self, id_: str) -> bool:
        """Whether the broker refused the record's quarantine record as well, so that only its bones may travel."""
        return id_ in self._refused

    def accuse(self, ids: Sequence[str | None], reason: str) -> bool:
        """Take note of a refused batch; False where no smaller attempt can help.

        That is so for cursor documents (None) and for a record of which not even a bare quarantine
        record was taken.
        """
        names = [id_ for id_ in ids if id_ is not None]
        if not names or (len(names) == 1 and names[0] in self._refused):
            return False
        if len(names) == 1 and names[0] in self._verdicts:
            self._refused.add(names[0])
        elif len(names) == 1:
            self._verdicts[names[0]] = reason
        else:
            self._ids = set(names)
            self.per_batch = max(1, len(names) // _SHARES)
        return True

    def arrived(self, ids: Iterable[str]) -> None:
        """Forget what went through; what else is suspected is still to come: a claim first commits that it is there."""
        if not self._ids and not self._verdicts:
            return
        for id_ in ids:
            self._verdicts.pop(id_, None)
            self._refused.discard(id_)
            self._ids.discard(id_)
