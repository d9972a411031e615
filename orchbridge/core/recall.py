"""Reading back the memory of a walked stream: its head, and one document per tracked job or plan."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from orchbridge.core import head as heads
from orchbridge.core import memos
from orchbridge.core.errors import Corrupt
from orchbridge.core.head import Head
from orchbridge.core.ports import Recalled
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Walk
from orchbridge.core.walking import resumed

M = TypeVar("M", bound=memos.Memo)


class WalkRecall(Generic[M]):
    """Takes documents in, the newest of a key last; a log holds older ones, so only the last is read."""

    def __init__(self, settings: StreamSettings, owner: str, kind: type[M]) -> None:
        self._settings, self._owner, self._kind = settings, owner, kind
        self._head: bytes | None = None
        self._memos: dict[int, bytes] = {}

    def learn(self, document: Recalled) -> None:
        """Take in one document; raise Corrupt where its key cannot be ours."""
        if document.key == self._settings.name:
            self._head = document.value
            return
        number = document.key.rpartition("/")[2]
        if not number.isdecimal():
            raise Corrupt(
                f"the cursor document {document.key} is of no stream of ours",
                hint="was another program writing to the cursor topic? remove that key's record",
            )
        if document.value is None:
            self._memos.pop(int(number), None)
        else:
            self._memos[int(number)] = document.value

    def walk(self) -> Walk:
        """Return the walk that the head describes; without a head the start rule will apply."""
        settings = self._settings
        if self._head is None:
            return Walk(Head(url=settings.url, keys=settings.keys, owner=self._owner), dirty=True)
        head = heads.decode(settings.name, self._head, url=settings.url, keys=settings.keys, adopt=settings.adopt)
        return resumed(msgspec.structs.replace(head, owner=self._owner))

    def tracked(self) -> dict[int, M]:
        """Return the memos by id; none where there is no head to go with them."""
        if self._head is None:
            return {}
        name = self._settings.name
        return {id_: memos.decode(self._kind, f"{name}/{id_}", value) for id_, value in self._memos.items()}
