"""What could not be understood or not be sent: set aside with the reason, without its secrets, each once."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable

import msgspec

from orchbridge.core.facts import Odd
from orchbridge.core.normalize.context import Context, Origin
from orchbridge.core.records import ERROR, QUARANTINE, Record
from orchbridge.core.redact import redact_text
from orchbridge.core.redact_odd import redact_odd
from orchbridge.core.size import cut_text

ROOM = 12_000  # of the original, in bytes as JSON
NAMES_MAX = 1_000  # of one job, plan or list; a memory that grows without end would itself become too large
KEY_MAX = 300  # of a key or id: a certname has at most 255 characters
REASON_MAX = 500
MORE = "more"
_LETTERS = re.compile(rb"[0-9A-Za-z\x80-\xff]")


class Place(msgspec.Struct, frozen=True):
    """Where odd items were met: their ids begin with `<epoch>:<about>`; the rest is as in Context.

    `listed` items come again and again while they change: what they call themselves tells them apart.
    """

    origin: Origin
    epoch: str
    about: str
    key: str
    names: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    unknown: bool = True
    listed: bool = False


class Aside(msgspec.Struct, frozen=True):
    """An odd item without its secrets.

    name      its own id, else a digest of what is shown of it; `-2` and on where others look alike
    original  None where it cannot be shown without the risk of showing a secret
    """

    name: str
    reason: str
    original: str | None
    size: int
    sha256: str


def within(ctx: Context, part: str) -> Place:
    """Return the place of items of a job or plan: `event`, `node`."""
    return Place(ctx.origin, ctx.epoch, f"{ctx.subject}/{part}", ctx.key, ctx.names, ctx.secrets, ctx.unknown)


def unsaid(place: Place, odds: Iterable[Odd], said: Collection[str], prefix: str = "") -> list[Aside]:
    """Return those of the odd items of one answer that were not set aside yet, each once.

    `said` are the names remembered, with `prefix` in front. Beyond NAMES_MAX of them one last
    aside stands for all others.
    """
    known, found = set(said), list[Aside]()
    for odd in _distinct(odds):
        aside = _aside(place, odd)
        name, copies = aside.name, 1
        while name in {one.name for one in found}:  # others of this answer that look alike
            copies += 1
            name = f"{aside.name}-{copies}"
        found.append(msgspec.structs.replace(aside, name=name))
    fresh = [aside for aside in found if prefix + aside.name not in known]
    room = NAMES_MAX - len(known)
    if len(fresh) <= room:
        return fresh
    return fresh[: max(0, room)] + ([] if prefix + MORE in known else [others("could not be understood")])


def others(what: str) -> Aside:
    """Return what stands for all items beyond NAMES_MAX that `what` is true of."""
    reason = f"more than {NAMES_MAX} items {what}; the others are not set aside one by one"
    return Aside(MORE, reason, None, 0, hashlib.sha256(b"").hexdigest())


def _distinct(odds: Iterable[Odd]) -> Iterable[Odd]:
    """Pass each item over once, however its white space was set."""
    return {(_compact(odd.raw), odd.id): odd for odd in odds}.values()


def _compact(raw: bytes) -> bytes:
    try:
        return msgspec.json.format(raw, indent=-1)
    except (ValueError, RecursionError):
        return raw


def _aside(place: Place, odd: Odd) -> Aside:
    rules = place.origin.rules
    shown = redact_odd(_compact(odd.raw), rules, place.names, place.unknown, place.secrets)
    reason = redact_text(odd.reason, rules, place.secrets)[0]
    if shown is None:
        reason = f"{reason}; not shown, as what is torn may hold secrets"
        digest = hashlib.sha256(_LETTERS.sub(b"x", odd.raw)).hexdigest()
        original = None
    else:
        digest = hashlib.sha256(shown).hexdigest()
        original = shown.decode("utf-8", "surrogateescape")
    own = (_called(shown) if place.listed and shown is not None else "") or _own_id(odd) + digest
    name = str(odd.id) if odd.id is not None else digest_name(own.encode())
    return Aside(name, reason, original, len(odd.raw), digest)


_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"?([0-9]{1,19})\b')


def _own_id(odd: Odd) -> str:
    """Return the id that torn bytes begin with: it tells items apart whose letters may not be looked at."""
    found = _ID.match(odd.raw)
    return found[1].decode() if found else ""


def _called(shown: bytes) -> str:
    """Return what an item of a list calls itself, "" where it has no name at all."""
    try:
        told = msgspec.json.decode(shown)
    except (ValueError, RecursionError):
        return ""
    names = [told.get("id"), told.get("name")] if isinstance(told, dict) else []
    usable = [str(name) for name in names if isinstance(name, str | int) and str(name)]
    return "called " + "\n".join(usable) if usable else ""


def digest_name(redacted: bytes) -> str:
    """Return a name for something without an id, from its redacted content: no secret can be guessed by it."""
    return "x" + hashlib.sha256(redacted).hexdigest()[:16]


def aside_record(place: Place, aside: Aside, observed: str, *, about: str | None = None) -> Record:
    """Return the quarantine record of an odd item; `about` names what it is, where more is known than its place."""
    id_ = f"{place.epoch}:{about or f'{place.about}/{aside.name}'}"
    return _record(
        place.origin.instance, place.key, id_, place.epoch, observed, "normalize", None, aside, place.origin.replay
    )


def list_asides(
    origin: Origin, epoch: str, stream: str, odds: Iterable[Odd], said: tuple[str, ...], observed: str
) -> tuple[tuple[str, ...], list[Record]]:
    """Return the names set aside with these items of a whole list, and the records of the new ones.

    Nothing is known yet of who they are, so their parameters are not shown.
    """
    place = Place(origin, epoch, f"{stream}/list", origin.instance, listed=True)
    records = []
    for aside in unsaid(place, odds, said):
        records.append(aside_record(place, aside, observed))
        said = (*said, aside.name)
    return said, records


def quarantined(record: Record, reason: str) -> Record:
    """Return the quarantine record that takes the place of one the sink cannot carry.

    Its data is already redacted; its head and tail are kept, with size and digest, so that it fits.
    """
    try:
        encoded = msgspec.json.encode(record.data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        encoded = repr(record.data).encode("utf-8", "backslashreplace")
    original = encoded.decode("utf-8", "surrogateescape")
    aside = Aside("", reason, original, len(encoded), hashlib.sha256(encoded).hexdigest())
    return _record(
        record.instance, record.key, record.id, record.epoch, record.observed, "publish", record.type, aside,
        record.replay,
    )  # fmt: skip


def short(text: str, most: int = KEY_MAX) -> str:
    """Return a key or id, or what stands for one that is too long for a header."""
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[: most - 20]}~{digest}"


def _record(  # one field each
    instance: str, key: str, about: str, epoch: str, observed: str, stage: str, original_type: str | None,
    aside: Aside, replay: bool,
) -> Record:  # fmt: skip
    about = short(about)
    reason = short(aside.reason, REASON_MAX)
    data = {
        "instance": instance,
        "epoch": epoch,
        "observed_at": observed,
        "time_basis": "observed",
        "reason": reason,
        "stage": stage,
        "original_type": original_type,
        "original": None,
        "size": aside.size,
        "sha256": aside.sha256,
    }
    if aside.original is None:
        data["withheld"] = True
    else:
        data |= _written(aside.original)
    line = " ".join(reason.split())
    headers = (
        ("__connect.errors.topic", about.partition(":")[2]),  # where it came from: PE has no topics
        ("__connect.errors.stage", stage.upper()),
        ("__connect.errors.exception.class.name", "orchbridge.Quarantined"),
        ("__connect.errors.exception.message", line),
        ("__connect.errors.exception.stacktrace", f"{stage}: {line}"),
    )
    return Record(
        QUARANTINE, instance, short(key), f"{about}/quarantine", "quarantine.v1", "bridge", observed, observed, epoch,
        data, None, ERROR, None, replay, "orchestrator/v1", headers,
    )  # fmt: skip


def _written(original: str) -> dict[str, str]:
    """Return the original as text, in base64 where its bytes are no text."""
    try:
        original.encode()
    except UnicodeEncodeError:
        told = cut_text(original, ROOM * 3 // 4).encode("utf-8", "surrogateescape")
        return {"original": base64.b64encode(told).decode(), "encoding": "base64"}
    return {"original": cut_text(original, ROOM)}
