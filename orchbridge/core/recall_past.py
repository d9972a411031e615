"""Reading back the memory of a window: what was handed over, how far it was read, what was under way."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from orchbridge.core import memos
from orchbridge.core.handover import Eras, Handover, window_of
from orchbridge.core.head import Head, Passage
from orchbridge.core.past import Past
from orchbridge.core.ports import Recalled
from orchbridge.core.recall import WalkRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Walk
from orchbridge.core.window import Window

M = TypeVar("M", bound=memos.Memo)

replace = msgspec.structs.replace


class PastRecall(WalkRecall[M]):
    """The memory of a window stream being read back; a backfill learns its window from it."""

    def __init__(self, settings: StreamSettings, owner: str, kind: type[M], window: Window | None) -> None:
        super().__init__(settings, owner, kind)
        self._window = window
        self._notes: dict[str, bytes | None] = {}

    def learn(self, document: Recalled) -> None:
        """Take in one document; raise Corrupt where its key cannot be ours."""
        last = document.key.removeprefix(f"{self._settings.name}/")
        if last in {"window", "eras"}:
            self._notes[last] = document.value
        else:
            super().learn(document)

    def past(self) -> tuple[Past, Walk, dict[int, M]]:
        """Return the window, how far it was read, and what was under way."""
        walk = self.walk()
        head = walk.head
        if self._window is not None:
            past = Past(self._window, backfill=False)
            newest = self._window.eras[-1].epoch if self._window.eras else 1
            fresh = replace(head, epoch=newest, high=self._window.first - 1)
            known = walk.begun
        else:
            past, handed = self._handed()
            fresh = Head(url=head.url, keys=head.keys, owner=head.owner, epoch=handed.epoch, high=handed.first - 1)
            fresh = replace(fresh, passage=Passage(mark=handed.mark))
            known = walk.begun and head.passage.mark == handed.mark
        tracked = self.tracked() if known else {}
        kept = {id_: memo for id_, memo in tracked.items() if past.window and past.window.has(id_, None)}
        stale = tuple(sorted(set(self._memos).difference(kept)))
        walk = Walk(head if known else fresh, begun=True, dirty=True)
        return replace(past, stale=stale), walk, kept

    def _handed(self) -> tuple[Past, Handover]:
        name = self._settings.name
        note, told = self._notes.get("window"), self._notes.get("eras")
        if note is None:  # with "now" nothing will ever be handed over: done, rather than waiting for it
            return Past(Window() if self._settings.start.kind == "now" else None), Handover()
        handed = memos.decode(Handover, f"{name}/window", note)
        eras = memos.decode(Eras, f"{name}/eras", told).eras if told is not None else ()
        window, cut = window_of(handed, eras)
        return Past(window, handed.total, cut), handed
