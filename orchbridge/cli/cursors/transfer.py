"""`orchbridge cursors export` and `import`: memories as one JSON document."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchbridge import __version__
from orchbridge.cli.cursors import telling
from orchbridge.cli.cursors.change import Change, Wish, carry_out, must_be_asked, stamp
from orchbridge.cli.cursors.places import (
    BACKFILL,
    REPLAY,
    Place,
    chosen,
    head_of,
    places,
    read_head,
    read_memos,
    sink_with_memory,
    stream_of,
)
from orchbridge.cli.exits import DONE, say
from orchbridge.config import Kafka, Settings
from orchbridge.core import moving, times
from orchbridge.core.errors import ConfigError, Corrupt
from orchbridge.core.head import Head
from orchbridge.core.ports import StreamId

KIND, VERSION = "orchbridge.cursors", 1


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stream's memory: the source it was read from, and its documents as text, byte for byte."""

    url: str
    documents: dict[str, str]


class Export(msgspec.Struct, frozen=True):
    """The file; `group` is Kafka's, None for another sink, `written` is RFC 3339."""

    kind: str
    v: int
    program: str
    written: str
    sink: str
    group: str | None
    streams: dict[str, Saved]


async def export_places(settings: Settings, which: str | None, file: Path | None) -> int:
    """Write the memory of these streams to a file, or to standard output."""
    async with sink_with_memory(settings) as sink:
        wanted = chosen(places(settings, await sink.kept()), which)
    saved = {place.name: _saved(place) for place in wanted if place.documents}
    group = settings.sink.group if isinstance(settings.sink, Kafka) else None
    export = Export(KIND, VERSION, __version__, times.text(time.time()), settings.sink.type, group, saved)
    content = msgspec.json.format(msgspec.json.encode(export), indent=1) + b"\n"
    if file is None:
        print(content.decode(), end="")
    else:
        _write(file, content)
    without = [place.name for place in wanted if not place.documents]
    say(f"{len(saved)} streams saved" + (f"; without a memory: {', '.join(without)}" if without else ""))
    return DONE


def _write(file: Path, content: bytes) -> None:
    draft = file.with_name(f"{file.name}.draft")
    try:
        draft.write_bytes(content)
        draft.rename(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", hint="name another file with -o") from None


def _saved(place: Place) -> Saved:
    try:
        documents = {key: value.decode() for key, value in place.documents.items()}
    except UnicodeDecodeError as error:
        raise Corrupt(
            f"a cursor document of {place.name} is not text: {error}",
            hint=f"export the other streams by name; reset this one: orchbridge cursors reset {place.name}",
        ) from None
    url = ""
    try:
        url = msgspec.json.decode(documents.get(place.name, "{}"), type=Head).url
    except msgspec.MsgspecError:
        say(f"{place.name} is saved as it is, but cannot be read: an import will refuse it")
    return Saved(url, documents)


async def import_places(settings: Settings, file: Path, *, force: bool, yes: bool) -> int:
    """Put the file's streams in the place of what is remembered of them."""
    must_be_asked(yes=yes)
    export = _read(file)
    async with sink_with_memory(settings) as sink:
        now = {place.id: place for place in places(settings, await sink.kept())}
        wishes = [_wish(settings, now, name, saved) for name, saved in export.streams.items()]
        return await carry_out(sink, wishes, force=force, yes=yes)


def _read(file: Path) -> Export:
    hint = "name a file that `orchbridge cursors export` wrote"
    try:
        export = msgspec.json.decode(file.read_bytes(), type=Export)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", hint=hint) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no export of cursors: {error}", hint=hint) from None
    if export.kind != KIND:
        raise ConfigError(f"{file} is no export of cursors", hint=hint)
    if export.v != VERSION:
        raise ConfigError(
            f"{file} has version {export.v}, this program reads version {VERSION}",
            hint="run the version of orchbridge that wrote it",
        )
    if not export.streams:
        raise ConfigError(f"{file} holds no stream", hint=hint)
    return export


def _wish(settings: Settings, now: Mapping[StreamId, Place], name: str, saved: Saved) -> Wish:
    """Return the wish for one stream of the file; raise ConfigError where a worker could not use it."""
    id_ = stream_of(name)
    source = next((source for source in settings.sources if source.name == id_.source), None)
    kind = id_.kind.removesuffix(BACKFILL)
    if id_.name != name or source is None or (kind not in source.kinds and not kind.startswith(REPLAY)):
        raise ConfigError(
            f"{name} is not in the configuration; nothing was changed",
            hint="add the source and stream there, or take it out of the file",
        )
    documents = {key: value.encode() for key, value in saved.documents.items()}
    place = now.get(id_) or Place(id_, {}, None, source, named=False)
    there = msgspec.structs.replace(place, documents=documents)
    hint = "name a file that `orchbridge cursors export` wrote"
    if any(stream_of(key) != id_ for key in documents):
        raise ConfigError(f"{name} in the file has documents of other streams; nothing was changed", hint=hint)
    try:
        head = head_of(there, settings)
        read_memos(id_, documents)
    except Corrupt as error:
        told = f"{name} in the file cannot be used: {error}; nothing was changed"
        raise ConfigError(told, hint=error.hint) from error
    if not documents:
        raise ConfigError(f"{name} in the file has no documents; nothing was changed", hint=hint)
    return Wish(id_, place.documents, lambda found: _import(settings, place, found, documents, head))


def _import(
    settings: Settings, place: Place, found: Mapping[str, bytes], documents: Mapping[str, bytes], head: Head | None
) -> Change:
    """Return what puts the file's documents in the place of those found."""
    name = place.name
    # An export does not hold the nodes' own documents: where they are gone, a node that is met must not pass for new.
    changes = {"seeded": False} if place.id.kind == "inventory" else {}
    new: dict[str, bytes | None] = {**documents}
    if head is not None:
        new[name] = moving.stamped(documents[name], stamp("import"), **changes)
    if _but_owner(found) == _but_owner(new):
        return Change((f"{name}: is as in the file; nothing to do",))
    gone = dict.fromkeys(key for key in found if key not in documents)
    return Change(_told(settings, place, found, documents, head), {**gone, **new})


def _but_owner(documents: Mapping[str, bytes | None]) -> dict[str, object]:
    """Return documents without what an import always changes."""
    found: dict[str, object] = {}
    for key, value in documents.items():
        try:
            fields = msgspec.json.decode(value or b"null")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            fields = value
        found[key] = {**fields, "owner": ""} if isinstance(fields, dict) else fields
    return found


def _told(
    settings: Settings, place: Place, found: Mapping[str, bytes], documents: Mapping[str, bytes], then: Head | None
) -> tuple[str, ...]:
    name, noun = place.name, place.noun
    if then is None:
        return (f"{name}: a backfill that has not begun takes the place of {len(found)} documents",)
    where = f"{noun} {then.high}".strip() if place.id.kind != "inventory" else "an inventory"
    where = f"{where}, epoch {then.epoch_name}, {len(documents) - 1} tracked"
    if name not in found:
        return (f"{name}: no memory now; then {where}",)
    try:
        now = read_head(place.id, found[name], place.source, settings)
    except Corrupt as error:
        return (f"{name}: what is remembered now cannot be used ({error}); then {where}",)
    if place.id.kind == "inventory":
        return (f"{name}: the next inventory is compared with what the node-state topic holds",)
    if not noun:
        return (f"{name}: from {now.high} to {where}; what was delivered between them comes again or is left out",)
    lines = [f"{name}: from {noun} {now.high} to {where}"]
    if then.epoch != now.epoch:
        lines.append(
            f"  epoch {now.epoch_name} becomes {then.epoch_name} again: what is delivered next has ids of that"
        )
    if then.high < now.high:
        lines.append(f"  {telling.repeated(noun, then.high, now.high)}")
    if then.high > now.high:
        lines.append(f"  {telling.skipped(noun, now.high, then.high)}")
    if len(documents) > 1:
        lines.append(f"  of the {noun}s it tracks, what was delivered since the export comes a second time")
    return tuple(lines)
