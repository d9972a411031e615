"""Progress for the person at the terminal: a bar that moves, or a plain line now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from orchbridge.cli.replay.patience import Patience
from orchbridge.cli.replay.tally import Tally

FRAME_S, LINE_S = 0.25, 10.0


@contextlib.asynccontextmanager
async def shown(console: Console, kind: str, tally: Tally, patience: Patience, about_s: float) -> AsyncIterator[None]:
    """Show how far the reading of a kind has come while the block runs; `about_s` until its pace is known."""
    lively = console.is_terminal and not console.is_dumb_terminal
    async with asyncio.TaskGroup() as group:
        task = group.create_task((_bar if lively else _lines)(console, kind, tally, patience, about_s))
        try:
            yield
        finally:
            task.cancel()


async def _bar(console: Console, kind: str, tally: Tally, patience: Patience, about_s: float) -> None:
    columns = (
        TextColumn("{task.description}", style="bold"), BarColumn(24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"), TextColumn("{task.fields[pace]}"),
        TextColumn("{task.fields[note]}", style="yellow"),
    )  # fmt: skip
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task(kind, total=1, pace="listing", note="")
        while True:
            told = tally.progress
            done = told.done + told.skipped
            pace = remaining(tally, about_s) if told.total else "listing"
            bar.update(
                task, completed=done, total=told.total or 1, pace=pace, note=patience.waiting or "", refresh=True
            )
            await asyncio.sleep(FRAME_S)


async def _lines(console: Console, kind: str, tally: Tally, patience: Patience, about_s: float) -> None:
    while True:
        await asyncio.sleep(LINE_S)
        told = tally.progress
        done = told.done + told.skipped
        line = f"{kind} {done} of {told.total}, {remaining(tally, about_s)}" if told.total else f"{kind}: listing"
        waiting = patience.waiting
        console.print(line if waiting is None else f"{line}; {waiting}", soft_wrap=True, markup=False)


def remaining(tally: Tally, about_s: float) -> str:
    """Return rate and remaining time: `3.2 a second, about 4 min left`."""
    told, rate = tally.progress, tally.rate()
    left = max(0, told.total - told.done - told.skipped)
    if rate is None:
        return f"about {span(about_s)} left"
    return f"{rate:.1f} a second, about {span(left / rate)} left"


def span(seconds: float) -> str:
    """Return a time as a person says it: `40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
