"""Writing a stream's memory by hand: said first, asked, and through the same door as a worker."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeAlias

import click

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.core.batch import BATCH_RECORDS_MAX, Batch
from orchbridge.core.errors import ConfigError, Fenced, Refused, SinkLost
from orchbridge.core.ports import Lane, Sink, StreamId
from orchbridge.core.records import NODE_STATE, Record
from orchbridge.sinks.jsonl import JsonlSink

Forget: TypeAlias = Callable[[Mapping[str, bytes]], Sequence[Record]]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written of one stream, and what that means, in whole lines.

    `forget` makes, from an inventory's node documents, the records that remove them.
    """

    lines: tuple[str, ...]
    documents: Mapping[str, bytes | None] = field(default_factory=dict)
    forget: Forget | None = None


Changer: TypeAlias = Callable[[Mapping[str, bytes]], Change]


@dataclass(frozen=True, slots=True)
class Wish:
    """A change of one stream, to be worked out from the documents it has (`before`) and again once it is claimed."""

    id: StreamId
    before: Mapping[str, bytes]
    changer: Changer


def stamp(verb: str) -> str:
    """Return who does this, for the owner field of a head."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"cursors-{verb} by {user}@{socket.gethostname()}"


def must_be_asked(*, yes: bool) -> None:
    """Raise ConfigError where a question would be needed and nobody could answer it."""
    if not yes and not sys.stdin.isatty():
        raise ConfigError("this changes what is remembered, and there is no terminal to ask on", hint="add --yes")


async def carry_out(sink: Sink, wishes: Sequence[Wish], *, force: bool, yes: bool) -> int:
    """Say what will happen, ask, and do it; raise Refused where a worker carries one of the streams.

    All streams are claimed before the first is written. What was said is worked out again from
    what the claim finds: had somebody written meanwhile, it would not be true any more.
    """
    changes = {wish.id: wish.changer(wish.before) for wish in wishes}
    owners = {wish.id: await sink.owner(wish.id) for wish in wishes}
    _refuse_owned(owners, force=force, held=isinstance(sink, JsonlSink))
    for wish in wishes:
        for line in changes[wish.id].lines:
            print(line)
        if owners[wish.id]:
            print(f"{wish.id.name}: {owners[wish.id]} carries it now; it is fenced and goes on from what is set here")
    wishes = [wish for wish in wishes if changes[wish.id].documents or changes[wish.id].forget]
    if not wishes:
        return DONE
    if not yes and not click.confirm("Do it?", default=False):
        print("nothing was changed")
        return CHECK_FAILED
    await sink.open([wish.id for wish in wishes])
    async with AsyncExitStack() as stack:
        lanes = {wish.id: await stack.enter_async_context(sink.claim(wish.id)) for wish in wishes}
        nodes: dict[StreamId, dict[str, bytes]] = {}
        for wish in wishes:  # all of them before the first is written, so that a refusal leaves nothing half done
            found, nodes[wish.id] = await _recalled(lanes[wish.id], with_nodes=changes[wish.id].forget is not None)
            if found != dict(wish.before):
                changes[wish.id] = _again(wish, found, force=force)
        for wish in wishes:
            await _write(lanes[wish.id], wish.id, changes[wish.id], nodes[wish.id])
    return DONE


def _refuse_owned(owners: Mapping[StreamId, str | None], *, force: bool, held: bool) -> None:
    """Raise Refused where a worker carries a stream; where it holds the directory, `force` takes nothing from it."""
    owned = {id_.name: owner for id_, owner in owners.items() if owner}
    if owned and (held or not force):
        told = "; ".join(f"{name} is carried by {owner}" for name, owner in owned.items())
        way = ": it holds the directory, with --force or without" if held else ", or add --force to fence it"
        raise Refused(f"{told}; nothing was changed", hint=f"stop the worker{way}")


async def _recalled(lane: Lane, *, with_nodes: bool) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the stream's cursor documents, and its source's node documents where they are wanted."""
    found: dict[str, bytes] = {}
    nodes: dict[str, bytes] = {}
    async for item in lane.recall((NODE_STATE,) if with_nodes else ()):
        kept = nodes if item.place == NODE_STATE else found
        kept.pop(item.key, None)
        if item.value is not None:
            kept[item.key] = item.value
    return found, nodes


def _again(wish: Wish, found: Mapping[str, bytes], *, force: bool) -> Change:
    if not force:
        raise Refused(
            f"{wish.id.name} moved while this was being looked at; it was not changed", hint="look again and try again"
        )
    change = wish.changer(found)
    print("meanwhile it moved; so it is:")
    for line in change.lines:
        print(line)
    return change


async def _write(lane: Lane, id_: StreamId, change: Change, nodes: Mapping[str, bytes]) -> None:
    """Commit the documents first: with the head gone or moved, what follows can be cut off anywhere."""
    records = tuple(change.forget(nodes)) if change.forget is not None else ()
    try:
        await lane.commit(Batch(records[:BATCH_RECORDS_MAX], change.documents, None))
        for at in range(BATCH_RECORDS_MAX, len(records), BATCH_RECORDS_MAX):
            await lane.commit(Batch(records[at : at + BATCH_RECORDS_MAX], {}, None))
    except Fenced as error:
        raise Refused(
            f"{id_.name}: a worker claimed it at this very moment: {error}", hint="stop the workers and try again"
        ) from error
    except SinkLost as error:
        raise SinkLost(
            f"{id_.name}: {error}", hint=f"see with `orchbridge cursors show {id_.name}` whether it was written"
        ) from error
    print(f"{id_.name}: done")
