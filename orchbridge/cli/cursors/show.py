"""`orchbridge cursors show`: one line a stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orchbridge.cli.cursors.places import (
    REPLAY,
    Place,
    Progress,
    Tracked,
    chosen,
    head_of,
    places,
    progress_of,
    read_memos,
    sink_with_memory,
)
from orchbridge.cli.exits import DONE
from orchbridge.config import Settings
from orchbridge.core import times
from orchbridge.core.errors import ConfigError, Corrupt
from orchbridge.core.head import Head

COLUMNS = ("stream", "position", "epoch", "gaps", "tracked", "carried by", "memory", "age")


class Line(msgspec.Struct, frozen=True):
    """One stream as `show --json` prints it; None is what is not known or does not apply.

    position    the highest job or plan id accounted for
    tracked     how many jobs or plans have more to say (open), or are only waited on for late events
    owner       who carries the stream now, as far as the sink can tell
    bytes       size of its documents, keys included
    progress    of a backfill or replay: how many of its ids are done
    written     when a document was written last, RFC 3339
    begins      the start rule that will apply, where there is no memory yet
    trouble     why a worker could not use this memory, and what to do
    """

    stream: str
    configured: bool
    position: int | None = None
    epoch: str | None = None
    gaps: int | None = None
    tracked: Tracked | None = None
    progress: Progress | None = None
    owner: str | None = None
    bytes: int = 0
    written: str | None = None
    begins: str | None = None
    trouble: str | None = None


LISTED = {"inventory": "every node", "schedules": "every schedule"}  # compared as a whole: nothing has a place


async def show_places(settings: Settings, which: str | None, *, as_json: bool) -> int:
    """Print where the streams stand."""
    if settings.sink.type == "stdout" and which is None and not as_json:
        print("the stdout sink has no memory: every run begins where `start` says")
        return DONE
    async with sink_with_memory(settings) as sink:
        wanted = chosen(places(settings, await sink.kept()), which)
        lines = [line(place, settings, await sink.owner(place.id)) for place in wanted]
    if as_json:
        for one in lines:
            print(msgspec.json.encode(one).decode())
    else:
        _table(list(zip(wanted, lines, strict=True)))
    return DONE


def line(place: Place, settings: Settings, owner: str | None) -> Line:
    """Return what is to be said of one stream."""
    bare = Line(place.name, place.named, owner=owner, bytes=place.bytes)
    if place.written is not None:
        bare = msgspec.structs.replace(bare, written=times.text(place.written))
    try:
        head = head_of(place, settings)
        tracked = read_memos(place.id, place.documents)
    except (Corrupt, ConfigError) as error:
        return msgspec.structs.replace(bare, trouble=error.line())
    if head is None:
        progress = progress_of(place)
        return msgspec.structs.replace(bare, progress=progress, begins=None if progress else _begins(place))
    return _known(bare, place, head, tracked)


def _known(bare: Line, place: Place, head: Head, tracked: Tracked) -> Line:
    bare = msgspec.structs.replace(bare, epoch=head.epoch_name)
    if place.id.kind in LISTED:
        return bare
    return msgspec.structs.replace(
        bare, position=head.high, gaps=len(head.gaps), tracked=tracked, progress=progress_of(place)
    )


def _begins(place: Place) -> str:
    if place.id.kind == "inventory" or place.source is None:
        return "the next inventory"
    return place.source.start


def _table(found: Sequence[tuple[Place, Line]]) -> None:
    terminal = sys.stdout.isatty()
    rows = [_row(place, one) for place, one in found]
    notes = [note for place, one in found if (note := _note(place, one))]
    if terminal:
        table = Table(*(Column(name, overflow="fold") for name in COLUMNS), box=None, pad_edge=False)
        table.columns[0].min_width = max((len(row[0]) for row in rows), default=0)  # a name cut short names nothing
        for row, (_, one) in zip(rows, found, strict=True):
            table.add_row(*(Text(cell) for cell in row), style="bold red" if one.trouble else None)
        Console().print(table)
    else:
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for row in (COLUMNS, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for note in notes:
        print(note)


def _row(place: Place, one: Line) -> tuple[str, ...]:
    if one.trouble:
        position = "CANNOT BE USED"
    elif one.begins is not None:
        position = f"no memory yet: would begin at {one.begins}"
    elif one.position is None and one.progress is not None:
        position = f"not begun: {one.progress.total} to read"
    elif one.position is None:
        position = LISTED.get(place.id.kind, "")
    else:
        position = f"{place.noun} {one.position}".strip() + _progress(one.progress)
    tracked = "" if one.tracked is None else f"{one.tracked.open} open, {one.tracked.waiting} waiting"
    return (
        one.stream,
        position,
        one.epoch or "",
        "" if one.gaps is None else str(one.gaps),
        tracked,
        one.owner or "nobody",
        f"{one.bytes} B" if one.bytes < 10_000 else f"{one.bytes / 1024:.0f} KB",
        "" if place.written is None else _ago(time.time() - place.written),
    )


def _progress(progress: Progress | None) -> str:
    if progress is None:
        return ""
    if progress.over:
        return f", all {progress.total} read"
    return f", {progress.done} of {progress.total} read ({100 * progress.done // progress.total} %)"


def _note(place: Place, one: Line) -> str:
    if one.trouble:
        return f"{one.stream}: {one.trouble}"
    if not one.configured and place.id.kind.startswith(REPLAY):
        return f"{one.stream}: a replay; once it is over, `orchbridge cursors reset {one.stream}` forgets it"
    if not one.configured:
        return f"{one.stream}: found in the sink, not in the configuration"
    return ""


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
