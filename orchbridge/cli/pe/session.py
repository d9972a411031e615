"""One command from its first request to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import click

from orchbridge.cli.exits import CHECK_FAILED, CONFIGURATION, CUT, UNAVAILABLE, code_of, say
from orchbridge.cli.pe.heard import Heard
from orchbridge.cli.pe.options import Options
from orchbridge.cli.pe.place import find
from orchbridge.core.errors import ConfigError, OrchbridgeError
from orchbridge.orchestrator import Client, errors

Work: TypeAlias = Callable[[Client], Coroutine[Any, Any, int]]
UNWRITABLE = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def code_of_work(options: Options, work: Work, *, must_ask: bool) -> int:
    """Find the PE, do the work with a client of it, and return the exit code; `must_ask` needs a terminal."""
    logging.disable(logging.CRITICAL)  # the libraries' own lines say less than ours
    if must_ask and not sys.stdin.isatty():
        told = "this starts or stops something, and there is no terminal to ask on; nothing was done"
        return code_of(ConfigError(told, hint="add --yes"))
    try:
        place = find(options, os.environ)
        say(f"orchbridge: {place.line()}")
        code = asyncio.run(_worked(Client(place.access, Heard().note), work))
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            return code_of(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be written goes nowhere
        if error.errno != errno.EPIPE:  # who reads no further knows that
            say(f"orchbridge: the output cannot be written: {error.strerror}")
        return CUT
    except click.Abort:
        say("orchbridge: nothing was done")
        return CUT
    except errors.ApiError as error:
        say(f"orchbridge: {error.line()}")
        return code_of_api(error)
    except Unwatched as error:
        say(f"orchbridge: {error.line()}")
        return CUT
    except (Exception, KeyboardInterrupt) as error:
        return code_of(error)
    return code


class Unwatched(OrchbridgeError):
    """What was followed can be seen no more, and goes on; its outcome is not known."""


async def _worked(client: Client, work: Work) -> int:
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with client:
            return await work(client)
    except asyncio.CancelledError:
        return CUT


def code_of_api(error: errors.ApiError) -> int:
    """Return the exit code of an answer that is none: by who can do something about it.

    2   what was asked for is wrong: names, values, targets, the token's file
    3   the server refuses: token, permission, a version that has no such thing
    69  nobody answers as an orchestrator should; certainly nothing was started
    75  the answer was lost, and what was asked for may have been done
    """
    match error:
        case errors.Uncertain():
            return CUT
        case errors.Unavailable() | errors.Malformed():
            return UNAVAILABLE
        case errors.TokenRefused(kind="token-file"):
            return CONFIGURATION
        case errors.Unsupported() | errors.ScheduleDisabled() | errors.PlanFinished():
            return CHECK_FAILED
        case errors.Rejected():
            return CONFIGURATION
        case _:
            return CHECK_FAILED


@contextlib.contextmanager
def telling_if_cut(line: str) -> Iterator[None]:
    """Say this where the block is cut short by Ctrl-C or SIGTERM, or because nobody reads what it prints."""
    try:
        yield
    except (asyncio.CancelledError, OSError):
        say(f"orchbridge: {line}")
        raise


@contextlib.contextmanager
def watching(line: str, *, begun: bool) -> Iterator[None]:
    """Say this where the watching is cut short, by a signal or by a server that is gone: the work goes on.

    A server that cannot show what was not `begun` here is no more than that.
    """
    try:
        with telling_if_cut(line):
            yield
    except errors.ApiError as error:
        if isinstance(error, errors.Unsupported) and not begun:
            raise
        raise Unwatched(f"{error.line()}; {line}") from error


@contextlib.contextmanager
def till_pruned(what: str) -> Iterator[None]:
    """Say of what was seen, and is not there any more, that nobody will know how it ended."""
    try:
        yield
    except errors.UnknownJob as error:
        hint = "the bridge's records tell it, where one was running"
        raise Unwatched(f"{what} was deleted while it was followed: its outcome is not known", hint=hint) from error


@contextlib.contextmanager
def at_the_prompt() -> Iterator[None]:
    """Let Ctrl-C end a question at once; asyncio would wait for the answer first."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # it came a moment ago, and would be heard after the answer only
            raise asyncio.CancelledError
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def agreed(lines: list[str], *, yes: bool, nothing: str) -> bool:
    """Say what will happen, and ask; where the answer is no, say `nothing`."""
    for line in lines:
        say(line)
    if yes:
        return True
    with at_the_prompt():
        wanted = click.confirm("Do it?", default=False, err=True)
    if not wanted:
        say(nothing)
    return wanted
