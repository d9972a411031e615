"""The directory as one transactional store; everything here blocks and runs in the sink's one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from orchbridge.core.errors import Corrupt, Fenced, SinkLost
from orchbridge.sinks.jsonl import disk, ledger
from orchbridge.sinks.jsonl.ledger import Ledger, Mark

_CHUNK = 1 << 20  # bytes of lines read at a time


class Store:
    """What the ledger vouches for is true; every other byte is cut off before anything is written.

    `key_of` tells which lines of a state file replace each other: None means keep the line,
    otherwise (key, whether it is a removal).
    """

    def __init__(
        self,
        directory: Path,
        rotate_bytes: int,
        key_of: Callable[[bytes], tuple[object, bool] | None],
    ) -> None:
        self.directory = directory
        self._rotate_bytes = rotate_bytes
        self._key_of = key_of
        self._ledger = Ledger()
        self._lock: int | None = None
        self._doubt = True  # what is in memory may differ from the disk
        self._claims: dict[str, int] = {}
        self._floors: dict[str, int] = {}  # state topic -> size below which rewriting cannot pay

    def open(self, topics: set[str]) -> None:
        """Take the directory, bring it in order and vouch for every topic's file before its first byte."""
        try:
            if self._lock is None:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._lock = disk.lock(self.directory)
            if self._doubt:
                self._recover()
            self._vouch(topics)
        except OSError as error:
            raise disk.trouble(error, self.directory) from error

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._doubt = True

    def claim(self, stream: str) -> int:
        """Fence the stream's older claims and return the new one."""
        if self._lock is None:
            raise SinkLost(f"{self.directory} is not open")
        if self._doubt:
            try:
                self._recover()
            except OSError as error:
                raise disk.trouble(error, self.directory) from error
        self._claims[stream] = self._claims.get(stream, 0) + 1
        return self._claims[stream]

    def documents(self, stream: str) -> list[tuple[str, bytes]]:
        """Return the documents whose key is the stream's name or lies behind `<name>/`."""
        inside = f"{stream}/"
        return [(key, doc) for key, doc in self._ledger.documents.items() if key == stream or key.startswith(inside)]

    def chunks(self, topic: str) -> Iterator[list[bytes]]:
        """Yield the real lines of a topic's current file, about a megabyte at a time."""
        left = self._ledger.files.get(topic, Mark()).size
        if left:
            with self._path(topic).open("rb") as file:
                yield from _chunks(file.readlines, left)

    def commit(
        self, stream: str, claim: int, lines: Mapping[str, tuple[bytes, bool]], documents: Mapping[str, bytes | None]
    ) -> None:
        """Make lines (topic -> (bytes, whether a state file)) and documents true, or raise and promise nothing."""
        if self._lock is None or self._doubt:
            raise SinkLost(f"the last write to {self.directory} is uncertain", hint="claim the stream again")
        if self._claims.get(stream) != claim:
            raise Fenced(f"{stream} has a newer owner in this process")
        self._doubt = True
        try:
            self._vouch(set(lines))
            for topic, (_, state) in lines.items():
                self._tidy(topic, state)
            self._write(lines, documents)
        except OSError as error:
            raise disk.trouble(error, self.directory) from error
        self._doubt = False

    def _write(self, lines: Mapping[str, tuple[bytes, bool]], documents: Mapping[str, bytes | None]) -> None:
        files = dict(self._ledger.files)
        for topic, (data, _) in lines.items():
            mark = files[topic]
            files[topic] = Mark(disk.append(self._path(topic), mark.size, data), mark.part)
        if any(self._ledger.files[topic].size == 0 for topic in lines):
            disk.sync(self.directory)  # a voucher must not outlive the name of its file
        kept = dict(self._ledger.documents)
        for key, document in documents.items():
            if document is None:
                kept.pop(key, None)
            else:
                kept[key] = msgspec.json.decode(document, type=msgspec.Raw)  # whatever is no JSON stops here
        self._save(Ledger(files, {key: bytes(value) for key, value in kept.items()}))

    def _save(self, now: Ledger) -> None:
        disk.replace(self.directory / ledger.NAME, [ledger.encode(now)])
        self._ledger = now

    def _vouch(self, topics: set[str]) -> None:
        new = topics - self._ledger.files.keys()
        if new:
            files = dict(self._ledger.files) | {topic: Mark() for topic in sorted(new)}
            self._save(Ledger(files, self._ledger.documents))

    def _tidy(self, topic: str, state: bool) -> None:
        """Start a new part, or drop what is stale of a state file, before a file that is too large grows further."""
        mark = self._ledger.files[topic]
        if mark.size <= max(self._rotate_bytes, self._floors.get(topic, 0)):
            return
        if state:
            self._compact(topic, mark)
            return
        self._path(topic).rename(self._path(topic, mark.part))
        disk.sync(self.directory)
        self._save(Ledger({**self._ledger.files, topic: Mark(0, mark.part + 1)}, self._ledger.documents))

    def _compact(self, topic: str, mark: Mark) -> None:
        last, live = self._survivors(topic)
        self._floors[topic] = 2 * live
        if 2 * live > mark.size:
            return
        draft = self._draft(topic, mark.part + 1)
        size = disk.write(draft, self._kept(topic, last))
        disk.sync(self.directory)
        # Once vouched for, the draft is the file; recovery ends the rename that a crash prevents.
        self._save(Ledger({**self._ledger.files, topic: Mark(size, mark.part + 1)}, self._ledger.documents))
        draft.rename(self._path(topic))
        disk.sync(self.directory)

    def _survivors(self, topic: str) -> tuple[set[int], int]:
        """Return which lines (by number) still say something, and their bytes together."""
        newest: dict[object, tuple[int, int]] = {}
        number = 0
        for chunk in self.chunks(topic):
            for line in chunk:
                found = self._key_of(line)
                key, removed = (("line", number), False) if found is None else found
                newest.pop(key, None)
                if not removed:
                    newest[key] = (number, len(line))
                number += 1
        return {line for line, _ in newest.values()}, sum(size for _, size in newest.values())

    def _kept(self, topic: str, numbers: set[int]) -> Iterator[bytes]:
        number = 0
        for chunk in self.chunks(topic):
            for line in chunk:
                if number in numbers:
                    yield line
                number += 1

    def _recover(self) -> None:
        """Read the ledger back and cut every file down to it."""
        self._ledger = self._load()
        for topic, mark in self._ledger.files.items():
            self._finish(topic, mark)
            path = self._path(topic)
            size = path.stat().st_size if path.exists() else 0
            if size < mark.size:
                raise Corrupt(
                    f"{path} has {size} bytes where {self.directory / ledger.NAME} vouches for {mark.size}",
                    hint="restore the whole directory from one backup, or move it away to start anew",
                )
            if size > mark.size:
                disk.truncate(path, mark.size)
        self._refuse_strangers()
        self._doubt = False

    def _load(self) -> Ledger:
        path = self.directory / ledger.NAME
        try:
            return ledger.decode(path.read_bytes(), str(path))
        except FileNotFoundError:
            strangers = sorted(self.directory.glob("*.jsonl"))
            if strangers:
                raise Corrupt(
                    f"{strangers[0]} is there but {path} is not",
                    hint="restore the cursor file, or move the .jsonl files away to start anew",
                ) from None
            self._save(Ledger())
            return self._ledger

    def _finish(self, topic: str, mark: Mark) -> None:
        """End a compaction that was vouched for, undo a rotation that was not."""
        path, part = self._path(topic), self._path(topic, mark.part)
        for draft in self.directory.glob(f"{topic}.[0-9]*.draft"):
            if draft == self._draft(topic, mark.part):
                draft.rename(path)
                disk.sync(self.directory)
            else:
                draft.unlink()
        if part.exists() and not path.exists():
            part.rename(path)
            disk.sync(self.directory)

    def _refuse_strangers(self) -> None:
        known = {self._path(topic) for topic in self._ledger.files}
        for path in self.directory.glob("*.jsonl"):
            topic, _, number = path.stem.rpartition(".")
            mark = self._ledger.files.get(topic)
            earlier = mark is not None and number.isdigit() and int(number) < mark.part
            if path not in known and not earlier:
                raise Corrupt(
                    f"nothing vouches for {path}",
                    hint="move it away; the directory of the jsonl sink is for its own files only",
                )

    def _path(self, topic: str, part: int | None = None) -> Path:
        return self.directory / (f"{topic}.jsonl" if part is None else f"{topic}.{part:06}.jsonl")

    def _draft(self, topic: str, part: int) -> Path:
        return self.directory / f"{topic}.{part:06}.draft"


def _chunks(read: Callable[[int], list[bytes]], left: int) -> Iterator[list[bytes]]:
    """Cut a stream of lines at `left` bytes; a file that ends earlier is somebody else's doing."""
    while left > 0:
        lines = read(min(left, _CHUNK))
        if not lines:
            raise SinkLost("a state file became shorter while it was read", hint="nobody else may write to it")
        while lines and sum(map(len, lines)) > left:
            lines.pop()
        left -= sum(map(len, lines))
        if not lines:
            return
        yield lines
